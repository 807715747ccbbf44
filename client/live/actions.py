"""What is done when the answer to a question changes: a command is run, a URL is posted to.

The text of a question or an answer is never part of a command line: the command gets it in its environment and, as
JSON, on its standard input. Webhooks are signed as https://www.standardwebhooks.com has it.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import os
import random
import shlex
import shutil
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import aiohttp
import orjson

from client.endpoints.keys import API_KEY, OPENAI_KEY, TRANSLATOR_KEY
from client.errors import UsageError
from client.live.source import host_of, split_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from client.endpoints.retry import Notify

WEBHOOK_KEY = "BABELVIEW_WEBHOOK_KEY"
"""The variable with the key that webhooks are signed with."""
_SECRET = "whsec_"  # noqa: S105  # how Standard Webhooks marks a key in base64
_WAITING = 64
"""Alerts that are not told yet: of more the oldest are given up."""
_COMMAND_S, _POST_S = 60.0, 10.0
"""How long a command, or a post, may take."""
_ATTEMPTS, _FIRST_PAUSE_S = 6, 1.0
_CLOSE_S = 5.0
"""How long the last ones may take when the session ends."""
_TRY_AGAIN = (408, 409, 425, 429)


def command_of(text: str) -> list[str]:
    """The words of a command, as a shell splits them.

    Raises:
        UsageError: there is no such program.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--on-alert {text}: {error}") from None
    if not words or not shutil.which(words[0]):
        raise UsageError(f"--on-alert {text}: there is no program {words[0] if words else ''!r}")
    return words


def webhook_of(url: str) -> str:
    """A URL that can be posted to.

    Raises:
        UsageError: it is none.
    """
    name = f"--webhook {host_of(url)}"
    if not url.lower().startswith(("http://", "https://")):
        raise UsageError(f"{name}: must be a URL, http:// or https://")
    split_url(url, name)
    return url


def webhook_key() -> bytes | None:
    """The key in the environment, if there is one.

    Raises:
        UsageError: it cannot be one; the message does not quote it.
    """
    text = os.environ.get(WEBHOOK_KEY, "").strip()
    if not text.startswith(_SECRET):
        return text.encode() or None
    try:
        key = base64.b64decode(text.removeprefix(_SECRET), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError(f"{WEBHOOK_KEY} in the environment: what follows {_SECRET} is no base64") from None
    if not key:
        raise UsageError(f"{WEBHOOK_KEY} in the environment: there is no key behind {_SECRET}")
    return key


def signature(key: bytes, identity: str, at: str, body: bytes) -> str:
    """What Standard Webhooks has in `webhook-signature`: version 1, HMAC-SHA256."""
    digest = hmac.new(key, b".".join([identity.encode(), at.encode(), body]), hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


class Actions:
    """Does what is to be done about alerts, one after the other, beside the session."""

    def __init__(
        self,
        command: Sequence[str] | None,
        webhook: str | None,
        key: bytes | None,
        notify: Notify,
        *,
        first_pause_s: float = _FIRST_PAUSE_S,
    ) -> None:
        """Without a `command` or `webhook` nothing is done; without a `key` nothing is signed."""
        self._command, self._webhook, self._key, self._notify = command, webhook, key, notify
        self._first_pause_s = first_pause_s
        self._session: aiohttp.ClientSession | None = None
        self._open = 0
        """Alerts that wait, or are being told."""
        self.untold = 0
        """Alerts that the command, or the webhook, did not take."""
        self._tasks: list[asyncio.Task[None]] = []
        self._waiting: list[asyncio.Queue[dict[str, Any]]] = []
        works = [self._run] * bool(command) + [self._post] * bool(webhook)
        for work in works:
            waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(_WAITING)
            self._waiting.append(waiting)
            self._tasks.append(asyncio.create_task(self._do(work, waiting)))

    def add(self, alert: dict[str, Any]) -> None:
        """An alert, as JSON has it; returns at once."""
        for waiting in self._waiting:
            if waiting.full():
                waiting.get_nowait()
                waiting.task_done()
                self._open -= 1
                self.untold += 1
                self._notify("alerts come faster than they can be told: the oldest was left out")
            waiting.put_nowait(alert)
            self._open += 1

    def give_up(self) -> None:
        """Say how many are not told yet: the session is over."""
        if self._open:
            ways = ["--on-alert"] * bool(self._command) + ["--webhook"] * bool(self._webhook)
            alerts = f"{self._open} alert{'s were' if self._open != 1 else ' was'}"
            self._notify(f"{' and '.join(ways)}: {alerts} not told when the session ended")
            self.untold += self._open
            self._open = 0

    async def close(self) -> None:
        """Give the last ones a moment, and stop."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                for waiting in self._waiting:
                    await waiting.join()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.give_up()
        if self._session:
            await self._session.close()

    async def _do(self, work: Any, waiting: asyncio.Queue[dict[str, Any]]) -> None:
        while True:
            alert = await waiting.get()
            try:
                problem = await work(alert)
            # ValueError: a text that no environment or JSON can hold, such as NUL or half a surrogate pair.
            except (OSError, TimeoutError, ValueError, TypeError, aiohttp.ClientError) as error:
                problem = f"alert: {str(error) or 'timed out'}"
            if problem:
                self._notify(problem)
                self.untold += 1
            self._open -= 1
            waiting.task_done()

    async def _run(self, alert: dict[str, Any]) -> str | None:
        """Run the command, without a shell and without our keys; says what went wrong, if anything did."""
        assert self._command
        keys = (API_KEY, OPENAI_KEY, TRANSLATOR_KEY, WEBHOOK_KEY)
        env = {name: value for name, value in os.environ.items() if name not in keys}
        told = {f"ALERT_{name.upper()}": "" if value is None else str(value) for name, value in alert.items()}
        process = await asyncio.create_subprocess_exec(
            *self._command,
            env=env | told,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(_COMMAND_S):
                await process.communicate(orjson.dumps(alert) + b"\n")
        except TimeoutError:
            return f"--on-alert: ended, it was not done within {_COMMAND_S:g} s"
        finally:
            if process.returncode is None:  # and all that it has started: its session is its own
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return f"--on-alert: exit code {process.returncode}" if process.returncode else None

    async def _post(self, alert: dict[str, Any]) -> str | None:
        """Post it, a few times if need be, always under the same id; no redirection is followed.

        Says why it was not taken, if it was not.
        """
        assert self._webhook
        self._session = self._session or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_POST_S))
        body, identity = orjson.dumps(alert), f"alert_{uuid4().hex}"
        for number in range(_ATTEMPTS):
            at = str(int(time.time()))
            headers = {"Content-Type": "application/json", "webhook-id": identity, "webhook-timestamp": at}
            if self._key:
                headers["webhook-signature"] = signature(self._key, identity, at, body)
            reason = ""
            try:
                async with self._session.post(
                    self._webhook, data=body, headers=headers, allow_redirects=False
                ) as response:
                    if response.status < 300:
                        return None
                    reason = f"HTTP {response.status}"
                    if response.status < 500 and response.status not in _TRY_AGAIN:
                        break
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason = str(error) or "timed out"
            if number + 1 < _ATTEMPTS:
                await asyncio.sleep(self._first_pause_s * 2.0**number * random.uniform(0.5, 1))
        return f"--webhook {host_of(self._webhook)}: the alert was not taken ({reason})"
