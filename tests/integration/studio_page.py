"""The studio's page in a real browser, before a captioner that the test plays."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from aiohttp import web

from server.gateway.studio import FOLDER, PAGE, Studio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Browser, Page

KEY = "a-key-that-is-known"
Form = dict[str, list[str]]
Play = Callable[[Form, web.StreamResponse], Awaitable[None]]


def event(kind: str, **content: Any) -> bytes:
    """An event of the captioner."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **content})}\n\n".encode()


def progress(share: float, tokens: int = 0) -> bytes:
    return event("progress", status="running", share=share, generated_tokens=tokens, files=1, done=0)


def answer(**fields: Any) -> dict[str, Any]:
    """An answer of a record."""
    return {
        "verdict": "ok",
        "translations": {},
        "translation_verdicts": {},
        "generated_tokens": 9,
        "request_time_sec": 0.5,
        "tokens_per_sec": 18.0,
        "finish_reason": "stop",
        "model": "looks",
        "prompt": "84c1616e2620",
        "answered_at": "2026-11-30T10:00:00+00:00",
    } | fields


def record(kind: str, tasks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A record, as the captioner gives it."""
    about = {"duration_sec": 4.0, "fps": 25.0, "frames": 100} if kind == "video" else {}
    return {
        "file": "on the server",
        "kind": kind,
        "sha256": "00",
        "size_mb": 0.1,
        **about,
        "width": 64,
        "height": 48,
        "tasks": tasks,
        "total_processing_time_sec": 0.6,
        "warnings": [],
        "error": None,
    } | fields


class Captioner:
    """What the page asks: a server on loopback, in a thread."""

    def __init__(self) -> None:
        self.asked: list[Form] = []
        self.plays: list[Play | web.Response] = []
        """What is done with each request, one after the other."""
        self.keyed = False
        self.languages = ["eng_Latn", "hin_Deva", "arb_Arab"]
        self.parts = {"captioner": "ok"}
        self.gone = threading.Event()
        """A client went away while it was answered."""
        self.url = ""

    @contextmanager
    def running(self) -> Iterator[Captioner]:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever)
        thread.start()
        runner = asyncio.run_coroutine_threadsafe(self._start(), loop).result(30)
        try:
            yield self
        finally:
            asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    async def _start(self) -> web.AppRunner:
        studio = Studio()
        app = web.Application(client_max_size=1 << 30)
        app.router.add_get(PAGE, studio.page)
        app.router.add_get(f"{FOLDER}{{name}}", studio.file)
        app.router.add_get("/health", self._health)
        app.router.add_get("/languages", self._languages)
        app.router.add_get("/v1/models", self._models)
        app.router.add_post("/v1/captions", self._captions)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        return runner

    async def _health(self, _: web.Request) -> web.Response:
        return web.json_response({"status": "ok", "parts": self.parts})

    async def _languages(self, _: web.Request) -> web.Response:
        return web.json_response([{"flores": code} for code in self.languages])

    async def _models(self, request: web.Request) -> web.Response:
        return self._refused(request) or web.json_response({"data": []})

    def _refused(self, request: web.Request) -> web.Response | None:
        if not self.keyed or request.headers.get("Authorization") == f"Bearer {KEY}":
            return None
        return web.json_response({"error": {"message": "this endpoint wants an API key"}}, status=401)

    async def _captions(self, request: web.Request) -> web.StreamResponse:
        if (refused := self._refused(request)) is not None:
            return refused
        form: Form = {}
        for name, value in (await request.post()).items():
            form.setdefault(name, []).append(value.filename if isinstance(value, web.FileField) else str(value))
        self.asked.append(form)
        play = self.plays.pop(0)
        if isinstance(play, web.Response):
            return play
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        try:
            await play(form, response)
        except (asyncio.CancelledError, ConnectionError):
            self.gone.set()
            raise
        return response


def tells(*pieces: bytes, end: bool = True) -> Play:
    """Sends these events at once, and the end."""

    async def play(_: Form, response: web.StreamResponse) -> None:
        await response.write(b"".join(pieces))
        if end:
            await response.write(event("done") + b"data: [DONE]\n\n")

    return play


def after(gate: threading.Event, before: bytes, *pieces: bytes) -> Play:
    """Sends something, and the rest when the test opens a gate."""

    async def play(form: Form, response: web.StreamResponse) -> None:
        await response.write(before)
        while not gate.is_set():  # noqa: ASYNC110  # set by the test, in another thread
            await asyncio.sleep(0.01)
        await tells(*pieces)(form, response)

    return play


def refuses(status: int, message: str, retry_after_s: int | None = None) -> web.Response:
    """A refusal in OpenAI's shape."""
    headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}
    return web.json_response({"error": {"message": message}}, status=status, headers=headers)


class Desk:
    """The page, and what is done in it."""

    def __init__(self, browser: Browser, captioner: Captioner, **context: Any) -> None:
        self.context = browser.new_context(**context)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.urls: list[str] = []
        self.page.on("pageerror", lambda it: self.problems.append(str(it)))
        self.page.on("console", lambda it: self._console(it.type, it.text))
        self.page.on("request", lambda it: self.urls.append(it.url))
        self.page.goto(captioner.url)
        self.page.get_by_role("form", name="What to ask").wait_for()

    def _console(self, kind: str, text: str) -> None:
        if kind in ("error", "warning") and "Failed to load resource" not in text:  # refusals, which are shown
            self.problems.append(text)

    def add(self, *paths: Path) -> None:
        self.page.set_input_files("input[type=file]", [str(path) for path in paths])
        self.page.locator(".tray .open", has_text=paths[-1].name).wait_for()

    def ask(self, count: int = 1) -> None:
        self.page.get_by_role("button", name=f"Ask about {count} file").click()

    def is_(self, number: int, words: str) -> None:
        """Wait until a file of the tray is as far as that."""
        from playwright.sync_api import expect  # noqa: PLC0415

        expect(self.page.locator(".tray .badge").nth(number)).to_have_text(words, timeout=30_000)

    def says(self, selector: str, *texts: str) -> None:
        from playwright.sync_api import expect  # noqa: PLC0415

        expect(self.page.locator(selector)).to_have_text(list(texts), timeout=30_000)
