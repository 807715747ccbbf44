"""The demo stack as users meet it: real vLLM, SDK and curl, and an engine that hangs."""

from __future__ import annotations

import base64
import contextlib
import ipaddress
import json
import re
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import openai
import psutil
import pytest
from PIL import Image

from scripts.demo.stack import ROOT
from server.alone import find_engine
from server.profile import load_profile
from server.sizing.arithmetic import suit_machine
from server.sizing.machine import GIB
from server.sizing.models import model_sizes
from server.status import ask as ask_supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scripts.demo.stack import Stack

MODEL = "llava-next-video-7b"
RESTART_S = 300
SILENT_S = 5


def message(frames: int) -> list[Any]:
    """A question about a video of plain frames, each of another colour."""
    encoded = []
    for index in range(frames):
        data = BytesIO()
        Image.new("RGB", (96, 64), (index * 8, 40, 200 - index * 6)).save(data, "JPEG")
        encoded.append(base64.b64encode(data.getvalue()).decode())
    video = {"url": "data:video/jpeg;base64," + ",".join(encoded)}
    return [
        {
            "role": "user",
            "content": [
                {"type": "video_url", "video_url": video},
                {"type": "text", "text": "Describe this video."},
            ],
        }
    ]


@pytest.fixture
def client(stack: Stack) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=stack.endpoint, api_key="none", max_retries=0) as sdk:
        yield sdk


def ask(client: openai.OpenAI, frames: int = 8, **options: Any) -> openai.types.chat.ChatCompletion:
    options = {"max_tokens": 16, "temperature": 0} | options
    answer: openai.types.chat.ChatCompletion = client.chat.completions.create(
        model=MODEL, messages=message(frames), **options
    )
    return answer


def engine(stack: Stack) -> psutil.Process:
    """The API server of the video model's vLLM."""
    children = psutil.Process(stack.pid).children(recursive=True)
    return next(p for p in children if {"server.engines.vllm_entry", MODEL} <= {*" ".join(p.cmdline()).split()})


def test_the_engines_are_forked_from_one_process(stack: Stack) -> None:
    supervisor = psutil.Process(stack.pid)
    engines = [
        part.pid for part in supervisor.children(recursive=True) if "vllm_entry --fast" in " ".join(part.cmdline())
    ]
    (imported,) = {psutil.Process(pid).ppid() for pid in engines}
    assert len(engines) > 1
    assert psutil.Process(imported).ppid() == stack.pid


def test_plain_and_streamed_answers_are_the_same(client: openai.OpenAI) -> None:
    plain = ask(client)
    text = plain.choices[0].message.content
    assert text
    assert plain.usage
    stream = client.chat.completions.create(model=MODEL, messages=message(8), max_tokens=16, temperature=0, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "".join(pieces) == text
    assert len([piece for piece in pieces if piece]) > 1


def test_every_frame_is_looked_at(client: openai.OpenAI) -> None:
    tokens = {}
    for frames in (1, 8, 32):
        usage = ask(client, frames, max_tokens=1).usage
        assert usage
        tokens[frames] = usage.prompt_tokens
    each = (tokens[8] - tokens[1]) / 7
    assert each > 1
    assert tokens[32] - tokens[8] == 24 * each


def test_curl_works(stack: Stack) -> None:
    body = json.dumps({"model": MODEL, "messages": message(2), "max_tokens": 4})
    command = ["curl", "-sS", "--fail-with-body", f"{stack.endpoint}/chat/completions"]
    command += ["-H", "Content-Type: application/json", "-d", "@-"]
    done = subprocess.run(command, input=body, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["choices"][0]["message"]["content"]


def test_models_lists_what_is_served(client: openai.OpenAI) -> None:
    assert MODEL in [model.id for model in client.models.list()]


def test_a_model_that_is_not_served_is_named(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=MODEL):
        client.chat.completions.create(model="gpt-4o", messages=message(1))


@pytest.mark.parametrize("frames", [33, 100])
def test_more_frames_than_the_engine_looks_at_are_refused(client: openai.OpenAI, frames: int) -> None:
    with pytest.raises(openai.BadRequestError, match=f"{frames} frames.* 32 at most"):
        ask(client, frames)


def test_an_answer_longer_than_the_context_is_the_engines_own_400(client: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        ask(client, max_tokens=100_000)


def speaks_http(address: tuple[str, int]) -> bool:
    """Whether an HTTP request to an address is answered by HTTP within seconds."""
    with contextlib.suppress(ConnectionError, TimeoutError), socket.create_connection(address, SILENT_S) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.0\r\n\r\n")
        return connection.recv(16).startswith(b"HTTP")
    return False


def test_the_engines_api_is_on_no_port(stack: Stack) -> None:
    server = engine(stack)
    listening = [
        connection.laddr
        for process in (server, *server.children(recursive=True))
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert all(ipaddress.ip_address(ip).is_loopback for ip, _ in listening)  # torch.distributed's own
    gateway = urlsplit(stack.endpoint)
    with ThreadPoolExecutor(len(listening) + 1) as pool:  # each is waited for
        spoken = list(pool.map(speaks_http, [*listening, (str(gateway.hostname), int(gateway.port or 0))]))
    assert spoken == [False] * len(listening) + [True]


def port_of(stack: Stack) -> int:
    return int(stack.endpoint.split(":")[2].removesuffix("/v1"))


def status(stack: Stack) -> tuple[int, dict[str, Any]]:
    """`python -m server status --json`: its exit code and what it says."""
    command = [sys.executable, "-m", "server", "status", "--port", str(port_of(stack)), "--json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, json.loads(done.stdout)


def test_status_tells_how_every_part_is(stack: Stack) -> None:
    code, told = status(stack)
    assert code == 0
    assert told["pid"] == stack.pid
    assert {part["state"] for part in told["parts"]} == {"ready"}
    assert engine(stack).pid in {part["pid"] for part in told["parts"]}
    assert told["gateway"]["status"] == "ok"
    gateway, *replicas = (part["in_flight"] for part in told["parts"])
    assert gateway is None  # it is no replica
    assert replicas == [0] * len(replicas)
    assert len(replicas) >= 4


def test_the_kv_cache_is_as_large_as_check_says(stack: Stack) -> None:
    """Held against the line that vLLM itself logs."""
    for part in status(stack)[1]["parts"]:
        if not part["name"].startswith("vllm-"):
            continue
        log = Path(part["log"]).read_text()
        tokens, length, requests = re.findall(
            r"KV cache size: ([\d,]+) tokens, Maximum concurrency for ([\d,]+) tokens per request: ([\d.]+)x", log
        )[-1]
        engine = find_engine(suit_machine(load_profile("demo")), part["serves"])
        assert engine.kv_cache_gib
        capacity = model_sizes(engine.model, engine.local_model, engine.number_bytes).kv_capacity(
            int(engine.kv_cache_gib * GIB), max_model_len=engine.max_model_len, batched_tokens=2048, block=128
        )
        assert int(length.replace(",", "")) == engine.max_model_len
        assert float(requests) == round(capacity, 2)
        assert int(tokens.replace(",", "")) == int(capacity * engine.max_model_len)


def test_a_core_that_hangs_is_seen_although_vllm_says_that_it_is_well(stack: Stack) -> None:
    """Frozen, seen, and let go on before it counts as hung."""
    server = engine(stack)
    core = max(server.children(), key=lambda process: process.memory_info().rss)

    def state() -> str:
        told = ask_supervisor(port_of(stack)) or {"parts": []}
        return next((str(part["state"]) for part in told["parts"] if part["pid"] == server.pid), "away")

    core.suspend()
    try:
        until(lambda: state() == "unhealthy")
        assert status(stack)[0] == 1
    finally:
        core.resume()
    until(lambda: state() == "ready")


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + RESTART_S
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.2)
