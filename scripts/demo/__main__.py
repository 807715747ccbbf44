"""`make demo`: draw sample advertisements and a film, start the demo stack, caption them in four languages, stop it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from client.errors import BabelviewError
from client.report.write import write_report
from scripts.demo.sample_ads import read_lines, read_truth, write_ads
from scripts.demo.sample_films import read_films, write_films
from scripts.demo.stack import StackError, read_results, run_batch, running_stack
from scripts.demo.world import film_score
from scripts.demo.world.score import TASKS, TRANSCRIPT, score

ADS, FILMS, OUTPUT = Path("ads"), Path("films"), Path("captions")
VIDEOS, PICTURES, SEED = 16, 12, 1
IN_FULL = 2
"""Of the drawn videos, and of the pictures, this many are shown with all that was said."""
FILM_S, WINDOW_S = 90.0, 10
COLOURS = {"positive": "[green]positive", "negative": "[red]negative"}


def show(record: dict[str, Any], console: Console) -> None:
    """One file in full: what was said of it, a row per language."""
    if record["error"]:
        console.print(Panel(f"[red]{record['error']}", title=record["file"], title_align="left"))
        return
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for task, answer in record["tasks"].items():
        said = {"eng_Latn": english(answer)} | answer.get("translations", {})
        if task == TRANSCRIPT:
            said = lines_of(answer)
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
        description = " ".join(str(english(tasks["describe"])).split("\n\n")[1:])
        table.add_row(record["file"], COLOURS.get(tone, tone), description, plain(english(tasks["tags"])))
    console.print(table)


def show_film(record: dict[str, Any], console: Console) -> None:
    """The chapters of a film and its summary, a column per language."""
    if record["error"]:
        console.print(Panel(f"[red]{record['error']}", title=record["file"], title_align="left"))
        return
    chapters, summary = record["tasks"]["chapters"], record["tasks"]["summary"]
    languages = list(summary["translations"])
    table = Table("", "[cyan]eng_Latn", *(f"[cyan]{language}" for language in languages), box=None)
    for part in chapters["segments"]:
        said = part.get("translations", {})
        time = f"{clock(part['start'])} to {clock(part['end'])}"
        table.add_row(time, part["title"], *(said.get(language, "") for language in languages))
    table.add_section()
    table.add_row("[bold]summary", summary["text"], *(summary["translations"][language] for language in languages))
    facts = f"{record['duration_sec']:.0f} s, {record['width']}x{record['height']}"
    console.print(Panel(table, title=f"[bold]{record['file']}[/]  {facts}: its chapters", title_align="left"))


def clock(time_s: float) -> str:
    """Minutes and seconds."""
    return f"{int(time_s) // 60}:{int(time_s) % 60:02d}"


def of_kind(records: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """The records of pictures (`image`) or videos."""
    return [record for record in records if record["kind"] == kind]


def english(answer: dict[str, Any]) -> str | list[str]:
    """What the model said: a text, or tags."""
    said: str | list[str] = answer.get("tags", answer.get("text", ""))
    return said


def lines_of(answer: dict[str, Any]) -> dict[str, str]:
    """What is said in a file, a line for each segment with the time at which it begins, in each language."""
    said: dict[str, list[str]] = {}
    for part in answer["segments"]:
        for language, text in ({"eng_Latn": part["text"]} | part.get("translations", {})).items():
            said.setdefault(language, []).append(f"{part['start']:.1f} s  {text}")
    return {language: "\n".join(lines) for language, lines in said.items()} or {"eng_Latn": "nothing is said"}


def plain(said: str | list[str]) -> str:
    """A text or tags as one text."""
    return ", ".join(said) if isinstance(said, list) else said


def page_of_results() -> str:
    """The page of the report of all results, or why there is none."""
    try:
        return f"./{write_report(OUTPUT)}"
    except BabelviewError as error:
        return f"no page, {error}"


def main() -> int:
    """Run it all; the exit code is that of the part that failed."""
    console = Console()
    if not any(ADS.glob("*")):
        console.print(f"drawing {VIDEOS} videos and {PICTURES} pictures into ./{ADS}")
        write_ads(ADS, SEED, VIDEOS, PICTURES, console)
    if not any(FILMS.glob("*")):
        console.print(f"drawing a film of {FILM_S:.0f} seconds into ./{FILMS}")
        write_films(FILMS, SEED, 1, FILM_S)
    console.print("starting the demo stack: vLLM, the translator and the gateway (about a minute)")
    try:
        with running_stack() as stack:
            common: list[str | Path] = ["--concurrency", "32", "--format", "json,vtt", "--output", OUTPUT]
            over_time = ("--tasks", ",".join(film_score.TASKS), "--window", str(WINDOW_S))
            code = run_batch(stack, FILMS, *common, "--no-hear", *over_time)  # nothing is said in films
            # The last run decides whether the folder's next one hears.
            code = run_batch(stack, ADS, *common, "--hear", "--tasks", ",".join((*TASKS, TRANSCRIPT))) or code
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    records, films = read_results(OUTPUT), read_films(FILMS)
    timed = [record for record in records if Path(record["file"]).name in films]
    records = [record for record in records if record not in timed]
    truth = read_truth(ADS)
    drawn = [record for record in records if Path(record["file"]).name in truth]
    in_full = [record for kind in ("video", "image") for record in of_kind(drawn, kind)[:IN_FULL]]
    # Of the user's own files nothing is left out.
    in_full += [record for record in records if record not in drawn]
    for record in in_full:
        show(record, console)
    if rest := [record for record in drawn if record not in in_full]:
        show_all(rest, console)
    for record in timed:
        show_film(record, console)
    if timed:
        over_time_score = film_score.score_films(timed, films, WINDOW_S)
        console.print(
            f"exactly right: {over_time_score.caption_share:.1%} of what is said of the film's time, and "
            f"{over_time_score.translation_share:.1%} of its translations"
        )
    if truth:
        result = score(records, truth, read_lines(ADS))
        console.print(
            f"exactly right: {result.caption_share:.1%} of the captions and "
            f"{result.translation_share:.1%} of the translations of {len(truth)} drawn advertisements"
        )
    console.print(f"to look at in a browser: {page_of_results()}", soft_wrap=True)
    console.print(
        f"all of it is in ./{OUTPUT}/results.json, subtitles in ./{OUTPUT}/subtitles; your own files: put them into "
        f"./{ADS} and run it again "
        "(but the demo models know only drawn pictures)"
    )
    console.print(
        "to go on: [bold]source .venv/bin/activate[/], then [bold]babelview up --profile demo[/] in one terminal and "
        "[bold]babelview batch ./ads[/] in another; [bold]babelview --help[/] lists all commands"
    )
    return code


if __name__ == "__main__":
    sys.exit(main())
