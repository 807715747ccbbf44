"""LibreTranslate's API, so that its clients work unchanged.

What differs: a list is translated at once rather than one by one, each text of a list has its own detected language,
and every code that `translator.languages` knows is taken. `alternatives` are those of the beam, without any check, and
at most one less than its size. `keep`, a glossary, is an addition of ours.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from translator.errors import ApiError
from translator.http import nllb_serve
from translator.http.access import authorize
from translator.http.documents import form_of, read_documents
from translator.http.fields import Fields, read_fields
from translator.http.responses import json_response
from translator.http.state import STATE
from translator.http.translate import check_size, detect, find_sources, read_wishes, translate

if TYPE_CHECKING:
    from aiohttp import web

    from translator.detect import Guess

_MOST_ALTERNATIVES = 100
_FIRST = {"en": 0, "es": 1}  # what a page offers before one chooses, as far as the model has it


async def translate_path(request: web.Request) -> web.Response:
    """Answer `/translate`, as LibreTranslate or, if the fields are its, as nllb-serve."""
    fields = await read_fields(request)
    _authorize(request, fields)
    if nllb_serve.is_meant(fields):
        return await nllb_serve.answer(request, fields)
    texts, single = fields.one_or_more("q")
    source, target = fields.string("source"), fields.string("target")
    form = form_of(fields.string("format", "text"), ("text", "html"))
    wishes = read_wishes(fields, _MOST_ALTERNATIVES)
    check_size(texts, request.app[STATE].limits)
    documents = await asyncio.to_thread(read_documents, texts, form)
    sources, guesses = await find_sources(request, [document.plain for document in documents], source, "source")
    done = await translate(request, documents, sources, [target], field="target", wishes=wishes)
    said = [done.text(number, target) for number in range(len(texts))]
    body: dict[str, Any] = {"translatedText": said[0].text if single else [one.text for one in said]}
    if guesses is not None:
        detected = [_shown(guess) for guess in guesses]
        body["detectedLanguage"] = detected[0] if single else detected
    if wishes.alternatives:
        body["alternatives"] = said[0].alternatives if single else [one.alternatives for one in said]
    return json_response(body)


async def detect_path(request: web.Request) -> web.Response:
    """Answer `/detect`: the likeliest languages of a text, or of several taken together."""
    fields = await read_fields(request)
    _authorize(request, fields)
    texts, _ = fields.one_or_more("q")
    check_size(texts, request.app[STATE].limits)
    (found,) = await detect(request, ["\n".join(texts)])
    return json_response([_shown(guess) for guess in found])


async def languages(request: web.Request) -> web.Response:
    """Answer `/languages`: BCP-47 tags, as LibreTranslate's clients expect, with NLLB's own code beside."""
    have = request.app[STATE].ready().languages.all
    tags = [language.tag for language in have]
    return json_response(
        [{"code": language.tag, "name": language.name, "flores": language.code, "targets": tags} for language in have]
    )


async def frontend_settings(request: web.Request) -> web.Response:
    """Answer `/frontend/settings`."""
    state = request.app[STATE]
    have = sorted(state.ready().languages.all, key=lambda language: _FIRST.get(language.tag, len(_FIRST)))
    source, target = ({"code": language.tag, "name": language.name} for language in have[:2])
    return json_response(
        {
            "charLimit": state.limits.characters,
            "frontendTimeout": 500,
            "apiKeys": bool(state.keys),
            "keyRequired": bool(state.keys),
            "suggestions": False,
            "filesTranslation": False,
            "supportedFilesFormat": [],
            "language": {"source": source, "target": target},
        }
    )


async def not_offered(request: web.Request) -> web.Response:
    """Answer the calls of LibreTranslate that are not for us: files and suggestions."""
    raise ApiError(403, f"{request.path} is not offered by this service")


def _authorize(request: web.Request, fields: Fields) -> None:
    authorize(request, fields.string("api_key", "") or None)


def _shown(guess: Guess) -> dict[str, Any]:
    return {"confidence": guess.confidence, "language": guess.language.tag}
