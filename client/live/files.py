"""Files of a live session: a line of JSON for each event, stills of alerts; a new file with each session."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from client.export.atomic import replacing

if TYPE_CHECKING:
    from io import FileIO
    from pathlib import Path

    from client.live.events import LiveAlert, LiveEvent, LiveSession

MOST_BYTES = 64 << 20
"""Of a file; then the next one is begun, whatever the session."""
STILLS = "alerts"


class JsonLines:
    """`live-SESSION-PART.jsonl`: what came, in its order, each line written at once.

    What comes late of a session that is over stands in the file of the newest one.
    """

    def __init__(self, folder: Path, keep: int | None, most_bytes: int = MOST_BYTES) -> None:
        """`keep` so many files, the newest; None: all."""
        self._folder, self._keep, self._most_bytes = folder, keep, most_bytes
        self._file: FileIO | None = None
        self._session: LiveSession | None = None
        self._part, self._size = 1, 0

    def write(self, event: LiveEvent) -> None:
        """Add an event.

        Raises:
            OSError: it cannot be written.
        """
        if event.session.follows(self._session):
            self._session, self._part = event.session, 1
            self._begin(event.session)
        elif self._session and self._size >= self._most_bytes:
            self._part += 1
            self._begin(self._session)
        assert self._file
        left = memoryview(orjson.dumps(event.to_json(), option=orjson.OPT_APPEND_NEWLINE))
        before, self._size = self._size, self._size + len(left)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError:
            self._file.truncate(before)  # half a line is none that anybody can read
            raise

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _begin(self, session: LiveSession) -> None:
        self.close()
        self._file = (self._folder / f"live-{session.id}-{self._part:04}.jsonl").open("ab", buffering=0)
        self._size = 0
        remove_oldest(self._folder, "live-*.jsonl", self._keep)


class Stills:
    """`alerts/TIME-N-before.jpg` and `-after.jpg`: what was shown when an answer changed."""

    def __init__(self, folder: Path, keep: int | None) -> None:
        """`keep` those of so many alerts, the newest; None: all."""
        self._folder, self._keep = folder / STILLS, keep
        self._number = 0

    def keep(self, alert: LiveAlert) -> LiveAlert:
        """Write the stills of an alert; returns it with their paths.

        Raises:
            OSError: they cannot be written.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        self._number += 1
        at = f"{alert.session.id}-{self._number:06}"
        before, after = alert.stills
        kept = replace(alert, after=_write(self._folder / f"{at}-after.jpg", after))
        if before is not None:
            kept = replace(kept, before=_write(self._folder / f"{at}-before.jpg", before))
        remove_oldest(self._folder, "*-before.jpg", self._keep)
        remove_oldest(self._folder, "*-after.jpg", self._keep)
        return kept


def _write(path: Path, jpeg: bytes) -> Path:
    """Write a still, all of it or nothing."""
    with replacing(path) as file:
        file.write(jpeg)
    return path


def remove_oldest(folder: Path, pattern: str, keep: int | None) -> None:
    """Remove all of these files but the newest `keep`; their names begin with the time of their session."""
    if keep is not None:
        for path in sorted(folder.glob(pattern))[: -keep or None]:
            path.unlink(missing_ok=True)
