"""From what `--model` says to a folder that the engine can load.

A ready CTranslate2 folder is taken as it is. A transformers checkpoint, local or from the hub, is converted
once into the cache (`$BABELVIEW_CACHE`, else `~/.cache/babelview`) and found there from then on.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import importlib.metadata
import logging
import os
import re
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from translator.errors import ModelError
from translator.settings import DEFAULT_MODEL

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parents[2]
DEMO_MODEL = Path(__file__).parents[1] / "demo" / "nllb-drawn-world"
_TELL_EVERY_S = 3.0
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def locate(model: str) -> Path | str:
    """What `model` names: "demo", a folder that is there, or a name on the hub (returned as a string).

    Raises:
        ModelError: none of these.
    """
    if model == "demo":
        return DEMO_MODEL
    path = Path(model).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise ModelError(f"{model} is no model folder: it has no config.json")
        if not (path / "tokenizer.json").is_file():
            raise ModelError(f"{model} has no tokenizer.json: copy it from the checkpoint of the same model")
        return path
    if path.exists():
        raise ModelError(f"{model} is a file: --model wants the folder of a model")
    if not _HUB_NAME.fullmatch(model) or model.startswith("."):
        raise ModelError(f"no model folder {model}: give a folder, a hub name such as {DEFAULT_MODEL}, or 'demo'")
    return model


def name_of(model: str) -> str:
    """The name under which a model is reported."""
    located = locate(model)
    return located.name if isinstance(located, Path) else located


async def prepare(model: str, *, compute_type: str = "auto") -> Path:
    """The CTranslate2 folder of `model`, fetched and converted first where that is needed.

    Args:
        model: "demo", a folder or a hub name.
        compute_type: as the engine takes it. 8-bit weights serve all types that begin with int8.

    Raises:
        ModelError: there is no such model, or the hub or the conversion failed.
    """
    quantization = "int8" if compute_type.startswith(("auto", "default", "int8")) else compute_type
    located = locate(model)
    if isinstance(located, str):
        logger.info("looking for %s in the hub's cache or on the hub", located)
        located = Path((await _run("--download", located)).strip())
    if (located / "model.bin").is_file():
        return located
    folder = cache_folder() / f"{located.name}-{quantization}-{fingerprint(located)}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    async with _lock(folder.with_suffix(".lock")):
        if not folder.is_dir():
            await _convert(located, folder, quantization)
    return folder


def cache_folder() -> Path:
    """Where converted models are kept."""
    base = os.environ.get("BABELVIEW_CACHE")
    return (Path(base) if base else Path.home() / ".cache" / "babelview") / "translator"


def fingerprint(checkpoint: Path) -> str:
    """A digest of the checkpoint's files (names, sizes, times) and of the converter's version."""
    parts = [importlib.metadata.version("ctranslate2"), str(checkpoint.resolve())]
    for file in sorted(checkpoint.iterdir()):
        stat = file.stat()
        parts.append(f"{file.name} {stat.st_size} {stat.st_mtime_ns}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


async def _convert(checkpoint: Path, folder: Path, quantization: str) -> None:
    """Convert beside `folder`, then rename: whoever finds the folder finds it whole."""
    logger.info("converting %s to %s, once, into %s", checkpoint, quantization, folder)
    began = time.monotonic()
    scratch = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    try:
        await _run(str(checkpoint), str(scratch / "model"), "--quantization", quantization)
        (scratch / "model").rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    logger.info("converted in %.1f s", time.monotonic() - began)
    name = folder.name.rpartition("-")[0]
    old = [other for other in folder.parent.glob(f"{name}-*") if other.is_dir() and other != folder]
    if old:
        size = sum(file.stat().st_size for other in old for file in other.iterdir())
        logger.info("older conversions that may go (%.1f GB): %s", size / 1e9, " ".join(map(str, old)))


async def _run(*arguments: str) -> str:
    """Run `translator.model.convert` in its own process, which ends with this one's task; its stdout.

    What it says on stderr, which is how far it is, goes to the log, a line every few seconds.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",  # a folder with a `translator.py` or a `json.py` of the user's may be the current one
        "-m",
        "translator.model.convert",
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))},
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        out, last = await asyncio.gather(process.stdout.read(), _follow(process.stderr))
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        reason = last or f"exit code {process.returncode}"
        raise ModelError(f"cannot prepare {arguments[-1] if arguments[0] == '--download' else arguments[0]}: {reason}")
    return out.decode()


async def _follow(stream: asyncio.StreamReader) -> str:
    """Log a line of `stream` every few seconds; the last line. Carriage returns, of progress bars, end lines too."""
    last, rest, told = "", b"", time.monotonic()
    while chunk := await stream.read(1 << 16):
        *lines, rest = re.split(rb"[\r\n]+", rest + chunk)
        last = next((line.decode(errors="replace") for line in reversed(lines) if line.strip()), last)
        if last and time.monotonic() - told > _TELL_EVERY_S:
            logger.info("%s", last.strip())
            told = time.monotonic()
    return (rest.decode(errors="replace").strip() or last).strip()


@contextlib.asynccontextmanager
async def _lock(path: Path) -> AsyncIterator[None]:
    """Hold a file lock: of two services that start at once, one converts and the other waits."""
    with path.open("w") as file:
        told = False
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not told:
                    logger.info("another process converts this model: waiting for it")
                    told = True
                await asyncio.sleep(0.2)
        yield
