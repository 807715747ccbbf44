"""Conversations that hold more pictures or videos than their model takes: the earliest are left out.

Chat programs send the whole conversation each time. What is refused because of its history is refused for ever, so only
what is new, behind the model's last answer, has to fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.gateway.config import ServedModel


def leave_out_earlier(messages: object, model: ServedModel) -> str | None:
    """Put a line of text in the place of the earliest pictures and videos, until the others fit.

    What is new stays, so that it can be refused; a model that takes no pictures at all refuses them too.

    Args:
        messages: Of a chat request, not yet checked; changed.
        model: What it takes.

    Returns:
        What was left out, for people; None if nothing was.
    """
    if not isinstance(messages, list):
        return None
    roles = [message.get("role") if isinstance(message, dict) else None for message in messages]
    new = len(roles) - roles[::-1].index("assistant") if "assistant" in roles else 0
    found = []
    for key, noun, most in (
        ("image_url", "picture", model.max_images),
        ("video_url", "video", min(model.max_frames, 1)),
    ):
        places = [
            (number, part)
            for number, message in enumerate(messages)
            for part in _parts(message)
            if isinstance(part, dict) and key in part
        ]
        beyond = places[: max(len(places) - most, 0) if most else 0]
        earlier = [part for number, part in beyond if number < new]
        for part in earlier:
            part.clear()
            part.update(type="text", text=f"(an earlier {noun}, not shown again)")
        if earlier:
            plural = "" if len(earlier) == 1 else "s"
            found.append(f"{len(earlier)} earlier {noun}{plural} left out: {model.name} takes {most} a request")
    return "; ".join(found) or None


def _parts(message: object) -> list[Any]:
    content = message.get("content") if isinstance(message, dict) else None
    return content if isinstance(content, list) else []
