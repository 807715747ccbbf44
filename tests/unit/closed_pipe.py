"""Standard output that nobody reads any more, within this process."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

CLOSED = 141
"""What a shell says of a program that SIGPIPE has ended."""


@contextmanager
def nobody_reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whatever is printed meanwhile goes, line by line, to a pipe whose other end is closed."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", 1) as unread, monkeypatch.context() as context:
        context.setattr(sys, "stdout", unread)
        context.setattr(sys, "stderr", sys.stderr)  # which click replaces, too
        yield
