"""The service over HTTP.

    POST /v1/translations   texts x target languages in one call, with a verdict per sentence
    POST /translate         LibreTranslate's JSON call
    GET  /languages         what the model can be asked for, as LibreTranslate lists it
    GET  /health            200 once the model is loaded and has answered, 503 before and while shutting down

Errors of `/v1` have OpenAI's shape, those of the other paths LibreTranslate's.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from translator.batcher import ClosedError, QueueFullError, TooManySentencesError
from translator.languages import UnknownLanguageError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from translator.languages import Language, Languages
    from translator.service import Answer, TextTranslator

logger = logging.getLogger(__name__)


@dataclass
class State:
    """What the handlers need; `translator` and `languages` come when the model is loaded."""

    model: str
    translator: TextTranslator | None = None
    languages: Languages | None = None
    closing: bool = field(default=False)


STATE = web.AppKey("state", State)
_SUMMARY = web.RequestKey("summary", str)


class ApiError(Exception):
    """An answer that is an error, in the shape of its path."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        """Say what is wrong, with which field, and for a machine to read."""
        super().__init__(message)
        self.status = status
        self.param = param
        self.code = code
        self.headers = {} if retry_after is None else {"Retry-After": str(retry_after)}


def make_app(state: State, *, max_body: int) -> web.Application:
    """The application.

    Args:
        state: filled in by whoever loads the model.
        max_body: largest request body, bytes.
    """
    app = web.Application(client_max_size=max_body, middlewares=[_log, _errors])
    app[STATE] = state
    app.router.add_post("/v1/translations", _translations)
    app.router.add_post("/translate", _libre_translate)
    app.router.add_get("/languages", _languages)
    app.router.add_get("/health", _health)
    return app


async def _translations(request: web.Request) -> web.Response:
    body = await _json_object(request)
    texts, targets = _strings(body, "texts"), _strings(body, "targets")
    source = _string(body, "source", "eng_Latn")
    answer = await _translate(request, texts, source, targets, target_field="targets")
    translations = [
        {
            code: {"text": translated.text, "sentences": [_sentence(s) for s in translated.sentences]}
            for code, translated in text.items()
        }
        for text in answer.texts
    ]
    return _json({"model": request.app[STATE].model, "translations": translations, "timings": answer.timings})


def _sentence(sentence: Any) -> dict[str, str]:
    shown = {"source": sentence.source, "text": sentence.text, "verdict": sentence.verdict}
    return shown if sentence.reason is None else shown | {"reason": sentence.reason}


async def _libre_translate(request: web.Request) -> web.Response:
    body = await _json_object(request)
    single = isinstance(body.get("q"), str)
    texts = [_string(body, "q")] if single else _strings(body, "q")
    target = _string(body, "target")
    answer = await _translate(request, texts, _string(body, "source"), [target], target_field="target")
    translated = [text[target].text for text in answer.texts]
    return _json({"translatedText": translated[0] if single else translated})


async def _languages(request: web.Request) -> web.Response:
    _, languages = _loaded(request)
    codes = [language.code for language in languages.all]
    return _json([{"code": language.code, "name": language.name, "targets": codes} for language in languages.all])


async def _health(request: web.Request) -> web.Response:
    translator, _ = _loaded(request)
    return _json({"status": "ok", "model": request.app[STATE].model, "waiting": translator.waiting})


async def _translate(
    request: web.Request, texts: list[str], source: str, targets: list[str], *, target_field: str
) -> Answer:
    translator, languages = _loaded(request)
    begin = _language(languages, source, "source")
    wanted = [_language(languages, code, target_field) for code in dict.fromkeys(targets)]
    if not wanted:
        raise ApiError(400, f"{target_field} is empty: name at least one language", param=target_field)
    try:
        answer = await translator.translate(texts, begin, wanted)
    except QueueFullError as error:
        raise ApiError(429, str(error), code="queue_full", retry_after=error.retry_after) from error
    except TooManySentencesError as error:
        raise ApiError(413, f"{error}: send fewer texts or languages at a time", code="too_large") from error
    except ClosedError as error:
        raise ApiError(503, str(error), code="shutting_down", retry_after=5) from error
    request[_SUMMARY] = (
        f"{len(texts)} texts, {source} to {','.join(language.code for language in wanted)}, "
        f"{answer.sentence_count} sentences"
    )
    return answer


def _loaded(request: web.Request) -> tuple[TextTranslator, Languages]:
    state = request.app[STATE]
    if state.closing:
        raise ApiError(503, "the translation service is shutting down", code="shutting_down", retry_after=5)
    if state.translator is None or state.languages is None:
        raise ApiError(503, f"{state.model} is still being loaded", code="loading", retry_after=2)
    return state.translator, state.languages


def _language(languages: Languages, code: str, param: str) -> Language:
    try:
        return languages.find(code)
    except UnknownLanguageError as error:
        raise ApiError(400, str(error), param=param, code="unknown_language") from error


async def _json_object(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.text())
    except (ValueError, LookupError) as error:  # broken JSON, or bytes that are not in their charset
        raise ApiError(400, f"the body is not JSON: {error}") from error
    except RecursionError as error:
        raise ApiError(400, "the body is not JSON: too deeply nested") from error
    if not isinstance(body, dict):
        raise ApiError(400, "the body must be a JSON object")
    return body


def _strings(body: dict[str, Any], name: str) -> list[str]:
    value = body.get(name)
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ApiError(400, f"{name} must be a list of strings", param=name)
    return [_text(item, name) for item in value]


def _string(body: dict[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise ApiError(400, f"{name} must be a string", param=name)
    return _text(value, name)


def _text(value: str, name: str) -> str:
    """JSON can spell half a surrogate pair, which is no character: no tokenizer takes it."""
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise ApiError(400, f"{name} holds a lone surrogate, which is not text", param=name) from error
    return value


def _json(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(
        body, status=status, headers=headers, dumps=lambda value: json.dumps(value, ensure_ascii=False)
    )


@web.middleware
async def _log(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    began = time.monotonic()
    response = await handler(request)
    level = logging.DEBUG if request.path == "/health" else logging.INFO
    seconds = time.monotonic() - began
    logger.log(
        level,
        "%s %s %d %.3f s %s",
        request.method,
        request.path,
        response.status,
        seconds,
        request.get(_SUMMARY, ""),
    )
    return response


@web.middleware
async def _errors(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Every error in the shape of its path; what nobody foresaw is logged, its insides are not sent."""
    try:
        return await handler(request)
    except ApiError as error:
        failure = error
    except web.HTTPRequestEntityTooLarge as error:
        failure = ApiError(413, f"the body is too large: {error.text}", code="too_large")
    except web.HTTPException as error:
        failure = ApiError(error.status, f"{request.method} {request.path}: {error.reason}")
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        failure = ApiError(500, "internal error: the service's log says more")
    request[_SUMMARY] = str(failure)
    if not request.path.startswith("/v1/"):
        return _json({"error": str(failure)}, failure.status, failure.headers)
    kind = "server_error" if failure.status >= 500 else "invalid_request_error"
    body = {"message": str(failure), "type": kind, "param": failure.param, "code": failure.code}
    return _json({"error": body}, failure.status, failure.headers)
