"""The gateway's web application: an allow-list of paths, everything else is 404."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import orjson
from aiohttp import web

from server.gateway.config import OWNER
from server.gateway.errors import RequestError
from server.gateway.media import check_media
from server.gateway.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from server.gateway.config import GatewayConfig, ServedModel

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(config: GatewayConfig) -> web.Application:
    """The application that serves `config`."""
    gateway = Gateway(config)
    app = web.Application(client_max_size=config.limits.max_body_bytes, middlewares=[errors_in_openai_shape])
    app.cleanup_ctx.append(gateway.connections)
    app.router.add_get("/health", gateway.health)
    app.router.add_get("/health/live", gateway.live)
    app.router.add_get("/v1/models", gateway.models)
    app.router.add_get("/v1/models/{name:.+}", gateway.model)
    app.router.add_post("/v1/chat/completions", gateway.chat)
    app.router.add_post("/v1/translations", gateway.translations)
    return app


@web.middleware
async def errors_in_openai_shape(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Every refusal is JSON as OpenAI writes it."""
    try:
        return await handler(request)
    except RequestError as error:
        return error.response()
    except web.HTTPRequestEntityTooLarge as error:
        limit = request.client_max_size >> 20
        message = f"the request is too large: at most {limit} MiB are taken"
        return RequestError(error.status, message, code="request_too_large").response()
    except web.HTTPException as error:
        message = f"{request.method} {request.path}: {error.reason}"
        response = RequestError(error.status, message, code=error.reason.lower().replace(" ", "_")).response()
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response


class Gateway:
    """The handlers, and the servers behind them."""

    def __init__(self, config: GatewayConfig) -> None:
        self._models = {name: model for model in config.models for name in (model.name, *model.aliases)}
        self._engines = {model.name: Upstream(model.name, socket=model.replicas[0].socket) for model in config.models}
        self._translator = Upstream("the translator", url=config.translator) if config.translator else None
        created = int(time.time())
        self._listed = {name: _describe(name, model, created) for name, model in self._models.items()}

    async def connections(self, _: web.Application) -> AsyncIterator[None]:
        """Open the connection pools while the application runs."""
        async with AsyncExitStack() as opened:
            for upstream in self._upstreams():
                await opened.enter_async_context(upstream)
            yield

    def _upstreams(self) -> list[Upstream]:
        return [*self._engines.values(), *([self._translator] if self._translator else [])]

    async def live(self, _: web.Request) -> web.Response:
        """The gateway itself runs."""
        return _json({"status": "ok"})

    async def health(self, _: web.Request) -> web.Response:
        """200 while everything behind the gateway is well, otherwise 503; says what is not."""
        upstreams = self._upstreams()
        well = await asyncio.gather(*(upstream.healthy() for upstream in upstreams))
        parts = {u.name.removeprefix("the "): "ok" if w else "down" for u, w in zip(upstreams, well, strict=True)}
        status = "ok" if all(well) else "degraded"
        return _json({"status": status, "parts": parts}, status=200 if all(well) else 503)

    async def models(self, _: web.Request) -> web.Response:
        """What is served, under all its names."""
        return _json({"object": "list", "data": list(self._listed.values())})

    async def model(self, request: web.Request) -> web.Response:
        """One of them."""
        name = request.match_info["name"]
        self._find(name)
        return _json(self._listed[name])

    async def chat(self, request: web.Request) -> web.StreamResponse:
        """A chat completion, plain or streamed, from the engine that serves its model."""
        body = await request.read()
        asked = _parse(body)
        model = self._find(asked.get("model"))
        check_media(asked, model)
        return await self._engines[model.name].post(request, "/v1/chat/completions", body)

    async def translations(self, request: web.Request) -> web.StreamResponse:
        """Texts into languages, from the translator."""
        if self._translator is None:
            raise RequestError(404, "this stack has no translator", code="not_found")
        return await self._translator.post(request, "/v1/translations", await request.read())

    def _find(self, name: object) -> ServedModel:
        model = self._models.get(name) if isinstance(name, str) else None
        if model is None:
            served = ", ".join(self._models)
            raise RequestError(
                404,
                f"the model {name!r} is not served; served: {served}",
                param="model",
                code="model_not_found",
            )
        return model


def _describe(name: str, model: ServedModel, created: int) -> dict[str, object]:
    """As OpenAI lists a model; the limits are additions of ours (`max_model_len` as in vLLM)."""
    limits = {
        "max_model_len": model.max_model_len,
        "max_frames": model.max_frames,
        "max_images": model.max_images,
    }
    return {
        "id": name,
        "object": "model",
        "created": created,
        "owned_by": OWNER,
        "root": model.name,
        **limits,
    }


def _parse(body: bytes) -> dict[str, Any]:
    try:
        asked = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RequestError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    if not isinstance(asked, dict):
        raise RequestError(400, "the body must be a JSON object", code="invalid_json")
    return asked


def _json(content: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")
