"""Random weights all the way: folders of small shapes, two real vLLM engines, the gateway, answers.

One engine is of a stack. The other is alone, with a gateway that has its address, as containers and further machines
run them.
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
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from conftest import free_port
from openai import APIStatusError, OpenAI
from PIL import Image

from scripts.demo.stack import ROOT, running_stack
from server.engines.dummy import folder_files, write_folder
from server.sizing.models import published_config
from server.status import ask as ask_supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

LLAMA, LLAVA = "llama-3.2-11b-vision", "llava-next-video-7b"
SMALL_TEXT = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 3000,
}
SMALL: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    LLAMA: (
        "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic",
        SMALL_TEXT | {"cross_attention_layers": [1, 3]},
        {
            "hidden_size": 32,
            "intermediate_size": 64,
            "num_hidden_layers": 2,
            "num_global_layers": 1,
            "attention_heads": 2,
            "image_size": 56,
            "intermediate_layers_indices": [0],
            "vision_output_dim": 64,
        },
    ),
    LLAVA: (
        "./models/LLaVA-NeXT-Video-7B-FP8-dynamic",
        SMALL_TEXT,
        {
            "hidden_size": 64,
            "intermediate_size": 128,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "image_size": 56,
            "patch_size": 7,  # vLLM divides by `image_size // patch_size**2`
        },
    ),
}
"""What is made smaller: the published model, its text, its tower."""
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
SLOW_S = 5.0
"""What a step takes once it is slow."""
FRAMES, TOKENS_A_FRAME = 5, 16
TOKENS = 9


START_S = 300


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small models without any weights in their folders; profiles with both, and with the video model alone."""
    home = tmp_path_factory.mktemp("dummies")
    engines = {}
    for name, (published, text, vision) in SMALL.items():
        config = published_config(published)
        assert config is not None
        small = {"text_config": config["text_config"] | text, "vision_config": config["vision_config"] | vision}
        write_folder(home / name, folder_files(config | small))
        assert not list((home / name).glob("*.safetensors"))
        media = "max_images = 1" if name == LLAMA else "max_frames = 8"
        engines[name] = PROFILE.format(name=name, folder=home / name, media=media)
    (home / "both.toml").write_text("".join(engines.values()))
    (home / "stack.toml").write_text(f'{SUPERVISOR}\n[translator]\nmodel = "demo"\n{engines[LLAVA]}')
    return home


@dataclass
class Served:
    """Both models: base URLs by name, and the process id of the stack's supervisor."""

    urls: dict[str, str]
    supervisor: int

    def client(self, name: str) -> OpenAI:
        return OpenAI(base_url=self.urls[name], api_key="none", max_retries=0)


@pytest.fixture(scope="module")
def served(home: Path) -> Iterator[Served]:
    """The video model in a stack, the picture model alone; steps are slow while there is a file `slow`."""
    engine, gateway, nowhere = (f"http://127.0.0.1:{free_port()}" for _ in range(3))
    both = ("--profile", str(home / "both.toml"))
    options = ["--profile", str(home / "stack.toml"), "--port", "0", "--translator-port", "0", "--dummy-weights"]
    with pytest.MonkeyPatch.context() as patch, ExitStack() as running:
        patch.setenv("SLOW_STEPS", str(home / "slow"))
        patch.setenv("POISON", json.dumps(POISON))
        patch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
        alone = running.enter_context(started("engine", LLAMA, *both, "--dummy-weights", "--port", port_of(engine)))
        stack = running.enter_context(running_stack(*options, "--log-dir", str(home / "logs")))
        wait_for(f"{engine}/health/core", alone)
        places = ("--engine", f"{LLAMA}={engine}", "--engine", f"{LLAVA}={nowhere}")
        before = running.enter_context(started("gateway", *both, *places, "--port", port_of(gateway)))
        wait_for(f"{gateway}/health/live", before)
        yield Served({LLAMA: f"{gateway}/v1", LLAVA: stack.endpoint}, stack.pid)


def engine_of(served: Served) -> psutil.Process:
    """The API server of the stack's vLLM."""
    return next(p for p in psutil.Process(served.supervisor).children() if LLAVA in p.cmdline())


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


def media(name: str) -> dict[str, Any]:
    if name == LLAMA:
        return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{jpeg(56)}"}}
    return {"type": "video_url", "video_url": {"url": "data:video/jpeg;base64," + ",".join([jpeg(56)] * FRAMES)}}


@pytest.mark.parametrize("name", SMALL)
def test_an_answer_is_as_long_as_asked_for_and_has_words(served: Served, name: str) -> None:
    client = served.client(name)
    question: dict[str, Any] = {"type": "text", "text": "Describe it."}

    def ask(*parts: dict[str, Any]) -> Any:
        messages: Any = [{"role": "user", "content": [*parts, question]}]
        return client.chat.completions.create(model=name, messages=messages, max_tokens=TOKENS)

    answer, blind = ask(media(name)), ask()
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == TOKENS
    assert re.search(r" w\d+", answer.choices[0].message.content)
    if name == LLAVA:  # pictures of Llama 3.2 Vision are one token of the text
        frames = answer.usage.prompt_tokens - blind.usage.prompt_tokens
        assert frames >= FRAMES * TOKENS_A_FRAME


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
    status = ask_supervisor(int(port_of(served.urls[LLAVA].removesuffix("/v1"))))
    assert status is not None
    assert {part["name"]: part["restarts"] for part in status["parts"]}[f"vllm-{LLAVA}"] == 2


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
    began = time.monotonic()
    engine.wait(60)
    assert time.monotonic() - began < 3 * HUNG_S  # a busy machine
