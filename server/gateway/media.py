"""What media a request may carry: no more than the engine looks at, checked before it gets there."""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pybase64

from server.errors import ManyScansError, RequestError
from server.gateway.media_forms import FRAMES
from server.gateway.picture_headers import JPEG_START, checked_picture, jpeg_size

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.gateway.admission import Hold
    from server.gateway.config import Limits, ServedModel
    from server.gateway.fetch import Fetcher

PICTURES = ("data:image/jpeg;base64,", "data:image/png;base64,", "data:image/webp;base64,", "data:image/gif;base64,")
_USUAL_ASPECT, _FRAME_SIDE = 8, 336
"""CLIP's processor, LLaVA-NeXT-Video's, scales the shorter side of a frame to as many pixels."""
_TYPES = {"text", "refusal", "image_url", "video_url"}
_KEYS = _TYPES | {"type", "detail"}
"""vLLM takes more in a part: tensors, and `uuid`, under which one user's picture would be found by another."""


@dataclass(slots=True)
class Media:
    """One picture or video of a request, where it stands."""

    kind: str
    """`image_url` or `video_url`."""
    part: dict[str, Any]

    @property
    def url(self) -> str:
        """Its URL; vLLM takes `{"url": ...}` and a plain string."""
        value = self.part[self.kind]
        url = value.get("url") if isinstance(value, dict) else value
        if not isinstance(url, str):
            raise _refusal(f'{self.kind} must be {{"url": "data:..."}}')
        return url

    def replace(self, url: str) -> None:
        """Put another URL in its place."""
        self.part[self.kind] = {"url": url}


class MediaPolicy:
    """Checks the media of chat requests, and fetches those that are not in the request itself."""

    def __init__(self, limits: Limits, fetcher: Fetcher) -> None:
        self._limits = limits
        self._fetcher = fetcher

    async def check(self, asked: dict[str, Any], model: ServedModel, hold: Hold) -> tuple[list[str], bool]:
        """Check every picture and video; what is fetched, and the pixels of all, are counted in `hold`.

        Returns:
            Their URLs, and whether `asked` was changed: fetched media stand in it as data URLs, and pictures of which
            optional data are broken or huge without these.

        Raises:
            RequestError: 400 or 413, naming what is wrong; 429, there is no room for what was fetched.
        """
        media = list(_media(asked.get("messages")))
        images = [one for one in media if one.kind == "image_url"]
        if len(images) > model.max_images:
            message = f"{len(images)} pictures, but {model.name} takes at most {model.max_images} a request"
            raise _refusal(message)
        if len(media) - len(images) > 1 and model.max_frames:
            raise _refusal(f"{len(media) - len(images)} videos, but {model.name} takes one a request")
        away = [one for one in images if not one.url.startswith("data:")]
        if away:
            for one, url in zip(away, await self._fetch([one.url for one in away], hold), strict=True):
                one.replace(url)
        changed = bool(away)
        for one in media:
            if one.kind == "video_url":
                hold.pixels += self._check_frames(one.url, model)
            else:
                pixels, replacement = await self._check_picture(one.url)
                hold.pixels += pixels
                if replacement is not None:
                    one.replace(replacement)
                    changed = True
        if hold.pixels > (most := self._limits.max_pixels_decoding):
            millions = f"{hold.pixels / 1e6:.1f} million pixels together, at most {most / 1e6:.1f} are taken"
            raise _refusal(f"the pictures and frames of this request have {millions}: send them smaller")
        return [one.url for one in media], changed

    async def _fetch(self, addresses: list[str], hold: Hold) -> list[str]:
        """Data URLs of all; if one fails the others are not waited for, nor read on."""
        fetching = [asyncio.create_task(self._fetcher.data_url(address, hold)) for address in addresses]
        try:
            urls = await asyncio.gather(*fetching)
        finally:
            for task in fetching:
                task.cancel()
        if sum(map(len, urls)) > self._limits.max_body_bytes:
            limit = self._limits.max_body_bytes >> 20
            message = f"the pictures of these URLs are larger than {limit} MiB together"
            raise RequestError(413, message, param="messages", code="request_too_large")
        return urls

    async def _check_picture(self, url: str) -> tuple[int, str | None]:
        """The pixels of a picture; and the URL of one to send instead, if engines refuse it for what is no pixel."""
        header = next((prefix for prefix in PICTURES if url.startswith(prefix)), None)
        if header is None:
            raise _refusal(f"image_url: {url[:30]!r}: a picture is sent as JPEG, PNG, WebP or GIF in base64")
        begin = len(header)
        self._check_bytes("the picture", len(url) - begin)
        try:
            if url.startswith(JPEG_START, begin):
                width, height = jpeg_size(url, begin, len(url))  # microseconds
                replacement = None
            else:
                width, height, replacement = await asyncio.to_thread(checked_picture, url[begin:])
        except ValueError as error:
            raise _refusal("image_url: this is no picture, or a broken one") from error
        except ManyScansError as error:
            raise _refusal(f"image_url: {error}") from error
        if not 0 < width * height <= self._limits.max_picture_pixels:
            raise _refusal(f"a picture of {width}x{height}: at most {self._limits.max_picture_pixels} pixels are taken")
        return width * height, f"{header}{pybase64.b64encode(replacement).decode()}" if replacement else None

    def _check_frames(self, url: str, model: ServedModel) -> int:
        """The pixels of all frames of a video."""
        if model.max_frames == 0:
            raise _refusal(f"{model.name} takes no video")
        if not url.startswith("data:"):
            raise _refusal(f"video_url: only data: URLs are taken, not {url[:60]!r}; send the content itself")
        if not url.startswith(FRAMES):
            raise _refusal(f"video_url: videos are sent as frames, {FRAMES}<jpeg>,<jpeg>,...")
        sizes = set()
        number = 0
        for number, (begin, end) in enumerate(_frames(url), 1):
            self._check_bytes(f"frame {number}", end - begin)
            try:
                sizes.add(jpeg_size(url, begin, end))
            except ValueError as error:
                raise _refusal(f"video_url: frame {number} is no JPEG, or a broken one") from error
            except ManyScansError as error:
                raise _refusal(f"video_url: frame {number} is {error}") from error
        if len(sizes) > 1:
            raise _refusal("video_url: its frames have different sizes")
        width, height = sizes.pop()
        if width * height > self._limits.max_frame_pixels:
            raise _refusal(f"frames of {width}x{height}: at most {self._limits.max_frame_pixels} pixels are taken")
        pixels = number * _scaled_pixels(width, height)
        if pixels > max(self._limits.max_pixels_decoding, number * width * height):
            raise _refusal(f"frames of {width}x{height} are too long and narrow: crop or pad them")
        return pixels

    def _check_bytes(self, what: str, characters: int) -> None:
        if characters // 4 * 3 > self._limits.max_media_bytes:
            limit = self._limits.max_media_bytes >> 20
            message = f"{what} is larger than {limit} MiB"
            raise RequestError(413, message, param="messages", code="request_too_large")


def _scaled_pixels(width: int, height: int) -> int:
    """The pixels of a frame, or those that an engine scales a long and narrow one to before it crops it."""
    short, long = sorted((width, height))
    return width * height if long <= _USUAL_ASPECT * short else max(width * height, _FRAME_SIDE**2 * long // short)


def _frames(url: str) -> Iterator[tuple[int, int]]:
    """Where each frame begins and ends; cutting them out would copy them."""
    begin = len(FRAMES)
    while (end := url.find(",", begin)) >= 0:
        yield begin, end
        begin = end + 1
    yield begin, len(url)


def digest_of(urls: list[str]) -> bytes | None:
    """SHA-256 of media, by which requests about the same ones meet; None if there are none."""
    if not urls:
        return None
    hashed = hashlib.sha256()
    for url in urls:
        hashed.update(url.encode(errors="surrogatepass"))
    return hashed.digest()


def _media(messages: object) -> Iterator[Media]:
    if not isinstance(messages, list) or not messages:
        raise _refusal("messages must be a list of at least one message")
    for message in messages:
        if not isinstance(message, dict):
            raise _refusal("a message must be an object")
        content = message.get("content")
        if not isinstance(content, str | list | None):
            raise _refusal("a message's content must be text, or a list of parts")
        for part in content if isinstance(content, list) else ():
            yield from _media_of(part)


def _media_of(part: object) -> Iterator[Media]:
    if not isinstance(part, dict):
        raise _refusal("a part of a message must be an object")
    if other := sorted(part.keys() - _KEYS):
        raise _refusal(f"a part of a message holds {other[0][:40]!r}: only text, image_url and video_url are taken")
    kind = part.get("type")
    kinds = part.keys() & _TYPES
    if [kind] != list(kinds):
        raise _refusal('a part of a message is {"type": T, T: ...}, T being text, image_url or video_url')
    found = kinds.pop()
    if found in {"image_url", "video_url"}:
        yield Media(found, part)


def _refusal(message: str) -> RequestError:
    return RequestError(400, message, param="messages", code="invalid_media")
