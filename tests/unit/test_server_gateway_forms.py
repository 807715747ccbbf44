"""The forms in which SDKs send media, schemas and tools, and the shape in which engines' errors leave."""

from __future__ import annotations

import base64
import json
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import aiohttp
import jsonschema
import orjson
import pytest
import pytest_asyncio
from aiohttp import web
from gateway_rig import HELLO, PICTURE, VIDEO, Engine, picture, picture_model, serving, short_folder
from llguidance import LLMatcher
from openai.types.responses import response_create_params
from pydantic import BaseModel

from server.errors import RequestError
from server.gateway.config import GatewayConfig, Replica, ServedModel
from server.gateway.engine_errors import reshape, reshape_event
from server.gateway.media_forms import tidy_base64
from server.gateway.openapi import description
from server.gateway.parameters import RESPONSES
from server.gateway.prompted_schema import follow_prompted
from server.gateway.schemas import loosen, loosen_schemas

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

RAW = base64.b64decode(picture(40, 30))
RAW += bytes((1 - len(RAW)) % 3)  # so that its base64 has padding
CLEAN = base64.b64encode(RAW).decode()
URL = f"data:image/jpeg;base64,{CLEAN}"


class Everything(Engine):
    """An engine that answers at all paths, and refuses in vLLM's way what a test puts into `error`."""

    error: tuple[int, Any] | None = None

    async def chat(self, request: web.Request) -> web.StreamResponse:
        self.bodies.append(await request.read())
        if self.error is not None:
            status, said = self.error
            return web.json_response({"error": said}, status=status)
        return web.json_response({"path": request.path})

    def routes(self, app: web.Application) -> None:
        app.router.add_post("/v1/responses", self.chat)
        app.router.add_post("/v1/completions", self.chat)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine_and_address() -> AsyncIterator[tuple[Everything, str]]:
    """One gateway: a model for pictures that calls tools, and one for videos that does not; one engine for both."""
    with short_folder() as folder:
        one = picture_model(folder, max_model_len=2048, tools=True)
        replica = Replica(name="v", socket=str(folder / f"{PICTURE}.sock"))
        other = ServedModel(name=VIDEO, replicas=(replica,), max_model_len=2048, max_frames=4)
        async with (
            Everything(folder / f"{PICTURE}.sock").running() as engine,
            serving(GatewayConfig(models=(one, other))) as address,
        ):
            assert isinstance(engine, Everything)
            yield engine, address


@pytest.fixture
def engine(engine_and_address: tuple[Everything, str]) -> Everything:
    engine, _ = engine_and_address
    engine.bodies.clear()
    engine.error = None
    return engine


@pytest.fixture
def address(engine_and_address: tuple[Everything, str]) -> str:
    return engine_and_address[1]


async def ask(address: str, asked: dict[str, Any], path: str = "/v1/chat/completions") -> tuple[int, Any]:
    async with aiohttp.ClientSession() as http, http.post(address + path, json={"model": PICTURE} | asked) as answer:
        return answer.status, await answer.json()


def user(*parts: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    "url",
    [
        URL,
        URL.replace("jpeg", "jpg"),
        f"DATA:IMAGE/JPEG;BASE64,{CLEAN}",
        f"data:image/jpeg;charset=utf-8;base64,{CLEAN}",
        f"data:application/octet-stream;base64,{CLEAN}",
        f"data:;base64,{CLEAN}",
        f"data:image/png;base64,{CLEAN}",
        f"data:image/jpeg;base64,{base64.encodebytes(RAW).decode()}",
        f"data:image/jpeg;base64,{CLEAN.rstrip('=')}",
        f"data:image/jpeg;base64,{base64.urlsafe_b64encode(RAW).decode().rstrip('=')}",
        f"data:image/jpeg;base64,{CLEAN.replace('+', '%2B').replace('=', '%3D')}",
        f"data:image/jpeg;base64,{CLEAN.replace('/', '%2f').rstrip('=')}%0d%0A",
    ],
)
@pytest.mark.parametrize("plain", [False, True])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_picture_is_what_its_bytes_say(engine: Everything, address: str, url: str, plain: bool) -> None:
    part = {"type": "image_url", "image_url": url if plain else {"url": url}, "cache_control": {"type": "ephemeral"}}
    status, said = await ask(address, {"messages": user(part)})
    assert status == 200, said
    sent = orjson.loads(engine.bodies[0])["messages"][0]["content"]
    assert sent == [{"type": "image_url", "image_url": {"url": URL}}]


@pytest.mark.parametrize("piece", ["%41", "aa ", "%2B", "a\n"])
def test_base64_is_put_in_order_within_a_few_times_its_size(piece: str) -> None:
    text = piece * (1_000_000 // len(piece))
    tracemalloc.start()
    try:
        tidy_base64(text)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(text)
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("header", ["DATA:VIDEO/JPEG;BASE64", "data:video/jpeg;base64", "data:video/jpg;x=y;base64"])
@pytest.mark.asyncio(loop_scope="module")
async def test_frames_are_read_in_any_form(engine: Everything, address: str, header: str) -> None:
    url = f"{header},{CLEAN},{CLEAN.rstrip('=')}"
    status, said = await ask(address, {"model": VIDEO, "messages": user({"type": "video_url", "video_url": url})})
    assert status == 200, said
    sent = orjson.loads(engine.bodies[0])["messages"][0]["content"][0]["video_url"]["url"]
    assert sent == f"data:video/jpeg;base64,{CLEAN},{CLEAN}"


@pytest.mark.parametrize(
    ("model", "part"),
    [
        (VIDEO, {"type": "image_url", "image_url": {"url": URL}}),
        (VIDEO, {"type": "video_url", "video_url": {"url": "data:video/mp4;base64,AAAA"}}),
        (VIDEO, {"type": "video_url", "video_url": "https://example.org/a.mp4"}),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_refused_video_is_told_the_form_that_works(
    engine: Everything, address: str, model: str, part: dict[str, Any]
) -> None:
    status, said = await ask(address, {"model": model, "messages": user(part)})
    assert status == 400
    shown = said["error"]["message"]
    form = json.loads(shown[shown.index('{"type"') : shown.rindex("}}") + 2])
    form["video_url"]["url"] = form["video_url"]["url"].replace("FRAME", CLEAN).removesuffix(",...")
    assert (await ask(address, {"model": VIDEO, "messages": user(form)}))[0] == 200


ENDLESS = {
    "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
    "anyOf": [{"$ref": "#/$defs/n"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}],
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
CALLED_DEEPLY: dict[str, Any] = {
    "role": "assistant",
    "tool_calls": [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "[" * 3000 + "]" * 3000}}],
}
FLAT: dict[str, Any] = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}


@pytest.mark.parametrize(
    ("asked", "path", "says"),
    [
        ({"model": VIDEO, "messages": HELLO, "tools": [TOOL]}, "/v1/chat/completions", "calls no tools"),
        ({"model": VIDEO, "input": "hi", "tools": [FLAT]}, "/v1/responses", "calls no tools"),
        ({"model": VIDEO, "messages": [{"role": "tool", "content": "x"}]}, "/v1/chat/completions", "calls no tools"),
        ({"messages": [CALLED_DEEPLY], "tools": [TOOL]}, "/v1/chat/completions", "nested deeper than 64 levels"),
        ({"messages": HELLO, "tools": [{"type": "web_search"}]}, "/v1/chat/completions", "'web_search' is not taken"),
        ({"messages": HELLO, "tools": [{"type": "function", "function": {}}]}, "/v1/chat/completions", "needs a name"),
        ({"messages": HELLO, "tool_choice": "required"}, "/v1/chat/completions", "send the tools too"),
        ({"messages": HELLO, "tools": [TOOL], "tool_choice": "some"}, "/v1/chat/completions", "is one of none, auto"),
        (
            {"messages": HELLO, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "/v1/chat/completions",
            "no function 'x'",
        ),
        ({"input": "hi", "tools": [FLAT], "tool_choice": {"type": "mcp"}}, "/v1/responses", "names one function"),
        ({"input": "hi", "store": True}, "/v1/responses", "leave store out"),
        ({"input": "hi", "previous_response_id": "r"}, "/v1/responses", "whole conversation in input"),
        ({"input": "hi", "conversation": "c"}, "/v1/responses", "whole of it in input"),
        ({"input": "hi", "background": True}, "/v1/responses", "at once"),
        ({"input": "hi", "prompt": {"id": "p"}}, "/v1/responses", "no stored prompts"),
        ({"input": "hi", "truncation": "auto"}, "/v1/responses", "only 'disabled'"),
        ({"input": []}, "/v1/responses", "at least one item"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "/v1/responses", "store: false"),
        ({"input": [{"type": "computer_call"}]}, "/v1/responses", "'computer_call' is not taken"),
        ({"input": user({"type": "input_file", "file_id": "f"})}, "/v1/responses", "/v1/chat/completions"),
        ({"input": user({"type": "input_image", "file_id": "f"})}, "/v1/responses", "must be a data URL"),
        ({"input": user({"type": "input_image", "image_url": "http://10.0.0.1/"})}, "/v1/responses", "only data:"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "/v1/responses", "role is one of user"),
        ({"input": [{"type": ["message"], "role": "user", "content": "x"}]}, "/v1/responses", "['message']\" is not"),
        ({"input": user({"type": ["input_text"], "text": "x"})}, "/v1/responses", "['input_text']\" is not"),
        ({"input": [{"role": "user"}]}, "/v1/responses", "content is missing"),
        ({"input": [{"type": "function_call", "name": "x"}]}, "/v1/responses", "call_id is missing"),
        ({"input": "hi", "text": {"format": {"type": "grammar"}}}, "/v1/responses", "text: its type is"),
        ({"input": "hi", "text": {"format": {"type": "json_schema", "schema": 5}}}, "/v1/responses", "needs a schema"),
        ({"input": "hi", "max_output_tokens": -1}, "/v1/responses", "max_output_tokens must be"),
        (
            {"messages": HELLO, "response_format": {"type": "json_schema", "json_schema": {"schema": ENDLESS}}},
            "/v1/chat/completions",
            "without end",
        ),
        ({"input": "hi", "n": 2}, "/v1/responses", "no parameter 'n'"),
        ({"messages": HELLO, "guided_json": {}}, "/v1/chat/completions", 'structured_outputs: {"json": SCHEMA}'),
        ({"messages": HELLO, "functions": []}, "/v1/chat/completions", "send tools"),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_cannot_be_done_is_refused_in_words(
    engine: Everything, address: str, asked: dict[str, Any], path: str, says: str
) -> None:
    status, said = await ask(address, asked, path)
    assert (status, says in said["error"]["message"]) == (400, True), said
    assert said["error"]["param"] in asked
    assert not engine.bodies


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"tools": []}, {"tools"}),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, {"tool_choice", "parallel_tool_calls"}),
        ({"tools": [TOOL], "tool_choice": None}, {"tool_choice"}),
        ({"model": VIDEO, "tools": [TOOL], "tool_choice": "none"}, {"tools", "tool_choice"}),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_says_nothing_about_tools_is_left_out(
    engine: Everything, address: str, asked: dict[str, Any], gone: set[str]
) -> None:
    status, said = await ask(address, {"messages": HELLO} | asked)
    assert status == 200, said
    sent = orjson.loads(engine.bodies[0])
    assert not sent.keys() & gone
    assert ("tools" in sent) == ("tools" in asked and "tools" not in gone)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_response_goes_on_as_it_is_but_for_its_pictures_and_roles(engine: Everything, address: str) -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "In English."},
            *user({"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": URL}),
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "red"},
        ],
        "tools": [FLAT],
        "max_output_tokens": None,
        "store": False,
    }
    asked["input"][1]["content"][1]["image_url"] = URL.replace("jpeg", "JPG")
    status, said = await ask(address, asked, "/v1/responses/")
    assert (status, said) == (200, {"path": "/v1/responses"})
    sent = orjson.loads(engine.bodies[0])
    assert "max_output_tokens" not in sent
    assert sent["input"][0]["role"] == "system"
    assert sent["input"][1]["content"][1] == {"type": "input_image", "image_url": URL, "detail": "auto"}
    assert sent["input"][2:] == asked["input"][2:]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_developer_is_the_system_of_these_models(engine: Everything, address: str) -> None:
    assert (await ask(address, {"messages": [{"role": "developer", "content": "Be brief."}, *HELLO]}))[0] == 200
    assert orjson.loads(engine.bodies[0])["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.asyncio(loop_scope="module")
async def test_earlier_pictures_of_a_response_are_left_out_as_in_a_chat(engine: Everything, address: str) -> None:
    shown = [{"type": "input_image", "image_url": URL}]
    turns = [{"role": "user", "content": shown}, {"role": "assistant", "content": "It is red."}]
    status, said = await ask(address, {"input": [*turns * 3, {"role": "user", "content": shown}]}, "/v1/responses")
    assert status == 200, said
    kinds = [turn["content"][0]["type"] for turn in orjson.loads(engine.bodies[0])["input"][::2]]
    assert kinds == ["input_text", "input_text", "input_image", "input_image"]


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/completions/"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_slash_at_the_end_changes_nothing(engine: Everything, address: str, path: str) -> None:
    what: dict[str, Any] = {"prompt": "a"} if "chat" not in path else {"messages": HELLO}
    assert await ask(address, what, path) == (200, {"path": path.rstrip("/")})


def test_what_openais_sdk_can_ask_of_a_response_is_known() -> None:
    taken = response_create_params.ResponseCreateParamsBase.__annotations__.keys()
    of_openai_alone = {"access_programs", "background_options", "context_management", "image", "moderation"}
    assert taken - RESPONSES <= of_openai_alone  # refused by name


SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "format": "path"},
        "mail": {"type": "string", "format": "email", "pattern": r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z.]+$"},
        "price": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}]},
        "marks": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "integer"}},
        "by": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "boolean"}},
        "of": {"type": "object", "propertyNames": {"pattern": "^x"}, "additionalProperties": {"type": "boolean"}},
        "set": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": r"\bfoo\b[()]"}},
        "pattern": {"type": "object", "properties": {"format": {"type": "string"}}, "maxProperties": 4},
    },
    "required": ["path"],
    "x-guidance": {"whitespace_flexible": True},
}


def test_schemas_of_sdks_become_such_as_grammars_take() -> None:
    schema = json.loads(json.dumps(SCHEMA))
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema), None)
    assert loosen(schema)
    assert not LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema), None)
    good = {"path": "a", "mail": "a@b", "by": {"a": True}, "of": {"xy": True}, "set": ["foo("], "marks": {"z": 1}}
    jsonschema.validate(good, schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({"path": "a", "by": {"c": True}})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"path": "a", "other": 1})  # no name is made up
    assert not loosen(schema)
    chain = {f"d{n}": {"properties": {"x": {"$ref": f"#/$defs/d{n + 1}"}}, "required": ["x"]} for n in range(900)}
    with pytest.raises(RequestError, match="too long a chain"):
        loosen_schemas({"structured_outputs": {"json": {"$defs": chain, "$ref": "#/$defs/d0"}}})
    tree = {
        "$defs": {"n": {"properties": {"n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["n"]}}
    }
    assert loosen_schemas({"text": {"format": {"type": "json_schema", "schema": tree | {"$ref": "#/$defs/n"}}}})
    assert not loosen({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]})


@pytest.mark.parametrize(
    "schema",
    [
        {"format": ["uuid"]},
        {"format": {}},
        {"properties": [{}], "required": ["a"], "minProperties": 1},
        {"properties": "a", "propertyNames": {"enum": ["a"]}},
        {"patternProperties": [1], "propertyNames": {"pattern": "a"}},
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_schema_is_left_to_the_engine(
    engine: Everything, address: str, schema: dict[str, Any]
) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert (await ask(address, {"messages": HELLO, "response_format": format_}))[0] == 200
    assert len(engine.bodies) == 1


def test_a_schema_that_is_written_as_text_is_read() -> None:
    asked = {"structured_outputs": {"json": '{"type": "string", "pattern": "(?=a)b", "x-guidance": {}}'}}
    assert loosen_schemas(asked)
    assert asked == {"structured_outputs": {"json": {"type": "string", "pattern": "b"}}}
    endless = {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    with pytest.raises(RequestError, match="value without end"):
        loosen_schemas({"structured_outputs": {"json": orjson.dumps(endless).decode()}})
    with pytest.raises(RequestError, match="must be an object"):
        loosen_schemas({"structured_outputs": {"json": "true"}})


@pytest.mark.asyncio(loop_scope="module")
async def test_the_schemas_of_a_request_are_loosened_wherever_they_stand(engine: Everything, address: str) -> None:
    class Names(BaseModel):
        names: set[str]

    schema = Names.model_json_schema()
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    await ask(address, {"messages": HELLO, "tools": [tool], "response_format": format_})
    await ask(address, {"prompt": "a", "structured_outputs": {"json": schema}}, "/v1/completions")
    text = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    await ask(address, {"input": "hi", "tools": [FLAT | {"parameters": schema}], "text": text}, "/v1/responses")
    assert len(engine.bodies) == 3
    assert not any(b"uniqueItems" in body for body in engine.bodies)


ANNOUNCED = "Give the parsed objects in json that match the following json_schema:\n\n{}\n\nNot the schema itself."
BELOW = "JSON schema:\n{}\nYou MUST answer with a JSON object that matches the JSON schema above."


class Place(BaseModel):
    """A place."""

    name: str


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        (ANNOUNCED.format(json.dumps(Place.model_json_schema(), indent=2)), True),
        (BELOW.format(json.dumps(Place.model_json_schema())), True),
        ('The output must conform to the JSON schema below.\n```\n{"properties": {"name": {}}}\n```', True),
        ('Answer in JSON, such as {"name": "here"}, according to this: {"properties": {}}', False),
        ('Follow this json schema: {"type": "array", "items": {}}', False),
        ('Follow this json schema: {"properties": {"a": {}}, "not": {}}', False),
        ('Follow this json schema: {"properties": {"a": {"maxLength": 99999}}}', False),
        ("Follow the JSON schema {{{{{{{{{{{{", False),
        (f'Follow this json schema: {{"properties": {{"a": {{"maximum": {10**30}}}}}}}', False),
        ('Follow this json schema: {"properties": {"\\ud800": {}}}', False),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_schema_that_the_prompt_announces_is_followed(
    engine: Everything, address: str, text: str, followed: bool
) -> None:
    asked = {"response_format": {"type": "json_object"}, "messages": [{"role": "system", "content": text}, *HELLO]}
    assert (await ask(address, asked))[0] == 200
    sent = orjson.loads(engine.bodies[0])["response_format"]
    assert sent["type"] == ("json_schema" if followed else "json_object")
    if followed:
        assert sent["json_schema"]["schema"]["properties"].keys() == {"name"}
    await ask(address, asked | {"response_format": {"type": "text"}})
    assert orjson.loads(engine.bodies[1])["response_format"] == {"type": "text"}


def test_no_text_makes_looking_for_a_schema_long() -> None:
    message = {"role": "user", "content": "match" * 26_000}
    began = time.process_time()
    assert not follow_prompted({"response_format": {"type": "json_object"}, "messages": [message]})
    assert time.process_time() - began < 1


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
        (400, {"message": "No. See https://docs.vllm.ai/x", "code": 400}, 400, "No."),
        (400, {"message": 'Grammar error: Unimplemented keys: ["not"]'}, 400, "the schema cannot be followed: Unimp"),
        (500, {"message": "", "code": 500}, 502, "the engine failed at this request"),
        (500, {"message": "index 875 is out of bounds", "code": 500}, 502, "index 875"),
        (501, {"message": "no such API", "code": 501}, 400, "no such API"),
        (400, {"message": "x" * 9999}, 400, "xxx..."),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_errors_of_engines_have_our_documented_shape(
    engine: Everything, address: str, status: int, said: Any, then: int, expected: str
) -> None:
    engine.error = status, said
    for path, what in (("/v1/chat/completions", {"messages": HELLO}), ("/v1/responses", {"input": "hi"})):
        got, error = await ask(address, what, path)
        assert got == then
        check_error(path, got, error)
        message = error["error"]["message"]
        assert expected in message
        assert "http" not in message
        assert "(parameter" not in message
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
