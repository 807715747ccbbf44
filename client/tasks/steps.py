"""The steps of a task: what is asked, and about what of a file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise, starmap
from typing import TYPE_CHECKING, Any

from client.media.content import SceneBounds, Span
from client.tasks import units

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from client.media.content import Probe
    from client.tasks.prompt import Prompt
    from client.tasks.units import Unit


DEFAULT_WINDOW_S = 10.0
SHORTEST_SCENE_S, LONGEST_SCENE_S = 0.6, 60.0
"""Cuts that follow each other faster are flashes; of a part that is longer, eight frames tell too little."""
SHORTEST_WINDOW_S = 0.1
"""Of windows, and from one to the next: an hour has 36,000 of them."""
MERGED_CHARACTERS = 6000
"""About 1500 tokens of English, 2500 of other scripts: with the answer they fit into a context of 4096."""


class OverKind(StrEnum):
    """What a step asks about."""

    WHOLE = "whole"
    WINDOWS = "windows"
    MERGE = "merge"
    AUDIO = "audio"


@dataclass(frozen=True, slots=True)
class Over:
    """What of a file a step asks about: one request for each unit."""

    kind: OverKind = OverKind.WHOLE
    length_us: int = 0
    """Of windows; the last one of a video may be shorter."""
    stride_us: int = 0
    """From the start of a window to that of the next one."""
    step: str = ""
    """Of a merge: the name of the step whose answers are merged."""
    most_characters: int = MERGED_CHARACTERS
    """Of a merge: of the answers in one prompt; more of them are merged in levels."""
    scenes: SceneBounds | None = None
    """Of windows that are scenes."""
    track: int | None = None
    """Of sound: which of several tracks, from 1; None: the one that players take."""
    words: bool = False
    """Of sound: the times of words are wanted too."""

    @property
    def sound_key(self) -> str:
        """The name of the pieces of sound that it is about; it says how they are cut."""
        return f"energy, track {self.track or 'default'}"

    def params(self) -> dict[str, Any]:
        """What of it makes another request, as JSON: answers about windows of other lengths are not mixed."""
        if self.kind is OverKind.AUDIO:
            return {"sound": self.sound_key, **({"words": True} if self.words else {})}
        if self.kind is not OverKind.WINDOWS:
            return {}
        if self.scenes:
            return {"scenes": self.scenes.key}
        return {"window_us": self.length_us, "stride_us": self.stride_us}

    def units(self, content: str, probe: Probe | None) -> list[Unit]:
        """The units of a file, as far as they depend on it alone: none of a merge; `probe` is None of a picture.

        There are none while its scenes, or the pieces of its sound, are not known. Where nothing is to be heard, the
        whole file is said to hold nothing.
        """
        if self.kind is OverKind.MERGE or self.unknown_sound(probe):
            return []
        if self.kind is OverKind.AUDIO and probe:
            spans_heard = [Span(*span) for span in probe.sound[self.sound_key]]
            return [units.sound(content, span) for span in spans_heard] or [units.whole(content)]
        if self.kind is OverKind.WHOLE or probe is None or not probe.duration_us:
            return [units.whole(content)]
        if self.scenes:
            spans: Iterable[Span] = starmap(Span, pairwise(probe.scenes.get(self.scenes.key, ())))
        else:
            spans = self._windows(probe.duration_us)
        return [units.window(content, span) for span in spans]

    def unknown_scenes(self, probe: Probe | None) -> SceneBounds | None:
        """What its units depend on, if that is not known yet of a video; None if it is."""
        if self.scenes is None or probe is None or not probe.duration_us or self.scenes.key in probe.scenes:
            return None
        return self.scenes

    def unknown_sound(self, probe: Probe | None) -> bool:
        """Whether its units depend on pieces of sound that are not known yet."""
        return self.kind is OverKind.AUDIO and (probe is None or self.sound_key not in probe.sound)

    def _windows(self, duration_us: int) -> Iterator[Span]:
        start = 0
        while True:
            end = min(start + self.length_us, duration_us)
            yield Span(start, end)
            if end == duration_us:
                return
            start += self.stride_us


WHOLE = Over()


def audio(track: int | None = None, *, words: bool = False) -> Over:
    """The pieces of a file's sound in which there is something to be heard."""
    return Over(OverKind.AUDIO, track=track, words=words)


def windows(length_s: float, stride_s: float | None = None) -> Over:
    """Windows of `length_s` seconds, one every `stride_s` seconds, or one after the other."""
    length_us = round(length_s * 1_000_000)
    return Over(OverKind.WINDOWS, length_us, round(stride_s * 1_000_000) if stride_s else length_us)


def scenes(shortest_s: float = SHORTEST_SCENE_S, longest_s: float = LONGEST_SCENE_S) -> Over:
    """Scenes, from cut to cut; those longer than `longest_s` seconds in parts."""
    bounds = SceneBounds(round(shortest_s * 1_000_000), round(longest_s * 1_000_000))
    return Over(OverKind.WINDOWS, scenes=bounds)


def merge(step: str, most_characters: int = MERGED_CHARACTERS) -> Over:
    """All answers to a step of the same task, `most_characters` of them in one prompt."""
    return Over(OverKind.MERGE, step=step, most_characters=most_characters)


@dataclass(frozen=True, slots=True)
class Step:
    """A prompt, and what it is asked about. `name` is for other steps of the task to refer to."""

    prompt: Prompt
    over: Over = WHOLE
    name: str = ""
    talk: Prompt | None = None
    """Asked instead, without frames, of a window in which people talk and there is hardly anything to be seen."""
