"""What loading a file gives: facts for the record, and frames for the model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from client.media.kinds import Kind
    from client.media.strips import Thumbnail


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file, as shown on a screen: turned upright, with square pixels.

    `duration_sec`, `fps` (frames a second, averaged) and `frames` (those displayed) are of videos only; of sound alone
    there is a duration, and no width and height: both are 0.
    """

    width: int
    height: int
    duration_sec: float | None = None
    fps: float | None = None
    frames: int | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """To be pickled in a fraction of the time: what a dataclass brings goes through its fields one by one."""
        return Facts, (self.width, self.height, self.duration_sec, self.fps, self.frames)


@dataclass(frozen=True, slots=True)
class Probe:
    """What is known of a video's time: all but `scenes` is told by its packets, without decoding any."""

    duration_us: int
    """From the first frame displayed to the end of the last one; 0 where the file tells no times."""
    scenes: dict[str, list[int]] = field(default_factory=dict)
    """Of a video that was looked through for its cuts, by `SceneBounds.key`: where scenes begin, and the end of the
    last one, in microseconds."""
    sound: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Of a file whose sound was decoded, by `Over.sound_key`: the spans in which there is something to be heard."""
    sound_warnings: dict[str, list[str]] = field(default_factory=dict)
    """By the same: what is wrong with the sound."""


@dataclass(frozen=True, slots=True)
class SceneBounds:
    """How long scenes are: of cuts that follow each other faster the first counts, longer scenes are cut in parts."""

    shortest_us: int
    longest_us: int
    """Of a part; what would be left of a scene, and is shorter than `shortest_us`, belongs to the part before it."""

    @property
    def key(self) -> str:
        """The name of what is found within these bounds; it says how cuts are found."""
        return f"adaptive {self.shortest_us}-{self.longest_us}"


class Span(NamedTuple):
    """A part of a video's time, half open, in microseconds; 0 is when its first frame is displayed."""

    start_us: int
    end_us: int

    def __str__(self) -> str:
        """In seconds: `4.0-8.5 s`."""
        return f"{self.start_us / 1e6:.1f}-{self.end_us / 1e6:.1f} s"


class Look(NamedTuple):
    """What is looked at of a video."""

    span: Span | None
    """None: all of it."""
    frames: int | None = None
    """None: as many as the run says."""


class SceneLooks(NamedTuple):
    """What is looked at of a video whose scenes are to be found; numbers of frames are those of `Look`."""

    bounds: SceneBounds
    frames: tuple[int | None, ...] = (None,)
    """Of each scene, one look for each of them."""
    whole: tuple[int | None, ...] = ()
    """The same of the whole video."""


class Frame(NamedTuple):
    """A frame as the model gets it."""

    pts_us: int
    """When it is displayed: microseconds after the video's first displayed frame; 0 of a picture."""
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What was loaded of a file: one frame of a picture; the sampled ones of a video, or of a span of it."""

    kind: Kind
    facts: Facts
    frames: list[Frame]
    warnings: list[str] = field(default_factory=list)
    thumbnail: Thumbnail | None = None
    """For people; see `client.media.thumbnails`. Of several contents of a file the last one has it."""

    def __reduce__(self) -> tuple[Any, ...]:
        """As that of `Facts`."""
        return Content, (self.kind, self.facts, self.frames, self.warnings, self.thumbnail)

    def with_thumbnail(self, thumbnail: Thumbnail | None) -> Content:
        """The same, with this thumbnail."""
        return Content(self.kind, self.facts, self.frames, self.warnings, thumbnail)

    def without_frames(self) -> Content:
        """The same, its frames let go."""
        return Content(self.kind, self.facts, [], self.warnings, self.thumbnail)

    @property
    def jpegs(self) -> list[bytes]:
        """The pictures of the frames."""
        return [frame.jpeg for frame in self.frames]


class Scene(NamedTuple):
    """What was loaded of a scene, or of a part of a long one; without a span, of the whole video."""

    look: Look
    content: Content


class SoundPiece(NamedTuple):
    """A part of a file's sound in which there is something to be heard."""

    span: Span
    """On the clock of the video, or of the file where there is none."""
    wav: bytes
    """A WAV file of 32-bit floats: 16-bit samples of this rate are misread by vLLM without soundfile."""


class SoundSilence(NamedTuple):
    """For long there was nothing to be heard."""

    until_us: int
    """On the clock of `SoundPiece`."""


class SoundEnd(NamedTuple):
    """What is known when all was decoded."""

    duration_us: int
    """From the start of the clock to the last sample; 0 where there is no sound."""
    warnings: tuple[str, ...] = ()


SoundPart: TypeAlias = SoundPiece | SoundSilence | SoundEnd
"""What decoding sound gives, the end last."""
