import pytest
import torch

from server.llama_vision.encoder_cache import (
    CAPACITY_VARIABLE,
    EncoderCache,
    content_key,
)


def output(kilobytes: int):
    return torch.zeros(kilobytes * 256, dtype=torch.float32)


def test_finds_what_it_keeps_and_counts():
    cache = EncoderCache(10_000)
    kept = output(2)
    cache.put("a", kept)
    assert cache.get("a") is kept
    assert cache.get("b") is None
    assert (cache.hits, cache.misses, cache.size) == (1, 1, 2048)


def test_is_bounded_in_bytes_and_drops_what_was_not_used_for_longest():
    cache = EncoderCache(5 * 1024)
    cache.put("a", output(2))
    cache.put("b", output(2))
    cache.get("a")
    cache.put("c", output(2))
    assert cache.get("b") is None
    assert cache.get("a") is not None
    assert cache.size == 4096


def test_one_large_output_may_push_out_several():
    cache = EncoderCache(5 * 1024)
    for name in "abcd":
        cache.put(name, output(1))
    cache.put("large", output(4))
    assert cache.size <= cache.capacity
    assert [cache.get(name) is not None for name in "abcd"] == [False, False, False, True]


def test_what_is_larger_than_the_cache_is_not_kept():
    cache = EncoderCache(1024)
    cache.put("small", output(1))
    cache.put("large", output(2))
    assert cache.get("large") is None
    assert cache.get("small") is not None


def test_the_same_picture_twice_counts_once():
    cache = EncoderCache(10_000)
    cache.put("a", output(2))
    cache.put("a", output(2))
    assert cache.size == 2048


def test_forgets_everything_when_told_to():
    cache = EncoderCache(10_000)
    cache.put("a", output(2))
    cache.clear()
    assert cache.get("a") is None
    assert cache.size == 0


def test_zero_turns_it_off():
    cache = EncoderCache(0)
    cache.put("a", output(1))
    assert cache.get("a") is None


@pytest.mark.parametrize(("value", "capacity"), [(None, 512 * 2**20), ("0", 0), ("64", 64 * 2**20)])
def test_capacity_comes_from_the_environment(monkeypatch, value, capacity):
    monkeypatch.delenv(CAPACITY_VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(CAPACITY_VARIABLE, value)
    assert EncoderCache.from_environment().capacity == capacity


@pytest.mark.parametrize("value", ["-1", "1.5", "many", ""])
def test_a_bad_capacity_is_named(monkeypatch, value):
    monkeypatch.setenv(CAPACITY_VARIABLE, value)
    with pytest.raises(ValueError, match=CAPACITY_VARIABLE):
        EncoderCache.from_environment()


def test_pictures_differ_by_content_and_by_layout():
    wide = torch.rand(2, 3, 8, 8, dtype=torch.bfloat16)
    other = wide.clone()
    other[1, 2, 7, 7] += 1
    pictures = [(wide, 2), (wide.clone(), 2), (other, 2), (wide, 5)]
    keys = [tuple(content_key(*picture).tolist()) for picture in pictures]
    assert keys[0] == keys[1]
    assert len({*keys}) == 3
