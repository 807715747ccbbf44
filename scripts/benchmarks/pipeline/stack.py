"""The real stack on the mid-sized models: a profile for `python -m server up`, and the translator of fixed lengths."""

from __future__ import annotations

import os
import socket
import sys
import time
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from client.media.kinds import SEEN, Kind
from client.tasks.prompt import read_prompt
from client.tasks.tasks import BUILT_IN
from scripts.benchmarks.common.cli import start
from scripts.benchmarks.models.mid_sized import PICTURE, TRANSLATION, VIDEO, ensure
from scripts.benchmarks.pipeline.systems import Where
from scripts.demo.stack import ROOT, running_stack

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator
    from pathlib import Path

START_S = 180
SERVED = {
    Kind.VIDEO: ("llava-next-video-7b", VIDEO, "max_frames = 8"),
    Kind.IMAGE: ("llama-3.2-11b-vision", PICTURE, "max_images = 1"),
}


@dataclass(frozen=True)
class Mid:
    """What is served, and how.

    Attributes:
        models: Folder of the checkpoints, which are written if they are not there.
        kind: Of the files: only the engine that looks at them is started.
        tokens: Of every answer.
        beams: Of the translations.
        concurrency: Requests at once, all of which the engines take into one batch.
        replicas: Engines, each with `threads` of OpenMP, and batches that the translator runs at once. One thread
            each needs no barriers, at which threads wait for one that the system has given to another process: with
            fewer cores than busy threads they wait long.
        threads: See there.
    """

    models: Path
    kind: Kind
    tokens: int
    beams: int = 1
    concurrency: int = 32
    replicas: int = 0
    threads: int = 1

    @property
    def at_once(self) -> int:
        """How many engines or batches of the translator fill the machine."""
        return self.replicas or max(1, (os.cpu_count() or 1) // self.threads)

    @property
    def profile(self) -> str:
        """The stack's profile as TOML, without the translator, which is started by itself."""
        name, model, takes = SERVED[self.kind]
        return f"""\
[gateway]
port = 0

[[engines]]
name = "{name}"
model = "{ensure(self.models, model).resolve()}"
{takes}
max_model_len = 2048
max_batched_tokens = 2048
max_requests = {self.concurrency}
kv_cache_gib = 1.75
memory_utilization = 0.05
memory_gib = 3.5
replicas = {self.at_once}
threads = {self.threads}
fast_start = {str(self.threads == 1).lower()}
"""


@contextmanager
def mid_sized_stack(mid: Mid, folder: Path) -> Iterator[tuple[Where, Path]]:
    """The stack of `mid`, healthy inside the block, and the prompts that fix the lengths of answers.

    `folder` gets its profile, prompts and logs.

    Raises:
        StackError: it did not start.
        TimeoutError: the translator did not.
    """
    prompts = folder / "prompts"
    (prompts / "describe").mkdir(parents=True)
    for kind in SEEN:
        text = read_prompt(BUILT_IN / "describe" / f"{kind}.md").text
        (prompts / "describe" / f"{kind}.md").write_text(f"---\nmax_tokens: {mid.tokens}\n---\n{text}\n")
    with _translator(mid, folder) as (url, pid):
        profile = folder / "mid.toml"
        profile.write_text(f'{mid.profile}\n[translator]\nurl = "{url}"\n')
        with running_stack("--profile", str(profile), "--log-dir", str(folder / "logs")) as stack:
            yield Where(stack.endpoint, url, (stack.pid, pid)), prompts


@contextmanager
def _translator(mid: Mid, folder: Path) -> Iterator[tuple[str, int]]:
    """A translator of fixed lengths, healthy inside the block; yields its base URL and process id."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port = trial.getsockname()[1]
    script = ("-m", "scripts.benchmarks.translator.fixed_length")
    command = [sys.executable, *script, "--model", str(ensure(mid.models, TRANSLATION)), "--port", str(port)]
    # No cache: the client and the bound have texts of the same kind translated. And the whole vocabulary is searched,
    # because of that of the mid-sized model the tokenizer knows the first 607 alone.
    command += ["--beam-size", str(mid.beams), "--device", "cpu", "--cache-mb", "0", "--scripts", ""]
    command += ["--replicas", str(mid.at_once), "--threads", str(mid.threads)]
    environment = os.environ | {"BABELVIEW_CACHE": str(mid.models / "converted")}
    with (folder / "translator.log").open("wb") as log:
        process = start(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_for(f"{url}/health", process)
        yield url, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  # our own address
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise TimeoutError("the translator did not start")
