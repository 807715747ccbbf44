"""nllb-serve's call, which has LibreTranslate's path and other fields.

   {"source": ["It has two scenes."], "src_lang": "eng_Latn", "tgt_lang": "fra_Latn"}
-> {"source": [...], "translation": [...], "src_lang": "eng_Latn", "tgt_lang": "fra_Latn", "time_taken": 0.1,
    "time_units": "s"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from translator.http.documents import read_documents
from translator.http.responses import json_response
from translator.http.state import STATE
from translator.http.translate import check_size, find_sources, translate

if TYPE_CHECKING:
    from aiohttp import web

    from translator.http.fields import Fields

_SOURCE, _TARGET = "eng_Latn", "kan_Knda"  # nllb-serve's defaults


def is_meant(fields: Fields) -> bool:
    """Whether the fields are nllb-serve's; LibreTranslate's `source` is a language, and comes with a target."""
    if "q" in fields:
        return False
    return "src_lang" in fields or "tgt_lang" in fields or ("source" in fields and "target" not in fields)


async def answer(request: web.Request, fields: Fields) -> web.Response:
    """Answer nllb-serve's call on `/translate`."""
    texts, _ = fields.one_or_more("source")
    source, target = fields.string("src_lang", _SOURCE), fields.string("tgt_lang", _TARGET)
    check_size(texts, request.app[STATE].limits)
    sources, _ = await find_sources(request, texts, source, "src_lang")
    done = await translate(request, read_documents(texts, "text"), sources, [target], field="tgt_lang")
    return json_response(
        {
            "source": texts,
            "translation": [done.text(number, target).text for number in range(len(texts))],
            "src_lang": source,
            "tgt_lang": target,
            "time_taken": round(done.answer.timings["total"], 3),
            "time_units": "s",
        }
    )
