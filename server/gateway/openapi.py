"""The OpenAPI description of what the gateway takes: `GET /openapi.json`."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from server.gateway.parameters import CHAT, COMPLETION, MOST_LOGPROBS, MOST_MESSAGES

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_FLAG: Schema = {"type": "boolean"}
_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_KNOWN: dict[str, Schema] = {
    "model": _TEXT,
    "stream": _FLAG,
    "n": {"type": "integer", "minimum": 1},
    "max_tokens": _COUNT,
    "max_completion_tokens": _COUNT,
    "temperature": {"type": "number", "minimum": 0, "maximum": 2},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
    "seed": {"type": "integer"},
    "top_logprobs": {"type": "integer", "minimum": 0, "maximum": MOST_LOGPROBS},
    "stop": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": 16}]},
    "messages": {
        "type": "array",
        "minItems": 1,
        "maxItems": MOST_MESSAGES,
        "items": {"$ref": "#/components/schemas/Message"},
    },
    "prompt": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT, "maxItems": 32}]},
}


def _url(kind: str, what: str) -> Schema:
    url = {"type": "object", "properties": {"url": {"type": "string", "description": what}}, "required": ["url"]}
    properties = {"type": {"const": kind}, kind: url}
    return {"type": "object", "properties": properties, "required": ["type", kind], "additionalProperties": False}


_PARTS: list[Schema] = [
    {
        "type": "object",
        "properties": {"type": {"const": "text"}, "text": _TEXT},
        "required": ["type", "text"],
        "additionalProperties": False,
    },
    _url("image_url", "data:image/jpeg;base64,... (JPEG, PNG, WebP or GIF)"),
    _url("video_url", "data:video/jpeg;base64,FRAME,FRAME,... (JPEG frames of one size)"),
]
_SCHEMAS: dict[str, Schema] = {
    "Message": {
        "type": "object",
        "properties": {
            "role": {"enum": ["system", "user", "assistant"]},
            "content": {"anyOf": [_TEXT, {"type": "array", "minItems": 1, "items": {"anyOf": _PARTS}}]},
        },
        "required": ["role", "content"],
    },
    "Chat": {
        "type": "object",
        "properties": {name: _KNOWN.get(name, {}) for name in sorted(CHAT)},
        "required": ["model", "messages"],
        "additionalProperties": False,
    },
    "Completion": {
        "type": "object",
        "properties": {name: _KNOWN.get(name, {}) for name in sorted(COMPLETION)},
        "required": ["model", "prompt"],
        "additionalProperties": False,
    },
    "Translations": {
        "type": "object",
        "properties": {
            "texts": {"type": "array", "items": _TEXT},
            "targets": {"type": "array", "items": _TEXT, "minItems": 1},
            "source": _TEXT,
        },
        "required": ["texts", "targets"],
    },
    "Sound": {
        "type": "object",
        "properties": {"file": {"type": "string", "format": "binary"}, "model": _TEXT, "language": _TEXT},
        "required": ["file", "model"],
    },
    "Error": {
        "type": "object",
        "properties": {
            "error": {
                "type": "object",
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
                "required": ["message", "type", "param", "code"],
            }
        },
        "required": ["error"],
    },
}
_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
_REFUSALS = {
    400: "the request is not right",
    401: "no API key, or a wrong one",
    404: "no such model",
    408: "the body took too long to come",
    413: "too large",
    415: "compressed",
    429: "too many requests: Retry-After",
    503: "starting, or being restarted: Retry-After",
    504: "the engine took too long",
}


def _answers(content: Schema) -> Schema:
    refused = {str(status): {"description": why, "content": _ERROR} for status, why in _REFUSALS.items()}
    return {"200": {"description": "done", "content": content}, **refused}


def _post(summary: str, schema: str, *, form: bool = False, streams: bool = False) -> Schema:
    kind = "multipart/form-data" if form else "application/json"
    content: Schema = {"application/json": {}}
    if streams:
        content["text/event-stream"] = {}
    body = {"required": True, "content": {kind: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": _answers(content)}}


def _get(summary: str, kind: str = "application/json", parameters: tuple[str, ...] = (), **answers: str) -> Schema:
    named = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in parameters]
    others = {status.strip("_"): {"description": why} for status, why in answers.items()}
    responses = _answers({kind: {}}) | others
    return {"get": {"summary": summary, "parameters": named, "responses": responses}}


@functools.cache
def description() -> Schema:
    """The whole description, OpenAPI 3.1."""
    try:
        installed = version("babelview")
    except PackageNotFoundError:
        installed = "0"
    return {
        "openapi": "3.1.0",
        "info": {"title": "Babelview", "version": installed},
        "paths": {
            "/v1/chat/completions": _post("Ask about pictures, a video or text", "Chat", streams=True),
            "/v1/completions": _post("Go on with a text", "Completion", streams=True),
            "/v1/audio/transcriptions": _post("What a sound says", "Sound", form=True, streams=True),
            "/v1/audio/translations": _post("What a sound says, in English", "Sound", form=True, streams=True),
            "/v1/translations": _post("Texts into languages", "Translations"),
            "/v1/models": _get("What is served"),
            "/v1/models/{name}": _get("One model", parameters=("name",)),
            "/health": _get("What is well", _503="a model has no server that is well"),
            "/health/live": _get("The gateway runs"),
            "/metrics": _get("Prometheus metrics of the gateway", "text/plain"),
            "/metrics/targets": _get("Prometheus HTTP service discovery"),
            "/metrics/of/{name}": _get("Prometheus metrics of one part", "text/plain", parameters=("name",)),
        },
        "components": {"schemas": _SCHEMAS, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }
