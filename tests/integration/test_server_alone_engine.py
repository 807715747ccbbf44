"""An engine and a gateway alone, over TCP, as containers and further machines run them."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING

import openai
from conftest import free_port

from scripts.demo.stack import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PICTURES, VIDEOS = "llama-3.2-11b-vision", "llava-next-video-7b"
DEADLINE_S = 300.0


@contextmanager
def running(url: str, *arguments: str) -> Iterator[None]:
    """`python -m server ARGUMENTS`, from when `url` answers 200 until it has ended by SIGTERM."""
    with subprocess.Popen([sys.executable, "-m", "server", *arguments], cwd=ROOT, stderr=subprocess.DEVNULL) as process:
        try:
            deadline = time.monotonic() + DEADLINE_S
            while not answers(url):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_S)


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url) as response:
            return bool(response.status == 200)
    except OSError:
        return False


def test_a_question_reaches_an_engine_at_an_address() -> None:
    engine, gateway = free_port(), free_port()
    place, endpoint = f"http://127.0.0.1:{engine}", f"http://127.0.0.1:{gateway}"
    nowhere = f"http://127.0.0.1:{free_port()}"
    where = ["--engine", f"{PICTURES}={place}", "--engine", f"{VIDEOS}={nowhere}"]
    with (
        running(f"{place}/health/core", "engine", PICTURES, "--profile", "demo", "--port", str(engine)),
        running(f"{endpoint}/health/live", "gateway", "--profile", "demo", "--port", str(gateway), *where),
        openai.OpenAI(base_url=f"{endpoint}/v1", api_key="none", max_retries=0) as client,
    ):
        answer = client.completions.create(
            model=PICTURES, prompt="a picture", max_tokens=4, extra_body={"ignore_eos": True}
        )
        assert answer.usage
        assert answer.usage.completion_tokens == 4
