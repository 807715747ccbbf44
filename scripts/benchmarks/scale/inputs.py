"""What `benchmarks.scale` measures with: videos of any length, tasks, languages and who translates them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from client.media.kinds import SEEN
from client.tasks.prompt import read_prompt
from client.tasks.tasks import BUILT_IN
from scripts.benchmarks.client import ROOT
from scripts.benchmarks.common.cli import start
from scripts.benchmarks.models.random_nllb import SHAPES, write
from scripts.benchmarks.sampler import repeat, write_video

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

VIDEO_SIZE, VIDEO_RATE = (640, 360), 24
PIECE_S = 10
"""Longer videos are this one again and again, copied and not encoded."""
X264 = {"g": "48", "sc_threshold": "0", "crf": "38"}
LANGUAGES = (  # noqa: SIM905 - twenty lines otherwise
    "spa_Latn fra_Latn hin_Deva deu_Latn jpn_Jpan zho_Hans por_Latn arb_Arab rus_Cyrl ben_Beng ind_Latn ita_Latn "
    "kor_Hang tur_Latn vie_Latn pol_Latn nld_Latn tha_Thai swh_Latn ukr_Cyrl"
).split()
VOCABULARY = 1400
"""Of the tiny translator: the demo model's and room for languages."""
START_S = 180


def write_length(path: Path, length_s: int, piece: Path) -> Path:
    """A video of so many seconds; up to `PIECE_S` encoded, beyond that repeated.

    Args:
        path: Where it is written.
        length_s: Its length; beyond `PIECE_S` a multiple of it.
        piece: A video of `PIECE_S`, which is made if it is not there.
    """
    if length_s < PIECE_S:
        write_video(path, VIDEO_SIZE, length_s, rate=VIDEO_RATE, options=X264)
        return path
    if length_s % PIECE_S:
        raise ValueError(f"{length_s} s is no multiple of {PIECE_S} s")
    if not piece.exists():
        write_video(piece, VIDEO_SIZE, PIECE_S, rate=VIDEO_RATE, options=X264)
    repeat(piece, path, length_s // PIECE_S)
    return path


def copies(source: Path, folder: Path, count: int) -> Path:
    """A folder of files that look the same and are not: each has an atom more, which is skipped."""
    folder.mkdir(parents=True)
    for number in range(count):
        copy = folder / f"{number:03}{source.suffix}"
        shutil.copyfile(source, copy)
        with copy.open("ab") as file:
            file.write((16).to_bytes(4, "big") + b"free" + number.to_bytes(8, "big"))
    return folder


def write_tasks(folder: Path, count: int, tokens: int) -> list[str]:
    """Tasks with a question of its own each and answers of at most `tokens`; returns their names."""
    names = [f"task{number}" for number in range(1, count + 1)]
    for number, name in enumerate(names, 1):
        (folder / name).mkdir(parents=True)
        for kind in SEEN:
            text = read_prompt(BUILT_IN / "describe" / f"{kind}.md").text
            (folder / name / f"{kind}.md").write_text(f"---\nmax_tokens: {tokens}\n---\n{number}. {text}\n")
    return names


def write_translator(folder: Path, languages: Sequence[str] = LANGUAGES) -> Path:
    """A tiny NLLB with random weights whose tokenizer has these languages, as the last of its tokens."""
    shape = replace(SHAPES["tiny"], vocabulary=VOCABULARY)
    write(folder, shape)
    path = folder / "tokenizer.json"
    tokenizer = json.loads(path.read_text())
    added, vocabulary = tokenizer["added_tokens"], tokenizer["model"]["vocab"]
    new = [language for language in languages if language not in {entry["content"] for entry in added}]
    last = range(shape.vocabulary - len(new), shape.vocabulary)
    tokenizer["model"]["vocab"] = {token: number for token, number in vocabulary.items() if number not in last}
    added += [added[-1] | {"id": number, "content": language} for number, language in zip(last, new, strict=True)]
    path.write_text(json.dumps(tokenizer))
    return folder


@contextmanager
def translator(model: Path) -> Iterator[str]:
    """The translation service with fixed lengths (`translator.fixed_length`) on that model; its base URL."""
    script = ("-m", "scripts.benchmarks.translator.fixed_length")
    log = model / "service.log"
    command = [sys.executable, *script, "--model", str(model), "--port", "0", "--device", "cpu", "--beam-size", "1"]
    environment = os.environ | {"BABELVIEW_CACHE": str(model / "cache")}
    with log.open("w") as file, start(command, cwd=ROOT, env=environment, stderr=file) as process:
        try:
            yield _address(log, process)
        finally:
            process.terminate()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    """Where the service says that it listens, once it says that it is ready."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        said = log.read_text()
        if " is ready" in said:
            return next(word.rstrip(",") for word in said.split() if word.startswith("http://"))
        time.sleep(0.1)
    raise TimeoutError(f"the translator did not start: {log.read_text()}")


@contextmanager
def numbered_endpoint() -> Iterator[str]:
    """The fake endpoint with `--numbered`, in a process of its own; its base URL."""
    command = [sys.executable, "-m", "scripts.benchmarks.fakes.endpoint", "--numbered"]
    with start(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            yield f"http://127.0.0.1:{process.stdout.readline().strip()}/v1"
        finally:
            process.terminate()
