"""Which rows of a batch see which pictures: the mask of Meta's reference implementation.

A batch is flat: the tokens of all requests one after the other.

Pictures whose `<|image|>` stand next to each other are a group. A row sees the last group at or before it, of which it
sees the pictures whose `<|image|>` stand at or before it; earlier groups reach it through the text rows that saw them.
Rows before the first picture see nothing: their cross-attention layers do nothing at all. It is the mask of
transformers' `get_cross_attention_token_mask`.

So all that is written after a prompt sees its last group. The cache of cross-attention holds the keys of that group
alone, and a row of the prompt that sees something else is computed apart, while the prompt is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch


@dataclass(frozen=True)
class BatchView:
    """How a flat batch is divided among requests, on the device of the model.

    Attributes:
        query_start: `[requests + 1]`, the first row of each request, and the number of rows.
        keys: `[requests]`, how many keys of each request lie in the cache; 0 without a picture.
    """

    query_start: torch.Tensor
    keys: torch.Tensor


@dataclass(frozen=True)
class OtherRows:
    """Rows that see other keys than those that the cache holds for their request.

    Attributes:
        first_row: The first of them, in the batch.
        end_row: The first row behind them.
        first_key: The first key that they see, among the keys of this step.
        end_key: The first key behind those that they see.
    """

    first_row: int
    end_row: int
    first_key: int
    end_key: int


@dataclass(frozen=True)
class Arrangement:
    """Where the pictures go that are new in a step.

    Attributes:
        order: Indices of the pictures: those of all last groups, request by request, then all others.
        cached: How many keys those of the last groups have: they go to the cache.
        others: Rows that see something else than the cache holds.
    """

    order: list[int]
    cached: int
    others: list[OtherRows]


@dataclass(frozen=True)
class NewPictures:
    """The pictures that are new in a step, as the text layers take them.

    Attributes:
        states: `[keys, width]`, in the order of the `Arrangement`.
        cached: How many of them, from the first, go to the cache.
        others: As in `Arrangement`.
    """

    states: torch.Tensor
    cached: int
    others: list[OtherRows]


def rows_that_see(
    input_ids: torch.Tensor, positions: torch.Tensor, batch: BatchView, picture_token: int
) -> torch.Tensor:
    """Mark the rows that see at least one picture.

    Runs without a look at values on the host, so that it can be part of a CUDA graph.

    Args:
        input_ids: `[rows]`.
        positions: `[rows]`, the place of each row in its request.
        batch: The requests.
        picture_token: Id of `<|image|>`.

    Returns:
        Bool `[rows, 1]`.
    """
    rows = torch.arange(input_ids.shape[0], device=input_ids.device)
    last = batch.keys.shape[0] - 1
    request = torch.searchsorted(batch.query_start[1:].long(), rows, right=True).clamp_(max=last)
    start = batch.query_start[request].long().clamp_(max=input_ids.shape[0] - 1)
    pictures = (input_ids == picture_token).long()
    up_to = pictures.cumsum(0)
    in_request = up_to - up_to[start] + pictures[start]
    # A request that goes on has its pictures behind it.
    goes_on = positions[start] > 0
    return ((batch.keys[request] > 0) & (goes_on | (in_request > 0))).unsqueeze(1)


def arrange(
    input_ids: torch.Tensor,
    positions: torch.Tensor,
    batch: BatchView,
    picture_token: int,
    picture_keys: list[int],
) -> Arrangement:
    """Tell the last group of each request from the groups before it, and find the rows that see something else.

    Args:
        input_ids: `[rows]`.
        positions: `[rows]`.
        batch: The requests.
        picture_token: Id of `<|image|>`.
        picture_keys: Keys of each picture that is new in this step, in the order of the batch.
    """
    starts = batch.query_start[:-1].long().clamp(max=len(positions) - 1)
    begins = (positions[starts] == 0) & (batch.keys > 0)
    columns = torch.stack([batch.query_start[:-1].long(), batch.query_start[1:].long(), begins.long()]).tolist()
    picture_rows = (input_ids == picture_token).nonzero().flatten().tolist()

    last_groups: list[int] = []
    earlier: list[int] = []
    seen: list[tuple[int, int, list[int]]] = []
    number = 0
    for start, end, begun in zip(*columns, strict=True):
        rows = [row for row in picture_rows if start <= row < end] if begun else []
        groups = _adjacent(rows)
        for index, group in enumerate(groups):
            last = index == len(groups) - 1
            pictures = list(range(number, number + len(group)))
            number += len(group)
            (last_groups if last else earlier).extend(pictures)
            # The row of each picture sees the group up to it; that of the last one, and the text behind it, the whole.
            ends = [*group[1:], end if last else groups[index + 1][0]]
            for count, (row, until) in enumerate(zip(group, ends, strict=True), 1):
                if not last or count < len(group):
                    seen.append((row, until, pictures[:count]))

    order = last_groups + earlier
    first_key, key = {}, 0
    for picture in order:
        first_key[picture] = key
        key += picture_keys[picture]
    others = [
        OtherRows(row, until, first_key[pictures[0]], first_key[pictures[-1]] + picture_keys[pictures[-1]])
        for row, until, pictures in seen
    ]
    return Arrangement(order, sum(picture_keys[picture] for picture in last_groups), others)


def shares_of_last_group(prompt: list[int], picture_token: int, picture_keys: list[int]) -> list[int]:
    """Divide the keys of a prompt's last group among all its pictures, at least one for each.

    vLLM reserves as much of its cache for a request as its pictures' placeholders are long, all together, and takes a
    picture without any for one that needs no look at. The sum has to be that of the last group, no more.

    Args:
        prompt: Token ids.
        picture_token: Id of `<|image|>`.
        picture_keys: Keys of each picture.

    Returns:
        The length of each picture's placeholder.
    """
    groups = _adjacent([place for place, token in enumerate(prompt) if token == picture_token])
    if len(groups) < 2:
        return picture_keys
    earlier = len(picture_keys) - len(groups[-1])
    shares = [1] * earlier + picture_keys[earlier:]
    shares[earlier] -= earlier
    return shares


def check_prompt(prompt: list[int], picture_token: int, pictures: int) -> None:
    """Refuse prompts that do not fit their pictures.

    Args:
        prompt: Token ids.
        picture_token: Id of `<|image|>`.
        pictures: How many pictures came with it.

    Raises:
        ValueError: Another number of `<|image|>` than of pictures.
    """
    count = prompt.count(picture_token)
    if count != pictures:
        raise ValueError(f"the prompt holds {count} times <|image|>, but {pictures} picture(s) came with it")


def _adjacent(places: list[int]) -> list[list[int]]:
    """Divide ascending places into runs without gaps."""
    groups = [places[:1]] if places else []
    for before, place in pairwise(places):
        if place == before + 1:
            groups[-1].append(place)
        else:
            groups.append([place])
    return groups
