"""What was in flight when an engine crashed: a request that was there twice is refused from then on.

A crash makes suspects of all requests in flight. When they come again they are let in one at a time, more of them with
every one that is answered, so that the next crash has one suspect: that one is poison. Were there several, each of them
has to go alone the next time. Requests are known by their content, which is hashed only while there are suspects or a
crash is being counted.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from server.errors import NotBegunError, RequestError
from server.gateway.refusals import unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from concurrent.futures import Future

LINGER_S = 10.0
"""A request whose client went away may still be what an engine crashes of, for so long: the engine lets go of it after
the step that it is in, and the crash is seen by a probe, of which there is one a second (`probe_every_s`)."""
MOST_SUSPECTS = 4096
WIDEST = 1024
"""Suspects at a time, at most."""
LABELS = frozenset(
    {"user", "metadata", "seed", "stream", "stream_options", "request_id", "session_id", "cache_salt", "store"}
    | {"service_tier", "safety_identifier", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"}
)
"""Parameters that may differ between two requests with the same content."""

logger = logging.getLogger(__name__)


class IdentifiedRequest:
    """A request on its way to an engine, known by its content."""

    def __init__(self, path: str, body: bytes) -> None:
        self.answered = False
        """Whether the engine answered it to the end."""
        self._path = path
        self._body = body

    @cached_property
    def digest(self) -> bytes:
        """BLAKE2b of what is asked, without the labels on it."""
        content = self._body
        try:
            asked = orjson.loads(content)
            if isinstance(asked, dict):
                asked = {name: value for name, value in asked.items() if name not in LABELS}
                content = orjson.dumps(asked, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONDecodeError:
            pass  # a form
        return hashlib.blake2b(content, key=self._path.encode(), digest_size=16).digest()


@dataclass(slots=True)
class _Suspect:
    at: float
    """When it was last in flight at a crash."""
    crashes: list[tuple[str, float]] = field(default_factory=list)
    """(server, when) of each crash."""
    poison: bool = False


class CrashMemory:
    """The crashes of one model's engines, and the requests that were there."""

    def __init__(
        self, model: str, *, keep_s: float, longest_wait_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`keep_s`: how long a crash is remembered; `longest_wait_s`: how long a suspect waits for its turn."""
        self._model = model
        self._keep_s = keep_s
        self._longest_wait_s = longest_wait_s
        self._clock = clock
        self._suspects: dict[bytes, _Suspect] = {}
        self._present: dict[str, set[IdentifiedRequest]] = {}
        self._left: deque[tuple[float, str, Future[bytes]]] = deque()
        """(when, server, digest) of each request that has left without an answer."""
        self._hashing = ThreadPoolExecutor(1, "digests")
        """Many may be there or leave at once, with large bodies: the event loop does not wait for their digests. It is
        one thread, so that crashes and answers are counted in the order in which they came."""
        self._uncounted: set[asyncio.Future[set[bytes]]] = set()
        """The digests of those who were there at crashes that are not counted yet."""
        self._admitted: list[bytes] = []
        """Suspects that have been let in."""
        self._window = 1
        """How many may be let in at a time."""
        self._changed = asyncio.Event()
        """Set, and replaced, when a suspect may have its turn."""
        self._answered_at: dict[str, float] = {}
        self._crashed_at: dict[str, list[float]] = {}
        self._poison_logs: dict[str, Path] = {}

    def report_to(self, server: str, poison_log: str | None) -> None:
        """Write a line to the file `poison_log` for each crash of `server` that one request has caused."""
        if poison_log is not None:
            self._poison_logs[server] = Path(poison_log)

    async def check(self, request: IdentifiedRequest) -> None:
        """Refuse poison. Every crash that has been noted is counted when this returns; answers are not waited for.

        Raises:
            RequestError: 502.
        """
        self._forget_old()
        if not self._suspects and not self._uncounted:
            return
        if "digest" not in vars(request):
            await self._hash(request)
        while self._uncounted:  # last, and again: more of them may have been noted meanwhile
            await asyncio.wait(self._uncounted)
        if (suspect := self._find(request.digest)) and suspect.poison:
            raise RequestError(
                502,
                f"{self._model} has crashed {len(suspect.crashes)} times while it answered this request, "
                "which is therefore refused",
                code="poison_request",
            )

    @asynccontextmanager
    async def admit(self, request: IdentifiedRequest) -> AsyncIterator[None]:
        """Let a request in: a suspect when its turn comes, others at once.

        Raises:
            RequestError: 502, it is poison; 503, its turn did not come.
        """
        await self.check(request)
        if not self._suspects or self._find(request.digest) is None:
            yield
            return
        try:
            async with asyncio.timeout(self._longest_wait_s):
                while True:
                    await self.check(request)
                    if self._may_enter(request.digest):
                        break
                    await self._changed.wait()
        except TimeoutError:
            raise unavailable(self._model) from None
        self._admitted.append(request.digest)  # with no await since it was asked: all that wait wake at once
        try:
            yield
        except asyncio.CancelledError:  # the engine may crash of it all the same
            asyncio.get_running_loop().call_later(LINGER_S, self._let_go, request.digest)
            raise
        except BaseException:
            self._let_go(request.digest)
            raise
        if request.answered:
            self._window = min(2 * self._window, WIDEST)
        self._let_go(request.digest)

    @contextmanager
    def present(self, request: IdentifiedRequest, server: str) -> Iterator[None]:
        """While the block lasts the request is in flight at `server`."""
        here = self._present.setdefault(server, set())
        here.add(request)
        try:
            yield
        except NotBegunError:
            raise  # the server has been looked at: if it is gone, `crashed` has been called
        except BaseException:
            self._leave(request, server)
            raise
        else:
            if request.answered:
                self._clear(request, server)
            else:
                self._leave(request, server)
        finally:
            here.discard(request)

    def _leave(self, request: IdentifiedRequest, server: str) -> None:
        self._left.append((self._clock(), server, self._hashing.submit(getattr, request, "digest")))
        self._forget_old()

    def _clear(self, request: IdentifiedRequest, server: str) -> None:
        self._answered_at[server] = self._clock()
        if not self._uncounted and "digest" in vars(request):
            self._acquit(request.digest)
        elif self._suspects or self._uncounted:  # after the crashes that were noted before it
            self._hash(request).add_done_callback(lambda hashed: self._acquit(hashed.result()))

    def _acquit(self, digest: bytes) -> None:
        if (suspect := self._find(digest)) and not suspect.poison:
            del self._suspects[digest]

    def crashed(self, server: str) -> None:
        """Note that `server` is gone, and who was there: who comes from now on waits until that is known."""
        self._forget_old()
        present = tuple(self._present.get(server, ()))
        left = [digest for _, name, digest in self._left if name == server]

        def hash_all() -> set[bytes]:
            return {request.digest for request in present} | {digest.result() for digest in left}

        hashed = asyncio.get_running_loop().run_in_executor(self._hashing, hash_all)
        self._uncounted.add(hashed)
        hashed.add_done_callback(partial(self._count, server, self._clock()))

    def _hash(self, request: IdentifiedRequest) -> asyncio.Future[bytes]:
        return asyncio.get_running_loop().run_in_executor(self._hashing, getattr, request, "digest")

    def _count(self, server: str, now: float, hashed: asyncio.Future[set[bytes]]) -> None:
        """Count a crash once those who were there are known."""
        self._uncounted.discard(hashed)
        digests = hashed.result()
        known = [digest for digest in digests if self._find(digest) is not None]
        for digest in digests:
            suspect = self._suspects.pop(digest, None) or _Suspect(now)  # the newest stand last
            suspect.at = now
            suspect.crashes.append((server, now))
            self._suspects[digest] = suspect
        while len(self._suspects) > MOST_SUSPECTS:
            del self._suspects[next(iter(self._suspects))]
        self._crashed_at.setdefault(server, []).append(now)
        self._window = 1
        if len(known) == 1:
            self._condemn(known[0])
        self._notify()

    def _condemn(self, digest: bytes) -> None:
        suspect = self._suspects[digest]
        suspect.poison = True
        logger.error(
            "a request that was in flight at %d crashes of %s is refused from now on", len(suspect.crashes), self._model
        )
        for server in {server for server, _ in suspect.crashes}:
            when = [at for where, at in suspect.crashes if where == server]
            if self._worked_before(server, min(when)) and (path := self._poison_logs.get(server)):
                try:
                    with path.open("a") as notes:
                        notes.write(f"{digest.hex()}\n" * len(when))
                except OSError as error:  # then the supervisor counts the crash, as any other
                    logger.warning("%s cannot be written: %s", path, error)

    def _worked_before(self, server: str, crash: float) -> bool:
        """Whether `server` has answered anybody since the crash before this one: else the fault is its own."""
        earlier = [at for at in self._crashed_at[server] if at < crash]
        return self._answered_at.get(server, -math.inf) > max(earlier, default=-math.inf)

    def _may_enter(self, digest: bytes) -> bool:
        """Whether there is room for a request that is no poison."""
        suspect = self._find(digest)
        if suspect is None:
            return True
        if len(suspect.crashes) > 1:
            return not self._admitted
        alone = any((other := self._find(digest)) and len(other.crashes) > 1 for digest in self._admitted)
        return not alone and len(self._admitted) < self._window

    def _let_go(self, digest: bytes) -> None:
        self._admitted.remove(digest)
        self._notify()

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _find(self, digest: bytes) -> _Suspect | None:
        suspect = self._suspects.get(digest)
        if suspect is not None and self._clock() - suspect.at > self._keep_s:
            del self._suspects[digest]
            return None
        return suspect

    def _forget_old(self) -> None:
        now = self._clock()
        while self._left and now - self._left[0][0] > LINGER_S:
            self._left.popleft()
        while self._suspects and now - next(iter(self._suspects.values())).at > self._keep_s:
            del self._suspects[next(iter(self._suspects))]
