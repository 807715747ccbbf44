"""The commands of README.md and docs/*.md, as typed, beside a running demo stack."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scripts.demo.sample_ads import write_ads
from scripts.demo.stack import ROOT, Stack, read_results, run_batch
from scripts.run_docs import README, blocks, pages, script

ELSEWHERE = (
    *("make ", "source ", "vllm ", "yes ", "guidellm ", "python -m scripts.", "curl http://127.0.0.1:8100"),
    *("babelview selftest", "babelview quantize"),
)
"""What `scripts.run_docs` alone runs: it sets up, takes minutes, asks a server of its own, or other tests run it."""


def test_every_command_works_as_typed(stack: Stack, tmp_path: Path) -> None:
    for entry in ("client", "server", "translator", "prompts", "docs"):
        (tmp_path / entry).symlink_to(ROOT / entry)
    write_ads(tmp_path / "ads", seed=5, videos=1, pictures=2)
    blocks_folder = tmp_path / "blocks"
    blocks_folder.mkdir()
    shell = tmp_path / "docs.sh"
    shell.write_text(script(pages(), blocks_folder, skip=ELSEWHERE, own_stack=False))
    endpoint, translator = urlsplit(stack.endpoint).netloc, urlsplit(stack.translator).netloc
    for file in (shell, *blocks_folder.glob("*.py")):
        file.write_text(file.read_text().replace("127.0.0.1:8000", endpoint).replace("127.0.0.1:8003", translator))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BABELVIEW_")} | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "BABELVIEW_BASE_URL": stack.endpoint,
        "BABELVIEW_TRANSLATOR": stack.translator,
        "BABELVIEW_PORT": endpoint.rpartition(":")[2],
        "BABELVIEW_HEAR": "0",  # as `make demo` begins the folder
    }
    done = subprocess.run(
        ["bash", str(shell)], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert "FAILED" not in done.stdout
    assert len(re.findall(r"^README.md:\d+ \$ babelview batch ./ads", done.stdout, re.MULTILINE)) >= 4
    assert (tmp_path / "captions" / "results.csv").exists()


def test_the_readmes_record_is_what_the_program_writes(stack: Stack, tmp_path: Path) -> None:
    write_ads(tmp_path / "ads", seed=5, videos=1, pictures=0)
    assert run_batch(stack, tmp_path / "ads", "--output", tmp_path / "out", "--quiet") == 0
    [written] = read_results(tmp_path / "out")
    [shown] = [json.loads(block.text) for block in blocks(README) if block.language == "json"]
    assert fields(shown) == fields(written)


def fields(record: dict[str, Any]) -> list[Any]:
    """The names of a record and of the answers in it, in order."""
    answer = record["tasks"]["describe"]
    return [list(record), list(answer), list(answer["translations"])]
