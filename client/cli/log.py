"""The log file of runs (`--log-file`): every request, retry and failure, one line each."""

from __future__ import annotations

import contextlib
import logging
import sys
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

from client.cli.lines import CONTROL
from client.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MOST_BYTES, KEPT_FILES = 64 << 20, 3


def open_log(path: Path | None, *secrets: str | None) -> None:
    """Append what the client logs to a file, which is rotated when it is long; without one it is dropped.

    Raises:
        UsageError: the file cannot be written.
    """
    logger = logging.getLogger("client")
    logger.propagate = False
    for handler in list(logger.handlers):  # of an earlier run in this process
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):  # no room for the last line
            handler.close()
    logger.setLevel(logging.INFO if path else logging.CRITICAL)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = _File(path, maxBytes=MOST_BYTES, backupCount=KEPT_FILES, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        raise UsageError(f"--log-file {path}: {error.strerror or error}") from error
    file.setFormatter(Lines([secret for secret in secrets if secret]))
    logger.addHandler(file)


class _File(RotatingFileHandler):
    """A rotated file that complains once when it cannot be written (a full disk, say), and lets the run go on."""

    _failed = False

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name that logging gives it
        if not self._failed:
            self._failed = True
            print(f"--log-file {self.baseFilename}: {sys.exc_info()[1]}; the run goes on", file=sys.stderr)


class Lines(logging.Formatter):
    """Lines `2026-01-31T12:00:00.123+00:00 INFO ...`: an entry stays on one line, and shows no key."""

    def __init__(self, secrets: list[str]) -> None:
        super().__init__()
        self._secrets = secrets

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        message = record.getMessage()
        for secret in self._secrets:
            message = message.replace(secret, "***")
        message = message.replace("\r", "\\r").replace("\n", "\\n").translate(CONTROL)
        return f"{when} {record.levelname} {message}"
