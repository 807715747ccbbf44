"""The stack, started in a user's folder, imports nothing of it: neither `server.py` nor `client.py` nor `prompts/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import openai
import psutil

if TYPE_CHECKING:
    from pathlib import Path

    from scripts.demo.stack import Stack


def test_a_users_own_modules_break_no_part(stack: Stack, users_folder: Path) -> None:
    supervisor = psutil.Process(stack.pid)
    assert supervisor.cwd() == str(users_folder)
    # Engines, and what they are forked from, write their titles over the environment that is shown.
    parts = [child for child in supervisor.children(recursive=True) if "vllm_entry" not in " ".join(child.cmdline())]
    python = [part for part in parts if "python" in part.cmdline()[0]]
    unsafe = [child.cmdline() for child in python if child.environ().get("PYTHONSAFEPATH") != "1"]
    assert len(python) >= 4  # more once the captioner was asked: it decodes in processes of its own
    assert [line[1] for line in unsafe] == ["-I"]  # the reaper, which takes nothing of the environment
    with openai.OpenAI(base_url=stack.endpoint, api_key="x", timeout=120) as sdk:
        for model in sdk.models.list():
            if model.model_dump()["task"] == "transcribe":
                continue
            answer = sdk.chat.completions.create(
                model=model.id, messages=[{"role": "user", "content": "hello"}], max_tokens=4
            )
            assert answer.usage
            times = answer.model_extra["metrics"]  # type: ignore[index]
            assert times["tokens_per_second"] > 0
            assert times["generation_time_ms"] > 0
    assert not (users_folder / "imported").exists()
