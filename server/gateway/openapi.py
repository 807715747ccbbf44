"""The OpenAPI description of what the gateway takes and gives: `GET /openapi.json`."""

from __future__ import annotations

import functools
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from server.gateway import api_types as api
from server.gateway import caption_types as captions
from server.gateway.request_context import REQUEST_ID

Schema = dict[str, Any]

_TYPES = (
    *(api.ChatRequest, api.CompletionRequest, api.ResponsesRequest, api.TranslationRequest, api.SoundForm),
    *(api.Model, api.ModelList, api.Alive, api.Health, api.Target, api.Error),
    *(captions.CaptionRequest, captions.CaptionForm, captions.Captions),
    *(captions.CaptionJob, captions.CaptionJobs, captions.CaptionJobDeleted),
)
_TEXT: Schema = {"type": "string"}
_PLAIN_ID = "^[A-Za-z0-9._:-]{1,64}$"
_REFUSALS = {
    400: "the request is not right",
    401: "no API key, or a wrong one",
    404: "no such model",
    405: "the path takes other methods: Allow",
    408: "the body took too long to come",
    413: "too large",
    415: "compressed",
    429: "too many requests: Retry-After",
    500: "the gateway itself failed: its log says more",
    502: "the engine failed at this request",
    503: "starting, or being restarted: Retry-After",
    504: "the engine took too long",
    508: "the captioner's address leads back here",
}


def _reference(kind: type[msgspec.Struct] | None) -> Schema:
    return {} if kind is None else {"$ref": f"#/components/schemas/{kind.__name__}"}


def _answers(content: Schema) -> Schema:
    error = {"application/json": {"schema": _reference(api.Error)}}
    refused = {str(status): {"description": why, "content": error} for status, why in _REFUSALS.items()}
    return {"200": {"description": "done", "content": content}, **refused}


def _post(summary: str, kind: type[msgspec.Struct], *, form: bool = False, streams: bool = False) -> Schema:
    """`form`: a sound is sent in one, and may be answered with plain text or subtitles."""
    taken = "multipart/form-data" if form else "application/json"
    content: Schema = {"application/json": {}}
    if streams:
        content["text/event-stream"] = {}
    if form:
        content["text/plain"] = {}
    body = {"required": True, "content": {taken: {"schema": _reference(kind)}}}
    return {"post": {"summary": summary, "requestBody": body, "responses": _answers(content)}}


def _get(summary: str, answer: Schema, *, named: bool = False, others: Schema | None = None) -> Schema:
    """`answer`: content type -> schema; `named`: the path holds a {name}; `others`: further statuses."""
    parameters = [{"name": "name", "in": "path", "required": True, "schema": _TEXT}] if named else []
    content = {kind: {"schema": schema} if schema else {} for kind, schema in answer.items()}
    return {"get": {"summary": summary, "parameters": parameters, "responses": _answers(content) | (others or {})}}


def _json(kind: type[msgspec.Struct]) -> Schema:
    return {"application/json": _reference(kind)}


def _captions(summary: str, answer: type[msgspec.Struct], status: int, *, streams: bool = False) -> Schema:
    """What takes files in JSON or in a form.

    Generators of clients that know several kinds of bodies want an optional parameter beside them.
    """
    taken: dict[str, type[msgspec.Struct]] = {
        "application/json": captions.CaptionRequest,
        "multipart/form-data": captions.CaptionForm,
    }
    content: Schema = _json_of(answer)
    if streams:
        content["text/event-stream"] = {}
    answers = _answers({})
    answers[str(status)] = {"description": "done" if status == 200 else "taken", "content": content}
    if status != 200:
        del answers["200"]
    body = {"required": True, "content": {kind: {"schema": _reference(of)} for kind, of in taken.items()}}
    parameters = [{"name": REQUEST_ID, "in": "header", "required": False, "schema": {**_TEXT, "pattern": _PLAIN_ID}}]
    return {"post": {"summary": summary, "parameters": parameters, "requestBody": body, "responses": answers}}


def _job(method: str, summary: str, content: Schema) -> Schema:
    parameters = [{"name": "id", "in": "path", "required": True, "schema": _TEXT}]
    return {method: {"summary": summary, "parameters": parameters, "responses": _answers(content)}}


def _json_of(kind: type[msgspec.Struct]) -> Schema:
    return {"application/json": {"schema": _reference(kind)}}


@functools.cache
def description() -> Schema:
    """The whole description, OpenAPI 3.1."""
    try:
        installed = version("babelview")
    except PackageNotFoundError:
        installed = "0"
    _, schemas = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
    page: Schema = {"text/plain": {}}
    down = {
        "503": {
            "description": "a model has no server that is well",
            "content": {"application/json": {"schema": {"anyOf": [_reference(api.Health), _reference(api.Error)]}}},
        }
    }
    targets = {"application/json": {"type": "array", "items": _reference(api.Target)}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Babelview", "version": installed},
        "paths": {
            "/v1/chat/completions": _post("Ask about pictures, a video or text", api.ChatRequest, streams=True),
            "/v1/completions": _post("Go on with a text", api.CompletionRequest, streams=True),
            "/v1/responses": _post("The same in OpenAI's newer form", api.ResponsesRequest, streams=True),
            "/v1/audio/transcriptions": _post("What a sound says", api.SoundForm, form=True, streams=True),
            "/v1/audio/translations": _post("What a sound says, in English", api.SoundForm, form=True, streams=True),
            "/v1/translations": _post("Texts into languages", api.TranslationRequest),
            "/v1/captions": _captions("Files in, captions out", captions.Captions, 200, streams=True),
            "/v1/captions/jobs": {
                **_captions("The same for later", captions.CaptionJob, 202),
                **_get("The jobs of a key", _json(captions.CaptionJobs)),
            },
            "/v1/captions/jobs/{id}": {
                **_job("get", "How far a job is, and what came of it", _json_of(captions.CaptionJob)),
                **_job("delete", "End a job, and forget it", _json_of(captions.CaptionJobDeleted)),
            },
            "/v1/captions/jobs/{id}/events": _job("get", "What happens to a job", {"text/event-stream": {}}),
            "/languages": _get("What texts can be translated into", {"application/json": {}}),
            "/v1/models": _get("What is served", _json(api.ModelList)),
            "/v1/models/{name}": _get("One model", _json(api.Model), named=True),
            "/health": _get("What is well", _json(api.Health), others=down),
            "/health/live": _get("The gateway runs", _json(api.Alive)),
            "/metrics": _get("Prometheus metrics of the gateway", page),
            "/metrics/targets": _get("Prometheus HTTP service discovery", targets),
            "/metrics/of/{name}": _get("Prometheus metrics of one part", page, named=True),
        },
        "components": {"schemas": schemas, "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"key": []}],
    }
