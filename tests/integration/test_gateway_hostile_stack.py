"""Requests that mean no good, against real engines: none restarts, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import io
import time
from itertools import cycle
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson
import psutil
import pytest
import pytest_asyncio
from canaries import CANARIES, SECRET, raw
from gateway_rig import image, picture, video
from PIL import Image

from server.alone import find_engine
from server.gateway.config import Limits
from server.profile import load_profile
from server.sizing.machine import GIB, tree_memory
from server.status import ask as ask_supervisor

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from scripts.demo.stack import Stack

PICTURES, VIDEOS = MODELS = ("llama-3.2-11b-vision", "llava-next-video-7b")
CHAT, COMPLETION = "/v1/chat/completions", "/v1/completions"
SERVED_S = 60.0
"""How long somebody else waits for 8 tokens meanwhile: 2 s on a quiet machine, and test machines are not quiet."""
HOLDS = 2048
TEXT_LIMIT = HOLDS * Limits().max_characters_per_token
PICTURE_PART = image(f"data:image/jpeg;base64,{picture(96, 64)}")[0]["content"][0]
VIDEO_PART = video(4)[0]["content"][0]
MEDIA = {PICTURES: PICTURE_PART, VIDEOS: VIDEO_PART}
OF_SEVERAL_KINDS = {
    "type": "object",
    "properties": {f"p{n}": {"type": "array", "maxItems": 4096, "items": {"maxLength": 4096}} for n in range(200)},
}
OPTIONAL = {"type": "object", "properties": {f"p{n}": {"type": "integer"} for n in range(400)}}
UNION = {"anyOf": [{"type": "object", "properties": {f"p{n}": {"enum": list(range(9))}}} for n in range(400)]}
RECURSIVE = {"$defs": {"x": {"anyOf": [{"type": "array", "items": {"$ref": "#/$defs/x"}}] * 9}}, "$ref": "#/$defs/x"}
REGULAR = {"type": "object", "properties": {f"p{n}": {"pattern": "^(.*a.*b|(a|aa)+){50}$"} for n in range(50)}}
LONG = {"const": "y" * 60_000}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def parts(stack: Stack) -> Iterator[dict[str, int]]:
    """Process ids of all parts; none has been restarted, and none takes more memory than planned, at the end."""

    def told() -> list[dict[str, Any]]:
        status = ask_supervisor(int(stack.endpoint.split(":")[2].removesuffix("/v1")))
        assert status is not None
        return list(status["parts"])

    before = {part["name"]: part["pid"] for part in told()}
    yield before
    assert {part["name"]: part["pid"] for part in told()} == before
    profile = load_profile("demo")
    for name in MODELS:
        assert tree_memory(before[f"vllm-{name}"]) < find_engine(profile, name).memory_gib * GIB
    assert psutil.Process(before["gateway"]).memory_info().rss < GIB


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def http(stack: Stack, parts: dict[str, int]) -> AsyncIterator[aiohttp.ClientSession]:
    timeout = aiohttp.ClientTimeout(120)
    async with aiohttp.ClientSession(stack.endpoint.removesuffix("/v1"), timeout=timeout) as session:
        yield session


async def post(http: aiohttp.ClientSession, path: str, asked: dict[str, Any] | bytes) -> tuple[int, dict[str, Any]]:
    """Status, and the error if there is one."""
    body = asked if isinstance(asked, bytes) else orjson.dumps(asked)
    async with http.post(path, data=body) as answer:
        said = await answer.read()
        plain = answer.content_type == "application/json"
        return answer.status, orjson.loads(said).get("error") or {} if plain else {}


async def others_are_served(http: aiohttp.ClientSession, model: str) -> None:
    began = time.monotonic()
    asked = {"model": model, "prompt": "Describe this.", "max_tokens": 8}
    assert (await post(http, COMPLETION, asked))[0] == 200
    assert time.monotonic() - began < SERVED_S


async def beside(http: aiohttp.ClientSession, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Ask, and see that somebody else is served while it is answered and afterwards."""
    asking = asyncio.create_task(post(http, path, asked))
    await asyncio.sleep(0.05)
    await others_are_served(http, asked["model"])
    answer = await asking
    await others_are_served(http, asked["model"])
    return answer


def chat(model: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": content}], "max_tokens": 4, **more}


def text(characters: int, piece: str = "red ") -> str:
    return (piece * (characters // len(piece) + 1))[:characters]


def in_turns(*cases: tuple[Any, ...]) -> list[tuple[Any, ...]]:
    """Each case for one of the models in turn: what is tried is the gateway's and vLLM's, not a model's."""
    return [(model, *case) for model, case in zip(cycle(MODELS), cases, strict=False)]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "more",
    [
        {"echo": True},
        {"prompt_logprobs": 0},
        {"bad_words": [text(4 << 20), text(4 << 20)]},
        {"stop": [text(1 << 20)] * 16},
        {"truncate_prompt_tokens": 5, "documents": [{"text": text(20 << 20)}]},
        {"n": 8, "logprobs": True, "top_logprobs": 20, "max_tokens": 1000},
        {"structured_outputs": {"json": '{"minItems": 99999999}'}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"pattern": "a{5000}"}}}},
        {"structured_outputs": {"json": {"type": "string", "pattern": "^((a{60}){60}){60}$"}}},
        {"structured_outputs": {"json": {"type": "string", "pattern": "^((a|aa){31}){31}$"}}},
        {"structured_outputs": {"json": {"type": "integer", "multipleOf": 9999991}}},
        {"truncate_prompt_tokens": 5},
        {"truncate_prompt_tokens": 1, "truncation_side": "left"},
        {"truncate_prompt_tokens": 5, "truncation_side": "right"},
    ],
)
async def test_what_would_hurt_is_refused_with_media(
    http: aiohttp.ClientSession, model: str, more: dict[str, Any]
) -> None:
    question = [MEDIA[model], {"type": "text", "text": "Describe this."}]
    status, error = await beside(http, CHAT, chat(model, question, **more))
    if model == PICTURES and "truncate_prompt_tokens" in more and "documents" not in more:
        assert status in {200, 400}  # its picture is one token of the prompt
    else:
        assert status == 400
    assert status == 200 or error["message"]


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "asked",
    [
        {"prompt": text(20 << 20), "truncate_prompt_tokens": 5},
        {"prompt": [text(1000)] * 32, "n": 8, "logprobs": 20, "max_tokens": 200},
        {"prompt": [[7] * 2000] * 32, "prompt_logprobs": 20},
        {"prompt": [[7] * 5000] * 32},
    ],
)
async def test_completions_that_would_hurt_are_refused(
    http: aiohttp.ClientSession, model: str, asked: dict[str, Any]
) -> None:
    assert (await beside(http, COMPLETION, {"model": model, **asked}))[0] == 400


@pytest.mark.parametrize("model", MODELS)
async def test_parts_without_end_are_refused(http: aiohttp.ClientSession, model: str) -> None:
    assert (await beside(http, CHAT, chat(model, [{"type": "text", "text": "x"}] * 100_000)))[0] == 400


@pytest.mark.parametrize(
    ("model", "path", "asked"),
    in_turns(
        (CHAT, chat("", text(TEXT_LIMIT - 8), truncate_prompt_tokens=50)),
        (CHAT, chat("", text(TEXT_LIMIT - 8, "\U0001f469‍"), truncate_prompt_tokens=50, truncation_side="left")),
        (CHAT, chat("", text(TEXT_LIMIT - 8, " "), truncate_prompt_tokens=50)),
        (CHAT, chat("", [{"type": "text", "text": "red "}] * 1024)),
        (CHAT, chat("", "red", bad_words=[text(32, f"{n} ") for n in range(256)])),
        (CHAT, chat("", "red", stop=[text(512)] * 16, max_tokens=200, ignore_eos=True)),
        (CHAT, chat("", "red", n=1, logprobs=True, top_logprobs=20, max_tokens=200, ignore_eos=True)),
        (
            CHAT,
            chat("", "red", n=8, max_tokens=128, ignore_eos=True, min_p=0.1, frequency_penalty=1, logit_bias={"9": 1}),
        ),
        (CHAT, chat("", "red", response_format={"type": "json_object"}, n=8, max_tokens=64)),
        *(
            (CHAT, chat("", "red", structured_outputs={"json": schema}))
            for schema in (OF_SEVERAL_KINDS, OPTIONAL, UNION, RECURSIVE, REGULAR, LONG, {"enum": list(range(1000))})
        ),
        (CHAT, chat("", "red", structured_outputs={"choice": [f"colour {n}" for n in range(1000)]})),
        (COMPLETION, {"prompt": [text(400)] * 32, "n": 2, "max_tokens": 8, "logprobs": 5}),
        (COMPLETION, {"prompt": [[7 + n] * 1900 for n in range(8)], "max_tokens": 1}),
        (COMPLETION, {"prompt": [[7] * 1900], "max_tokens": 1, "prompt_logprobs": 20}),
        (COMPLETION, {"prompt": [7] * 1900, "max_tokens": 0, "echo": True, "logprobs": 20}),
    ),
)
async def test_the_most_that_is_let_through_stalls_nobody(
    http: aiohttp.ClientSession, model: str, path: str, asked: dict[str, Any]
) -> None:
    status, error = await beside(http, path, asked | {"model": model})
    assert status in {200, 400}, error


@pytest.mark.parametrize("model", MODELS)
async def test_what_stands_for_media_in_a_text_is_text_or_is_refused(http: aiohttp.ClientSession, model: str) -> None:
    marks = ("<|image|>", "<image>", "<video>", "<|eot_id|>", "</s>", "<|begin_of_text|>", "\0", "\ud7ff\ufffe")
    questions: list[Any] = [f"{mark} {mark} Describe this." for mark in marks]
    questions += [[MEDIA[model], {"type": "text", "text": question}] for question in questions]
    asked = [(CHAT, chat(model, question, logprobs=True)) for question in questions]
    options: list[dict[str, Any]] = [{}, {"echo": True, "logprobs": 1}]
    options += [{"prompt_logprobs": 1, "repetition_penalty": 1.2}]
    short = [{"model": model, "prompt": f"{mark} red", "max_tokens": 2} for mark in marks]
    asked += [(COMPLETION, one | more) for one in short for more in options]
    await all_are_answered_or_refused(http, model, asked)


@pytest.mark.parametrize("model", MODELS)
async def test_ids_of_tokens_that_the_model_has_not_are_refused(http: aiohttp.ClientSession, model: str) -> None:
    ids = (-1, 4, 5, 874, 875, 876, 900, 901, 902, 128_256, 2**31, 2**63 - 1)
    asked: list[tuple[str, dict[str, Any]]] = []
    for number in ids:
        prompts: list[dict[str, Any]] = [{}, {"echo": True, "logprobs": 1}]
        prompts += [{"prompt_logprobs": 1}, {"presence_penalty": 1}]
        asked += [(COMPLETION, {"model": model, "prompt": [7, number, 8], "max_tokens": 2, **more}) for more in prompts]
        for more in (
            {"stop_token_ids": [number]},
            {"allowed_token_ids": [number]},
            {"logit_bias": {str(number): 5}},
            {"logprobs": True, "logprob_token_ids": [number]},
        ):
            asked.append((CHAT, chat(model, "red", **more)))
    await all_are_answered_or_refused(http, model, asked)


@pytest.mark.parametrize("model", MODELS)
async def test_values_out_of_range_are_refused(http: aiohttp.ClientSession, model: str) -> None:
    odd: list[Any] = [-1, 0, 2**31, 2**63, 1e308, -1e308, 0.5, "", "x", [], {}, [None], {"x": None}, True, None]
    names = """temperature top_p top_k min_p seed n best_of max_tokens min_tokens frequency_penalty presence_penalty
        repetition_penalty length_penalty stop bad_words stop_token_ids allowed_token_ids logit_bias logprobs
        top_logprobs truncate_prompt_tokens truncation_side response_format structured_outputs repetition_detection
        thinking_token_budget stream_interval cache_salt request_id tools tool_choice documents stream_options
        chat_template_kwargs continue_final_message add_generation_prompt""".split()  # noqa: SIM905
    asked = [(CHAT, chat(model, "red") | {name: value}) for name in names for value in odd]
    await all_are_answered_or_refused(http, model, asked, at_a_time=8)


@pytest.mark.parametrize("model", MODELS)
async def test_messages_of_odd_forms_are_refused(http: aiohttp.ClientSession, model: str) -> None:
    prompts: list[Any] = [[], [[]], "", [""], None, [None], {}, [["red"]], [[7], "red"], [7, "red"], 7, True]
    asked: list[tuple[str, dict[str, Any]]] = [(COMPLETION, {"model": model, "prompt": prompt}) for prompt in prompts]
    media = MEDIA[model]
    messages: list[Any] = [
        [{"role": "user", "content": ""}],
        [{"role": "user", "content": []}],
        [{"role": "user"}],
        [{"role": "nobody", "content": "red"}],
        [{"role": None, "content": "red"}],
        [{"content": "red"}],
        [{"role": "assistant", "content": "red"}],
        [{"role": "system", "content": "red"}],
        [{"role": "system", "content": [media]}],
        [{"role": "tool", "content": "red", "tool_call_id": "x"}],
        [{"role": "assistant", "content": None, "tool_calls": [{"id": "x", "type": "function", "function": {}}]}],
        [{"role": "user", "content": [{"type": "text", "text": None}]}],
        [{"role": "user", "content": [{"type": "text", "text": {"x": 1}}]}],
        [{"role": "user", "content": [media, media]}],
        [{"role": "user", "content": [media]}, {"role": "user", "content": [media]}],
        [{"role": "user", "content": [media], "name": "x" * 1000}],
        [{"role": "user", "content": "red"}] * 1024,
    ]
    asked += [(CHAT, {"model": model, "messages": message, "max_tokens": 2}) for message in messages]
    await all_are_answered_or_refused(http, model, asked)


async def all_are_answered_or_refused(
    http: aiohttp.ClientSession, model: str, asked: list[tuple[str, dict[str, Any]]], at_a_time: int = 4
) -> None:
    """Nothing is the engine's or the gateway's own failure, and somebody else is served in the end."""
    wrong = []
    for begin in range(0, len(asked), at_a_time):
        some = asked[begin : begin + at_a_time]
        for one, (status, error) in zip(some, await asyncio.gather(*(post(http, *each) for each in some)), strict=True):
            if status >= 500:
                wrong.append(f"{str(one)[:200]}: {status} {error}")
    assert not wrong, "\n".join(wrong)
    await others_are_served(http, model)


@pytest.mark.parametrize("model", MODELS)
async def test_what_contradicts_itself_ends(http: aiohttp.ClientSession, model: str) -> None:
    """An answer that may have no next token: the engine may fail at it, in words, and at nothing else."""
    structures: list[dict[str, Any]] = [
        {"structured_outputs": {"choice": ["red", "blue"]}},
        {"response_format": {"type": "json_object"}},
        {"structured_outputs": {"json": {"type": "object", "properties": {"a": {"enum": ["red"]}}, "required": ["a"]}}},
    ]
    contradictions: list[dict[str, Any]] = [
        {"min_tokens": 60},
        {"ignore_eos": True},
        {"min_tokens": 60, "ignore_eos": True},
        {"allowed_token_ids": [9]},
        {"stop_token_ids": list(range(6, 200))},
        {"bad_words": ["red", "blue", "{", "}", '"']},
        {"logit_bias": {str(number): -100 for number in range(800)}},
        {"stop": ["r", "{", "b"], "include_stop_str_in_output": True},
        {"n": 3, "temperature": 2, "frequency_penalty": 2, "presence_penalty": 2, "repetition_penalty": 100},
        {"max_tokens": 1},
    ]
    both = [{"max_tokens": 64, **one, **other} for one in structures for other in contradictions]
    both += [one | {"stream": True} for one in both if "ignore_eos" in one]
    some = both[MODELS.index(model) :: 2]
    asked = [chat(model, [MEDIA[model], {"type": "text", "text": "red"}]) | one for one in some]
    for begin in range(0, len(asked), 6):
        for status, error in await asyncio.gather(*(post(http, CHAT, one) for one in asked[begin : begin + 6])):
            assert status in {200, 400} or (status, error["code"]) == (502, "engine_error")
    await others_are_served(http, model)


@pytest.mark.parametrize("model", MODELS)
async def test_two_requests_may_call_themselves_the_same(http: aiohttp.ClientSession, model: str) -> None:
    asked = chat(model, "red", request_id="same", max_tokens=64)
    headers = {"X-Request-Id": "same"}

    async def ask() -> int:
        async with http.post(CHAT, json=asked, headers=headers) as answer:
            await answer.read()
            return answer.status

    assert await asyncio.gather(*(ask() for _ in range(8))) == [200] * 8


@pytest.mark.parametrize("model", MODELS)
async def test_clients_that_hang_up_leave_nothing_behind(http: aiohttp.ClientSession, model: str) -> None:
    question = [MEDIA[model], {"type": "text", "text": "Describe this."}]
    asked = chat(model, question, max_tokens=900, ignore_eos=True)
    asking = [asyncio.create_task(post(http, CHAT, asked)) for _ in range(40)]
    for number, one in enumerate(asking):
        await asyncio.sleep(0.01 * (number % 5))
        one.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    await others_are_served(http, model)


async def test_small_files_of_many_pixels_stay_within_the_memory_that_is_planned(
    http: aiohttp.ClientSession, parts: dict[str, int]
) -> None:
    """Decoded all at once they would take another two gigabytes."""
    large = io.BytesIO()
    Image.new("1", (7000, 7000)).save(large, "PNG")
    url = "data:image/png;base64," + base64.b64encode(large.getvalue()).decode()
    asking = [asyncio.create_task(post(http, CHAT, chat(PICTURES, image(url)[0]["content"]))) for _ in range(5)]
    most = 0
    while not all(task.done() for task in asking):
        most = max(most, await asyncio.to_thread(tree_memory, parts[f"vllm-{PICTURES}"]))
        await asyncio.sleep(0.05)
    assert {task.result()[0] for task in asking} == {200}
    assert most < find_engine(load_profile("demo"), PICTURES).memory_gib * GIB
    await others_are_served(http, PICTURES)


def read_all(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file()}


IN_FIELDS = {"q": "a car", "text": "a car", "source": "en", "target": "es", "format": "text", "api_key": "", "keep": []}


@pytest.mark.asyncio(loop_scope="module")
async def test_no_log_and_no_command_line_of_any_part_has_a_key(
    http: aiohttp.ClientSession, stack: Stack, logs: Path
) -> None:
    """A key that nobody knows of as such. Where it is the name of something, a request or a model, it may be logged."""
    named = (b"X-Request-Id: SECRET", b"/v1/models/SECRET")
    gateway = stack.endpoint.removesuffix("/v1")
    for sent in CANARIES:
        if not any(place in sent for place in named):
            head, blank, rest = sent.replace(b"SECRET", SECRET.encode()).partition(b"\r\n\r\n")
            for address in (gateway, stack.translator):
                with contextlib.suppress(TimeoutError):  # the rest of the request is waited for
                    answer = await raw(address, head + blank, rest, wait=0.5)
                    assert answer[9:10] in (b"2", b"4"), (address, sent)  # this stack wants no keys
    key = {"Authorization": f"Bearer {SECRET}", "X-API-Key": SECRET}
    for field in IN_FIELDS:
        for path in ("/translate", "/v1/translations"):
            async with http.post(stack.translator + path, json=IN_FIELDS | {field: SECRET}, headers=key) as answer:
                assert answer.status < 500
    asked: list[dict[str, Any]] = [{"model": SECRET}, {"user": SECRET}, {"stop": SECRET}, {"tools": SECRET}]
    for more in asked:
        body = chat(PICTURES, "a car") | more
        async with http.post(f"{CHAT}?key={SECRET}", json=body, headers=key) as answer:
            assert answer.status < 500
    said = read_all(logs)
    assert {"gateway.log", "translator.log"} <= said.keys()
    assert [name for name, text in said.items() if SECRET in text] == []
    lines = [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if SECRET in line]
