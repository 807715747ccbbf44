"""Live photos: a picture and some seconds of video, which a phone takes together and names alike."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from client.sources.source import Source

LONGEST_S = 5.0
"""Of a live photo's video; those of an iPhone take 3 s."""
_PICTURES = {".mov": (".heic", ".heif", ".jpg", ".jpeg"), ".mp4": (".heic", ".heif")}
"""Suffix of the video -> those of its picture, the likeliest first; .mp4 is how Google's export names it."""


def with_live_photos(sources: list[Source]) -> list[Source]:
    """The sources, each video that is named like a picture beside it with that picture's name.

    Whether it is short enough to be the moving part of a live photo is known when it has been read.
    """
    pictures: dict[tuple[str, str], str] = {}
    for source in sources:
        stem, suffix = _split(source.where)
        if suffix in _PICTURES[".mov"]:
            pictures.setdefault((stem, suffix), source.name)

    def picture_of(source: Source) -> str | None:
        stem, suffix = _split(source.where)
        return next((pictures[stem, other] for other in _PICTURES.get(suffix, ()) if (stem, other) in pictures), None)

    return [replace(source, live_photo_of=name) if (name := picture_of(source)) else source for source in sources]


def _split(where: str) -> tuple[str, str]:
    stem, _, suffix = where.rpartition(".")
    return stem, f".{suffix.lower()}"
