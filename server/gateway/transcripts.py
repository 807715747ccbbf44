"""Transcriptions in OpenAI's formats: what vLLM answers, made into plain text, subtitles and OpenAI's own events."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Any

import orjson

from server.gateway.engine_errors import ERROR_EVENT, reshape_event

if TYPE_CHECKING:
    from collections.abc import Sequence

JSON, TEXT = "application/json", "text/plain; charset=utf-8"
SHORTEST_S = 0.001
"""A cue ends after it begins."""
_DATA = b"data: "


class TranscriptFormat:
    """Brings the answer to one request into the format that it asks for."""

    def __init__(self, format_: str, task: str, duration_s: float) -> None:
        """`format_`: a `response_format`; `task`: transcribe or translate; `duration_s`: how long the sound lasts."""
        self._format = format_
        self._task = task
        self._duration_s = duration_s
        self._unread = b""
        self._said: list[str] = []
        self._usage: dict[str, Any] | None = None
        self._failed = False

    def whole(self, body: bytes) -> tuple[bytes, str]:
        """An answer that is not a stream, and its content type; what is of another shape stays as it is."""
        try:
            told = orjson.loads(body)
        except orjson.JSONDecodeError:
            return body, JSON
        if not isinstance(told, dict) or not isinstance(told.get("text"), str):
            return body, JSON
        said = _one_space(told["text"]).strip()
        if self._format == "json":
            return orjson.dumps(told | {"text": said}), JSON
        segments = self._segments(told.get("segments") or ())
        if self._format == "verbose_json":
            return self._verbose(told, segments), JSON
        text = f"{said}\n" if self._format == "text" else _SUBTITLES[self._format](segments)
        return text.encode(), TEXT

    def _verbose(self, told: dict[str, Any], segments: list[dict[str, Any]]) -> bytes:
        usage = {"type": "duration", "seconds": math.ceil(self._duration_s)}
        text = " ".join(segment["text"].strip() for segment in segments)
        kept = {name: value for name, value in told.items() if name != "words"}
        own = {"task": self._task, "duration": round(self._duration_s, 3), "text": text, "segments": segments}
        return orjson.dumps(kept | own | {"usage": usage})

    def _segments(self, told: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """Segments with text, in order, within the sound, numbered anew; times in seconds with three decimals."""
        segments = [dict(segment) for segment in told if str(segment.get("text", "")).strip()]
        later = self._duration_s
        for segment in reversed(segments):
            start = min(float(segment["start"]), self._duration_s)
            # One that was cut off has the end of its window, which may lie in the next one.
            end = max(start, min(float(segment["end"]), max(later, start)))
            segment["start"], segment["end"] = round(start, 3), round(end, 3)
            later = start
        for number, segment in enumerate(segments):
            segment["id"] = number
        return segments

    def piece(self, piece: bytes) -> bytes:
        """A piece of a stream in OpenAI's events: `transcript.text.delta`, and `transcript.text.done` at the end."""
        *lines, self._unread = (self._unread + piece).split(b"\n")
        return b"".join(self._event(line) for line in lines)

    def _event(self, line: bytes) -> bytes:
        if line.startswith(ERROR_EVENT):
            self._failed = True
            return reshape_event(line) + b"\n\n"
        if self._failed or not line.startswith(_DATA):
            return b""
        if line == b"data: [DONE]":
            done = {"type": "transcript.text.done", "text": "".join(self._said).strip()}
            return _written(done | ({"usage": self._usage} if self._usage else {}))
        told = orjson.loads(line.removeprefix(_DATA))
        if usage := told.get("usage"):
            tokens = {"input_tokens": usage["prompt_tokens"], "output_tokens": usage.get("completion_tokens", 0)}
            self._usage = {"type": "tokens", **tokens, "total_tokens": sum(tokens.values())}
        return b"".join(self._delta(choice["delta"].get("content")) for choice in told.get("choices", ()))

    def _delta(self, text: str | None) -> bytes:
        text = text or ""
        if not self._said:
            text = text.lstrip()  # Whisper's texts begin with a space
        text = _one_space(text)
        if not text:
            return b""
        self._said.append(text)
        return _written({"type": "transcript.text.delta", "delta": text})


def _one_space(text: str) -> str:
    """VLLM puts a space between the texts of two windows, which begin with one."""
    return text.replace("  ", " ")


def _written(event: dict[str, Any]) -> bytes:
    return _DATA + orjson.dumps(event) + b"\n\n"


def subrip(segments: Sequence[dict[str, Any]]) -> str:
    """Segments as an SRT file."""
    return "".join(
        f"{number}\n{_cue_times(segment, ',')}\n{_line(segment)}\n\n" for number, segment in enumerate(segments, 1)
    )


def webvtt(segments: Sequence[dict[str, Any]]) -> str:
    """Segments as a WebVTT file."""
    cues = (f"{_cue_times(segment, '.')}\n{html.escape(_line(segment), quote=False)}\n\n" for segment in segments)
    return "WEBVTT\n\n" + "".join(cues)


def _line(segment: dict[str, Any]) -> str:
    """The text on one line; an arrow in it would be read as times."""
    return " ".join(str(segment["text"]).split()).replace("-->", "->")


def _cue_times(segment: dict[str, Any], point: str) -> str:
    start = segment["start"]
    return f"{_clock(start, point)} --> {_clock(max(segment['end'], start + SHORTEST_S), point)}"


def _clock(at_s: float, point: str) -> str:
    rest, milliseconds = divmod(round(at_s * 1000), 1000)
    minutes, left = divmod(rest, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{left:02}{point}{milliseconds:03}"


_SUBTITLES = {"srt": subrip, "vtt": webvtt}
