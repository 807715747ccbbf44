"""The JSON schemas of structured answers: which are taken, what endpoints get, and what says something of a value.

The name of a reader holds its schema (`json {"type": ...}`), so that the ledger can read an answer by itself.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from client.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jsonschema import Draft202012Validator

PREFIX = "json "
_LONGEST_REASON = 200
_BY_NAME = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Keywords whose value is an object of schemas; its keys are names, whatever they look like."""
_LISTED = ("allOf", "anyOf", "oneOf", "prefixItems")
_SINGLE = (
    *("items", "contains", "unevaluatedItems", "additionalProperties", "unevaluatedProperties", "propertyNames"),
    *("not", "if", "then", "else"),
)


def reader_name(schema: dict[str, Any]) -> str:
    """The name of the reader of answers by a schema.

    Raises:
        UsageError: it is no JSON schema of an object, or refers to what is not in it.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # runs without such tasks need not wait for it
    from jsonschema.exceptions import SchemaError  # noqa: PLC0415

    try:
        if (name := next(_names_that_are_no_text(schema), None)) is not None:
            raise UsageError(f"schema: the name {name!r} is no text to YAML: put it in quotes")
        text = json.dumps(schema, allow_nan=False)  # in the order in which a guided model writes the properties
        Draft202012Validator.check_schema(schema)
        if schema.get("type") != "object":
            raise UsageError("schema must be that of an object (type: object)")
        for part in _parts(schema):
            _check_reference(schema, part)
    except SchemaError as error:
        raise UsageError(f"schema is no JSON schema: {error.message[:_LONGEST_REASON]}") from error
    except (TypeError, ValueError) as error:  # YAML knows dates and infinity
        raise UsageError(f"schema holds what JSON cannot: {error}") from error
    except RecursionError as error:  # YAML's aliases
        raise UsageError("schema holds itself, or is too deep") from error
    return PREFIX + text


def in_one_order(reader: str) -> str:
    """The name of a reader with its schema's keys sorted: what tells requests apart, whatever order they come in."""
    return PREFIX + json.dumps(json.loads(reader.removeprefix(PREFIX)), sort_keys=True)


def _names_that_are_no_text(value: Any) -> Iterator[Any]:
    """Keys that are not texts: YAML 1.1 reads `yes`, `no`, `on` and `off` as booleans."""
    if isinstance(value, dict):
        yield from (name for name in value if not isinstance(name, str))
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _names_that_are_no_text(part)


def _check_reference(schema: dict[str, Any], part: dict[str, Any]) -> None:
    """Make sure that a part refers to something, here, and not to itself.

    Raises:
        UsageError: it does not.
    """
    if part is not schema and "$id" in part:
        raise UsageError("schema: $id is for the whole of it alone")
    if "$dynamicRef" in part:
        raise UsageError("schema: $dynamicRef is not followed; take $ref")
    seen: list[str] = []
    at: Any = part
    while isinstance(at, dict) and "$ref" in at:
        reference = at["$ref"]
        if reference in seen:
            raise UsageError(f"schema: $ref {reference} leads back to itself")
        seen.append(reference)
        try:
            at = _target(schema, reference)
        except (LookupError, ValueError, TypeError) as error:
            raise UsageError(f"schema: $ref {reference} names nothing in it, such as #/$defs/NAME") from error


def _target(schema: dict[str, Any], reference: str) -> Any:
    """What a reference names: `#`, or a JSON pointer (RFC 6901) behind it.

    Raises:
        LookupError, ValueError, TypeError: nothing.
    """
    if reference != "#" and not reference.startswith("#/"):
        raise LookupError(reference)
    at: Any = schema
    for name in unquote(reference[1:]).split("/")[1:]:
        key = name.replace("~1", "/").replace("~0", "~")
        at = at[int(key)] if isinstance(at, list) else at[key]
    if not isinstance(at, dict | bool):
        raise TypeError(reference)
    return at


def _parts(schema: Any) -> Iterator[dict[str, Any]]:
    """A schema and all those within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for keyword in _BY_NAME:
        for part in schema.get(keyword, {}).values():
            yield from _parts(part)
    for keyword in _LISTED:
        for part in schema.get(keyword, ()):
            yield from _parts(part)
    for keyword in _SINGLE:
        yield from _parts(schema.get(keyword))


def is_structured(reader: str) -> bool:
    """Whether this is the name of a reader of answers by a schema."""
    return reader.startswith(PREFIX)


@lru_cache(256)
def schema_of(reader: str) -> dict[str, Any]:
    """The schema that the name of a reader holds."""
    schema: dict[str, Any] = json.loads(reader.removeprefix(PREFIX))
    return schema


@lru_cache(256)
def sent_schema(reader: str) -> dict[str, Any]:
    """The schema as endpoints get it: without what is ours alone (keywords `x-...`)."""
    sent: dict[str, Any] = _without_ours(schema_of(reader))
    return sent


def _without_ours(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    sent: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword.startswith("x-"):
            continue
        if keyword in _BY_NAME:
            sent[keyword] = {name: _without_ours(part) for name, part in value.items()}
        elif keyword in _LISTED:
            sent[keyword] = [_without_ours(part) for part in value]
        else:
            sent[keyword] = _without_ours(value) if keyword in _SINGLE else value
    return sent


@lru_cache(256)
def _validator(reader: str) -> Draft202012Validator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415  # see above
    from referencing import Registry  # noqa: PLC0415

    return Draft202012Validator(schema_of(reader), registry=Registry())  # which fetches nothing


def problem_of(reader: str, data: Any) -> str | None:
    """Why data are not by the schema; None if they are."""
    try:
        problem = next(iter(_validator(reader).iter_errors(data)), None)
    except RecursionError:
        return "its schema leads back to itself"
    if problem is None:
        return None
    where = "/".join(map(str, problem.absolute_path))
    return f"it is not by its schema{f' at {where}' if where else ''}: {problem.message}"


def applying(reader: str, schema: Any, value: Any) -> Iterator[dict[str, Any]]:
    """All schemas that say something of a value, with those that `schema` refers to or is made of.

    Of alternatives (`anyOf`, `oneOf`, `if`) those that the value is valid by.
    """
    if not isinstance(schema, dict):
        return
    yield schema
    parts = [_target(schema_of(reader), schema["$ref"])] if "$ref" in schema else []
    parts += schema.get("allOf", ())
    parts += [part for name in ("anyOf", "oneOf") for part in schema.get(name, ()) if _fits(reader, part, value)]
    if "if" in schema:
        parts.append(schema.get("then" if _fits(reader, schema["if"], value) else "else"))
    for part in parts:
        yield from applying(reader, part, value)


def _fits(reader: str, schema: Any, value: Any) -> bool:
    return bool(_validator(reader).evolve(schema=schema).is_valid(value))


def of_item(schemas: list[dict[str, Any]], at: int) -> dict[str, Any]:
    """The schema of an item of a list that all of `schemas` apply to."""
    found = []
    for schema in schemas:
        first = schema.get("prefixItems", ())
        found.append(first[at] if at < len(first) else schema.get("items"))
    return {"allOf": found}


def of_property(schemas: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """The schema of a property of an object that all of `schemas` apply to."""
    found = []
    for schema in schemas:
        named = [schema["properties"][name]] if name in schema.get("properties", ()) else []
        named += [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
        found += named or [schema.get("additionalProperties")]
    return {"allOf": found}


def possible(reader: str, schema: Any, seen: frozenset[int] = frozenset()) -> Iterator[dict[str, Any]]:
    """All schemas that may say something of a value, whatever it is; each but once on a way."""
    if not isinstance(schema, dict) or id(schema) in seen:
        return
    yield schema
    parts = [_target(schema_of(reader), schema["$ref"])] if "$ref" in schema else []
    parts += [part for name in ("allOf", "anyOf", "oneOf") for part in schema.get(name, ())]
    for part in [*parts, schema.get("then"), schema.get("else")]:
        yield from possible(reader, part, seen | {id(schema)})


def types_of(schemas: list[dict[str, Any]]) -> set[str]:
    """The types that any of the schemas names."""
    named = [schema["type"] for schema in schemas if "type" in schema]
    return {name for names in named for name in ([names] if isinstance(names, str) else names)}
