"""How large the smallest values are that a JSON schema takes, about."""

from __future__ import annotations

from typing import Any

LARGEST = 4096
"""Bytes, and parts of a schema, beyond which nothing is reckoned."""
DEEPEST = 100
"""Parts within parts, references followed, beyond which nothing is reckoned."""
SCALAR = 8
"""Bytes of a number, a text or the like that is as short as can be."""
FORMATTED = 40
"""Bytes more of a text with a format or a pattern."""


def largest_least(schema: dict[str, Any]) -> int:
    """How many bytes the smallest value of any part of a schema has: by so many can one token lengthen the way.

    The whole does not count: it is open from the first token on.
    """
    sizes = _Sizes(schema)
    nodes: list[Any] = [child for child in schema.values() if isinstance(child, dict | list)]
    largest = 0
    for node in nodes:  # it grows
        if isinstance(node, dict):
            largest = max(largest, sizes.least(node))
        if len(nodes) < LARGEST:
            children = node.values() if isinstance(node, dict) else node
            nodes.extend(child for child in children if isinstance(child, dict | list))
    return largest


class _Sizes:
    """The smallest values of the parts of one schema; each part is reckoned once, however often others refer to it."""

    def __init__(self, root: dict[str, Any]) -> None:
        self._root = root
        self._known: dict[int, int] = {}
        self._depth = 0

    def least(self, schema: Any) -> int:
        """About how many bytes the smallest value has that a part takes; rather too many."""
        if not isinstance(schema, dict):
            return SCALAR
        if id(schema) not in self._known:
            if self._depth > DEEPEST:
                return SCALAR
            self._known[id(schema)] = SCALAR  # where it refers to itself
            self._depth += 1
            self._known[id(schema)] = min(self._reckon(schema), LARGEST)
            self._depth -= 1
        return self._known[id(schema)]

    def _reckon(self, schema: dict[str, Any]) -> int:
        if isinstance(reference := schema.get("$ref"), str):
            return self.least(self._resolve(reference))
        if "const" in schema:
            return len(str(schema["const"])) + 2
        if isinstance(choices := schema.get("enum"), list) and choices:
            return max(len(str(choice)) for choice in choices) + 2
        size = SCALAR
        for several in ("anyOf", "oneOf", "allOf"):
            if isinstance(options := schema.get(several), list) and options:
                sizes = [self.least(option) for option in options]
                size = max(size, sum(sizes) if several == "allOf" else max(sizes))
        properties, required = schema.get("properties"), schema.get("required")
        if isinstance(properties, dict) and isinstance(required, list):
            names = [name for name in required if isinstance(name, str)]
            size += sum(len(name) + 4 + self.least(properties.get(name)) for name in names)
        if isinstance(count := schema.get("minItems"), int):
            size += count * (self.least(schema.get("items")) + 1)
        if isinstance(count := schema.get("minLength"), int):
            size += count
        return size + FORMATTED if "format" in schema or "pattern" in schema else size

    def _resolve(self, reference: str) -> Any:
        found: Any = self._root
        for name in reference.removeprefix("#").strip("/").split("/") if reference != "#" else ():
            found = found.get(name.replace("~1", "/").replace("~0", "~")) if isinstance(found, dict) else None
        return found
