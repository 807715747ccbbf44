"""The service's life: it listens, loads its model, answers, and on SIGTERM finishes what it accepted."""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.log import server_logger

from translator.errors import GlossaryError, ModelError
from translator.http import Limits, State, make_app
from translator.http.server import Listener, MalformedRequests
from translator.model import models
from translator.second_opinion import SecondOpinion

if TYPE_CHECKING:
    from translator.batcher import Batcher
    from translator.settings import Settings

logger = logging.getLogger("translator")

_MAX_LINE_BYTES = 256 << 10
"""Longest request line: some of LibreTranslate's clients put the text into the query string."""
_LINGERING_S = 2
"""How long the rest of a body that was refused is read."""


def run(settings: Settings) -> int:
    """Serve until SIGTERM or Ctrl-C; 0 after a clean stop, 1 if the service cannot run (said on stderr)."""
    level = settings.log_level.upper()
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        asyncio.run(serve(settings, make_state(settings)))
    except (ModelError, GlossaryError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        print(f"error: cannot listen on {where}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 0


def make_state(settings: Settings) -> State:
    """What the handlers know of the service before its model is loaded.

    Raises:
        ModelError: the settings name no model.
    """
    limits = Limits(
        body_bytes=settings.max_body_mib << 20,
        texts=settings.max_texts,
        characters=settings.max_chars,
        body_timeout_s=settings.body_timeout_s,
    )
    return State(models.name_of(settings.model), limits=limits, keys=settings.keys, origins=settings.origins)


async def serve(settings: Settings, state: State) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish what is in flight.

    Raises:
        ModelError: no usable model.
        OSError: the address cannot be listened on.
    """
    if settings.second_opinion:
        key = settings.second_opinion_key or None
        state.second_opinion = SecondOpinion(settings.second_opinion, settings.second_opinion_model, key)
    server_logger.addFilter(MalformedRequests())
    runner = web.AppRunner(
        make_app(state),
        handler_cancellation=True,  # who hangs up no longer waits in the queue
        shutdown_timeout=settings.grace_s,
    )
    await runner.setup()
    assert runner.server
    listener = Listener(
        runner.server,
        connections=settings.connections,
        access_log=None,
        max_line_size=_MAX_LINE_BYTES,
        lingering_time=_LINGERING_S,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    stopped = asyncio.create_task(stop.wait())
    loading: asyncio.Task[Batcher] | None = None
    try:
        host, port = await listener.start(settings.host, settings.port)
        logger.info("listening on http://%s:%d, loading %s", host, port, state.model)
        loading = asyncio.create_task(_load(settings, state))
        await asyncio.wait({loading, stopped}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            batcher = await loading
            await stopped
            logger.info("asked to stop: %d sentences wait, what was accepted is finished", batcher.waiting)
    finally:
        state.closing = True
        stopped.cancel()
        if loading and not loading.done():
            loading.cancel()
            await asyncio.wait({loading})
        await listener.stop()
        await runner.cleanup()
        if loading and loading.done() and not loading.cancelled() and not loading.exception():
            await loading.result().close()
        if state.second_opinion:
            await state.second_opinion.close()
    logger.info("stopped")


async def _load(settings: Settings, state: State) -> Batcher:
    try:
        # Only now: loading CTranslate2 is what takes long, and a bad --model should not wait for it.
        from translator.loading import load  # noqa: PLC0415
    except ImportError as error:
        raise ModelError(f"{error}: pip install -e '.[translator]' in Babelview's own folder") from error
    return await load(settings, state)
