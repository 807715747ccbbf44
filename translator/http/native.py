"""`POST /v1/translations`: texts x target languages in one call, with a verdict per sentence.

    {"texts": ["It has two scenes."], "source": "en", "targets": ["fr", "hin_Deva"]}
 -> {"model": "...", "targets": {"fr": "fra_Latn", "hin_Deva": "hin_Deva"}, "sources": ["eng_Latn"],
     "translations": [{"fr": {"text": "...", "sentences": [{"source": "...", "text": "...", "verdict": "ok"}]},
                       "hin_Deva": {...}}],
     "timings": {"prepare": 0.001, "translate": 0.1, "total": 0.101}}

Languages come back under the codes that the request wrote. `source` is English unless named; with "auto" the answer
has `detected`, a language with its confidence (0 to 100) per text. A sentence has a `score`, the mean log-probability
of its tokens, if the model was asked for it, and a `reason` if it is not `ok`; so has an `ok` one that gives figures in
other units. `by` names the other model that translated it, if one did. Beyond that a request may have

    format          "text" (as it is without), "html", "vtt" or "srt": what is not words stays as it is
    keep            a glossary (see `translator.glossary`): ["Acme", {"term": "red", "translations": {"fr": "vermeil"}}]
    alternatives    how many other translations of each text and sentence, up to one less than the beam's size
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from translator.http.access import authorize
from translator.http.documents import form_of, read_documents
from translator.http.fields import read_json
from translator.http.responses import json_response
from translator.http.state import STATE
from translator.http.translate import check_size, find_sources, read_wishes, translate

if TYPE_CHECKING:
    from aiohttp import web

    from translator.text_translator import Sentence, TranslatedText, Wishes


_MOST_ALTERNATIVES = 16
_SCORE_DIGITS = 2
"""Further ones change with the company in a batch."""


async def translations(request: web.Request) -> web.Response:
    """Answer `POST /v1/translations`."""
    authorize(request)
    fields = await read_json(request)
    texts, targets = fields.strings("texts"), fields.strings("targets")
    form = form_of(fields.string("format", "text"))
    wishes = read_wishes(fields, _MOST_ALTERNATIVES)
    check_size(texts, request.app[STATE].limits)
    documents = await asyncio.to_thread(read_documents, texts, form)
    plain = [document.plain for document in documents]
    sources, guesses = await find_sources(request, plain, fields.string("source", "eng_Latn"), "source")
    done = await translate(request, documents, sources, targets, field="targets", wishes=wishes)
    body: dict[str, Any] = {
        "model": request.app[STATE].model,
        "targets": {code: language.code for code, language in done.targets.items()},
        "sources": [language.code for language in sources],
        "translations": [
            {code: _text(done.text(number, code), wishes) for code in done.targets} for number in range(len(texts))
        ],
        "timings": done.answer.timings,
    }
    if guesses is not None:
        body["detected"] = [{"language": g.language.code, "confidence": g.confidence} for g in guesses]
    return json_response(body)


def _text(translated: TranslatedText, wishes: Wishes) -> dict[str, Any]:
    text: dict[str, Any] = {
        "text": translated.text,
        "sentences": [_sentence(sentence, wishes) for sentence in translated.sentences],
    }
    if wishes.alternatives:
        text["alternatives"] = translated.alternatives
    return text


def _sentence(sentence: Sentence, wishes: Wishes) -> dict[str, Any]:
    answer: dict[str, Any] = {"source": sentence.source, "text": sentence.text, "verdict": sentence.verdict}
    if sentence.score is not None:
        answer["score"] = round(sentence.score, _SCORE_DIGITS) + 0.0  # never -0.0
    if wishes.alternatives:
        answer["alternatives"] = list(sentence.alternatives)
    if sentence.by:
        answer["by"] = sentence.by
    if sentence.reason is not None:
        answer["reason"] = sentence.reason
    return answer
