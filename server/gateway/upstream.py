"""One server behind the gateway: its connections, its health, and the requests that wait there."""

from __future__ import annotations

import asyncio
import logging
from contextlib import contextmanager, nullcontext, suppress
from typing import TYPE_CHECKING, Self

import aiohttp
from yarl import URL

from server.gateway.health import CircuitBreaker, HealthState, Probed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from types import TracebackType

    from server.gateway.config import Health, Timeouts
    from server.gateway.model_swap import ModelSwapper

logger = logging.getLogger(__name__)


class Deadline:
    """Until when a request waits for its answer to begin; it can be brought forward, to ask another server."""

    __slots__ = ("_timeout", "moved")

    def __init__(self, timeout: asyncio.Timeout) -> None:
        self._timeout = timeout
        self.moved = False
        """Whether it was ended because this server hangs, not because the time was up."""

    def end(self) -> None:
        """End the waiting now."""
        if not self.moved:
            self.moved = True
            self._timeout.reschedule(asyncio.get_running_loop().time())


class Upstream:
    """One server, with its own pool of connections: none can use up another's."""

    def __init__(
        self,
        name: str,
        *,
        socket: str | None = None,
        url: str | None = None,
        address_file: Path | None = None,
        key: str | None = None,
        swapper: ModelSwapper | None = None,
        poison_log: str | None = None,
        timeouts: Timeouts,
        health: Health,
    ) -> None:
        """`socket` is a Unix socket; None means TCP to `url`. `key` goes with each request.

        `address_file`, `poison_log`: see `Replica`.
        """
        if swapper is not None:
            swapper.join(self)
        self.name = name
        self.in_flight = 0
        self.ejections = 0
        """How often it has been left out."""
        self.breaker = CircuitBreaker(health)
        self.checked = asyncio.Event()
        """Set after the first probe."""
        self.poison_log = poison_log
        self.when_gone: Callable[[], None] = _nothing
        """Called once when a server that was well is found gone."""
        self.streaming: set[aiohttp.ClientResponse] = set()
        """Answers that are being passed on to clients."""
        self._swapper = swapper
        self._health = health
        self._timeouts = timeouts
        self._base_url = "" if address_file else (url or "http://engine").rstrip("/")
        self._address_file = address_file
        self._socket = socket
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._session: aiohttp.ClientSession | None = None
        self._waiting: set[Deadline] = set()
        self._last = HealthState.GOOD
        self._probe_now = asyncio.Event()
        self._was_well = False

    async def __aenter__(self) -> Self:
        if self._socket:
            connector: aiohttp.BaseConnector = aiohttp.UnixConnector(self._socket, limit=0)
        else:
            connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=self._timeouts.connect_s)
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            headers=self._headers,
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections, while the gateway runs."""
        assert self._session is not None
        return self._session

    @property
    def health_state(self) -> HealthState:
        """Whether it is to be asked now."""
        return self.breaker.health_state

    @property
    def _url(self) -> str:
        """Its base URL.

        Raises:
            ConnectionRefusedError: it moves, and is nowhere now.
        """
        if not self._base_url:
            raise ConnectionRefusedError(f"{self.name} is nowhere now")
        return self._base_url

    async def post(self, path: str, body: bytes, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        """Send a request; the answer's body is still to be read, and the answer to be closed."""
        return await self.session.post(f"{self._url}{path}", data=body, headers=headers, allow_redirects=False)

    async def request(
        self, method: str, path: URL, body: AsyncIterator[bytes] | None, headers: Mapping[str, str]
    ) -> aiohttp.ClientResponse:
        """Send a request whose body is still to come; the answer's is still to be read, and the answer to be closed."""
        url = URL(self._url).join(path)
        return await self.session.request(method, url, data=body, headers=headers, allow_redirects=False)

    async def get(self, path: str, timeout_s: float) -> tuple[int, bytes]:
        """Status and body of a small page.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there was no answer.
        """
        timeout = aiohttp.ClientTimeout(timeout_s)
        async with self.session.get(f"{self._url}{path}", timeout=timeout, allow_redirects=False) as response:
            return response.status, await response.read()

    async def command(self, path: str, timeout_s: float) -> int:
        """POST to one of the engine's own paths; the status.

        Raises:
            aiohttp.ClientError, OSError, TimeoutError: there was no answer.
        """
        timeout = aiohttp.ClientTimeout(timeout_s)
        async with self.session.post(f"{self._url}{path}", timeout=timeout, allow_redirects=False) as response:
            return response.status

    def lease(self) -> AbstractAsyncContextManager[None]:
        """A context in which the engine is awake; at once, unless it shares its GPU with others."""
        return nullcontext() if self._swapper is None else self._swapper.lease(self)

    async def probe(self) -> Probed:
        """Ask for `/health` once, and draw the conclusions."""
        self._look_where()
        result = Probed.DOWN
        try:
            status, _ = await self.get("/health", self._health.probe_timeout_s)
            result = Probed.WELL if status < 500 else Probed.DOWN  # no such path: it answers
        except TimeoutError:
            result = Probed.SILENT
        except (aiohttp.ClientError, OSError):
            pass
        if result is Probed.DOWN and self._swapper is not None:
            self._swapper.lost(self)
        if result is Probed.DOWN and self._was_well:
            self._was_well = False
            self.when_gone()
        self._was_well = self._was_well or result is Probed.WELL
        self.breaker.probed(result)
        self.note_health()
        self.checked.set()
        return result

    def _look_where(self) -> None:
        """Learn where a server that moves is now; what it answered where it was has lost its end."""
        if self._address_file is None:
            return
        url = ""
        with suppress(FileNotFoundError):
            url = self._address_file.read_text(encoding="utf-8")
        if url != self._base_url:
            self._base_url = url
            self.abort_all()

    async def probes(self) -> AsyncIterator[Probed]:
        """Probe for ever, at once when a request has found something wrong."""
        loop = asyncio.get_running_loop()
        while True:
            following = loop.time() + self._health.probe_every_s
            self._probe_now.clear()
            yield await self.probe()
            try:
                async with asyncio.timeout_at(following):
                    await self._probe_now.wait()
            except TimeoutError:
                continue

    def broke(self, *, refused: bool = False) -> None:
        """A request has found it gone; look at once whether it is."""
        if refused:
            self.breaker.refused()
        else:
            self.breaker.broke()
        self.note_health()
        self._probe_now.set()

    def note_health(self) -> None:
        """Say when it is left out and when it returns."""
        health_state = self.health_state
        if health_state is self._last:
            return
        if self._last is HealthState.GOOD:
            self.ejections += 1
        self._last = health_state
        logger.warning("%s is %s", self.name, _WORDS[health_state])

    @contextmanager
    def waiting(self, timeout: asyncio.Timeout) -> Iterator[Deadline]:
        """A request waits here for its answer to begin, under `timeout`."""
        deadline = Deadline(timeout)
        self._waiting.add(deadline)
        try:
            yield deadline
        finally:
            self._waiting.discard(deadline)

    def send_elsewhere(self) -> None:
        """End the waiting of all whose answer has not begun."""
        for deadline in list(self._waiting):
            deadline.end()

    def abort_all(self) -> None:
        """End all requests that it is answering."""
        self.send_elsewhere()
        for answer in list(self.streaming):
            answer.close()


def _nothing() -> None:
    """What is done by default."""


_WORDS = {
    HealthState.GOOD: "well",
    HealthState.DOUBTFUL: "silent: others are asked if there are any",
    HealthState.OUT: "left out until it is well",
}
