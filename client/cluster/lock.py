"""One run at a time over an output: a store has no locks that end with their process, so the lock is kept beating."""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import orjson

from client.errors import LedgerBusyError, LedgerError

if TYPE_CHECKING:
    from client.cluster.objects import Objects
    from client.endpoints.retry import Notify

NAME = "run.lock"
BEAT_S = 2.0
_DEAD_AFTER_S = 15.0
_CONFIRMED_AFTER = 2
"""Beats until one that was taken over is sure: another run may have found the same lock dead, and write its own yet."""


class Lock:
    """Held while the `with` lasts."""

    def __init__(self, objects: Objects, notify: Notify) -> None:
        """`notify` is told if there is somebody to wait for."""
        self._objects, self._notify = objects, notify
        self._holder = f"process {os.getpid()} on {socket.gethostname()}"
        self._token, self._beats = uuid.uuid4().hex, 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._keep_beating, name="lock", daemon=True)
        self.lost = False
        """Whether somebody else took it."""

    def __enter__(self) -> Self:
        """Take it, once nobody holds it any more.

        Raises:
            LedgerBusyError: somebody does.
            LedgerError: the place cannot be written to.
        """
        taken_over = False
        while not taken_over and not self._created():
            before = self._read()
            if before is None:  # given back meanwhile
                continue
            self._notify(f"{self._objects.shown} is held by {_holder_of(before)}: looking whether that still runs")
            until = time.monotonic() + _DEAD_AFTER_S
            while time.monotonic() < until:
                time.sleep(BEAT_S / 2)
                now = self._read()
                if now is None:
                    break
                if now != before:
                    raise LedgerBusyError(
                        f"another run ({_holder_of(now)}) is writing to {self._objects.shown}: wait for it, or choose "
                        "another --output"
                    )
            else:
                if self._read() == before:
                    self._objects.put({NAME: self._next()})
                    taken_over = True
        self._thread.start()
        if taken_over:
            try:
                self._confirm()
            except BaseException:
                self.__exit__()
                raise
        return self

    def __exit__(self, *_: object) -> None:
        """Give it back, once no beat is under way that would write it again."""
        self._ended.set()
        self._thread.join(_DEAD_AFTER_S)
        if not self.lost and not self._thread.is_alive():
            with suppress(LedgerError):  # which is found to be dead then
                found = self._read()
                if found and _token_of(found) in {self._token, None}:
                    self._objects.delete([NAME])

    def check(self) -> None:
        """Go on only if it is ours.

        Raises:
            LedgerBusyError: it is not any more.
        """
        if self.lost:
            raise LedgerBusyError(f"another run has taken {self._objects.shown} over")

    def _confirm(self) -> None:
        """Let it beat. Of several runs that took it over the last one to write it has it, which the others then see."""
        confirmed = self._beats + _CONFIRMED_AFTER
        while self._beats < confirmed and not self.lost:
            time.sleep(BEAT_S / 4)
        self.check()

    def _read(self) -> bytes | None:
        """None where there is no lock."""
        return self._objects.get([NAME]).get(NAME)

    def _created(self) -> bool:
        """Whether there was no lock, and now there is ours: of runs that begin together that is one."""
        return self._objects.create(NAME, self._next())

    def _next(self) -> bytes:
        self._beats += 1
        return orjson.dumps({"holder": self._holder, "token": self._token, "beats": self._beats})

    def _keep_beating(self) -> None:
        while not self._ended.wait(BEAT_S):
            with suppress(Exception):  # a store that is away for a moment, whatever its driver raises: it beats on
                found = self._read()
                if self._ended.is_set():
                    return
                if found and _token_of(found) not in {self._token, None}:
                    self.lost = True
                    return
                self._objects.put({NAME: self._next()})


def _token_of(content: bytes) -> str | None:
    """None of what is damaged: half of a file, say."""
    try:
        return str(orjson.loads(content)["token"])
    except (ValueError, KeyError, TypeError):
        return None


def _holder_of(content: bytes) -> str:
    try:
        return str(orjson.loads(content)["holder"])
    except (ValueError, KeyError, TypeError):
        return "another run"
