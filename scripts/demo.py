"""`make demo`: draw sample advertisements, start the demo stack, caption them in four languages, stop the stack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from demo_stack import StackError, read_results, run_batch, running_stack
from demo_world.score import score
from make_sample_ads import read_truth, write_ads
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

ADS, OUTPUT = Path("ads"), Path("captions")
VIDEOS, PICTURES, SEED = 16, 12, 1


def show(record: dict[str, Any], console: Console) -> None:
    """One file: what was said of it, a row per language."""
    if record["error"]:
        console.print(Panel(f"[red]{record['error']}", title=record["file"], title_align="left"))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for task, answer in record["tasks"].items():
        said = {"eng_Latn": answer.get("tags", answer.get("text"))} | answer.get("translations", {})
        for language, text in said.items():
            first = task if language == "eng_Latn" else ""
            table.add_row(f"[bold]{first}", f"[cyan]{language}", ", ".join(text) if isinstance(text, list) else text)
    facts = f"{record['width']}x{record['height']}"
    if record["kind"] == "video":
        facts = f"{record['duration_sec']:.1f} s, {facts}, {record['frames']} frames"
    console.print(Panel(table, title=f"[bold]{record['file']}[/]  {facts}", title_align="left"))


def main() -> int:
    """Run it all; the exit code is that of the part that failed."""
    console = Console()
    if not any(ADS.glob("*")):
        console.print(f"drawing {VIDEOS} videos and {PICTURES} pictures into ./{ADS}")
        write_ads(ADS, SEED, VIDEOS, PICTURES, console)
    console.print("starting the demo stack: vLLM, the translator and the gateway (about a minute)")
    try:
        with running_stack() as stack:
            code = run_batch(
                stack, ADS, "--concurrency", "32", "--tasks", "describe,tags,sentiment", "--output", OUTPUT
            )
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    records = read_results(OUTPUT)
    for record in records:
        show(record, console)
    truth = read_truth(ADS)
    if truth:
        result = score(records, truth)
        console.print(
            f"exactly right: {result.caption_share:.1%} of the captions and "
            f"{result.translation_share:.1%} of the translations of {len(truth)} drawn advertisements"
        )
    console.print(
        f"all of it is in ./{OUTPUT}/results.json; your own files: put them into ./{ADS} and run it again "
        "(but the demo models know only drawn pictures)"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
