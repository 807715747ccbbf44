"""Which rows of a batch see which pictures: the mask of Meta's reference implementation.

A batch is flat: the tokens of all requests one after the other. The keys of the cross-attention are flat too:
the pictures of all requests that are new in this step, request by request in the order of the batch.

A row sees a picture if the picture's `<|image|>` stands at or before it. So rows before the first picture see
nothing (their cross-attention layers do nothing at all), and among pictures that stand next to each other,
the row of the first sees the first, the row of the second sees both. All rows after them, generated ones
included, see all.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class BatchView:
    """How a flat batch is divided among requests, on the device of the model.

    Attributes:
        query_start: `[requests + 1]`, the first row of each request, and the number of rows.
        keys: `[requests]`, how many keys the pictures of each request have; 0 without a picture.
    """

    query_start: torch.Tensor
    keys: torch.Tensor


@dataclass(frozen=True)
class PartialRow:
    """A row that sees only the first pictures of its request.

    Attributes:
        row: Its index in the batch.
        first_key: Its request's first key among the keys of this step.
        end_key: The first key that it does not see.
    """

    row: int
    first_key: int
    end_key: int


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


def partial_rows(
    input_ids: torch.Tensor,
    positions: torch.Tensor,
    batch: BatchView,
    picture_token: int,
    picture_keys: list[int],
) -> list[PartialRow]:
    """Find the rows of adjacent pictures but the last, which must not see those that follow.

    Args:
        input_ids: `[rows]`.
        positions: `[rows]`.
        batch: The requests.
        picture_token: Id of `<|image|>`.
        picture_keys: Keys of each picture that is new in this step, in the order of the batch.
    """
    query_start = batch.query_start.tolist()
    starts_here = (positions[batch.query_start[:-1].long().clamp(max=len(positions) - 1)] == 0).tolist()
    found: list[PartialRow] = []
    sizes = iter(picture_keys)
    first_key = 0
    for request, keys in enumerate(batch.keys.tolist()):
        start, end = query_start[request], query_start[request + 1]
        if keys == 0 or start == end or not starts_here[request]:
            continue
        picture_rows = (input_ids[start:end] == picture_token).nonzero().flatten().tolist()
        end_key = first_key
        for offset in picture_rows[:-1]:
            end_key += next(sizes)
            found.append(PartialRow(start + offset, first_key, end_key))
        next(sizes)
        first_key += keys
    return found


def check_prompt(prompt: list[int], picture_token: int, pictures: int) -> None:
    """Refuse prompts that would be answered wrongly.

    Args:
        prompt: Token ids.
        picture_token: Id of `<|image|>`.
        pictures: How many pictures came with it.

    Raises:
        ValueError: Another number of `<|image|>` than of pictures, or text between pictures.
    """
    places = [place for place, token in enumerate(prompt) if token == picture_token]
    if len(places) != pictures:
        raise ValueError(f"the prompt holds {len(places)} times <|image|>, but {pictures} picture(s) came with it")
    if places and places[-1] - places[0] >= pictures:
        raise ValueError(
            "text between pictures is not supported: put all pictures of a request (earlier turns included) "
            "next to each other, or ask about them one by one"
        )
