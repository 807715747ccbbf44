"""`subtitles/<file>.<task>.<language>.vtt` (or `.srt`, `.ffmeta`): the timed answers of each file, in each language.

Answers whose parts have titles are chapters: their cues are the titles, whole. Of the others each part becomes cues
that can be read. `.ffmeta` is written of chapters alone, for FFmpeg to put them into the film:

    ffmpeg -i film.mp4 -i film.mp4.chapters.eng_Latn.ffmeta -map_chapters 1 -codec copy with_chapters.mp4
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from client.export.atomic import replacing
from client.export.captions import language_of
from client.export.cues import Cue, cues, ffmetadata, srt, vtt
from client.export.places import UNSAFE, digest, place, shortened
from client.record import records

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path, PurePosixPath

    from client.ledger.results import Results
    from client.record import Record

FOLDER = "subtitles"
WRITERS = {"vtt": vtt, "srt": srt, "ffmetadata": ffmetadata}
SUFFIXES = {"vtt": ".vtt", "srt": ".srt", "ffmetadata": ".ffmeta"}
_TASK_BYTES = 100
"""Of a task's name in that of a file."""


def write(results: Results, folder: Path, names: Iterable[str]) -> Path:
    """Write the files of these formats; one that is already as it should be is left alone. Returns where they lie.

    Raises:
        OSError: one cannot be written.
        LedgerError: the ledger cannot be read.
    """
    (folder / FOLDER).mkdir(exist_ok=True)
    for record in records(results):
        for where, text in files(record, names):
            path = folder / FOLDER / where
            path.parent.mkdir(parents=True, exist_ok=True)
            content = text.encode()
            if not path.is_file() or path.read_bytes() != content:
                with replacing(path) as file:
                    file.write(content)
    return folder / FOLDER


def files(record: Record, names: Iterable[str]) -> Iterator[tuple[PurePosixPath, str]]:
    """(path below the folder, content) of each file that is made of a record."""
    for task, answer in record["tasks"].items():
        segments = answer.get("segments") or ()
        if not segments:
            continue
        chapters = any("title" in segment for segment in segments)
        for language in _languages(segments):
            shown = list(_cues(segments, language, chapters=chapters))
            for name in names:
                if shown and (chapters or name != "ffmetadata"):
                    suffix = f".{_task_name(task)}.{language}{SUFFIXES[name]}"
                    yield place(record["file"], suffix), WRITERS[name](shown)


def _languages(segments: Iterable[dict[str, Any]]) -> list[str]:
    found = (language for segment in segments for language in segment.get("translations", ()))
    return list(dict.fromkeys([*map(language_of, segments), *found]))


def _cues(segments: Iterable[dict[str, Any]], language: str, *, chapters: bool) -> Iterator[Cue]:
    for segment in segments:
        said = segment.get("title") or segment.get("text", "")
        text = said if language == language_of(segment) else segment.get("translations", {}).get(language, "")
        if not isinstance(text, str):  # data that is no text
            continue
        if chapters:
            if text := " ".join(text.split()):
                yield Cue(segment["start"], segment["end"], text)
        else:
            yield from cues(segment["start"], segment["end"], text, language)


def _task_name(task: str) -> str:
    """A task's name as part of a file's: it is that of a folder, and may be as long as a file's own."""
    safe = shortened(UNSAFE.sub("_", task), _TASK_BYTES)
    return safe if safe == task else f"{safe}-{digest(task)}"
