"""A schema that stands in the prompt of a chat that asks for JSON (`json_object`): the answer is made to follow it.

Instructor's JSON mode, and other SDKs where they cannot be sure of `json_schema`, write it there in words: "... objects
in json that match the following json_schema: {...}", "JSON schema: {...} You MUST answer with a JSON object that ...".
A model that reads it may still forget a property; the schema's grammar does not.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from server.errors import RequestError
from server.gateway.schema_limits import check_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

_ANNOUNCED = re.compile(
    r"(?:match|conform|follow|adher|comply|compli)\w{0,16}\W(?:[^{}]{0,80}?\W)?json[ _-]?schema|json[ _-]?schema\s*:",
    re.IGNORECASE,
)
_MOST_TRIED = 8
_NOT_IN_GRAMMARS = re.compile(r'"(?:not|if|contains|dependentRequired|dependentSchemas|unevaluated\w+)"\s*:')


def follow_prompted(asked: dict[str, Any]) -> bool:
    """Ask for the schema that the prompt of a chat announces, if it asks for JSON without one; whether it does."""
    format_ = asked.get("response_format")
    if not isinstance(format_, dict) or format_.get("type") != "json_object":
        return False
    found = [schema for text in _texts(asked.get("messages")) if (schema := _schema_in(text)) is not None]
    if len(found) != 1:
        return False
    try:
        check_schema("response_format", found[0])
    except (RequestError, TypeError):  # orjson takes no numbers beyond 64 bits, and no halves of characters
        return False
    asked["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": found[0]}}
    return True


def _texts(messages: Any) -> Iterator[str]:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) and message.get("role") != "assistant" else None
        for part in content if isinstance(content, list) else [content]:
            text = part.get("text") if isinstance(part, dict) else part
            if isinstance(text, str):
                yield text


def _schema_in(text: str) -> dict[str, Any] | None:
    """The first schema of an object behind the words that announce one."""
    announced = _ANNOUNCED.search(text)
    begin = text.find("{", announced.end()) if announced else -1
    for _ in range(_MOST_TRIED):
        if begin < 0:
            return None
        try:
            schema, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, RecursionError):
            begin = text.find("{", begin + 1)
            continue
        if isinstance(schema.get("properties"), dict) and schema.get("type", "object") == "object":
            return None if _NOT_IN_GRAMMARS.search(text, begin, end) else schema
        begin = text.find("{", end)
    return None
