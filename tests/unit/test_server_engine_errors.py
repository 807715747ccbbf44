"""Errors of engines leave the gateway in our own documented shape."""

from __future__ import annotations

import time
from typing import Any

import jsonschema
import orjson
import pytest
from everything import Everything, ask
from gateway_rig import HELLO

from server.gateway.engine_errors import reshape, reshape_event
from server.gateway.openapi import description

OWN_DUMP = (
    "1 validation error for ValidatorIterator\n0.TextParam.text\n  Input should be a valid string [type=string_type, "
    "input_value=None, input_type=NoneType]\n    For further information visit https://errors.pydantic.dev/2/v/string_type"
)
DUMP = (
    "2 validation errors:\n  {'type': 'value_error', 'loc': 'body.messages.0.role', "
    "'msg': 'Value error, it\\'s no role', 'input': {'a': 1}, 'ctx': {'error': X()}, "
    "'url': 'https://errors.pydantic.dev/2/v/value_error'}\n  {...}"
)


@pytest.mark.parametrize(
    ("status", "said", "then", "expected"),
    [
        (400, {"message": DUMP, "param": "body.messages.0.role", "code": 400}, 400, "messages.0.role: it's no role"),
        (400, {"message": OWN_DUMP}, 400, "0.text: Input should be a valid string"),
        (400, {"message": "Bad. (parameter=n, value=3)", "param": "n", "code": 400}, 400, "Bad."),
        (400, {"message": OWN_DUMP, "param": "0.text"}, 400, "0.text: Input should be"),
        (400, {"message": "No. See https://docs.vllm.ai/x", "code": 400}, 400, "No."),
        (400, {"message": 'Grammar error: Unimplemented keys: ["not"]'}, 400, "the schema cannot be followed: Unimp"),
        (500, {"message": "", "code": 500}, 502, "the engine failed at this request"),
        (500, {"message": "index 875 is out of bounds", "code": 500}, 502, "index 875"),
        (501, {"message": "no such API", "code": 501}, 400, "no such API"),
        (400, {"message": "x" * 9999}, 400, "xxx..."),
        (
            400,
            {"message": "Failed to apply Qwen3VLProcessor on data={'videos': [array([[[0, 0, 0]]])]} with kwargs={}"},
            400,
            "the model's processor (Qwen3VLProcessor) cannot read the pictures or frames of this request",
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_errors_of_engines_have_our_documented_shape(
    everything: Everything, gateway_url: str, status: int, said: Any, then: int, expected: str
) -> None:
    everything.error = status, said
    for path, what in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/responses", {"input": "hi"})):
        got, error = await ask(gateway_url, what, path)
        assert got == then
        check_error(path, got, error)
        message = error["error"]["message"]
        assert expected in message
        assert "http" not in message
        assert "(parameter" not in message
        assert not (error["error"]["param"] or "").isdigit()
        assert len(message) < 1000


def check_error(path: str, status: int, error: Any) -> None:
    """An error is as our own description says, and as OpenAI's does: `Error` of its OpenAPI document."""
    document = description()
    answer = document["paths"][path]["post"]["responses"][str(status)]["content"]["application/json"]["schema"]
    jsonschema.validate(error, {"components": document["components"]} | answer)
    text, or_null = {"type": "string"}, {"anyOf": [{"type": "string"}, {"type": "null"}]}
    openais = {"code": or_null, "message": text, "param": or_null, "type": text}
    jsonschema.validate(error["error"], {"type": "object", "properties": openais, "required": list(openais)})


def test_what_is_no_error_of_vllms_is_told_too() -> None:
    assert orjson.loads(reshape(400, b"<html>no</html>")[1])["error"]["message"] == "<html>no</html>"
    assert orjson.loads(reshape(422, b'{"detail": "no"}')[1])["error"]["message"] == "no"
    assert orjson.loads(reshape(400, b'["no"]')[1])["error"]["message"] == "['no']"
    own = b'{"error":{"message":"no","type":"invalid_request_error","param":"texts","code":"text_too_long"}}'
    assert reshape(400, own) == (400, own)
    long = b'{"error":{"message":"maximum context length is 9","param":"input_tokens","code":400}}'
    assert orjson.loads(reshape(400, long)[1])["error"] == {
        "message": "maximum context length is 9",
        "type": "invalid_request_error",
        "param": None,
        "code": "context_length_exceeded",
    }


@pytest.mark.parametrize(
    "message",
    ["x" + " " * 1500 + "y", "x" + "\n" * 3000, "1 validation error: 'msg': '" + "\\n" * 3000 + "'"],
)
def test_no_message_of_an_engine_takes_long_to_put_in_order(message: str) -> None:
    began = time.process_time()
    reshape(400, orjson.dumps({"error": {"message": message, "code": 400}}))
    assert time.process_time() - began < 1


def test_an_error_within_a_stream_has_our_shape_too() -> None:
    piece = b'data: {"error": {"message": "Boom", "type": "X", "param": null, "code": 500}}\n\ndata: [DONE]\n\n'
    event, rest = reshape_event(piece).split(b"\n\n", 1)
    assert rest == b"data: [DONE]\n\n"
    assert orjson.loads(event[6:])["error"]["code"] == "engine_error"
    text = b'data: {"choices": [{"delta": {"content": "data: {\\"error\\""}}]}\n\n'
    assert reshape_event(text) == text
