"""The queue before the engine, with a function in the engine's place."""

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from translator_toy import Model, batching

from translator.batcher import Batcher
from translator.cache import SentenceCache, entry_bytes
from translator.errors import ClosedError, QueueFullError, TooManySentencesError
from translator.fair_queue import Entry, FairQueue
from translator.model.job import Job, Translation


def job(text: str, target: str = "fra_Latn", tokens: int = 3) -> Job:
    return Job(text, "eng_Latn", target, ("t",) * tokens)


async def test_concurrent_requests_share_a_batch_and_get_their_own_answers() -> None:
    model = Model()
    async with batching(model) as batcher:
        answers = await asyncio.gather(*(batcher.translate([job(f"s{i}"), job("same")]) for i in range(10)))
    assert [a[0].text for a in answers] == [f"<fra_Latn>S{i}" for i in range(10)]
    assert {a[1].text for a in answers} == {"<fra_Latn>SAME"}
    assert len(model.batches) == 1
    assert len(model.batches[0]) == 11  # "same" runs once


async def test_languages_share_a_batch() -> None:
    model = Model()
    async with batching(model) as batcher:
        answer = await batcher.translate([job("a", "fra_Latn"), job("a", "hin_Deva")])
    assert [a.text for a in answer] == ["<fra_Latn>A", "<hin_Deva>A"]
    assert len(model.batches) == 1


async def test_what_was_translated_is_kept() -> None:
    model = Model()
    async with batching(model) as batcher:
        first = await batcher.translate([job("a")])
        assert await batcher.translate([job("a"), job("a")]) == first * 2
    assert len(model.batches) == 1


@pytest.mark.parametrize(("failed", "calls"), [(False, 1), (True, 2)])
async def test_what_is_doubtful_is_kept_and_what_failed_is_not(failed: bool, calls: int) -> None:
    model = Model(lambda asked: Translation(asked.text, ("no end",), failed=failed))
    async with batching(model) as batcher:
        first = await batcher.translate([job("a")])
        assert await batcher.translate([job("a")]) == first
    assert len(model.batches) == calls


async def test_a_batch_keeps_to_its_tokens_and_to_one_batch_class() -> None:
    model = Model()
    lengths = [1, 5, 9, 30, 31, 32, 33, 96, 97, 129, 200]
    async with batching(model, batch_tokens=64) as batcher:
        await batcher.translate([job(f"s{n}", tokens=n) for n in lengths])
    assert sorted(len(job.tokens) for batch in model.batches for job in batch) == lengths
    for batch in model.batches:
        assert len(batch) == 1 or len(batch) * max(len(job.tokens) for job in batch) <= 64
        assert len({job.length_class for job in batch}) == 1


@settings(max_examples=60)
@given(st.lists(st.dictionaries(st.integers(0, 60), st.integers(1, 200), max_size=30), max_size=6), st.integers(1, 300))
def test_each_wanted_sentence_comes_in_one_batch(requests: list[dict[int, int]], batch_tokens: int) -> None:
    """Requests that share sentences (numbers with their tokens), some of which nobody wants any more."""

    async def check() -> None:
        queue, entries = FairQueue(batch_tokens), dict[int, Entry]()
        for request in requests:
            for number, tokens in request.items():
                entries.setdefault(number, Entry(job(str(number), tokens=tokens))).waiters = number % 5
            queue.add([entries[number] for number in request])
        came: list[Entry] = []
        while batch := queue.next_batch():
            came += batch
            assert len({entry.job.batch_class for entry in batch}) == 1
            assert len(batch) == 1 or len(batch) * max(len(entry.job.tokens) for entry in batch) <= batch_tokens
        assert sorted(int(entry.job.text) for entry in came) == sorted(n for n in entries if n % 5)
        assert all(entry.started for entry in came)

    asyncio.run(check())


async def test_a_small_request_does_not_wait_for_a_huge_one() -> None:
    model = Model()
    async with batching(model, batch_tokens=30) as batcher:
        model.gate.clear()
        huge = asyncio.create_task(batcher.translate([job(f"h{i}") for i in range(200)]))
        await model.is_running()
        small = asyncio.create_task(batcher.translate([job("small 1"), job("small 2")]))
        long = asyncio.create_task(batcher.translate([job("long", tokens=180)]))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(small, long)
        assert not huge.done()
        at = [n for n, batch in enumerate(model.batches) for j in batch if not j.text.startswith("h")]
        assert max(at) <= 3  # of twenty batches
        await huge


async def test_a_sentence_shared_with_a_huge_request_does_not_wait_for_it() -> None:
    model = Model()
    async with batching(model, batch_tokens=30) as batcher:
        model.gate.clear()
        huge = asyncio.create_task(batcher.translate([job("shared", tokens=1), *(job(f"h{i}") for i in range(200))]))
        await model.is_running()
        small = asyncio.create_task(batcher.translate([job("shared", tokens=1), job("own")]))
        await asyncio.sleep(0)
        model.gate.set()
        assert [said.text for said in await small] == ["<fra_Latn>SHARED", "<fra_Latn>OWN"]
        assert not huge.done()
        await huge
        assert batcher.waiting == 0
    assert sum(j.text == "shared" for batch in model.batches for j in batch) == 1


async def test_a_huge_request_takes_small_batches_while_small_ones_come() -> None:
    model = Model()
    async with batching(model, batch_tokens=96) as batcher:
        model.gate.clear()
        huge = asyncio.create_task(batcher.translate([job(f"h{i}") for i in range(200)]))
        await model.is_running()
        small = asyncio.create_task(batcher.translate([job("small 1"), job("small 2")]))
        middling = asyncio.create_task(batcher.translate([job(f"m{i}") for i in range(40)]))
        await asyncio.sleep(0)
        model.gate.set()
        await asyncio.gather(huge, small, middling)
    batches = ["".join(sorted(j.text[0] for j in batch)) for batch in model.batches]
    assert batches[0] == "h" * 32  # alone: a full batch
    assert batches[1] == "m" * 30 + "ss"  # nothing of the huge one
    assert batches[2].count("h") <= 8
    assert all(set(batch) == {"h"} and len(batch) <= 8 for batch in batches[3:])


async def test_small_requests_do_not_starve_a_huge_one() -> None:
    model = Model()

    async def small(batcher: Batcher, name: str) -> None:
        for i in range(30):
            await batcher.translate([job(f"small {name} {i}")])

    async with batching(model, batch_tokens=24, linger_s=0) as batcher:
        huge = asyncio.create_task(batcher.translate([job(f"h{i}") for i in range(60)]))
        await asyncio.gather(*(small(batcher, str(n)) for n in range(12)))
        assert sum(j.text.startswith("h") for batch in model.batches for j in batch) >= 20
        await huge


async def test_a_full_queue_says_when_to_come_back() -> None:
    model = Model()
    async with batching(model, queue_limit=5) as batcher:
        model.gate.clear()
        running = asyncio.create_task(batcher.translate([job("running")]))
        await model.is_running()
        waiting = asyncio.create_task(batcher.translate([job(f"w{i}") for i in range(5)]))
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        with pytest.raises(QueueFullError) as full:
            await batcher.translate([job("too much")])
        assert 1 <= full.value.retry_after_s <= 60
        assert (await asyncio.gather(batcher.translate([]), return_exceptions=True)) == [[]]
        model.gate.set()
        await asyncio.gather(running, waiting)
        assert (await batcher.translate([job("now")]))[0].text == "<fra_Latn>NOW"


async def test_a_request_larger_than_the_queue_is_refused_for_good() -> None:
    async with batching(Model(), queue_limit=5) as batcher:
        with pytest.raises(TooManySentencesError, match="6 sentences"):
            await batcher.translate([job(f"s{i}") for i in range(6)])


async def test_a_cancelled_request_frees_its_place_but_not_what_others_want() -> None:
    model = Model()
    async with batching(model, queue_limit=3) as batcher:
        model.gate.clear()
        running = asyncio.create_task(batcher.translate([job("running")]))
        await model.is_running()
        leaver = asyncio.create_task(batcher.translate([job("shared"), job("alone 1"), job("alone 2")]))
        await asyncio.sleep(0)
        stayer = asyncio.create_task(batcher.translate([job("shared")]))
        await asyncio.sleep(0)
        leaver.cancel()
        await asyncio.gather(leaver, return_exceptions=True)
        assert batcher.waiting == 1
        model.gate.set()
        assert (await stayer)[0].text == "<fra_Latn>SHARED"
        await running
    assert [[j.text for j in batch] for batch in model.batches] == [["running"], ["shared"]]


async def test_an_engine_that_fails_fails_its_batch_only() -> None:
    model = Model()
    async with batching(model) as batcher:
        with pytest.raises(RuntimeError, match="boom"):
            await batcher.translate([job("explode"), job("with it")])
        assert (await batcher.translate([job("with it")]))[0].text == "<fra_Latn>WITH IT"


async def test_closing_finishes_what_waits_and_takes_nothing_new() -> None:
    model = Model()
    batcher = Batcher(model, batch_tokens=3)
    batcher.start()
    model.gate.clear()
    request = asyncio.create_task(batcher.translate([job(f"s{i}") for i in range(5)]))
    await model.is_running()
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(ClosedError):
        await batcher.translate([job("late")])
    model.gate.set()
    await closing
    assert [a.text for a in await request] == [f"<fra_Latn>S{i}" for i in range(5)]


async def test_replicas_run_at_the_same_time() -> None:
    both = threading.Barrier(2, timeout=30)

    def answer(asked: Job) -> Translation:
        both.wait()  # breaks unless a second batch comes while this one runs
        return Translation(asked.text)

    async with batching(Model(answer), replicas=2, batch_tokens=3) as batcher:
        assert len(await batcher.translate([job("a"), job("b")])) == 2


def test_the_cache_is_bounded_and_drops_what_was_used_longest_ago() -> None:
    jobs = {name: job(name) for name in "abcde"}
    said = Translation("x" * 9)
    each = entry_bytes(jobs["a"], said)
    cache = SentenceCache(3 * each)
    for name in "abc":
        cache.put(jobs[name], said)
    assert cache.get(job("a")) == said  # equal, not the same
    cache.put(jobs["d"], said)
    assert cache.get(jobs["b"]) is None
    assert cache.get(jobs["a"]) == said
    assert cache.size_bytes == 3 * each
    cache.put(jobs["a"], Translation("y"))
    assert cache.size_bytes == 3 * each - 4 * 8
    cache.put(jobs["e"], Translation("x" * each))  # larger than everything: not kept, and drops nothing
    assert cache.get(jobs["e"]) is None
    assert cache.size_bytes == 3 * each - 4 * 8
    assert (cache.hits, cache.misses) == (2, 2)


def test_what_is_kept_is_counted_with_its_text_tokens_and_issues() -> None:
    plain = entry_bytes(job("a", tokens=0), Translation(""))
    assert entry_bytes(job("abc", tokens=0), Translation("de")) == plain + 4 * 4
    assert entry_bytes(job("a", tokens=2), Translation("", ("cut",))) == plain + 3 * 60 + 2 + 3
    assert entry_bytes(job("a", tokens=0), Translation("", remarks=("more",))) == plain + 60 + 4


async def test_a_cache_of_nothing_keeps_nothing() -> None:
    model = Model()
    async with batching(model, cache_bytes=0) as batcher:
        for _ in range(2):
            await batcher.translate([job("a")])
    assert len(model.batches) == 2
