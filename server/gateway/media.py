"""What media a request may carry: data URLs only, and no more than the engine looks at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.gateway.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.gateway.config import ServedModel

FRAMES = "data:video/jpeg;base64,"
"""Ready frames, comma-separated (vLLM's form)."""


def check_media(request: dict[str, Any], model: ServedModel) -> None:
    """Check every picture, video and sound of a chat request.

    Raises:
        RequestError: 400, naming what is wrong.
    """
    if "media_io_kwargs" in request:
        raise RequestError(400, "media_io_kwargs is set by the server", param="media_io_kwargs")
    images = 0
    for key, url in _media(request.get("messages")):
        if not url.startswith("data:"):
            raise RequestError(
                400,
                f"{key}: only data: URLs are taken, not {url[:60]!r}; send the content itself",
                param="messages",
            )
        if key == "video_url":
            _check_frames(url, model)
        elif key == "image_url":
            images += 1
    if images > model.max_images:
        raise RequestError(
            400,
            f"{images} pictures, but {model.name} takes at most {model.max_images} a request",
            param="messages",
        )


def _check_frames(url: str, model: ServedModel) -> None:
    if model.max_frames == 0:
        raise RequestError(400, f"{model.name} takes no video", param="messages")
    if not url.startswith(FRAMES):
        raise RequestError(400, f"video_url: videos are sent as frames, {FRAMES}<jpeg>,<jpeg>,...", param="messages")
    frames = url.count(",")  # the first comma ends the header, each other one separates two frames
    if frames > model.max_frames:
        raise RequestError(
            400, f"{frames} frames, but {model.name} looks at {model.max_frames} at most", param="messages"
        )


def _media(messages: object) -> Iterator[tuple[str, str]]:
    """(kind of part, its URL) of every media part; vLLM takes `{"url": ...}` and a plain string."""
    for message in messages if isinstance(messages, list) else []:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else []:
            for key, value in part.items() if isinstance(part, dict) else []:
                if key.endswith("_url"):
                    url = value.get("url") if isinstance(value, dict) else value
                    if not isinstance(url, str):
                        raise RequestError(400, f'{key} must be {{"url": "data:..."}}', param="messages")
                    yield key, url
