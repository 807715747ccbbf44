"""A request to a model as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.tasks.plan import Request, Turn

PART = b'{"type":"%b_url","%b_url":{"url":"data:%b/jpeg;base64,%b"}}'
"""A medium, in the place of its type (twice), what its data are, and the data."""


def request_body(request: Request, parts: bytes, settings: dict[str, Any], turns: Sequence[Turn]) -> bytes:
    """A request as JSON. Media first, and the same bytes for each task, so that the server's caches can serve them.

    Joined by hand: frames are megabytes, and this copies them once.
    """
    head = orjson.dumps({"model": request.model, **settings})
    prompts = [*(turn.prompt for turn in turns), request.prompt]
    questions = [orjson.dumps({"type": "text", "text": prompt}) for prompt in prompts]
    pieces: list[bytes] = [head[:-1], b',"messages":[']
    for number, question in enumerate(questions):
        if number:
            pieces += [b",", orjson.dumps({"role": "assistant", "content": turns[number - 1].answer}), b","]
        pieces.append(b'{"role":"user","content":[')
        pieces += [parts, b","] if parts and not number else []
        pieces += [question, b"]}"]
    return b"".join([*pieces, b"]}"])
