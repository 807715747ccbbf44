"""How much of what the stack wrote about the time of drawn films is right: what is said, and when."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from client.media.content import Span
from scripts.demo.world import films
from scripts.demo.world.score import Score, expected_translation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from scripts.demo.world.films import Film

TASKS = ("captions", "events", "chapters", "summary", "abstract")
"""Of `prompts/`, those over time to which the world has an answer."""
EVENT_TOLERANCE_S = 1.5
"""Between two frames of a window of ten seconds there are 1.4 seconds, and events are told in whole ones."""


def score_films(records: list[dict[str, Any]], truth: Mapping[str, Film], tolerance_s: float) -> Score:
    """Compare the records of `results.json` with the truth (file name -> film).

    Chapters may begin `tolerance_s` off: the length of a window, or a frame where windows follow the scenes. A
    translation is held against the English text that was really written.
    """
    result = Score()
    for record in records:
        name = record["file"].rsplit("/", 1)[-1]
        if name not in truth:
            continue
        if record["error"]:
            result.failed.append(f"{name}: {record['error']}")
            continue
        for task, answer in record["tasks"].items():
            for what, expected, got in _compared(truth[name], task, answer, tolerance_s):
                result.captions[what].count(expected=expected, got=got, where=f"{name} {what}")
            for language, english, said in _translated(task, answer):
                right = expected_translation(english, language)
                result.translations[language].count(expected=right, got=said, where=f"{name} {task} {language}")
    return result


def _compared(film: Film, task: str, answer: dict[str, Any], tolerance_s: float) -> Iterator[tuple[str, Any, Any]]:
    """What is looked at in an answer, what is right, and what was said."""
    parts = answer.get("segments", [])
    if task == "captions":
        for part in parts:
            span = Span(round(part["start"] * 1e6), round(part["end"] * 1e6))
            yield "captions", films.caption(film.seen(span)), part["text"]
        yield "captions follow each other", True, _tile(parts, film.length_s)
    elif task == "chapters":
        yield "chapters tile the film", True, _tile(parts, film.length_s)
        starts, titles = [part["start"] for part in parts], [part["title"] for part in parts]
        for number, (begin, scene) in enumerate(zip([0, *film.cuts], film.scenes, strict=False)):
            said, at = (titles[number], starts[number]) if number < len(parts) else (None, None)
            yield "chapter titles", films.title(scene), said
            yield "chapter times", True, at is not None and round(abs(at - begin / films.RATE), 3) <= tolerance_s
        yield "chapters, how many", len(film.scenes), len(parts)
    elif task == "events":
        told = list(_joined(parts))
        yield "events in order", [films.name(scene) for scene in film.scenes], [scene for scene, _, _ in told]
        for number, span in enumerate(film.spans()):
            times = told[number][1:] if number < len(told) else (0.0, 0.0)
            near = all(abs(at - true / 1e6) <= EVENT_TOLERANCE_S for at, true in zip(times, span, strict=True))
            yield "event times", True, near
    elif task == "summary":
        yield "summary", films.in_order(film.scenes), answer.get("text")
    elif task == "abstract":
        yield "abstract", films.beginning_and_end(film.scenes), answer.get("text")


def _tile(parts: list[dict[str, Any]], length_s: float) -> bool:
    """Whether parts follow each other without a gap from the beginning to the end."""
    ends = [0.0, *(part["end"] for part in parts)]
    starts = [*(part["start"] for part in parts), round(length_s, 3)]
    return bool(parts) and starts == ends


def _joined(parts: list[dict[str, Any]]) -> Iterator[tuple[str, float, float]]:
    """Events of which a window saw a part each, as one: the scene, and its time."""
    told = [
        (part["text"].removesuffix(".").removeprefix("First ").removeprefix("Then ").lower(), part) for part in parts
    ]
    for scene, run in itertools.groupby(told, key=lambda event: event[0]):
        events = [part for _, part in run]
        yield scene, events[0]["start"], events[-1]["end"]


def _translated(task: str, answer: dict[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Language, English text and translation of all that was translated."""
    if task in ("summary", "abstract"):
        yield from ((language, answer["text"], text) for language, text in answer["translations"].items())
    for part in answer.get("segments", ()) if task not in ("summary", "abstract") else ():
        yield from ((language, part["text"], text) for language, text in part.get("translations", {}).items())
