"""`make demo`: draw sample advertisements, start the demo stack, caption them in four languages, stop the stack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from scripts.demo.sample_ads import read_truth, write_ads
from scripts.demo.stack import StackError, read_results, run_batch, running_stack
from scripts.demo.world.score import TASKS, score

ADS, OUTPUT = Path("ads"), Path("captions")
VIDEOS, PICTURES, SEED = 16, 12, 1
IN_FULL = 2
"""Of the drawn videos, and of the pictures, this many are shown with all that was said."""
COLOURS = {"positive": "[green]positive", "negative": "[red]negative"}


def show(record: dict[str, Any], console: Console) -> None:
    """One file in full: what was said of it, a row per language."""
    if record["error"]:
        console.print(Panel(f"[red]{record['error']}", title=record["file"], title_align="left"))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for task, answer in record["tasks"].items():
        said = {"eng_Latn": english(answer)} | answer.get("translations", {})
        for language, text in said.items():
            first = task if language == "eng_Latn" else ""
            table.add_row(f"[bold]{first}", f"[cyan]{language}", plain(text))
    facts = f"{record['width']}x{record['height']}"
    if record["kind"] == "video":
        facts = f"{record['duration_sec']:.1f} s, {facts}, {record['frames']} frames"
    console.print(Panel(table, title=f"[bold]{record['file']}[/]  {facts}", title_align="left"))


def show_all(records: list[dict[str, Any]], console: Console) -> None:
    """Many files in brief, a line each: the tone, what is shown and the tags, in English."""
    table = Table("file", "tone", expand=True)
    for column in ("description", "tags"):
        table.add_column(column, no_wrap=True, ratio=1)
    for record in records:
        if record["error"]:
            table.add_row(record["file"], "", f"[red]{record['error']}")
            continue
        tasks = record["tasks"]
        tone = tasks["sentiment"].get("label") or ""
        description = str(english(tasks["describe"])).partition("\n\n")[2]
        table.add_row(record["file"], COLOURS.get(tone, tone), description, plain(english(tasks["tags"])))
    console.print(table)


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The records of pictures (`image`) or videos."""
    return [record for record in records if record["kind"] == kind]


def english(answer: dict[str, Any]) -> str | list[str]:
    """What the model said: a text, or tags."""
    said: str | list[str] = answer.get("tags", answer.get("text", ""))
    return said


def plain(said: str | list[str]) -> str:
    """A text or tags as one text."""
    return ", ".join(said) if isinstance(said, list) else said


def main() -> int:
    """Run it all; the exit code is that of the part that failed."""
    console = Console()
    if not any(ADS.glob("*")):
        console.print(f"drawing {VIDEOS} videos and {PICTURES} pictures into ./{ADS}")
        write_ads(ADS, SEED, VIDEOS, PICTURES, console)
    console.print("starting the demo stack: vLLM, the translator and the gateway (about a minute)")
    try:
        with running_stack() as stack:
            arguments = ["--concurrency", "32", "--tasks", ",".join(TASKS), "--no-hear"]
            code = run_batch(stack, ADS, *arguments, "--output", OUTPUT)
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    records = read_results(OUTPUT)
    truth = read_truth(ADS)
    drawn = [record for record in records if Path(record["file"]).name in truth]
    in_full = [record for kind in ("video", "image") for record in of_kind(drawn, kind)[:IN_FULL]]
    # Of the user's own files nothing is left out.
    in_full += [record for record in records if record not in drawn]
    for record in in_full:
        show(record, console)
    if rest := [record for record in drawn if record not in in_full]:
        show_all(rest, console)
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
    console.print(
        "to go on: [bold]source .venv/bin/activate[/], then [bold]babelview up --profile demo[/] in one terminal and "
        "[bold]babelview batch ./ads[/] in another; [bold]babelview --help[/] lists all commands"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
