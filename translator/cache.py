"""A cache of finished sentences, for requests that ask for the same ones again."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from cachetools import LRUCache

if TYPE_CHECKING:
    from translator.model.job import Job, Translation

_ENTRY_BYTES = 400
"""What a kept sentence takes besides its text: the objects, their strings' heads, the table's slot."""
_STRING_BYTES = 60
_CHARACTER_BYTES = 4
_ANCHOR_BYTES = 150


class SentenceCache:
    """A least-recently-used cache of translations by their jobs, bounded in bytes."""

    def __init__(self, limit_bytes: int) -> None:
        """Keep at most `limit_bytes`; 0 keeps nothing."""
        # cachetools' `getsizeof` sees values alone, so each is kept with the size that it has together with its job.
        self._kept: LRUCache[Job, tuple[Translation, int]] = LRUCache(limit_bytes, getsizeof=itemgetter(1))
        self.hits = 0
        self.misses = 0

    @property
    def size_bytes(self) -> int:
        """Memory of what is kept, estimated."""
        return int(self._kept.currsize)

    def get(self, job: Job) -> Translation | None:
        """The translation kept for `job`, if any; it is now the last used."""
        found = self._kept.get(job)
        if found is None:
            self.misses += 1
            return None
        self.hits += 1
        return found[0]

    def put(self, job: Job, translation: Translation) -> None:
        """Keep a translation, dropping what was used longest ago; one larger than the whole cache is not kept."""
        size = entry_bytes(job, translation)
        if size <= self._kept.maxsize:
            self._kept[job] = (translation, size)


def entry_bytes(job: Job, translation: Translation) -> int:
    """About how much memory a job and its translation take."""
    strings = sum(len(part) + _STRING_BYTES for part in (*job.tokens, *translation.issues, *translation.remarks))
    more = sum(len(text) * _CHARACTER_BYTES + _STRING_BYTES for text in translation.alternatives)
    more += _ANCHOR_BYTES * len(translation.anchors)
    return _ENTRY_BYTES + _CHARACTER_BYTES * (len(job.text) + len(translation.text)) + strings + more
