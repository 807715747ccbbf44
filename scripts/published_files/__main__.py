"""Whether every weight of the published checkpoints finds its place in our models, and every place its weight.

    python -m scripts.published_files                       all of them, in half a minute, without a file
    python -m scripts.published_files --only NF4            those in whose row this stands
    python -m scripts.published_files --folder PATH         a downloaded one: the headers of its files are read
    python -m scripts.published_files --json

vLLM's own loaders and the translator's converter run, on tensors without numbers: names, shapes and types. Each element
that is written into a parameter is counted. Exit code 1 if anything is left over on either side.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from scripts.published_files.checkpoints import Checkpoint


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", metavar="WORDS", help="the checkpoints in whose name or layout this stands")
    parser.add_argument(
        "--folder", type=Path, help="a local checkpoint instead, of Llama 3.2 Vision or LLaVA-NeXT-Video"
    )
    parser.add_argument("--json", action="store_true", help="for scripts")
    args = parser.parse_args(arguments)
    if args.folder is not None and not (args.folder / "config.json").is_file():
        parser.error(f"--folder: {args.folder} has no config.json")
    os.environ["HF_HUB_OFFLINE"] = "1"
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")
    from scripts.published_files.checkpoints import CHECKPOINTS  # noqa: PLC0415 - loads torch, after the arguments

    chosen = [of_folder(args.folder)] if args.folder else list(CHECKPOINTS)
    if args.only:
        chosen = [one for one in chosen if args.only.lower() in f"{one.name} {one.layout}".lower()]
        if not chosen:
            parser.error(f"--only: no checkpoint has {args.only!r} in its name or layout")
    rows = [look_at(checkpoint) for checkpoint in chosen]
    if args.json:
        print(json.dumps(rows, indent=2))
    else:
        console = Console()
        console.print(_table(rows))
        for row in rows:
            for problem in row["problems"]:
                console.print(f"[bold red]{row['name']}[/] {problem}", highlight=False)
    return int(any(row["problems"] for row in rows))


def of_folder(folder: Path) -> Checkpoint:
    """A downloaded checkpoint. Its quantisation is its own, everything else as vLLM takes it from its config.json."""
    from scripts.published_files import loading  # noqa: PLC0415
    from scripts.published_files.checkpoints import Checkpoint, unused_by  # noqa: PLC0415
    from scripts.published_files.manifests import of_folder as read  # noqa: PLC0415

    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    return Checkpoint(
        str(folder), "as its files", "the files", lambda: loading.load(folder, read(folder)), unused_by(config)
    )


def look_at(checkpoint: Checkpoint) -> dict[str, Any]:
    """The row of a checkpoint."""
    row: dict[str, Any] = {"name": checkpoint.name, "layout": checkpoint.layout, "known": checkpoint.known}
    try:
        found = checkpoint.try_loading()
    except (ValueError, KeyError, OSError) as error:
        return row | {"problems": [f"{type(error).__name__}: {str(error)[:500]}"]}
    left = [name for name in found.unused if not name.startswith(checkpoint.unused or ("\0",))]
    problems = [f"nobody takes {name}" for name in left] + [f"nothing fills {name}" for name in found.unfilled]
    counts = dataclasses.asdict(found) | {"unused": len(found.unused), "unfilled": len(found.unfilled)}
    return row | counts | {"problems": problems}


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = Table(title="Weights of published checkpoints against what loads them", title_justify="left")
    for column in ("checkpoint", "layout", "known"):
        table.add_column(column, overflow="fold")
    for column in ("tensors", "elements", "not needed", "parameters", "left over"):
        table.add_column(column, justify="right")
    for row in rows:
        counts = [f"{row[name]:,}" if name in row else "" for name in ("tensors", "elements", "unused", "parameters")]
        table.add_row(row["name"], row["layout"], row["known"], *counts, str(len(row["problems"])))
    return table


if __name__ == "__main__":
    sys.exit(main())
