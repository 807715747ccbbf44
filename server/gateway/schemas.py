"""JSON schemas as SDKs write them, made into what the engines' grammars take.

Pydantic and zod describe types with keywords that the grammar compiler (llguidance, vLLM's `guidance` backend) refuses:
look-around in patterns, formats that are only labels, conditions on names of properties. What can be said in another
way is; what only narrows the answer further is left out. What is left (`not`, `if`, `contains`, ...) the engine
refuses, by name.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_STEPS = 20_000
"""Parts of a schema that are looked at, again and again where others refer to them."""
FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"})
"""Formats that become part of the grammar; all others are labels."""
_LABELS = ("uniqueItems", "x-guidance")
"""Left out: the first cannot be said in a grammar, the second steers the compiler."""
_LOOK_AROUND = re.compile(r"\(\?<?[=!]|\\[bB]")
_MAPS = ("properties", "patternProperties", "$defs", "definitions")
_ONE = ("items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames")
_SEVERAL = ("anyOf", "oneOf", "allOf", "prefixItems")


def loosen(schema: Any) -> bool:
    """Change a schema, in place, to what grammars can say; whether anything was changed."""
    parts = [part for part in _parts(schema) if isinstance(part, dict)]
    closes = not any("allOf" in part for part in parts)
    return sum(_loosen_one(part, closes=closes) for part in parts) > 0


def loosen_schemas(asked: dict[str, Any]) -> bool:
    """Loosen all JSON schemas of a request; whether any was changed.

    Raises:
        RequestError: 400, one is none, or asks for a value without end.
    """
    changed = _read_text(asked)
    for name, schema in schemas_of(asked):
        try:
            ends = _Endings(schema).ends(schema)
        except RecursionError:
            raise _refusal(name, f"{name}: the schema's parts refer to each other in too long a chain") from None
        if not ends:
            raise _refusal(name, f"{name}: the schema asks for a value without end: a part of it requires itself")
        changed |= loosen(schema)
    return changed


def _read_text(asked: dict[str, Any]) -> bool:
    """Put a schema in the place of the JSON text of one, whose parts nobody would look at; whether there was one."""
    structure = asked.get("structured_outputs")
    if not isinstance(structure, dict) or not isinstance(structure.get("json"), str):
        return False
    schema = orjson.loads(structure["json"])  # check_parameters has refused what is no JSON
    if not isinstance(schema, dict):
        raise _refusal("structured_outputs", "structured_outputs: json is no JSON schema: it must be an object")
    structure["json"] = schema
    return True


def schemas_of(asked: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """All JSON schemas of a request, with the names of their parameters: answers' and tools', in chats and responses.

    Raises:
        RequestError: 400, an answer's is missing, or is none.
    """
    text = asked.get("text")
    inner = text.get("format") if isinstance(text, dict) else None
    for name, format_ in (("response_format", asked.get("response_format")), ("text", inner)):
        if isinstance(format_, dict) and format_.get("type") == "json_schema":
            wrapped = format_.get("json_schema") if name == "response_format" else format_
            schema = wrapped.get("schema") if isinstance(wrapped, dict) else wrapped
            if not isinstance(wrapped, dict) or not isinstance(schema, dict):
                raise _refusal(name, f"{name}: json_schema needs a schema, which is an object")
            yield name, schema
    structure = asked.get("structured_outputs")
    if isinstance(structure, dict) and "json" in structure:
        yield "structured_outputs", structure["json"]
    tools = asked.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict):
            function = tool.get("function")
            yield "tools", (function if isinstance(function, dict) else tool).get("parameters")


class _Endings:
    """Which parts of a schema something finite can follow."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = MOST_STEPS
        self._ending: set[str] = set()
        """References of which it is known."""

    def ends(self, schema: Any, followed: tuple[str, ...] = ()) -> bool:
        """Whether something finite can follow a part, within references that have been `followed`.

        Raises:
            RecursionError: there are too many, or too deep ones.
        """
        self._left -= 1
        if self._left < 0:
            raise RecursionError
        if not isinstance(schema, dict):
            return True
        if isinstance(reference := schema.get("$ref"), str) and reference not in self._ending:
            if reference in followed or not self.ends(self._found(reference), (*followed, reference)):
                return False
            self._ending.add(reference)
        for name in ("anyOf", "oneOf"):
            options = schema.get(name)
            if isinstance(options, list) and not any(self.ends(option, followed) for option in options or [True]):
                return False
        return all(self.ends(part, followed) for part in _needed(schema))

    def _found(self, reference: str) -> Any:
        found = self._root
        for name in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found


def _needed(schema: dict[str, Any]) -> list[Any]:
    """The parts that every value of a schema has."""
    every = schema.get("allOf")
    needed: list[Any] = list(every) if isinstance(every, list) else []
    properties, required = schema.get("properties"), schema.get("required")
    if isinstance(properties, dict) and isinstance(required, list):
        needed += [properties.get(name) for name in required if isinstance(name, str)]
    if isinstance(least := schema.get("minItems"), int) and least > 0:
        needed.append(schema.get("items"))
    return needed


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, message, param=name, code="invalid_parameter")


def _parts(schema: Any) -> Iterator[Any]:
    """A schema and all schemas in it; names of properties and values of enums are none."""
    waiting = [schema]
    while waiting:
        part = waiting.pop()
        yield part
        if not isinstance(part, dict):
            continue
        for name in _MAPS:
            if isinstance(part.get(name), dict):
                waiting.extend(part[name].values())
        waiting.extend(part[name] for name in _ONE if isinstance(part.get(name), dict))
        for name in (*_SEVERAL, "items"):
            if isinstance(part.get(name), list):
                waiting.extend(part[name])


def _loosen_one(part: dict[str, Any], *, closes: bool) -> bool:
    before = len(part), part.get("pattern")
    for name in _LABELS:
        part.pop(name, None)
    if not isinstance(format_ := part.get("format"), str) or format_ not in FORMATS:
        part.pop("format", None)
    pattern = part.get("pattern")
    if isinstance(pattern, str) and _LOOK_AROUND.search(pattern):
        part["pattern"] = _without_look_around(pattern)
    changed = _name_properties(part)
    properties, required = part.get("properties"), part.get("required")
    names = set(properties) if isinstance(properties, dict) else set()
    if not isinstance(required, list) or names - {str(name) for name in required}:
        part.pop("minProperties", None)
        part.pop("maxProperties", None)
    if closes and isinstance(properties, dict) and not part.keys() & {"additionalProperties", "anyOf"}:
        part["additionalProperties"] = False  # a model would make up further ones; a reader has no use for them
        changed = True
    return changed or before != (len(part), part.get("pattern"))


def _name_properties(part: dict[str, Any]) -> bool:
    """Say by the properties themselves what names they may have."""
    names = part.pop("propertyNames", None)
    if not isinstance(names, dict):
        return names is not None
    properties, patterns = part.get("properties") or {}, part.get("patternProperties") or {}
    if not isinstance(properties, dict) or not isinstance(patterns, dict):
        return True  # no schema: the engine refuses it
    values = part.get("additionalProperties", True)
    if isinstance(chosen := names.get("enum"), list):
        part["properties"] = {str(name): values for name in chosen} | properties
        part["additionalProperties"] = False
    elif isinstance(pattern := names.get("pattern"), str) and not _LOOK_AROUND.search(pattern):
        part["patternProperties"] = {pattern: values} | patterns
        part["additionalProperties"] = False
    return True


def _without_look_around(pattern: str) -> str:
    """A regular expression without `(?=...)`, `(?!...)`, `(?<=...)`, `(?<!...)`, `\\b` and `\\B`."""
    kept: list[str] = []
    at = 0
    while at < len(pattern):
        found = _LOOK_AROUND.match(pattern, at)
        if found and found[0][0] == "(":
            at = _end_of_group(pattern, at)
        elif found:
            at = found.end()
        elif pattern[at] == "\\":
            kept.append(pattern[at : at + 2])
            at += 2
        else:
            kept.append(pattern[at])
            at += 1
    return "".join(kept)


def _end_of_group(pattern: str, begin: int) -> int:
    """Behind the group that begins at `begin`."""
    depth, at, in_class = 0, begin, False
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 1
        elif in_class:
            in_class = character != "]"
        elif character == "[":
            in_class = True
        elif character == "(":
            depth += 1
        elif character == ")":
            depth -= 1
            if depth == 0:
                return at + 1
        at += 1
    return len(pattern)
