import random

import pytest
import torch
from transformers.models.mllama import processing_mllama as mllama

from server.llama_vision.geometry import (
    BatchView,
    PartialRow,
    check_prompt,
    partial_rows,
    rows_that_see,
)

PICTURE = 99


def batch_of(requests: list[tuple[list[int], int, list[int]]]):
    """Requests (tokens, first position, keys of each picture) -> input ids, positions, view, new pictures'
    keys.
    """
    ids = torch.tensor([token for tokens, _, _ in requests for token in tokens])
    positions = torch.cat([torch.arange(len(tokens)) + first for tokens, first, _ in requests])
    starts = torch.tensor([0, *(len(tokens) for tokens, _, _ in requests)]).cumsum(0).int()
    keys = torch.tensor([sum(keys) for _, _, keys in requests]).int()
    new = [size for _, first, keys in requests if first == 0 for size in keys]
    return ids, positions, BatchView(starts, keys), new


def expected_mask(tokens: list[int], keys: list[int]) -> list[list[bool]]:
    """transformers' own mask, `[rows][pictures]`."""
    if not keys:
        return [[] for _ in tokens]
    spans = mllama.get_cross_attention_token_mask(tokens, PICTURE)
    dense = mllama.convert_sparse_cross_attention_mask_to_dense([spans], [[1] * len(keys)], 1, len(tokens))
    return dense[0, :, :, 0].astype(bool).tolist()


@pytest.mark.parametrize("seed", range(30))
def test_rows_see_what_transformers_mask_lets_them_see(seed):
    draw = random.Random(seed)
    requests = []
    for _ in range(draw.randint(1, 6)):
        pictures = draw.choice([0, 0, 1, 1, 2, 3])
        before, after = draw.randint(0, 4), draw.randint(0 if pictures else 1, 4)
        tokens = [draw.randint(0, 50) for _ in range(before)] + [PICTURE] * pictures
        tokens += [draw.randint(0, 50) for _ in range(after)]
        keys = [draw.randint(1, 20) for _ in range(pictures)]
        goes_on = draw.random() < 0.4
        requests.append(([7], len(tokens), keys) if goes_on else (tokens, 0, keys))

    ids, positions, view, new = batch_of(requests)
    sees = rows_that_see(ids, positions, view, PICTURE).flatten().tolist()
    partial = {part.row: part for part in partial_rows(ids, positions, view, PICTURE, new)}

    row = first_key = 0
    for tokens, first, keys in requests:
        if first:
            assert sees[row] == bool(keys)
            assert row not in partial
            row += 1
            continue
        for visible in expected_mask(tokens, keys):
            assert sees[row] == any(visible)
            if any(visible) and not all(visible):
                assert partial.pop(row) == PartialRow(row, first_key, first_key + sum(keys[: sum(visible)]))
            else:
                assert row not in partial
            row += 1
        first_key += sum(keys)
    assert not partial


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
    [([1, 2], 0), ([PICTURE, 1], 1), ([1, PICTURE], 1), ([1, PICTURE, PICTURE, PICTURE, 2], 3)],
)
def test_accepts_adjacent_pictures(prompt, pictures):
    check_prompt(prompt, PICTURE, pictures)


@pytest.mark.parametrize(
    ("prompt", "pictures", "message"),
    [
        ([PICTURE, 1, PICTURE], 2, "text between pictures is not supported"),
        ([PICTURE, PICTURE, 1, PICTURE], 3, "text between pictures is not supported"),
        ([1, 2], 1, r"holds 0 times <\|image\|>, but 1 picture"),
        ([PICTURE, PICTURE], 1, r"holds 2 times <\|image\|>, but 1 picture"),
    ],
)
def test_refuses_what_would_be_answered_wrongly(prompt, pictures, message):
    with pytest.raises(ValueError, match=message):
        check_prompt(prompt, PICTURE, pictures)
