"""The forms in which SDKs send media, schemas and tools, and the shape in which engines' errors leave."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import orjson
import pytest
from everything import FLAT, RAW, Everything, ask, user
from gateway_rig import HELLO, VIDEO
from openai.types.responses import response_create_params

from server.errors import RequestError
from server.gateway.config import Replica, ServedModel
from server.gateway.media_forms import tidy_base64, tidy_messages
from server.gateway.parameters import RESPONSES

CLEAN = base64.b64encode(RAW).decode()
URL = f"data:image/jpeg;base64,{CLEAN}"


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
async def test_a_picture_is_what_its_bytes_say(everything: Everything, gateway_url: str, url: str, plain: bool) -> None:
    part = {"type": "image_url", "image_url": url if plain else {"url": url}, "cache_control": {"type": "ephemeral"}}
    status, said = await ask(gateway_url, {"messages": user(part)})
    assert status == 200, said
    sent = orjson.loads(everything.bodies[0])["messages"][0]["content"]
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


def test_of_a_video_with_too_few_frames_the_last_is_repeated() -> None:
    model = ServedModel(
        name="m", replicas=(Replica(name="r", socket="s"),), max_model_len=9, max_frames=8, fewest_frames=3
    )
    for sent, expected in (("/9j/AA,/9j/BB", "/9j/AA==,/9j/BB==,/9j/BB=="), ("A,B,C,D", "A===,B===,C===,D===")):
        part: dict[str, Any] = {"type": "video_url", "video_url": {"url": f"data:video/jpeg;base64,{sent}"}}
        assert tidy_messages([{"role": "user", "content": [part]}], model)
        assert part["video_url"]["url"] == f"data:video/jpeg;base64,{expected}"


@pytest.mark.parametrize("header", ["DATA:VIDEO/JPEG;BASE64", "data:video/jpeg;base64", "data:video/jpg;x=y;base64"])
@pytest.mark.asyncio(loop_scope="module")
async def test_frames_are_read_in_any_form(everything: Everything, gateway_url: str, header: str) -> None:
    url = f"{header},{CLEAN},{CLEAN.rstrip('=')}"
    status, said = await ask(gateway_url, {"model": VIDEO, "messages": user({"type": "video_url", "video_url": url})})
    assert status == 200, said
    sent = orjson.loads(everything.bodies[0])["messages"][0]["content"][0]["video_url"]["url"]
    assert sent == f"data:video/jpeg;base64,{CLEAN},{CLEAN}"


def test_frames_are_counted_before_anything_is_done_with_them() -> None:
    model = ServedModel(name=VIDEO, replicas=(Replica(name="v", socket="x"),), max_model_len=99, max_frames=4)
    messages = user({"type": "video_url", "video_url": "data:video/jpeg;base64," + ",%2B" * 5_000_000})
    tracemalloc.start()
    try:
        with pytest.raises(RequestError, match=r"5000001 frames, but .* looks at 4"):
            tidy_messages(messages, model)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


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
    everything: Everything, gateway_url: str, model: str, part: dict[str, Any]
) -> None:
    status, said = await ask(gateway_url, {"model": model, "messages": user(part)})
    assert status == 400
    shown = said["error"]["message"]
    form = json.loads(shown[shown.index('{"type"') : shown.rindex("}}") + 2])
    form["video_url"]["url"] = form["video_url"]["url"].replace("FRAME", CLEAN).removesuffix(",...")
    assert (await ask(gateway_url, {"model": VIDEO, "messages": user(form)}))[0] == 200


ENDLESS = {
    "$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}},
    "anyOf": [{"$ref": "#/$defs/n"}, {"type": "array", "items": {"$ref": "#"}, "minItems": 1}],
}
TOOL: dict[str, Any] = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}
NO_SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": None}}
REFUSAL = {"type": "refusal", "refusal": "red."}


def called(arguments: Any) -> dict[str, Any]:
    """The turn of a model that has called a tool."""
    function = {"name": "look", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]}


@pytest.mark.parametrize(
    ("asked", "path", "says"),
    [
        ({"model": VIDEO, "messages": HELLO, "tools": [TOOL]}, "/v1/chat/completions", "calls no tools"),
        ({"model": VIDEO, "input": "hi", "tools": [FLAT]}, "/v1/responses", "calls no tools"),
        ({"model": VIDEO, "messages": [{"role": "tool", "content": "x"}]}, "/v1/chat/completions", "calls no tools"),
        (
            {"messages": [called("[" * 3000 + "]" * 3000)], "tools": [TOOL]},
            "/v1/chat/completions",
            "nested deeper than 64 levels",
        ),
        ({"messages": [called("9" * 5000)], "tools": [TOOL]}, "/v1/chat/completions", "more than 4300 digits"),
        ({"messages": [called(None)], "tools": [TOOL]}, "/v1/chat/completions", "both as text"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "/v1/chat/completions", "must be a list"),
        ({"messages": user("red")}, "/v1/chat/completions", "part of a message must be an object"),
        ({"messages": user({"image_url": {"url": URL}})}, "/v1/chat/completions", 'is {"type": T'),
        ({"messages": HELLO, "tools": [{"type": "web_search"}]}, "/v1/chat/completions", "'web_search' is not taken"),
        ({"messages": HELLO, "tools": [{"type": "function", "function": {}}]}, "/v1/chat/completions", "needs a name"),
        ({"messages": HELLO, "tool_choice": "required"}, "/v1/chat/completions", "send the tools too"),
        ({"messages": HELLO, "tools": [TOOL], "tool_choice": "some"}, "/v1/chat/completions", "is one of none, auto"),
        (
            {"messages": HELLO, "tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "x"}}},
            "/v1/chat/completions",
            "no function 'x'",
        ),
        (
            {"messages": HELLO, "tools": [TOOL], "tool_choice": {"type": "function", "name": "look"}},
            "/v1/chat/completions",
            '{"type": "function", "function": {"name"',
        ),
        ({"input": "hi", "tools": [FLAT], "tool_choice": {"type": "mcp"}}, "/v1/responses", "names one function"),
        (
            {"input": "hi", "tools": [FLAT], "tool_choice": {"type": "function", "function": {"name": "look"}}},
            "/v1/responses",
            '{"type": "function", "name"',
        ),
        ({"messages": HELLO, "response_format": NO_SCHEMA}, "/v1/chat/completions", "needs a schema"),
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
    everything: Everything, gateway_url: str, asked: dict[str, Any], path: str, says: str
) -> None:
    status, said = await ask(gateway_url, asked, path)
    assert (status, says in said["error"]["message"]) == (400, True), said
    assert said["error"]["param"] in asked
    assert not everything.bodies


@pytest.mark.parametrize(
    ("asked", "gone"),
    [
        ({"tools": []}, {"tools"}),
        ({"tool_choice": "auto", "parallel_tool_calls": True}, {"tool_choice", "parallel_tool_calls"}),
        ({"tools": [TOOL], "tool_choice": None}, {"tool_choice"}),
        (
            {"model": VIDEO, "tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
            {"tools", "tool_choice", "parallel_tool_calls"},
        ),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_says_nothing_about_tools_is_left_out(
    everything: Everything, gateway_url: str, asked: dict[str, Any], gone: set[str]
) -> None:
    status, said = await ask(gateway_url, {"messages": HELLO} | asked)
    assert status == 200, said
    sent = orjson.loads(everything.bodies[0])
    assert not sent.keys() & gone
    assert ("tools" in sent) == ("tools" in asked and "tools" not in gone)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_response_goes_on_as_it_is_but_for_its_pictures_and_roles(
    everything: Everything, gateway_url: str
) -> None:
    asked: dict[str, Any] = {
        "instructions": "Be brief.",
        "input": [
            {"role": "developer", "content": "In English."},
            *user({"type": "input_text", "text": "What is this?"}, {"type": "input_image", "image_url": URL}),
            {"role": "assistant", "content": [{"type": "output_text", "text": "It is "}, REFUSAL], "id": "m"},
            {"type": "function_call", "call_id": "c", "name": "look", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "red"},
        ],
        "tools": [FLAT],
        "max_output_tokens": None,
        "store": False,
    }
    asked["input"][1]["content"][1]["image_url"] = URL.replace("jpeg", "JPG")
    status, said = await ask(gateway_url, asked, "/v1/responses/")
    assert (status, said) == (200, {"path": "/v1/responses"})
    sent = orjson.loads(everything.bodies[0])
    assert "max_output_tokens" not in sent
    assert sent["input"][0]["role"] == "system"
    assert sent["input"][1]["content"][1] == {"type": "input_image", "image_url": URL, "detail": "auto"}
    assert sent["input"][2] == {"type": "message", "role": "assistant", "content": "It is red."}
    assert sent["input"][3:] == asked["input"][3:]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_developer_is_the_system_of_these_models(everything: Everything, gateway_url: str) -> None:
    assert (await ask(gateway_url, {"messages": [{"role": "developer", "content": "Be brief."}, *HELLO]}))[0] == 200
    assert orjson.loads(everything.bodies[0])["messages"][0] == {"role": "system", "content": "Be brief."}


@pytest.mark.asyncio(loop_scope="module")
async def test_earlier_pictures_of_a_response_are_left_out_as_in_a_chat(
    everything: Everything, gateway_url: str
) -> None:
    shown = [{"type": "input_image", "image_url": URL}]
    turns = [{"role": "user", "content": shown}, {"role": "assistant", "content": "It is red."}]
    status, said = await ask(gateway_url, {"input": [*turns * 3, {"role": "user", "content": shown}]}, "/v1/responses")
    assert status == 200, said
    kinds = [turn["content"][0]["type"] for turn in orjson.loads(everything.bodies[0])["input"][::2]]
    assert kinds == ["input_text", "input_text", "input_image", "input_image"]


@pytest.mark.parametrize("path", ["/v1/chat/completions/", "/v1/completions/"])
@pytest.mark.asyncio(loop_scope="module")
async def test_a_slash_at_the_end_changes_nothing(everything: Everything, gateway_url: str, path: str) -> None:
    what: dict[str, Any] = {"prompt": "a"} if "chat" not in path else {"messages": HELLO}
    assert await ask(gateway_url, what, path) == (200, {"path": path.rstrip("/")})


def test_what_openais_sdk_can_ask_of_a_response_is_known() -> None:
    taken = response_create_params.ResponseCreateParamsBase.__annotations__.keys()
    of_openai_alone = {"access_programs", "background_options", "context_management", "image", "moderation"}
    assert taken - RESPONSES <= of_openai_alone  # refused by name
