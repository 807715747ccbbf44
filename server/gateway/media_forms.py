"""The forms in which clients send pictures and videos, brought to the one that engines read.

What a picture is called does not matter, since its bytes say what it is: `image/jpg`, capital letters, parameters of
the MIME type, a plain string for `{"url": ...}`. Nor does how its base64 is written: in lines, without padding,
URL-safe.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.gateway.config import ServedModel

FRAMES = "data:video/jpeg;base64,"
"""Ready frames, comma-separated (vLLM's form)."""
HOW_FRAMES = f'{{"type": "video_url", "video_url": {{"url": "{FRAMES}FRAME,FRAME,..."}}}}, each FRAME a JPEG in base64'
"""How a video is sent; refusals say so."""
LONGEST_HEADER = 200
"""Characters of a data URL before its comma."""
_STARTS = {"/9j/": "image/jpeg", "iVBORw0KGgo": "image/png", "UklGR": "image/webp", "R0lGOD": "image/gif"}
"""The first characters of pictures in base64, and what they are."""
_IGNORED = ("cache_control", "prompt_cache_breakpoint")
"""Hints to other services, in parts of messages."""
_UNTIDY = "%_-\n\r\t "
"""What a client may have put into base64; one search for each is quicker than a regular expression."""
_ESCAPES = {escape: chr(byte) for byte in b"+/=\t\n\r " for escape in (f"%{byte:02X}", f"%{byte:02x}")}
"""What URL-encoding makes of base64. All others stay: to decode any takes seconds and gigabytes for a large URL."""
_TO_STANDARD = str.maketrans("-_", "+/", string.whitespace)


def tidy_messages(messages: Any, model: ServedModel) -> bool:
    """Bring all media of messages to the form that engines read, in place; whether anything was changed.

    Raises:
        RequestError: 400, they are in a form, or of a kind, that this model does not take; says which one works.
    """
    return sum(_tidy_part(part, model) for part in _parts(messages)) > 0


def tidy_picture(url: str) -> str:
    """A data URL of a picture in the form that engines read; any other URL as it is."""
    if url[:5].lower() != "data:":
        return url
    comma = url.find(",", 0, LONGEST_HEADER)
    header = url[5:comma].lower()
    if comma < 0 or "base64" not in header.split(";"):
        return url
    kind = _kind_at(url, comma + 1)
    if (
        kind
        and url.startswith(f"data:{kind};base64,")
        and (len(url) - comma - 1) % 4 == 0
        and not _is_untidy(url, comma)
    ):
        return url
    payload = tidy_base64(url[comma + 1 :])
    return f"data:{_kind_at(payload, 0) or header.partition(';')[0]};base64,{payload}"


def _kind_at(text: str, begin: int) -> str | None:
    """The MIME type of the picture whose base64 begins at `begin`."""
    return next((kind for start, kind in _STARTS.items() if text.startswith(start, begin)), None)


def tidy_base64(text: str) -> str:
    """Standard base64, with padding and without white space; wrong characters stay as they are."""
    if _is_untidy(text) and text.isascii():
        if "%" in text:
            for escape, character in _ESCAPES.items():
                text = text.replace(escape, character)
        text = text.translate(_TO_STANDARD)
    return text + "=" * (-len(text) % 4)


def _is_untidy(text: str, begin: int = 0) -> bool:
    return any(text.find(character, begin) >= 0 for character in _UNTIDY)


def _parts(messages: Any) -> Iterator[dict[str, Any]]:
    for message in messages if isinstance(messages, list) else ():
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if isinstance(part, dict):
                yield part


def _tidy_part(part: dict[str, Any], model: ServedModel) -> bool:
    changed = sum(part.pop(name, None) is not None for name in _IGNORED) > 0
    kind = next((kind for kind in ("image_url", "video_url") if kind in part), None)
    if kind is None:
        return changed
    value = part[kind]
    url = value.get("url") if isinstance(value, dict) else value
    if not isinstance(url, str):
        return changed
    if kind == "image_url":
        if not model.max_images and model.max_frames:
            raise _refusal(f"{model.name} takes a video, no pictures. Frames go in one part: {HOW_FRAMES}")
        tidy = tidy_picture(url)
    else:
        tidy = _tidy_frames(url, model)
    if tidy is url and isinstance(value, dict):
        return changed
    part[kind] = (value if isinstance(value, dict) else {}) | {"url": tidy}
    return True


def _tidy_frames(url: str, model: ServedModel) -> str:
    """The data URL of a video's frames in vLLM's form."""
    if not model.max_frames:
        raise _refusal(f"{model.name} takes no video")
    comma = url.find(",", 0, LONGEST_HEADER)
    header = url[:comma].lower().split(";")
    if url[:5].lower() != "data:" or comma < 0:
        raise _refusal(f"video_url: only data: URLs are taken, not {url[:60]!r}; send the video's frames: {HOW_FRAMES}")
    if header[0] not in {"data:video/jpeg", "data:video/jpg", "data:image/jpeg"} or "base64" not in header:
        raise _refusal(f"video_url: a file of type {header[0][5:45]!r} is not read; send it as frames: {HOW_FRAMES}")
    frames = url.count(",", comma + 1) + 1
    if frames > model.max_frames:
        raise _refusal(f"{frames} frames, but {model.name} looks at {model.max_frames} at most")
    if (missing := model.fewest_frames - frames) > 0:
        url += ("," + url[url.rfind(",") + 1 :]) * missing
    if url.startswith(FRAMES) and not _is_untidy(url, comma) and _are_padded(url, comma + 1):
        return url
    return FRAMES + ",".join(map(tidy_base64, url[comma + 1 :].split(",")))


def _are_padded(url: str, begin: int) -> bool:
    while (end := url.find(",", begin)) >= 0:
        if (end - begin) % 4:
            return False
        begin = end + 1
    return (len(url) - begin) % 4 == 0


def _refusal(message: str) -> RequestError:
    return RequestError(400, message, param="messages", code="invalid_media")
