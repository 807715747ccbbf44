"""How large the smallest values are that a JSON schema takes, about."""

from __future__ import annotations

from typing import Any

LARGEST = 4096
"""Bytes beyond which nothing is reckoned."""


def largest_least(schema: dict[str, Any]) -> int:
    """How many bytes the smallest value of any part of a schema has: by so many can one token lengthen the way.

    The whole does not count: it is open from the first token on. References are followed once.
    """
    nodes: list[Any] = [child for child in schema.values() if isinstance(child, dict | list)]
    largest = 0
    for node in nodes:  # it grows
        if isinstance(node, dict):
            largest = max(largest, _least(node, schema, ()))
            nodes.extend(child for child in node.values() if isinstance(child, dict | list))
        else:
            nodes.extend(child for child in node if isinstance(child, dict | list))
        if len(nodes) > LARGEST:
            break
    return min(largest, LARGEST)


def _least(schema: Any, root: Any, followed: tuple[str, ...]) -> int:
    """About how many bytes the smallest value has that a schema takes; rather too many."""
    if not isinstance(schema, dict):
        return 4
    if isinstance(reference := schema.get("$ref"), str):
        if reference in followed or len(followed) > 8:
            return 4
        return _least(_resolve(root, reference), root, (*followed, reference))
    if "const" in schema:
        return len(str(schema["const"])) + 2
    if isinstance(choices := schema.get("enum"), list) and choices:
        return max(len(str(choice)) for choice in choices) + 2
    size = 8
    for several in ("anyOf", "oneOf", "allOf"):
        if isinstance(options := schema.get(several), list) and options:
            sizes = [_least(option, root, followed) for option in options]
            size = max(size, sum(sizes) if several == "allOf" else max(sizes))
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        size += sum(len(name) + 4 + _least(properties.get(name), root, followed) for name in required)
    for key in ("minItems", "minLength"):
        if isinstance(count := schema.get(key), int):
            size += count * (_least(schema.get("items"), root, followed) + 1 if key == "minItems" else 1)
    if "format" in schema or "pattern" in schema:
        size += 40
    return min(size, LARGEST)


def _resolve(root: Any, reference: str) -> Any:
    found = root
    for name in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
        found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
    return found
