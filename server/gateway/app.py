"""The gateway's web application: an allow-list of paths, everything else is 404.

A request passes `RequestMiddleware.receive` (id, key, admission), then its handler here: the body is read (`body`), the
model found (`catalogue`), parameters (`parameters`), cost (`budget`) and media (`media`) checked, a form put together
anew (`forms`); `Pool.send` chooses a server, waits until it is awake (`Upstream.lease`, `model_swap`) and hands it a
`ForwardAttempt`, which streams the answer back. What is raised on the way becomes an answer in the middleware
(`refusals`), which also counts and logs it.
"""

from __future__ import annotations

import asyncio
import os
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import aiohttp
import msgspec
import orjson
from aiohttp import hdrs, web

from server.errors import RequestError
from server.gateway.admission import Admission
from server.gateway.api_types import Alive, Health
from server.gateway.body import BodyReader, parse_object
from server.gateway.budget import check_budget
from server.gateway.captions import Captions
from server.gateway.catalogue import Catalogue
from server.gateway.cors import Cors
from server.gateway.discovery import Discovery
from server.gateway.fetch import Fetcher
from server.gateway.forms import Form
from server.gateway.forward_attempt import Call
from server.gateway.history import leave_out_earlier
from server.gateway.keyring import Keyring
from server.gateway.media import MediaPolicy, digest_of
from server.gateway.media_forms import tidy_messages
from server.gateway.metrics import Metrics
from server.gateway.middleware import RequestMiddleware, name_request
from server.gateway.model_swap import ModelSwapper
from server.gateway.openapi import description
from server.gateway.parameters import CHAT, COMPLETION, RESPONSES, check_parameters
from server.gateway.pool import Pool
from server.gateway.prompted_schema import follow_prompted
from server.gateway.refusals import unavailable
from server.gateway.request_context import CONTEXT, HOLD, REQUEST_ID, trace_headers
from server.gateway.responses import ChatView, in_words_of_responses
from server.gateway.schemas import loosen_schemas
from server.gateway.sound_messages import RATE
from server.gateway.sounds import SoundDecoder
from server.gateway.studio import FOLDER, PAGE, Studio
from server.gateway.suspicions import suspicion_of
from server.gateway.tools import check_tools, check_turns
from server.gateway.transcripts import TranscriptFormat
from server.gateway.upstream import Upstream
from server.key_variables import TRANSLATOR_KEYS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from aiohttp.abc import AbstractResolver

    from server.gateway.config import GatewayConfig, ServedModel

JSON = "application/json"
LANGUAGES_S = 5.0


def create_app(config: GatewayConfig, *, resolver: AbstractResolver | None = None) -> web.Application:
    """The application that serves `config`; `resolver` is for tests of fetched media.

    Raises:
        PreflightError: an API key is not right.
    """
    gateway = Gateway(config, resolver)
    app = web.Application(middlewares=[gateway.middleware.for_aiohttp()])
    app[GATEWAY] = gateway
    app.cleanup_ctx.append(gateway.connections)
    app.on_response_prepare.append(name_request)
    app.on_response_prepare.append(gateway.cors.mark)
    app.router.add_route("*", PAGE, gateway.studio.page)
    app.router.add_get(f"{FOLDER}{{name}}", gateway.studio.file)
    app.router.add_get("/health", gateway.health)
    app.router.add_get("/health/live", gateway.live)
    app.router.add_get("/metrics", gateway.discovery.metrics)
    app.router.add_get("/metrics/targets", gateway.discovery.targets)
    app.router.add_get("/metrics/of/{name:.+}", gateway.discovery.metrics_of)
    app.router.add_get("/openapi.json", gateway.openapi)
    app.router.add_get("/languages", gateway.languages)
    app.router.add_get("/v1/models", gateway.models)
    app.router.add_get("/v1/models/{name:.+}", gateway.model)
    app.router.add_get("/v1/models/", gateway.models)
    for path, handler in (
        ("/v1/chat/completions", gateway.chat),
        ("/v1/completions", gateway.completions),
        ("/v1/responses", gateway.responses),
        ("/v1/audio/transcriptions", gateway.audio),
        ("/v1/audio/translations", gateway.audio),
        ("/v1/translations", gateway.translations),
    ):
        app.router.add_post(path, handler)
        app.router.add_post(f"{path}/", handler)  # as base URLs with a slash at their end make it
    gateway.captions.route(app)
    return app


class Gateway:
    """The handlers, and the servers behind them."""

    def __init__(self, config: GatewayConfig, resolver: AbstractResolver | None = None) -> None:
        self._config = config
        self._catalogue = Catalogue(config.models, config.limits.max_sound_s)
        self._swappers: dict[str, ModelSwapper] = {}
        self._pools = {model.name: self._pool(model) for model in config.models}
        self._translator = self._translator_pool(config.translator) if config.translator else None
        self._captioner = self._captioner_pool(config.captioner) if config.captioner else None
        self.captions = Captions(self._captioner.upstreams[0] if self._captioner else None, config.timeouts)
        pools = self._all_pools()
        self.admission = Admission(config.limits, Keyring.load(config))
        self._bodies = BodyReader(config.limits, config.timeouts)
        self._fetcher = Fetcher(config.media_domains, config.limits.max_media_bytes, resolver)
        self._media = MediaPolicy(config.limits, self._fetcher)
        self._sounds = SoundDecoder(config.limits, config.timeouts)
        metrics = Metrics(pools, self.admission)
        self.discovery = Discovery(pools, metrics)
        self.cors = Cors(config.cors)
        self.studio = Studio()
        self.middleware = RequestMiddleware(
            self.admission, metrics, self.cors, config.timeouts, open_metrics=config.open_metrics, pages=self.studio
        )

    def _pool(self, model: ServedModel) -> Pool:
        upstreams = [
            Upstream(
                replica.name,
                socket=replica.socket,
                url=replica.url,
                address_file=Path(replica.address_file) if replica.address_file else None,
                key=os.environ.get(replica.key_variable) if replica.key_variable else None,
                swapper=self._swapper(replica.sleep_group),
                poison_log=replica.poison_log,
                timeouts=self._config.timeouts,
                health=self._config.health,
            )
            for replica in model.replicas
        ]
        limits = self._config.limits
        hears = model.task == "transcribe"
        return Pool(
            model.name,
            upstreams,
            self._config.timeouts,
            int(limits.max_sound_s_decoding * RATE) if hears else limits.max_pixels_decoding,
            crash_memory_s=self._config.health.crash_memory_s,
        )

    def _swapper(self, sleep_group: str | None) -> ModelSwapper | None:
        if sleep_group is None:
            return None
        return self._swappers.setdefault(sleep_group, ModelSwapper(self._config.model_swap))

    def _translator_pool(self, url: str) -> Pool:
        config = self._config
        # The translator reads the same variable; any of its keys will do.
        key = os.environ.get(TRANSLATOR_KEYS, "").partition(",")[0].strip() or None
        upstream = Upstream("translator", url=url, key=key, timeouts=config.timeouts, health=config.health)
        return Pool("translator", [upstream], config.timeouts)

    def _captioner_pool(self, place: str) -> Pool:
        config = self._config
        url = place if "://" in place else None
        upstream = Upstream(
            "captioner",
            socket=None if url else place,
            url=url,
            timeouts=config.timeouts,
            health=config.health,
        )
        return Pool("captioner", [upstream], config.timeouts)

    async def connections(self, _: web.Application) -> AsyncIterator[None]:
        """Open the connection pools while the application runs."""
        async with AsyncExitStack() as opened:
            await opened.enter_async_context(self._fetcher)
            opened.push_async_callback(self._sounds.close)
            for pool in self._all_pools():
                await opened.enter_async_context(pool.running())
            for swapper in self._swappers.values():
                opened.push_async_callback(swapper.close)
            yield

    def _all_pools(self) -> list[Pool]:
        return [*self._pools.values(), *(pool for pool in (self._translator, self._captioner) if pool)]

    async def live(self, _: web.Request) -> web.Response:
        """Say that the gateway itself runs."""
        return _json(Alive())

    async def health(self, _: web.Request) -> web.Response:
        """200 while everything that is served has a server that is well, otherwise 503; says what is not."""
        pools = self._all_pools()
        usable = all(await asyncio.gather(*(pool.usable() for pool in pools)))
        parts = {part: word for pool in pools for part, word in pool.parts().items()}
        status: Literal["ok", "degraded"] = "ok" if all(word == "ok" for word in parts.values()) else "degraded"
        return _json(Health(status=status, parts=parts), status=200 if usable else 503)

    async def openapi(self, _: web.Request) -> web.Response:
        """Give the OpenAPI document."""
        return _json(description())

    async def models(self, _: web.Request) -> web.Response:
        """List the models under all their names."""
        return _json(self._catalogue.list_all())

    async def model(self, request: web.Request) -> web.Response:
        """Describe one model."""
        return _json(self._catalogue.describe(request.match_info["name"]))

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """A chat completion, plain or streamed, from an engine that serves its model."""
        async with self._bodies.read(request) as body:
            asked, model = self._asked(request, body, CHAT)
            check_budget(asked, model, self._config.limits)
            hold = request[HOLD]
            before = hold.size
            follow = follow_prompted(asked)
            tidied = any([follow, _tidy(asked, model), _tidy_messages(request, asked.get("messages"), model)])
            urls, changed = await self._media.check(asked, model, hold)
            call = _call(request, orjson.dumps(asked) if changed or tidied else body)
            call = replace(call, media=bool(urls), suspicion=suspicion_of(asked, media=bool(urls)))
            if call.body is not body:  # what was fetched is in it now
                hold.count(len(call.body) - (hold.size - before))
            pool = self._pools[model.name]
            digest = digest_of(urls) if pool.wants_digest else None
            del asked, urls  # the answer may take minutes
            hold.count(-len(body))
            return await pool.send(request, call, digest)

    async def responses(self, request: web.Request) -> web.StreamResponse:
        """The answer to a chat in the form of OpenAI's newer API, plain or streamed."""
        async with self._bodies.read(request) as body:
            asked, model = self._asked(request, body, RESPONSES)
            asked = {name: value for name, value in asked.items() if value is not None}
            view = ChatView(asked)
            try:
                check_parameters(view.chat, CHAT, model, self._config.limits)
                check_budget(view.chat, model, self._config.limits)
                _tidy_messages(request, view.chat["messages"], model)
                hold = request[HOLD]
                before = hold.size
                urls, _ = await self._media.check(view.chat, model, hold)
            except RequestError as error:
                raise in_words_of_responses(error) from None
            view.write_back()
            _tidy(asked, model)
            call = _call(request, orjson.dumps(asked))
            call = replace(call, media=bool(urls), suspicion=suspicion_of(asked, media=bool(urls)))
            hold.count(len(call.body) - (hold.size - before))
            pool = self._pools[model.name]
            digest = digest_of(urls) if pool.wants_digest else None
            del asked, view, urls
            hold.count(-len(body))
            return await pool.send(request, call, digest)

    async def completions(self, request: web.Request) -> web.StreamResponse:
        """A completion of a prompt, plain or streamed."""
        async with self._bodies.read(request) as body:
            asked, model = self._asked(request, body, COMPLETION)
            check_budget(asked, model, self._config.limits)
            call = _call(request, orjson.dumps(asked) if loosen_schemas(asked) else body)
            call = replace(call, suspicion=suspicion_of(asked, media=False))
            if call.body is not body:
                request[HOLD].count(len(call.body))
            del asked
            request[HOLD].count(-len(body))
            return await self._pools[model.name].send(request, call)

    async def audio(self, request: web.Request) -> web.StreamResponse:
        """What a sound says, in its own language or in English."""
        async with self._bodies.read(request) as body:
            hold = request[HOLD]
            hold.count(len(body))  # the file, until it is decoded
            form = Form.parse(request, body, self._config.limits)
            model = self._catalogue.find(form.model, "transcribe")
            context = request[CONTEXT]
            context.model = model.name
            context.body_bytes = len(body)
            form.check(model, self._config.limits)
            sound = await self._sounds.decode(form.sound, hold)
            hold.pixels = sound.samples
            task = "translate" if request.path.rstrip("/").endswith("translations") else "transcribe"
            call = replace(
                _call(request, *form.encode(sound.wav)),
                transcript=TranscriptFormat(form.response_format, task, sound.duration_s),
            )
            hold.count(len(call.body) - len(sound.wav) - len(body))
            del form, sound
            return await self._pools[model.name].send(request, call)

    async def languages(self, _: web.Request) -> web.Response:
        """What the translator can be asked for, as LibreTranslate lists it."""
        if self._translator is None:
            raise RequestError(404, "this stack has no translator", code="not_found")
        try:
            status, listed = await self._translator.upstreams[0].get("/languages", LANGUAGES_S)
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise unavailable(self._translator.name) from error
        return web.Response(status=status, body=listed, content_type=JSON)

    async def translations(self, request: web.Request) -> web.StreamResponse:
        """Translate texts, by the translator."""
        if self._translator is None:
            raise RequestError(404, "this stack has no translator", code="not_found")
        async with self._bodies.read(request) as body:
            request[CONTEXT].model = self._translator.name
            parse_object(body)  # the translator has its own rules for what is in it
            return await self._translator.send(request, _call(request, body))

    def _asked(self, request: web.Request, body: bytes, known: frozenset[str]) -> tuple[dict[str, Any], ServedModel]:
        asked = parse_object(body)
        request[HOLD].count(len(body))  # what was parsed, until it is let go
        model = self._catalogue.find(asked.get("model"), "generate")
        context = request[CONTEXT]
        context.model = model.name
        context.body_bytes = len(body)
        check_parameters(asked, known, model, self._config.limits)
        return asked, model


GATEWAY = web.AppKey("gateway", Gateway)


def _tidy(asked: dict[str, Any], model: ServedModel) -> bool:
    """Bring the tools and schemas of a request to the form that engines read; whether it was changed."""
    return any([check_tools(asked, model), loosen_schemas(asked)])


def _tidy_messages(request: web.Request, messages: Any, model: ServedModel) -> bool:
    """Bring the turns of a conversation, and their media, to the form that engines read; whether any was changed."""
    left_out = request[CONTEXT].left_out = leave_out_earlier(messages, model)
    return any([left_out, check_turns(messages, model), tidy_messages(messages, model)])


def _call(request: web.Request, body: bytes, content_type: str = JSON) -> Call:
    """What goes on: the path of the route, never one of the client's, and no header but these."""
    context = request[CONTEXT]
    headers = {hdrs.CONTENT_TYPE: content_type, REQUEST_ID: context.id, **trace_headers(request.headers)}
    return Call(request.path.rstrip("/"), body, headers, context)


def _json(content: msgspec.Struct | dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type=JSON)
