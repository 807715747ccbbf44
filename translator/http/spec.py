"""The OpenAPI description of what the translator takes and gives: `GET /spec`, where LibreTranslate has its own."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version
from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_TEXTS: Schema = {"type": "array", "items": _TEXT}
_ONE_OR_MORE: Schema = {"oneOf": [_TEXT, _TEXTS]}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_TERM: Schema = {
    "type": "object",
    "required": ["term"],
    "properties": {"term": _TEXT, "translations": {"type": "object", "additionalProperties": _TEXT}},
}
_KEEP: Schema = {"type": "array", "items": {"oneOf": [_TEXT, _TERM]}}


def _object(required: str, **properties: Schema) -> Schema:
    return {"type": "object", "required": required.split(), "properties": properties}


def _choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


_GUESS = _object("language confidence", language=_TEXT, confidence=_NUMBER)
_SENTENCE = _object(
    "source text verdict",
    source=_TEXT,
    text=_TEXT,
    verdict=_choice("ok", "retried", "doubtful"),
    reason=_TEXT,
    score=_NUMBER,
    by=_TEXT,
    alternatives=_TEXTS,
)
_TRANSLATION = _object(
    "text sentences", text=_TEXT, sentences={"type": "array", "items": _SENTENCE}, alternatives=_TEXTS
)
_SCHEMAS: Schema = {
    "TranslationsRequest": _object(
        "texts targets",
        texts=_TEXTS,
        targets=_TEXTS,
        source=_TEXT,
        format=_choice("text", "html", "vtt", "srt"),
        keep=_KEEP,
        alternatives=_COUNT,
    ),
    "Translations": _object(
        "model targets sources translations timings",
        model=_TEXT,
        targets={"type": "object", "additionalProperties": _TEXT},
        sources=_TEXTS,
        translations={"type": "array", "items": {"type": "object", "additionalProperties": _TRANSLATION}},
        timings={"type": "object", "additionalProperties": _NUMBER},
        detected={"type": "array", "items": _GUESS},
    ),
    "TranslateRequest": _object(
        "q source target",
        q=_ONE_OR_MORE,
        source=_TEXT,
        target=_TEXT,
        format=_choice("text", "html"),
        alternatives=_COUNT,
        api_key=_TEXT,
        keep=_KEEP,
    ),
    "Translate": _object(
        "translatedText",
        translatedText=_ONE_OR_MORE,
        detectedLanguage={"oneOf": [_GUESS, {"type": "array", "items": _GUESS}]},
        alternatives={"type": "array", "items": _ONE_OR_MORE},
    ),
    "DetectRequest": _object("q", q=_ONE_OR_MORE, api_key=_TEXT),
    "Detections": {"type": "array", "items": _GUESS},
    "Languages": {"type": "array", "items": _object("code name targets", code=_TEXT, name=_TEXT, targets=_TEXTS)},
    "Health": _object("status", status=_choice("ok")),
    "Details": _object("status model waiting", status=_choice("ok"), model=_TEXT, waiting=_COUNT),
    "Settings": {"type": "object"},
    "Error": _object("error", error=_TEXT),
    "OpenAIError": _object("error", error=_object("message type", message=_TEXT, type=_TEXT)),
}
_STATUS = {
    "400": "a field is missing or not as it should be",
    "413": "the request is too large",
    "429": "the queue is full: Retry-After says when to come back",
    "503": "the model is being loaded, or the service stops",
}


def _json(name: str) -> Schema:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _answers(name: str, error: str) -> Schema:
    answers: Schema = {"200": {"description": "the answer", "content": _json(name)}}
    return answers | {code: {"description": why, "content": _json(error)} for code, why in _STATUS.items()}


def _get(summary: str, name: str) -> Schema:
    return {"get": {"summary": summary, "responses": _answers(name, "Error")}}


def _post(summary: str, request: str, name: str, *, form: bool = True) -> Schema:
    content = _json(request)
    if form:
        content |= {"application/x-www-form-urlencoded": content["application/json"]}
    error = "Error" if form else "OpenAIError"
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": content},
            "responses": _answers(name, error),
        }
    }


@functools.cache
def description() -> Schema:
    """The whole description, OpenAPI 3.1."""
    try:
        installed = version("babelview")
    except PackageNotFoundError:
        installed = "0"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Babelview translator", "version": installed},
        "paths": {
            "/v1/translations": _post(
                "Texts into languages, with a verdict for each sentence",
                "TranslationsRequest",
                "Translations",
                form=False,
            ),
            "/translate": _post("LibreTranslate's call", "TranslateRequest", "Translate"),
            "/detect": _post("In which language a text is", "DetectRequest", "Detections"),
            "/languages": _get("The languages of the model", "Languages"),
            "/frontend/settings": _get("What LibreTranslate's page asks first", "Settings"),
            "/spec": _get("This description", "Settings"),
            "/health": _get("Whether it translates", "Health"),
            "/health/details": _get("Which model, and how many sentences wait", "Details"),
            "/metrics": {"get": {"summary": "Prometheus metrics", "responses": {"200": {"description": "text"}}}},
        },
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }
