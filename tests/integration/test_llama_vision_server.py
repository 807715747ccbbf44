"""Plain vLLM, with this package installed and nothing else of it running, serves Llama 3.2 Vision."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import random
import re
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import psutil
import pytest
import transformers
from PIL import Image

from scripts.benchmarks.fakes.scripted import free_port
from server.llama_vision.compat import CHAT_TEMPLATE
from server.selftest.llama_reference import LlamaReference
from server.selftest.llama_toy import PICTURE, random_model, tiny_config, write_checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.llama_engine import Imported

MOST_PIXELS = 500_000
START_S = 400


@dataclass
class Server:
    """A running server, and what its model should answer."""

    url: str
    reference: LlamaReference
    tokenizer: Any

    @property
    def client(self) -> openai.AsyncOpenAI:
        http = openai.DefaultAsyncHttpxClient(verify=False)  # else each loads all certificates
        return openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, http_client=http)

    def prompt(self, messages: list[dict[str, Any]]) -> list[int]:
        """The tokens of a conversation, by our template."""
        rendered = [
            {**message, "content": [{"type": "image"} if "image_url" in part else part for part in message["content"]]}
            for message in messages
        ]
        tokens: list[int] = self.tokenizer.apply_chat_template(
            rendered, chat_template=CHAT_TEMPLATE.read_text(), add_generation_prompt=True, return_dict=False
        )
        return tokens

    def metric(self, name: str) -> float:
        with urllib.request.urlopen(f"{self.url}/metrics") as answer:
            found = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", answer.read().decode(), re.MULTILINE)
        return sum(map(float, found))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, imported_vllm: Imported) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("served")
    model = random_model(tiny_config())
    checkpoint = write_checkpoint(folder / "model", model)
    port = free_port()
    arguments = {
        "--model": str(checkpoint),
        "--served-model-name": "toy",
        "--host": "127.0.0.1",
        "--port": str(port),
        "--dtype": "float32",
        "--max-model-len": "128",
        "--max-num-batched-tokens": "256",
        "--max-num-seqs": "8",
        "--limit-mm-per-prompt": '{"image": 2}',
        "--gpu-memory-utilization": "0.05",
        "--block-size": "32",
        "--num-gpu-blocks-override": "40",
        # As on one GPU; on a CPU vLLM starts one more process.
        "--distributed-executor-backend": "vllm.v1.executor.uniproc_executor.UniProcExecutor",
    }
    command = [*chain(*arguments.items()), "--enforce-eager", "--trust-request-mm-kwargs"]
    environment = {"VLLM_MAX_IMAGE_PIXELS": str(MOST_PIXELS)}
    url, log = f"http://127.0.0.1:{port}", folder / "log"
    with imported_vllm.serving(command, environment, log) as process:
        wait_until_healthy(process, url, log)
        tokenizer = transformers.AutoTokenizer.from_pretrained(checkpoint)
        yield Server(url, LlamaReference(model, checkpoint), tokenizer)


def wait_until_healthy(process: psutil.Process, url: str, log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.status() != psutil.STATUS_ZOMBIE, log.read_text()[-4000:]
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5).close()
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"the server did not start:\n{log.read_text()[-4000:]}")


def noise(width: int, height: int, seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def data_url(picture: Image.Image, most_bytes: int | None = None) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()[:most_bytes]).decode()}"


def part(picture: Image.Image | str) -> dict[str, Any]:
    url = picture if isinstance(picture, str) else data_url(picture)
    return {"type": "image_url", "image_url": {"url": url}}


def words(content: str) -> dict[str, Any]:
    return {"type": "text", "text": content}


def said(role: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


async def ask(server: Server, content: list[dict[str, Any]], tokens: int = 12, **extra: Any) -> Any:
    return (await converse(server, [said("user", *content)], tokens, **extra)).choices[0]


async def converse(server: Server, messages: list[Any], tokens: int = 12, **extra: Any) -> Any:
    return await server.client.chat.completions.create(
        model="toy",
        messages=messages,
        temperature=0,
        max_tokens=tokens,
        logprobs=True,
        extra_body={"ignore_eos": True, "min_tokens": tokens, "return_token_ids": True, **extra},
    )


async def test_eight_at_a_time_get_what_transformers_writes(server: Server) -> None:
    draw = random.Random(3)
    sizes = [(60, 60), (60, 120), (200, 60), (120, 120), (60, 240)]
    asked = []
    for number in range(36):
        pictures = [noise(*draw.choice(sizes), seed=10 * number + n) for n in range(draw.choice([0, 1, 1, 2]))]
        kind = draw.choice(["first", "last"])
        content = [*map(part, pictures), words(f"task {number}?")]
        asked.append((pictures, content if kind == "first" else content[::-1], draw.randrange(20, 50)))
    eight = asyncio.Semaphore(8)

    async def one(content: list[dict[str, Any]], tokens: int) -> Any:
        async with eight:
            return await ask(server, content, tokens)

    answers = await asyncio.gather(*(one(content, tokens) for _, content, tokens in asked))

    assert server.metric("vllm:num_preemptions_total") > 0
    for (pictures, content, tokens), answer in zip(asked, answers, strict=True):
        prompt = server.prompt([said("user", *content)])
        shown = pictures if content[-1]["type"] == "text" else pictures[::-1]
        assert len(answer.token_ids) == tokens
        expected = server.reference.follow(prompt, shown, answer.token_ids)
        assert answer.token_ids == expected.tokens
        logprobs = [step.logprob for step in answer.logprobs.content]
        assert logprobs == pytest.approx(expected.logprobs, abs=1e-3)


async def test_a_conversation_goes_on_with_another_picture(server: Server) -> None:
    pictures = [noise(60, 120, 1), noise(130, 60, 2)]
    messages = [
        said("system", words("brief")),
        said("user", part(pictures[0]), words("a?")),
        said("assistant", words("b")),
        said("user", words("c?"), part(pictures[1])),
    ]
    answer = (await converse(server, messages)).choices[0]
    expected = server.reference.follow(server.prompt(messages), pictures, answer.token_ids)
    assert answer.token_ids == expected.tokens
    assert [step.logprob for step in answer.logprobs.content] == pytest.approx(expected.logprobs, abs=1e-3)


async def test_the_picture_in_a_prompt_may_be_asked_for_its_probability(server: Server) -> None:
    message = said("user", part(noise(60, 120, 1)), words("what?"))
    penalties = {"repetition_penalty": 1.2, "frequency_penalty": 0.5, "presence_penalty": 0.5}
    for extra in ({"echo": True}, {"prompt_logprobs": 0}, {"prompt_logprobs": 2, **penalties}, penalties):
        answer = await converse(server, [message], **extra)
        assert len(answer.choices[0].token_ids) == 12
        prompt = server.prompt([message])
        assert answer.prompt_token_ids == prompt
        if "prompt_logprobs" not in extra:
            continue
        (first, *found) = answer.prompt_logprobs
        assert first is None
        assert len(found) == len(prompt) - 1
        for token, likely in zip(prompt[1:], found, strict=True):
            assert len(likely) >= extra["prompt_logprobs"]
            assert (likely[str(token)]["logprob"] == -9999.0) == (token == PICTURE)


@pytest.mark.parametrize("temperature", [0, 1])
async def test_what_cannot_be_written_is_not_written_whatever_is_asked(server: Server, temperature: int) -> None:
    for extra in (
        {"logit_bias": {str(PICTURE): 100}},
        {"allowed_token_ids": [PICTURE]},
        {"allowed_token_ids": [PICTURE, 65], "logprobs": True, "top_logprobs": 5},
    ):
        answer = await ask(server, [part(noise(60, 60, 0)), words("what?")], **extra, temperature=temperature)
        assert all(token < PICTURE for token in answer.token_ids)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("as_tokens", [False, True])
async def test_a_prompt_is_echoed(server: Server, as_tokens: bool, stream: bool) -> None:
    text = "<|begin_of_text|>say it again"
    prompt = server.tokenizer.encode(text, add_special_tokens=False) if as_tokens else text
    asked: dict[str, Any] = {"model": "toy", "prompt": prompt, "max_tokens": 4, "echo": True, "logprobs": 1}
    answer = await server.client.completions.create(**asked, stream=stream)
    if stream:
        echoed = "".join([piece.choices[0].text async for piece in answer])
    else:
        echoed = answer.choices[0].text
        assert len(answer.choices[0].logprobs.tokens) >= 12
    assert echoed.startswith(text)


REFUSED = {
    "too many pictures": ([part(noise(60, 60, n)) for n in range(3)], {}, r"At most 2 image\(s\)"),
    "a picture too large": ([part(noise(1000, 501, 0))], {}, f"exceed the maximum of {MOST_PIXELS} pixels"),
    "a broken picture": ([part("data:image/png;base64,aGVsbG8=")], {}, "cannot identify image file"),
    "a cut picture": ([part(data_url(noise(60, 60, 1), 2000))], {}, "truncated"),
    "a prompt too long": ([part(noise(60, 60, 0)), words("x" * 200)], {}, "maximum context length is 128"),
    "a picture token too many": (
        [part(noise(60, 60, 0)), words("<|image|>")],
        {},
        r"holds 2 times <\|image\|>, but 1 picture",
    ),
    "another size of tiles": (
        [part(noise(60, 60, 0))],
        {"mm_processor_kwargs": {"size": {"height": 32, "width": 32}}},
        "do not change size",
    ),
    "another number of tiles": (
        [part(noise(60, 60, 0))],
        {"mm_processor_kwargs": {"max_image_tiles": 9}},
        "do not change size or max_image_tiles",
    ),
    "a video": (
        [{"type": "video_url", "video_url": {"url": "data:video/jpeg;base64,aGVsbG8="}}],
        {},
        "At most 0 video|not video",
    ),
}


@pytest.mark.parametrize("reason", REFUSED)
async def test_refuses_with_the_reason_and_answers_the_next(server: Server, reason: str) -> None:
    content, extra, message = REFUSED[reason]
    with pytest.raises(openai.BadRequestError, match=message):
        await ask(server, content, **extra)
    answer = await ask(server, [part(noise(60, 60, 0)), words("next")], tokens=2)
    assert len(answer.token_ids) == 2


def test_the_server_lists_the_model(server: Server) -> None:
    with urllib.request.urlopen(f"{server.url}/v1/models") as answer:
        assert [model["id"] for model in json.load(answer)["data"]] == ["toy"]
