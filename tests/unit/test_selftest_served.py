"""The selftest's checks of a stack fail when what they check does not hold; its sums, limits and command line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from scripts.benchmarks.fakes.scripted import free_port
from server.cli import main
from server.selftest.device import Speeds
from server.selftest.limits import media_per_s, tokens_per_s
from server.selftest.load import Loaded, Requests, ask_many
from server.selftest.outcome import State, failed, not_run, passed
from server.selftest.report import summary, table
from server.selftest.run import Result, all_good
from server.selftest.served import Memory, Rate, Started
from server.selftest.stack import RunningStack
from server.sizing.gpus import Gpu
from server.sizing.memory import Model
from server.sizing.models import model_sizes

if TYPE_CHECKING:
    from collections.abc import Sequence

LLAMA = "meta-llama/Llama-3.2-11B-Vision-Instruct"
LLAVA = "llava-hf/LLaVA-NeXT-Video-7B-hf"
H100 = Speeds("H100", 3.35e12, {"float32": 60e12, "bfloat16": 990e12})


def rate(loaded: Loaded, limit: float) -> State:
    return Rate("toy", "tokens", loaded, loaded.tokens, limit, "a device").judge().state


def test_all_answers_must_be_whole_and_within_what_is_possible() -> None:
    whole = Loaded(answers=4, tokens=400, wall_s=2.0, problems=[])
    assert rate(whole, 1000.0) is State.PASS
    assert rate(whole, 100.0) is State.FAIL  # more than there can be: the limit or the clock is wrong
    assert rate(Loaded(3, 300, 2.0, ["500: no"]), 1000.0) is State.FAIL
    outcome = Rate("toy", "tokens", whole, 400, 1000.0, "a device").judge()
    assert outcome.figures == {"tokens_per_s": 200.0, "limit_per_s": 1000.0, "share": 0.2}
    assert outcome.says == "200.0, 20 % of 1000.0 (a device)"


def test_a_rate_of_which_no_limit_is_known_passes_if_all_answers_are_whole() -> None:
    whole = Loaded(answers=4, tokens=400, wall_s=2.0, problems=[])
    outcome = Rate("toy", "tokens", whole, 400, None, "").judge()
    assert (outcome.state, outcome.figures) == (State.PASS, {"tokens_per_s": 200.0})
    assert Rate("toy", "tokens", Loaded(3, 300, 2.0, ["500: no"]), 300, None, "").judge().state is State.FAIL


def test_memory_beyond_the_sums_fails() -> None:
    assert Memory("toy", 5, 6).judge().state is State.PASS
    assert Memory("toy", 7, 6).judge().state is State.FAIL
    assert Memory("toy", 0, 6).judge().state is State.FAIL  # nothing was measured


def test_an_engine_that_ran_before_has_no_start() -> None:
    assert Started("toy", 3.0).judge().figures == {"start_s": 3.0}
    assert Started("toy", None).judge().state is State.NOT_RUN


def sizes(name: str) -> Model:
    found = model_sizes(name, None)
    assert isinstance(found, Model)
    return found


def test_limits_are_those_of_the_arithmetic_by_hand() -> None:
    """One request of the 11B model in bf16 reads 9.2e9 weights a token: 3.35 TB/s give 182 tokens a second."""
    llama, llava = sizes(LLAMA), sizes(LLAVA)
    cross_keys = 8 * 2 * 4096 * 1024
    read = 2 * (llama.text.linear - cross_keys + 4096 * 128256) + 100 * llama.text.kv_per_token
    assert tokens_per_s(llama, H100, 1, 100) == pytest.approx(3.35e12 / read)
    assert tokens_per_s(llama, H100, 1, 100) == pytest.approx(182, rel=0.01)
    assert 60 < tokens_per_s(llama, H100, 64, 100) / tokens_per_s(llama, H100, 1, 100) <= 64
    # With 4096 at once arithmetic is what is waited for, not memory.
    assert tokens_per_s(llama, H100, 4096, 0) < 4096 * tokens_per_s(llama, H100, 1, 0) / 2
    # ViT-L/14 at 336 pixels: 23 layers of 12.6 million weights, 577 tokens a frame; 144 of them to 6.5e9 weights.
    tower = 2 * 23 * 12 * 1024**2 * 577 + 4 * 23 * 1024 * 577**2
    text = 2 * llava.text.linear * 144
    assert media_per_s(llava, H100, 8) == pytest.approx(990e12 / (8 * (tower + text)))
    assert media_per_s(llava, H100, 8) < media_per_s(llava, H100, 4)


async def test_answers_are_counted_and_errors_are_kept(unused_tcp_port: int) -> None:
    asked = []

    async def chat(request: web.Request) -> web.Response:
        asked.append(body := await request.json())
        written = {"text": body["max_tokens"], "short": 1}.get(body["model"])
        if written is None:
            return web.json_response({"error": {"message": "no such model"}}, status=404)
        return web.json_response({"usage": {"completion_tokens": written}})

    app = web.Application(client_max_size=1 << 24)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", unused_tcp_port).start()
    requests, endpoint = Requests(32), f"http://127.0.0.1:{unused_tcp_port}/v1"
    try:
        for content in (requests.text, requests.picture, requests.video):
            good = await ask_many(endpoint, "text", content, count=3, at_once=2, tokens=5)
            assert (good.answers, good.tokens, good.problems) == (3, 15, [])
        short = await ask_many(endpoint, "short", requests.text, count=2, at_once=2, tokens=5)
        assert short.problems == ["an answer has 1 tokens instead of 5"] * 2
        none = await ask_many(endpoint, "other", requests.text, count=1, at_once=1, tokens=5)
        assert none.answers == 0
        assert "404" in none.problems[0]
    finally:
        await runner.cleanup()
    gone = await ask_many(endpoint, "text", requests.text, count=1, at_once=1, tokens=5)
    assert len(gone.problems) == 1
    contents = [json.dumps(body["messages"][0]["content"]) for body in asked]
    assert len(set(contents)) == len(contents)  # else a cache would answer
    assert any('"video_url"' in content and content.count(",/9j/") == 8 for content in contents)


@pytest.fixture
def unused_tcp_port() -> int:
    return free_port()


RESULTS = [
    Result("models", "fp32", passed("all", tokens=3)),
    Result("models", "graphs", not_run("needs a GPU")),
    Result("stack", "memory", failed("[too much]")),
]


@pytest.mark.parametrize(("results", "good"), [(RESULTS[:2], True), (RESULTS, False)])
def test_only_what_failed_is_bad(results: Sequence[Result], good: bool) -> None:
    assert all_good(results) is good
    assert summary(RESULTS, 12.3) == "1 pass, 1 fail, 1 not run, in 12 s"
    assert table(RESULTS).row_count == 3


def test_a_profile_for_gpus_fails_without_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("server.selftest.machine.list_gpus", list)
    assert main(["selftest", "--profile", "gpu-80gb", "--only", "stack", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["profile"] == "gpu-80gb"
    assert told["checks"] == [
        {"about": "stack", "check": "start", "outcome": "fail", "figures": {}}
        | {"says": "needs a GPU; this machine has none"}
    ]
    monkeypatch.setattr("server.selftest.machine.list_gpus", lambda: [Gpu(0, "H100", 80.0, 80.0)])
    assert main(["selftest", "--profile", "multi-gpu", "--only", "stack"]) == 1
    assert "needs 4 GPUs; this machine has 1" in capsys.readouterr().out


def test_a_stack_that_does_not_run_cannot_be_measured(capsys: pytest.CaptureFixture[str]) -> None:
    port = str(free_port())
    assert main(["selftest", "--running", "--port", port, "--only", "stack"]) == 1
    assert f"nothing runs behind port {port}" in capsys.readouterr().out


def test_wrong_arguments_fail_before_anything_starts(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["selftest", "--only", "everything"]) == 2
    assert main(["selftest", "--limit", "0"]) == 2
    assert main(["selftest", "--profile", "nothing"]) == 1
    assert "no profile 'nothing'" in capsys.readouterr().err


def test_engines_that_do_not_answer_in_time_are_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    running = RunningStack("http://127.0.0.1:1/v1", ())
    monkeypatch.setattr("server.selftest.run.running_stack", lambda _: running)

    async def never(*_: object) -> list[Memory]:
        raise TimeoutError

    monkeypatch.setattr("server.selftest.run.measure_engine", never)
    assert main(["selftest", "--running", "--only", "stack", "--limit", "30"]) == 1
    assert "when the limit of 30 s" in " ".join(capsys.readouterr().out.split())
