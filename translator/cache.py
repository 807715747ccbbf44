"""A small least-recently-used cache, bounded in bytes."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

K = TypeVar("K", bound="Hashable")
V = TypeVar("V")


class LruCache(Generic[K, V]):
    """Keeps what was used last, as much of it as fits."""

    def __init__(self, limit: int, size: Callable[[K, V], int]) -> None:
        """Keep at most `limit` bytes, as `size` counts them; 0 keeps nothing."""
        self._limit = limit
        self._size = size
        self._items: OrderedDict[K, V] = OrderedDict()
        self.bytes = 0
        self.hits = 0
        self.misses = 0

    def __len__(self) -> int:
        """How many items are kept."""
        return len(self._items)

    def get(self, key: K) -> V | None:
        """The value kept for `key`, if any; it is now the last used."""
        if key not in self._items:
            self.misses += 1
            return None
        self.hits += 1
        self._items.move_to_end(key)
        return self._items[key]

    def put(self, key: K, value: V) -> None:
        """Keep `value`, dropping what was used longest ago."""
        if key in self._items:
            self.bytes -= self._size(key, self._items.pop(key))
        self._items[key] = value
        self.bytes += self._size(key, value)
        while self.bytes > self._limit:
            oldest, dropped = self._items.popitem(last=False)
            self.bytes -= self._size(oldest, dropped)
