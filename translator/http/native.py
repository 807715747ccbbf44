"""`POST /v1/translations`: texts x target languages in one call, with a verdict per sentence.

    {"texts": ["It has two scenes."], "source": "en", "targets": ["fr", "hin_Deva"]}
 -> {"model": "...", "targets": {"fr": "fra_Latn", "hin_Deva": "hin_Deva"}, "sources": ["eng_Latn"],
     "translations": [{"fr": {"text": "...", "sentences": [{"source": "...", "text": "...", "verdict": "ok"}]},
                       "hin_Deva": {...}}],
     "timings": {"prepare": 0.001, "translate": 0.1, "total": 0.101}}

Languages come back under the codes that the request wrote. `source` is English unless named; with "auto" the answer
has `detected`, a language with its confidence (0 to 100) per text. A sentence that is not `ok` has a `reason`;
so has an `ok` one that gives figures in other units.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from translator.http.access import authorize
from translator.http.fields import read_json
from translator.http.responses import json_response
from translator.http.state import STATE
from translator.http.translate import check_size, find_sources, translate

if TYPE_CHECKING:
    from aiohttp import web

    from translator.text_translator import Sentence


async def translations(request: web.Request) -> web.Response:
    """Answer `POST /v1/translations`."""
    authorize(request)
    fields = await read_json(request)
    texts, targets = fields.strings("texts"), fields.strings("targets")
    check_size(texts, request.app[STATE].limits)
    sources, guesses = await find_sources(request, texts, fields.string("source", "eng_Latn"), "source")
    done = await translate(request, texts, sources, targets, field="targets")
    body: dict[str, Any] = {
        "model": request.app[STATE].model,
        "targets": {code: language.code for code, language in done.targets.items()},
        "sources": [language.code for language in sources],
        "translations": [
            {
                code: {
                    "text": done.text(number, code).text,
                    "sentences": [_sentence(sentence) for sentence in done.text(number, code).sentences],
                }
                for code in done.targets
            }
            for number in range(len(texts))
        ],
        "timings": done.answer.timings,
    }
    if guesses is not None:
        body["detected"] = [{"language": g.language.code, "confidence": g.confidence} for g in guesses]
    return json_response(body)


def _sentence(sentence: Sentence) -> dict[str, str]:
    shown = {"source": sentence.source, "text": sentence.text, "verdict": sentence.verdict}
    return shown if sentence.reason is None else shown | {"reason": sentence.reason}
