"""A body of JSON: what is asked, and the files in it, which go to the disk."""

from __future__ import annotations

import mimetypes
import re
from typing import TYPE_CHECKING

import msgspec
import pybase64

from client.captioner.api_types import OPTIONS, Asking, CaptionRequest, Item, Media, merged
from client.errors import RejectedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from client.captioner.config import Limits

_KINDS = ("image", "video", "audio")
_HEAD = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+)?(?:;[\w.+-]+=[^;,]*)*(?P<base64>;base64)?,", re.IGNORECASE)
_LONGEST_HEAD = 200
_FRAMES = "video/jpeg"
"""Of a data URL as vLLM takes it: frames with commas between them."""
_PLACE = re.compile(r"^(?P<words>.*?)(?: - at `\$\.?(?P<place>.*?)`)?$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(\w{1,60})`")
_MEANT = {"window": "is so many seconds, from 0.5 to 3600, or scenes"}
"""What a parameter takes, in plain words where its type says it badly."""
_SPACE = str.maketrans("", "", " \t\r\n")


def take_apart(path: Path, limits: Limits) -> tuple[CaptionRequest, list[Item], int]:
    """What is asked, the files, and their bytes; the file `path`, which holds the body, is removed.

    Raises:
        RejectedError: 400, it is something else.
    """
    body = path.read_bytes()
    path.unlink()
    try:
        asked = msgspec.json.decode(body, type=CaptionRequest)
    except msgspec.ValidationError as error:
        raise wrong_type(error) from error
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise RejectedError(400, f"the body is not JSON: {error}", code="invalid_json") from error
    del body
    common = Asking(**{name: getattr(asked, name) for name in OPTIONS})
    written = _Writer(path.parent, limits)
    items: list[Item] = []
    for place, media in _media(asked):
        own = common if media is asked else merged(media, common)
        items += [
            _item(written, f"{place}{kind}", kind, media, own)
            for kind in (*_KINDS, "frames")
            if getattr(media, kind) is not None
        ]
    if not items:
        raise RejectedError(
            400, "there is nothing to describe: give image, video, audio, frames or videos", code="missing_media"
        )
    return asked, items, written.size


def _media(asked: CaptionRequest) -> Iterator[tuple[str, Media]]:
    yield "", asked
    for number, video in enumerate(asked.videos or ()):
        if not any(getattr(video, kind) for kind in (*_KINDS, "frames")):
            message = f"videos[{number}] has no video: give video, or frames"
            raise RejectedError(400, message, param=f"videos[{number}]", code="missing_media")
        yield f"videos[{number}].", video


class _Writer:
    """Writes files into the folder of a request."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._count = self.size = 0

    def write(self, param: str, text: str, suffix: str) -> str:
        """The name of a new file that holds what `text` is the base64 of."""
        if self._count == self._limits.files:
            raise RejectedError(400, f"more than {self._limits.files} files", param=param, code="too_many_files")
        if text[:8].lower().startswith(("http://", "https://", "file://")):
            raise RejectedError(400, f"{param}: URLs are not fetched: send the file", param=param, code="invalid_media")
        try:
            data = pybase64.b64decode(text, validate=True)
        except ValueError:  # with line breaks in it, as `base64` writes them
            try:
                data = pybase64.b64decode(text.translate(_SPACE), validate=True)
            except ValueError as error:
                message = f"{param} is not base64, and not a data URL of it ({error})"
                raise RejectedError(400, message, param=param, code="invalid_media") from error
        if not data:
            raise RejectedError(400, f"{param} is empty", param=param, code="invalid_media")
        name = f"{self._count}{suffix}"
        (self._folder / name).write_bytes(data)
        self._count += 1
        self.size += len(data)
        return name


def _item(written: _Writer, param: str, kind: str, media: Media, asking: Asking) -> Item:
    if kind == "frames":
        frames = media.frames or []
        names = []
        for number, frame in enumerate(frames):
            text, suffix = _split(f"{param}[{number}]", frame)
            names.append(written.write(f"{param}[{number}]", text, suffix))
        return Item(name=param, files=names, frames=True, asking=asking)
    text, suffix = _split(param, getattr(media, kind))
    if suffix == _FRAMES:
        names = [written.write(param, frame, "") for frame in text.split(",")]
        return Item(name=param, files=names, frames=True, asking=asking)
    return Item(name=param, files=[written.write(param, text, suffix)], asking=asking)


def _split(param: str, text: str) -> tuple[str, str]:
    """The base64 of a file, and the suffix that its type means; `_FRAMES` stands for frames."""
    if not text.startswith("data:"):
        return text, ""
    head = _HEAD.match(text[:_LONGEST_HEAD])
    if head is None or not head["base64"]:
        message = f"{param}: a data URL has to be data:TYPE;base64,..."
        raise RejectedError(400, message, param=param, code="invalid_media")
    kind = (head["type"] or "").lower()
    return text[head.end() :], _FRAMES if kind == _FRAMES else mimetypes.guess_extension(kind) or ""


def wrong_type(error: msgspec.ValidationError) -> RejectedError:
    """The refusal of a value that is not of its type."""
    found = _PLACE.match(str(error))
    words, place = (found["words"], found["place"]) if found else (str(error), None)
    if unknown := _UNKNOWN.search(words):
        name = f"{place}.{unknown[1]}" if place else unknown[1]
        return RejectedError(400, f"there is no parameter {name}", param=name, code="unknown_parameter")
    if meant := _MEANT.get((place or "").rpartition(".")[2]):
        words = f"{meant} ({words})"
    return RejectedError(400, f"{place}: {words}" if place else words, param=place, code="invalid_parameter")
