"""Random weights all the way: folders of small shapes, two real vLLM engines, the gateway, answers.

One engine, of a published shape made smaller, is of a stack. The other is of an architecture that nothing here has code
for, and alone, with a gateway that has its address, as containers and further machines run them.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from openai import APIStatusError, OpenAI
from PIL import Image

from scripts.benchmarks.fakes.scripted import free_port
from scripts.demo.stack import ROOT, running_stack
from server.engines.dummy import folder_files, write_folder
from server.sizing.models import published_config
from server.status import ask as ask_supervisor
from tests import other_model

if TYPE_CHECKING:
    from collections.abc import Iterator

LLAVA, OTHER = "llava-next-video-7b", "qwen3-vl"
SMALL_TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 3000,
}
SMALL_VISION = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "image_size": 56,
    "patch_size": 7,  # vLLM divides by `image_size // patch_size**2`
}
MEDIA = {
    LLAVA: "max_frames = 8",
    OTHER: 'max_images = 3\nmax_frames = 8\nfewest_frames = 2\ntool_parser = "hermes"\nurl_key_variable = "ITS_KEY"',
}
PROFILE = """
[[engines]]
name = "{name}"
model = "{folder}"
max_model_len = 1024
{media}
kv_cache_gib = 0.1
encoder_cache_gib = 0.05
threads = 1
fast_start = true
args = ["--worker-cls", "faulty_worker.FaultyWorker"]
"""
SUPERVISOR = """
[supervisor]
probe_every_s = 0.2
probe_timeout_s = 1.0
failures = 3
crashes = 2
"""
HUNG_S = 3 * (0.2 + 1.0)
"""After which an engine that is silent, and does nothing, is ended; on the scale of what is usual, a tenth."""
POISON = [13, 13, 13, 13]
"""Tokens of the prompt that an engine dies of."""
KEY = "the-key"
"""Of the engine that is alone; those of a stack have none."""
SLOW_S = 5.0
"""What a step takes once it is slow."""
FRAMES, TOKENS_A_FRAME = 5, 16
TOKENS = 9
TIME = "<0.5 seconds>"
"""Before each pair of frames, in Qwen3-VL's prompts; a token a character."""


START_S = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models without any weights in their folders; profiles with both, and with the video model alone."""
    home = tmp_path_factory.mktemp("dummies")
    config = published_config("./models/LLaVA-NeXT-Video-7B-FP8-dynamic")
    assert config is not None
    small = {
        "text_config": config["text_config"] | SMALL_TEXT,
        "vision_config": config["vision_config"] | SMALL_VISION,
    }
    write_folder(home / LLAVA, folder_files(config | small))
    other_model.write_folder(home / OTHER)
    assert not list(home.glob("*/*.safetensors"))
    engines = {name: PROFILE.format(name=name, folder=home / name, media=media) for name, media in MEDIA.items()}
    (home / "both.toml").write_text("".join(engines.values()))
    (home / "stack.toml").write_text(f"{SUPERVISOR}\n{engines[LLAVA]}")
    return home


@dataclass
class Served:
    """Both models: base URLs by name, and where the engine that is alone listens."""

    urls: dict[str, str]
    alone: str

    def client(self, name: str) -> OpenAI:
        return OpenAI(base_url=self.urls[name], api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    """The video model in a stack, the other one alone; steps are slow while there is a file `slow`."""
    engine, gateway, nowhere = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    both = ("--profile", str(home / "both.toml"))
    options = ["--profile", str(home / "stack.toml"), "--port", "0", "--dummy-weights"]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setenv("SLOW_STEPS", str(home / "slow"))
        for variable in ("VLLM_API_KEY", "ITS_KEY"):
            patch.setenv(variable, KEY)
        patch.setenv("POISON", json.dumps(POISON))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        alone = running.enter_context(started("engine", OTHER, *both, "--dummy-weights", "--port", port_of(engine)))
        stack = running.enter_context(running_stack(*options, "--log-dir", str(home / "logs")))
        wait_for(f"{engine}/health/core", alone)
        places = ("--engine", f"{OTHER}={engine}", "--engine", f"{LLAVA}={nowhere}")
        before = running.enter_context(started("gateway", *both, *places, "--port", port_of(gateway)))
        wait_for(f"{gateway}/health/live", before)
        yield Served({OTHER: f"{gateway}/v1", LLAVA: stack.endpoint}, engine)


def engine_of(served: Served) -> psutil.Process:
    """The API server of the stack's vLLM."""
    return psutil.Process(status_of(served)["pid"])


def status_of(served: Served) -> dict[str, Any]:
    """What the stack's supervisor says of its vLLM."""
    status = ask_supervisor(int(port_of(served.urls[LLAVA].removesuffix("/v1"))))
    assert status is not None
    part: dict[str, Any] = next(part for part in status["parts"] if part["name"] == f"vllm-{LLAVA}")
    return part


def port_of(url: str) -> str:
    return url.rpartition(":")[2]


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m server ARGUMENTS`, until it has ended by SIGTERM."""
    with subprocess.Popen([sys.executable, "-m", "server", *arguments], cwd=ROOT) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(START_S)


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers 200."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            with urllib.request.urlopen(url) as response:
                assert response.status == 200
                return
        except OSError:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)


def jpeg(side: int) -> str:
    held = io.BytesIO()
    Image.new("RGB", (side, side), (200, 30, 30)).save(held, "JPEG")
    return base64.b64encode(held.getvalue()).decode()


def frames(count: int, side: int = 56) -> dict[str, Any]:
    """A part of a message: a video of so many frames."""
    return {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join([jpeg(side)] * count)}}


def picture(side: int) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg(side)}"}}


def ask(served: Served, model: str, *parts: dict[str, Any], **more: Any) -> Any:
    messages: Any = [{"role": "user", "content": [*parts, {"type": "text", "text": "Describe it."}]}]
    return served.client(model).chat.completions.create(model=model, messages=messages, **{"max_tokens": TOKENS} | more)


def seen(served: Served, model: str, *parts: dict[str, Any]) -> int:
    """Tokens of a prompt that pictures and frames take."""
    with_them, without = (ask(served, model, *given).usage.prompt_tokens for given in (parts, ()))
    assert isinstance(with_them - without, int)
    return int(with_them - without)


def test_an_answer_is_as_long_as_asked_for_and_has_words(served: Served) -> None:
    answer = ask(served, LLAVA, frames(FRAMES))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == TOKENS
    assert re.search(r" w\d+", answer.choices[0].message.content)
    assert seen(served, LLAVA, frames(FRAMES)) >= FRAMES * TOKENS_A_FRAME


def test_another_architecture_looks_at_pictures_of_all_sizes_and_at_frames(served: Served) -> None:
    """Between 4 and 16 tokens a picture, two tokens around it; frames in pairs, each with its time in words."""
    small, large = seen(served, OTHER, picture(64)), seen(served, OTHER, picture(900))
    assert (small, large) == (4 + 2, other_model.MOST + 2)
    assert seen(served, OTHER, picture(64), picture(900), picture(64)) == 2 * small + large
    two, eight = seen(served, OTHER, frames(2)), seen(served, OTHER, frames(8))
    assert two > len(TIME)
    assert eight - two > 3 * len(TIME)
    assert seen(served, OTHER, frames(1)) == two  # the frame twice: by itself this model refuses it
    assert seen(served, OTHER, frames(3)) == seen(served, OTHER, frames(4))
    assert seen(served, OTHER, frames(2), picture(64)) == two + small


def test_an_engine_on_a_network_answers_nobody_without_its_key(served: Served) -> None:
    """vLLM itself lets anybody in at these paths."""
    chat = {"model": OTHER, "messages": [{"role": "user", "content": "a"}], "max_tokens": 2}
    bodies = {"/invocations": chat, "/tokenize": {"model": OTHER, "prompt": "a"}, "/metrics": None, "/health": None}

    def status(path: str, headers: dict[str, str]) -> int:
        body = bodies[path] and json.dumps(bodies[path]).encode()
        asked = urllib.request.Request(served.alone + path, body, {"Content-Type": "application/json"} | headers)
        try:
            with urllib.request.urlopen(asked) as response:
                return int(response.status)
        except urllib.error.HTTPError as error:
            return error.code

    with_key = {path: status(path, {"Authorization": f"Bearer {KEY}"}) for path in bodies}
    assert with_key == dict.fromkeys(bodies, 200)
    assert {path: status(path, {}) for path in bodies} == dict.fromkeys(bodies, 401) | {"/health": 200}


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ([picture(8)] * 4, "4 pictures, but qwen3-vl takes at most 3 a request"),
        ([frames(9)], "9 frames, but qwen3-vl looks at 8 at most"),
        ([frames(2), frames(2)], "2 videos, but qwen3-vl takes one a request"),
    ],
)
def test_another_architecture_refuses_what_is_too_much(served: Served, parts: list[Any], says: str) -> None:
    with pytest.raises(APIStatusError, match=says) as refused:
        ask(served, OTHER, *parts)
    assert refused.value.status_code == 400


def test_another_architecture_calls_tools_and_follows_a_schema(served: Served) -> None:
    schema = {"type": "object", "properties": {"red": {"type": "boolean"}}, "required": ["red"]}
    schema |= {"additionalProperties": False}
    form = {"type": "json_schema", "json_schema": {"name": "colour", "schema": schema}}
    answer = ask(served, OTHER, picture(64), response_format=form, max_tokens=40)
    assert set(json.loads(answer.choices[0].message.content)) == {"red"}
    tool = {"type": "function", "function": {"name": "paint", "parameters": schema}}
    (call,) = ask(served, OTHER, tools=[tool], tool_choice="required", max_tokens=80).choices[0].message.tool_calls
    assert call.function.name == "paint"
    assert set(json.loads(call.function.arguments)) == {"red"}


def test_a_stream_has_a_piece_for_each_token(served: Served) -> None:
    """Every token has a text: so that times between tokens can be measured."""
    client = served.client(LLAVA)
    messages: Any = [{"role": "user", "content": "Go on."}]

    def pieces() -> int:
        stream = client.chat.completions.create(model=LLAVA, messages=messages, max_tokens=TOKENS, stream=True)
        return sum(bool(chunk.choices[0].delta.content) for chunk in stream if chunk.choices)

    # On a busy machine vLLM joins what it has not sent yet: some pieces then hold several tokens.
    end = time.monotonic() + 120
    while (said := pieces()) != TOKENS and time.monotonic() < end:
        time.sleep(0.5)
    assert said == TOKENS


def test_a_request_that_an_engine_dies_of_is_refused_and_others_are_served(served: Served) -> None:
    """Two crashes are what an engine here is given up after: those of one request do not count.

    It is the engine's core that dies. That its API server is killed is tested beside a running batch
    (`tests/e2e/test_killed_engine.py`).
    """
    client = served.client(LLAVA)

    def refused(prompt: Any, **more: Any) -> str | None:
        """The code with which a prompt is refused, None if it is served."""
        try:
            client.completions.create(model=LLAVA, prompt=prompt, max_tokens=2, **more)
        except APIStatusError as error:
            if error.code == "engine_unavailable":
                assert error.status_code == 503  # noqa: PT017
                assert error.response.headers["Retry-After"]  # noqa: PT017
            return error.code
        return None

    def until(expected: str | None, prompt: Any) -> set[str | None]:
        """Ask until that is the answer; what it was before."""
        end, before = time.monotonic() + START_S, set()
        while (code := refused(prompt)) != expected and time.monotonic() < end:
            before.add(code)
            time.sleep(0.2)
        assert code == expected
        return before

    assert refused("a") is None
    killed = engine_of(served)
    assert until("poison_request", POISON) == {"engine_unavailable"}
    assert until(None, "a") <= {"engine_unavailable"}
    assert refused(POISON, seed=7, user="another") == "poison_request"
    assert not killed.is_running()
    assert engine_of(served).pid != killed.pid
    assert status_of(served)["restarts"] == 2


def test_an_engine_in_slow_steps_serves_and_one_that_is_stopped_is_found(served: Served, home: Path) -> None:
    """Slow is not hung."""
    engine = engine_of(served)
    (core,) = engine.children()
    assert SLOW_S > HUNG_S
    (home / "slow").write_text(str(SLOW_S))
    client = served.client(LLAVA)
    began = time.monotonic()
    answer = client.completions.create(model=LLAVA, prompt="a", max_tokens=2, extra_body={"ignore_eos": True})
    assert answer.usage
    assert answer.usage.completion_tokens == 2
    assert time.monotonic() - began > 2 * SLOW_S
    assert core.is_running()
    (home / "slow").unlink()
    core.send_signal(signal.SIGSTOP)
    engine.wait(60)
