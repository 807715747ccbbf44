"""`babelview clips captions/`: cut moments out of videos; see `--help`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from client.cli import values
from client.cli.command import Command
from client.cli.signals import raise_interrupts
from client.errors import BabelviewError, UsageError

if TYPE_CHECKING:
    from client.clips.moments import Moment

_DESCRIPTION = """\
Cut the moments of a task's answers out of the videos: highlights, chapters, events, captions, or your own.

  babelview clips captions                            the five best highlights of each video, into clips/
  babelview clips captions --task chapters --top 0    each chapter as a file
  babelview clips captions --exact                    to the frame, encoded anew
  babelview clips captions --reel best.mp4            all in one video

Without --exact the packets are copied as they are, in no time and without loss, from the last key frame before
the moment on. clips/clips.json says what each file is. Exit code: 0 all done, 1 some failed, 2 wrong usage.
"""
LIST = "clips.json"
_NAMED = 80
"""Bytes of a file's name that stand in those of its clips."""
_NOTED_S = 0.1
"""So much earlier a clip may begin than its moment without a word."""


def _clips(folder: Path, task: str, top: int, out: Path, reel: Path | None, *, exact: bool) -> int:
    raise_interrupts()
    try:
        chosen, changed = _chosen(folder, task, top)
        for file in sorted(changed):
            print(f"failed: {file}: it has changed since it was asked about: run the batch again", file=sys.stderr)
        kept = [moment for moment in chosen if moment.file not in changed]
        failed = kept and (_write_reel(kept, reel) if reel else _write_files(kept, out, task, exact=exact))
    except BabelviewError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 1
    except BrokenPipeError:  # nobody reads what is printed
        raise
    except OSError as error:
        print(f"Error: cannot write to {reel or out}: {error.strerror or error}", file=sys.stderr)
        return 1
    return 1 if failed or changed else 0


def _chosen(folder: Path, task: str, top: int) -> tuple[list[Moment], set[str]]:
    """The moments of a task, and which of their files have changed since."""
    from client.clips.moments import changed_files, moments, tasks_with_moments  # noqa: PLC0415
    from client.ledger.results import Results  # noqa: PLC0415

    with Results(folder) as results:
        chosen = list(moments(results, task, top or None))
        others = [] if chosen else tasks_with_moments(results)
        changed = changed_files(results, (moment.file for moment in chosen))
    if not chosen:
        there = f"; there are those of {', '.join(others)}" if others else ""
        raise UsageError(
            f"{folder}: there are no moments of the task {task}: run babelview batch ... --tasks {task}{there}"
        )
    return chosen, changed


def _write_files(chosen: list[Moment], out: Path, task: str, *, exact: bool) -> int:
    from client.clips.cut import Reel, copy_part  # noqa: PLC0415  # decoders take a while
    from client.errors import MediaError  # noqa: PLC0415
    from client.export.atomic import replacing  # noqa: PLC0415

    out.mkdir(parents=True, exist_ok=True)
    listed, failed = list[dict[str, object]](), 0
    early = list[float]()
    names: set[str] = set()
    for moment in chosen:
        source = Path(moment.file)
        name = _name(source, task, moment, ".mp4" if exact else source.suffix, names)
        partial = out / f".partial.{name}"
        try:
            began = moment.start_s
            if exact:
                with Reel(partial) as clip:
                    clip.add(source, moment.start_s, moment.end_s)
            else:
                began = copy_part(source, partial, moment.start_s, moment.end_s)
            partial.replace(out / name)
        except MediaError as error:
            partial.unlink(missing_ok=True)
            print(f"failed: {moment.file}, {moment.start_s:g}-{moment.end_s:g} s: {error}", file=sys.stderr)
            failed += 1
            continue
        except BaseException:  # Ctrl-C, SIGTERM, a full disk
            partial.unlink(missing_ok=True)
            raise
        print(out / name)
        if moment.start_s - began > _NOTED_S:
            early.append(moment.start_s - began)
        listed.append({"clip": name, **moment._asdict(), "cut_from_s": round(began, 3)})
    with replacing(out / LIST) as file:
        file.write(json.dumps(listed, indent=2, ensure_ascii=False).encode())
    if early:
        print(
            f"{len(early)} of {len(listed)} clips begin before their moment, at a key frame, by up to "
            f"{max(early):.1f} s: --exact begins at the frame",
            file=sys.stderr,
        )
    return failed


def _write_reel(chosen: list[Moment], reel: Path) -> int:
    from client.clips.cut import Reel  # noqa: PLC0415  # decoders take a while
    from client.errors import MediaError  # noqa: PLC0415

    failed = 0
    partial = reel.with_name(f".partial.{reel.name}")
    try:
        with Reel(partial) as clip:
            for moment in chosen:
                try:
                    clip.add(Path(moment.file), moment.start_s, moment.end_s)
                except MediaError as error:
                    print(f"failed: {moment.file}, {moment.start_s:g}-{moment.end_s:g} s: {error}", file=sys.stderr)
                    failed += 1
        if failed < len(chosen):
            partial.replace(reel)
            print(reel)
    finally:
        partial.unlink(missing_ok=True)
    return failed


def _name(source: Path, task: str, moment: Moment, suffix: str, taken: set[str]) -> str:
    """`film.highlights.1.12.0-18.5.mp4`; of two files of one name the second gets a number."""
    stem = source.stem.encode()[:_NAMED].decode(errors="ignore")
    times = f"{moment.start_s:.1f}-{moment.end_s:.1f}"
    name, more = f"{stem}.{task}.{moment.number}.{times}{suffix}", 1
    while name in taken:
        more += 1
        name = f"{stem}-{more}.{task}.{moment.number}.{times}{suffix}"
    taken.add(name)
    return name


def _whole(text: str) -> int:
    return 0 if text == "0" else values.count(text)


command = Command(
    "clips",
    params=[
        click.Argument(["folder"], type=click.Path(path_type=Path), metavar="DIR"),
        click.Option(["--task"], default="highlights", show_default=True, metavar="NAME", help="whose moments"),
        click.Option(
            ["--top"], default="5", type=_whole, show_default=True, metavar="N", help="of each video the best; 0: all"
        ),
        click.Option(
            ["--out"],
            default="clips",
            type=click.Path(path_type=Path),
            show_default=True,
            metavar="DIR",
            help="where the clips go",
        ),
        click.Option(["--exact"], is_flag=True, help="begin and end at the frame; encodes anew, which takes longer"),
        click.Option(
            ["--reel"], type=click.Path(path_type=Path), metavar="FILE", help="one video of all, such as a.mp4"
        ),
    ],
    callback=_clips,
    help=_DESCRIPTION,
    epilog="DIR is the --output of the run, which holds ledger.db. Paths of videos are as that run was given them.\n",
)
