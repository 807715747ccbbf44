"""Run the commands of README.md and its pages as typed, in order, in one shell, and name those that fail.

    python -m scripts.run_docs                    after `make demo`, in the same folder
    python -m scripts.run_docs --slow             with `make test` and `make bench`
    python -m scripts.run_docs docs/api.md        one page
    python -m scripts.run_docs --list             what would be run

The rules, for whoever writes a page:

- A block fenced as `sh` or `python` is run. One whose first line is a comment that begins with `# needs` (a GPU)
  is for readers alone; so is every block fenced otherwise (`json`, `toml`, `text`).
- A command that serves (`babelview up`, `babelview translate`, `vllm serve`) is started in the background; the next
  ones run once it answers. It is stopped by the next server and at the end of its page.
- A command whose comment says `exit code 1` may end with 1 as well as 0, all others must end with 0.
- A page can count on `./ads` and, until it starts a server of its own, on the demo stack.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
STACK = "babelview up --profile demo"
SLOW = ("make test", "make bench")
SERVERS = {
    "babelview up": 8000,
    "python -m server up": 8000,
    "babelview engine": 8000,
    "babelview gateway": 8000,
    "babelview captioner": 8004,
    "vllm serve": 8000,
    "babelview translate": 8003,
    "python -m translator": 8003,
}
"""Commands that serve until they are stopped, and their default ports."""

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SHELL = """\
failed=()
server=
report() { failed+=("$1"); printf '\\n!! FAILED: %s\\n' "$1"; }
run() {
    printf '\\n%s $ %s\\n' "$1" "$2"
    eval "$2"
    local code=$?
    case " 0 $3 " in *" $code "*) ;; *) report "$1 (exit code $code): $2" ;; esac
}
stop_server() {
    if [ -n "$server" ]; then kill -TERM "$server" 2>/dev/null; wait "$server"; fi
    server=
}
serve() {
    stop_server
    printf '\\n%s $ %s &\\n' "$1" "$2"
    eval "exec $2" &
    server=$!
    for _ in $(seq 600); do
        if curl -sf "http://127.0.0.1:$3/health" >/dev/null; then return; fi
        if ! kill -0 "$server" 2>/dev/null; then break; fi
        sleep 1
    done
    report "$1 (did not answer): $2"
    stop_server
}
trap stop_server EXIT
"""


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Of its first line, from 1."""
    language: str
    text: str

    @property
    def needs(self) -> str | None:
        """What it needs that not every machine has, or None: what follows `# needs` in its first line."""
        found = re.match(r"# needs (.+)", self.text)
        return found[1] if found else None

    def commands(self) -> Iterator[tuple[int, str]]:
        """The commands of a block of shell, each with its line; continued lines are one command."""
        number, waiting = self.line, ""
        for line in self.text.splitlines():
            waiting += line
            if waiting.endswith("\\"):
                waiting += "\n"
            elif waiting:
                if not waiting.startswith("#"):
                    yield number - waiting.count("\n"), waiting
                waiting = ""
            number += 1


def pages() -> list[Path]:
    """README.md, then the pages that it leads to."""
    return [
        README,
        *sorted((ROOT / "docs").glob("*.md")),
        ROOT / "prompts" / "README.md",
        ROOT / "models" / "README.md",
    ]


def blocks(page: Path) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, found.start(2)) + 1, found[1], found[2]) for found in _FENCE.finditer(text)]


def server_port(command: str) -> int | None:
    """The port on which a command serves until it is stopped; None for a command that ends by itself."""
    for start, default in SERVERS.items():
        if command.startswith(start) and "--help" not in command:
            told = re.search(r"--port (\d+)", command)
            return int(told[1]) if told else default
    return None


def exit_codes(command: str) -> list[str]:
    """The exit codes, beside 0, that a command's comment tells of: `# exit code 1: ...`."""
    return re.findall(r"exit code (\d+)", command.partition(" #")[2])


def script(chosen: Iterable[Path], folder: Path, *, skip: tuple[str, ...] = (), own_stack: bool = True) -> str:
    """A shell script that runs the pages' blocks and ends with 1 if a command failed.

    Args:
        chosen: The pages.
        folder: Where Python's blocks are written.
        skip: Commands that begin so are left out.
        own_stack: Start what serves. Without it such commands are left out, for something serves already, and so are
            those that another page has run in the same folder.
    """
    lines = [_SHELL]
    stack_runs = False
    known: set[str] = set()
    for page in chosen:
        if own_stack and not stack_runs and _begins_with_stack(page):
            lines.append(_call("serve", "the stack", STACK, str(SERVERS["babelview up"])))
            stack_runs = True
        for block in blocks(page):
            if block.needs is not None:
                continue
            if block.language == "python":
                file = folder / f"{page.stem}-{block.line}.py"
                file.write_text(block.text, encoding="utf-8")
                lines.append(_call("run", _place(page, block.line), f"python {shlex.quote(str(file))}"))
            if block.language != "sh":
                continue
            for number, command in block.commands():
                port = server_port(command)
                bare = command.partition(" #")[0].rstrip()
                if command.startswith(skip) or (not own_stack and (port is not None or bare in known)):
                    continue
                known.add(bare)
                if port is None:
                    lines.append(_call("run", _place(page, number), command, *exit_codes(command)))
                else:
                    lines.append(_call("serve", _place(page, number), command, str(port)))
                    stack_runs = command.startswith(STACK)
        if not stack_runs and own_stack:
            lines.append("stop_server")
    lines.append("""stop_server; printf '\\n%s\\n' "${failed[@]}"; exit $(( ${#failed[@]} > 0 ))""")
    return "\n".join(lines) + "\n"


def _begins_with_stack(page: Path) -> bool:
    """Whether a page's first command counts on the demo stack."""
    if page == README:
        return False
    for block in blocks(page):
        if block.needs is None and block.language == "python":
            return True
        if block.needs is None and block.language == "sh":
            return all(server_port(command) is None for _, command in [*block.commands()][:1])
    return False


def _call(function: str, *arguments: str) -> str:
    return shlex.join([function, *arguments])


def _place(page: Path, line: int) -> str:
    return f"{page.relative_to(ROOT)}:{line}"


def main() -> int:
    """Run them; 1 if a command failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", type=Path, help="(default: all)")
    parser.add_argument("--slow", action="store_true", help=f"also {', '.join(SLOW)}")
    parser.add_argument("--list", action="store_true", help="print the script, and run nothing")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="babelview-docs-") as name:
        chosen = [page.resolve() for page in given.pages] or pages()
        text = script(chosen, Path(name), skip=() if given.slow else SLOW)
        if given.list:
            print(text.removeprefix(_SHELL))
            return 0
        file = Path(name) / "docs.sh"
        file.write_text(text, encoding="utf-8")
        return subprocess.run(["bash", str(file)], cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
