"""The stack starts from a folder that holds the user's own `server.py`, `client.py`, `translator.py` and `prompts/`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import openai
import psutil
import pytest

ROOT = Path(__file__).parents[2]
START_S = 400.0
STOP_S = 60.0
HOSTILE = """
import pathlib
(pathlib.Path(__file__).parent / "imported").touch()
raise ImportError("the user's own module was imported")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, in which names of ours mean something else."""
    for name in ("server.py", "client.py", "translator.py", "prompts/__init__.py", "scripts.py"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(HOSTILE)
    return tmp_path


def test_a_users_own_modules_break_no_part(folder: Path) -> None:
    ready = folder / "ready.json"
    command = [sys.executable, "-P", "-m", "server", "up", "--profile", "demo", "--port", "0", "--translator-port", "0"]
    with (folder / "said").open("w") as said:
        stack = subprocess.Popen(
            [*command, "--ready-file", str(ready)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=said,
            stderr=said,
        )
        try:
            deadline = time.monotonic() + START_S
            while not ready.exists():
                assert stack.poll() is None, (folder / "said").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.2)
            children = psutil.Process(stack.pid).children(recursive=True)
            # Those of vLLM that give themselves another title write it over their environment.
            python = [child for child in children if "python" in child.cmdline()[0]]
            unsafe = [child.cmdline() for child in python if child.environ().get("PYTHONSAFEPATH") != "1"]
            assert len(python) > 4
            assert [line[1] for line in unsafe] == ["-I"]  # the reaper, which takes nothing of the environment
            with openai.OpenAI(base_url=json.loads(ready.read_text())["endpoint"], api_key="x", timeout=120) as sdk:
                for model in sdk.models.list():
                    answer = sdk.chat.completions.create(
                        model=model.id, messages=[{"role": "user", "content": "hello"}], max_tokens=4
                    )
                    assert answer.usage
                    times = answer.model_extra["metrics"]  # type: ignore[index]
                    assert times["tokens_per_second"] > 0
                    assert times["generation_time_ms"] > 0
        finally:
            stack.send_signal(signal.SIGTERM)
            assert stack.wait(STOP_S) == 0
    assert not (folder / "imported").exists()
