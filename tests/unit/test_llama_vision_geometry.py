import random

import pytest
import torch
from transformers.models.mllama import processing_mllama as mllama

from server.llama_vision.geometry import (
    Arrangement,
    BatchView,
    OtherRows,
    arrange,
    check_prompt,
    rows_that_see,
    shares_of_last_group,
)

PICTURE = 99


def batch_of(requests: list[tuple[list[int], int, list[int]]]):
    """Requests (tokens, first position, keys of each picture) -> input ids, positions, view, new pictures'
    keys.
    """
    ids = torch.tensor([token for tokens, _, _ in requests for token in tokens])
    positions = torch.cat([torch.arange(len(tokens)) + first for tokens, first, _ in requests])
    starts = torch.tensor([0, *(len(tokens) for tokens, _, _ in requests)]).cumsum(0).int()
    keys = torch.tensor(
        [sum(keys) if first else sum(shares_of_last_group(tokens, PICTURE, keys)) for tokens, first, keys in requests]
    ).int()
    new = [size for _, first, keys in requests if first == 0 for size in keys]
    return ids, positions, BatchView(starts, keys), new


def expected_mask(tokens: list[int], keys: list[int]) -> list[list[bool]]:
    """transformers' own mask, `[rows][pictures]`."""
    if not keys:
        return [[] for _ in tokens]
    spans = mllama.get_cross_attention_token_mask(tokens, PICTURE)
    dense = mllama.convert_sparse_cross_attention_mask_to_dense([spans], [[1] * len(keys)], 1, len(tokens))
    return dense[0, :, :, 0].astype(bool).tolist()


def random_prompt(draw: random.Random) -> tuple[list[int], list[int]]:
    """Text and pictures in any order, and the keys of the pictures; a new prompt does not end before its text."""
    tokens = [draw.randint(0, 50) for _ in range(draw.randint(0, 4))]
    pictures = 0
    for _ in range(draw.choice([0, 1, 1, 2, 3])):
        side_by_side = draw.choice([1, 1, 2, 3])
        pictures += side_by_side
        tokens += [PICTURE] * side_by_side + [draw.randint(0, 50) for _ in range(draw.randint(0, 4))]
    return tokens or [7], [draw.randint(12, 40) for _ in range(pictures)]


@pytest.mark.parametrize("seed", range(60))
def test_rows_see_what_transformers_mask_lets_them_see(seed):
    draw = random.Random(seed)
    requests = []
    for _ in range(draw.randint(1, 6)):
        tokens, keys = random_prompt(draw)
        goes_on = draw.random() < 0.4
        requests.append(([7], len(tokens), keys[-1:]) if goes_on else (tokens, 0, keys))

    ids, positions, view, new = batch_of(requests)
    sees = rows_that_see(ids, positions, view, PICTURE).flatten().tolist()
    arranged = arrange(ids, positions, view, PICTURE, new)
    assert sorted(arranged.order) == list(range(len(new)))
    assert arranged.cached == sum(
        keys for keys, (_, first, _) in zip(view.keys.tolist(), requests, strict=True) if first == 0
    )
    places = [picture for picture in arranged.order for _ in range(new[picture])]  # the picture of each key
    others = {row: part for part in arranged.others for row in range(part.first_row, part.end_row)}

    row = first_picture = cached = 0
    for (tokens, first, keys), in_cache in zip(requests, view.keys.tolist(), strict=True):
        if first:
            assert sees[row] == bool(keys)
            assert row not in others
            row += 1
            continue
        # What the cache holds of this request, and what any of its rows sees, by Meta's mask.
        of_cache = places[cached : cached + in_cache]
        cached += in_cache
        for visible in expected_mask(tokens, keys):
            expected = [first_picture + n for n, sees_it in enumerate(visible) if sees_it for _ in range(keys[n])]
            assert sees[row] == any(visible)
            if part := others.pop(row, None):
                assert places[part.first_key : part.end_key] == expected
                assert expected != of_cache
            elif any(visible):
                assert of_cache == expected
            row += 1
        first_picture += len(keys)
    assert not others


def test_the_last_group_is_cached_and_the_rows_before_it_are_computed_apart():
    tokens = [1, PICTURE, 2, PICTURE, PICTURE, 3, 4]
    ids, positions, view, new = batch_of([([5], 3, [11]), (tokens, 0, [17, 34, 51])])
    assert arrange(ids, positions, view, PICTURE, new) == Arrangement(
        order=[1, 2, 0], cached=34 + 51, others=[OtherRows(2, 4, 85, 102), OtherRows(4, 5, 0, 34)]
    )


@pytest.mark.parametrize(
    ("prompt", "keys", "shares"),
    [
        ([1, 2], [], []),
        ([PICTURE, 1], [17], [17]),
        ([PICTURE, PICTURE, 1], [17, 34], [17, 34]),
        ([PICTURE, 1, PICTURE], [68, 17], [1, 16]),
        ([PICTURE, 1, PICTURE, 2, PICTURE, PICTURE, 3], [68, 68, 34, 17], [1, 1, 32, 17]),
    ],
)
def test_placeholders_add_up_to_the_keys_of_the_last_group(prompt, keys, shares):
    assert shares_of_last_group(prompt, PICTURE, keys) == shares


def test_a_picture_token_in_text_alone_shows_no_picture():
    ids, positions, view, _ = batch_of([([1, PICTURE, 2], 0, []), ([1, PICTURE, 2], 0, [17])])
    assert rows_that_see(ids, positions, view, PICTURE).flatten().tolist() == [False] * 4 + [True] * 2


def test_rows_that_fill_up_a_graph_are_harmless():
    # A CUDA graph runs with more rows and requests than there are: they lie behind the last request.
    ids, positions = torch.tensor([1, 2, 0, 0]), torch.tensor([5, 9, 0, 0])
    view = BatchView(torch.tensor([0, 1, 2, 2, 2]).int(), torch.tensor([17, 0, 0, 0]).int())
    assert rows_that_see(ids, positions, view, PICTURE).flatten().tolist() == [True, False, False, False]


@pytest.mark.parametrize(
    ("prompt", "pictures"),
    [([1, 2], 0), ([PICTURE, 1], 1), ([1, PICTURE], 1), ([1, PICTURE, PICTURE, 2, PICTURE], 3)],
)
def test_accepts_pictures_in_any_place(prompt, pictures):
    check_prompt(prompt, PICTURE, pictures)


@pytest.mark.parametrize(
    ("prompt", "pictures", "message"),
    [
        ([1, 2], 1, r"holds 0 times <\|image\|>, but 1 picture"),
        ([PICTURE, PICTURE], 1, r"holds 2 times <\|image\|>, but 1 picture"),
        ([PICTURE, 1, PICTURE], 3, r"holds 2 times <\|image\|>, but 3 picture"),
    ],
)
def test_refuses_a_prompt_that_does_not_fit_its_pictures(prompt, pictures, message):
    with pytest.raises(ValueError, match=message):
        check_prompt(prompt, PICTURE, pictures)
