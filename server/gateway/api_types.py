"""The JSON that the gateway takes and gives, as types: its OpenAPI document is made from them."""

from __future__ import annotations

import msgspec


class ErrorDetail(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong with a request, as OpenAI tells it."""

    message: str
    type: str
    param: str | None
    code: str | None


class Error(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every refusal."""

    error: ErrorDetail
