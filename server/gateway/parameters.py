"""Which parameters a request may set: what OpenAI's API has, and what of vLLM's own is harmless to others.

The names are the fields of `ChatRequest` and `CompletionRequest`, read off vLLM 0.32's own. Everything else is refused
by name, as OpenAI does, so that a later engine's new parameter is not taken unseen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec
import orjson
from msgspec import UNSET

from server.errors import RequestError
from server.gateway.api_types import (
    MOST_LOGPROBS,
    MOST_MESSAGES,
    MOST_PROMPTS,
    MOST_STOPS,
    ChatRequest,
    CompletionRequest,
    ResponsesRequest,
)
from server.gateway.schema_limits import check_schema, check_size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.gateway.config import Limits, ServedModel

CHAT = frozenset(ChatRequest.__struct_fields__)
COMPLETION = frozenset(CompletionRequest.__struct_fields__)
RESPONSES = frozenset(ResponsesRequest.__struct_fields__)
_STRUCTURED = "send structured_outputs: {%s}; or response_format"
_CONTENT = ("model", "messages", "prompt", "input")
_STATE = ("store", "background", "previous_response_id", "conversation")


def _parameters_of(request: type[msgspec.Struct], *elsewhere: str) -> type[msgspec.Struct]:
    """The parameters of a request with their types, all of them optional, but for those that are checked elsewhere."""
    fields = [field for field in msgspec.structs.fields(request) if field.name not in {*_CONTENT, *elsewhere}]
    return msgspec.defstruct(f"{request.__name__}Parameters", [(field.name, field.type, UNSET) for field in fields])


_PARAMETERS = {
    CHAT: _parameters_of(ChatRequest),
    COMPLETION: _parameters_of(CompletionRequest),
    RESPONSES: _parameters_of(ResponsesRequest, *_STATE),
}
_WRONG_TYPE = re.compile(r"(?P<what>.*?) - at `\$\.(?P<path>(?P<name>\w+).*)`", re.DOTALL)

REFUSED = {
    "echo": "in a chat there is no prompt to repeat: ask /v1/completions",
    "prompt_logprobs": "in a chat the prompt has pictures, which have no probabilities: ask /v1/completions",
    "media_io_kwargs": "it is set by the server",
    "mm_processor_kwargs": "how pictures are cut and scaled is set by the server",
    "chat_template": "a template is a program; it is set by the server",
    "use_beam_search": "it keeps the engine from batching",
    "prompt_embeds": "tensors are not taken",
    "logits_processors": "it names code to run",
    "kv_transfer_params": "it tells the engine which servers to talk to",
    "ec_transfer_params": "it tells the engine which servers to talk to",
    "vllm_xargs": "it reaches the engine's extensions",
    "functions": "OpenAI calls them tools now: send tools",
    "function_call": "OpenAI calls it tool_choice now: send tools and tool_choice",
    "guided_json": _STRUCTURED % '"json": SCHEMA',
    "guided_choice": _STRUCTURED % '"choice": ["...", ...]',
    "guided_regex": "send response_format with a JSON schema that has a pattern",
    "guided_grammar": "grammars are not taken: send response_format with a JSON schema",
    "guided_decoding_backend": "it is set by the server",
    "guided_whitespace_pattern": "JSON is written without white space",
}

LONGEST_LISTS = {
    "stop": MOST_STOPS,
    "stop_token_ids": 256,
    "bad_words": 256,
    "logprob_token_ids": 256,
    "logit_bias": 1024,
    "allowed_token_ids": 4096,
    "tools": 128,
    "messages": MOST_MESSAGES,
}
LONGEST_REPETITION = 64
_NO_OPTIONS = frozenset({"messages", "chat_template", "tools", "documents", "tokenize", "tokenizer", "return_dict"})
_KINDS = ("json", "choice", "json_object")
_STRUCTURES = frozenset({*_KINDS, "disable_any_whitespace", "disable_additional_properties"})


def check_parameters(asked: Mapping[str, Any], known: frozenset[str], model: ServedModel, limits: Limits) -> None:
    """Check all but the media.

    Raises:
        RequestError: 400, naming the parameter.
    """
    for name in asked.keys() - known:
        if name in REFUSED:
            raise _refusal(name, f"{name} is not taken: {REFUSED[name]}")
        raise RequestError(400, f"there is no parameter {name[:60]!r}", param=name[:60], code="unknown_parameter")
    _check_number(asked, "n", 1, limits.max_choices)
    _check_number(asked, "best_of", 1, limits.max_choices)
    _check_number(asked, "max_tokens", 0, model.max_model_len)
    _check_number(asked, "max_completion_tokens", 0, model.max_model_len)
    _check_number(asked, "max_output_tokens", 0, model.max_model_len)
    _check_number(asked, "min_tokens", 0, model.max_model_len)
    _check_number(asked, "top_logprobs", 0, MOST_LOGPROBS)
    _check_number(asked, "prompt_logprobs", 0, MOST_LOGPROBS)
    _check_number(asked, "priority", 0, 0)
    if not isinstance(asked.get("logprobs"), bool):  # a switch in a chat, a number otherwise
        _check_number(asked, "logprobs", 0, MOST_LOGPROBS)
    for name, most in LONGEST_LISTS.items():
        value = asked.get(name)
        if isinstance(value, list | dict) and len(value) > most:
            raise _refusal(name, f"{name} has {len(value)} entries: {most} are taken")
    if "stream" in asked and not isinstance(asked["stream"], bool | None):
        raise _refusal("stream", "stream must be true or false")
    prompt = asked.get("prompt")
    if isinstance(prompt, list) and len(prompt) > MOST_PROMPTS and not all(type(token) is int for token in prompt):
        raise _refusal("prompt", f"{len(prompt)} prompts: {MOST_PROMPTS} are taken at a time")
    _check_types(asked, known)
    _check_template_options(asked)
    _check_repetition(asked)
    _check_structure(asked)


def _check_types(asked: Mapping[str, Any], known: frozenset[str]) -> None:
    """An engine trips over some values of another type before it checks them."""
    try:
        msgspec.convert(asked, _PARAMETERS[known])
    except msgspec.ValidationError as error:
        raise wrong_type(error) from error


def wrong_type(error: msgspec.ValidationError) -> RequestError:
    """The refusal of a value that has another type, named as the request names it."""
    match = _WRONG_TYPE.fullmatch(str(error))
    assert match is not None
    what = match["what"].replace("`", "")
    return _refusal(match["name"], f"{match['path']}: {what[:1].lower()}{what[1:]}")


def _check_number(asked: Mapping[str, Any], name: str, least: int, most: int) -> None:
    value = asked.get(name)
    if value is not None and (type(value) is not int or not least <= value <= most):
        raise _refusal(name, f"{name} must be a whole number from {least} to {most}, not {str(value)[:40]}")


def _check_template_options(asked: Mapping[str, Any]) -> None:
    options = asked.get("chat_template_kwargs") or {}
    if other := sorted(options.keys() & _NO_OPTIONS):
        raise _refusal(
            "chat_template_kwargs", f"chat_template_kwargs: {other[0]} is not taken: it has a place of its own"
        )


def _check_repetition(asked: Mapping[str, Any]) -> None:
    """Each step looks for patterns of all sizes up to the largest, in every answer."""
    detection = asked.get("repetition_detection")
    if not isinstance(detection, dict):
        return
    for name in ("max_pattern_size", "min_pattern_size", "min_count"):
        value = detection.get(name)
        if value is not None and (type(value) is not int or not 0 <= value <= LONGEST_REPETITION):
            message = f"repetition_detection: {name} must be a whole number from 0 to {LONGEST_REPETITION}"
            raise _refusal("repetition_detection", message)


def _check_structure(asked: Mapping[str, Any]) -> None:
    """Schemas become grammars that the engine compiles, on threads which everybody shares."""
    format_ = asked.get("response_format")
    if isinstance(format_, dict) and format_.get("type") not in ("text", "json_object", "json_schema"):
        raise _refusal("response_format", "response_format: its type is text, json_object or json_schema")
    structure = asked.get("structured_outputs")
    if isinstance(structure, dict) and (other := sorted(structure.keys() - _STRUCTURES)):
        taken = ", ".join(sorted(_STRUCTURES))
        raise _refusal("structured_outputs", f"structured_outputs: {other[0][:60]} is not taken, only {taken}")
    if isinstance(structure, dict):
        _check_kind(structure)
    for name in ("response_format", "structured_outputs", "text", "tools"):
        value = asked.get(name)
        if value is not None:
            check_size(name, value)
        for part in value if isinstance(value, list) else [value]:  # each tool has a schema of its own
            check_schema(name, part)
    if isinstance(structure, dict) and isinstance(structure.get("json"), str):
        try:
            schema = orjson.loads(structure["json"])
        except orjson.JSONDecodeError as error:
            raise _refusal("structured_outputs", f"structured_outputs: json is no JSON schema: {error}") from error
        check_schema("structured_outputs", schema)


def _check_kind(structure: Mapping[str, Any]) -> None:
    """A structure is of one kind."""
    given = [name for name in _KINDS if structure.get(name) is not None]
    if len(given) != 1:
        raise _refusal("structured_outputs", f"structured_outputs needs one of {', '.join(_KINDS)}, and no second one")
    value = structure[given[0]]
    if given == ["json_object"] and value is not True:
        raise _refusal("structured_outputs", "structured_outputs: json_object must be true")
    texts = isinstance(value, list) and all(isinstance(one, str) for one in value)
    if given == ["choice"] and not (texts and value):
        raise _refusal("structured_outputs", "structured_outputs: choice must be a list of texts")
    if given == ["json"] and not isinstance(value, str | dict):
        raise _refusal("structured_outputs", "structured_outputs: json must be a JSON schema")


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, message, param=name, code="invalid_parameter")
