"""What comes back from OpenAI's chat completions, whole or piece by piece: the text, the thoughts, the figures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from client.errors import DeclinedError, FailedError, RefusedError

_MOST_TOKENS = 1 << 40
_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Fields of a message, and types of its parts, with a model's thoughts."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model said."""

    text: str
    finish_reason: str
    prompt_tokens: int
    generated_tokens: int
    request_s: float
    """From sending to the last byte, of the attempt that succeeded."""
    tokens_per_s: float | None = None
    """As the server tells it; None where it does not."""
    reasoning: str | None = None
    """What the model thought before it answered; None where it did not, or keeps it to itself."""
    verdict: str = "ok"
    """`ok`, `retried` or `doubtful`: see `client.checks.review`."""
    reasons: tuple[str, ...] = ()
    """Why it is doubtful, or was asked for again."""


class Pieces:
    """An answer that comes in OpenAI's stream events, put together."""

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._text, self._thoughts = list[str](), list[str]()
        self._refusal = ""
        self._finish_reason: str | None = None
        self._others: dict[str, Any] = {}

    def add(self, event: Any) -> str:
        """Take an event; gives the text that it brings, which may be none.

        Raises:
            FailedError: it is none of a chat completion.
        """
        try:
            self._others |= {name: event[name] for name in ("usage", "metrics") if event.get(name)}
            if not (choices := event.get("choices")):
                return ""
            # Who does not know of streams gives the message as a whole.
            said = choices[0].get("delta") or choices[0].get("message") or {}
            self._finish_reason = choices[0].get("finish_reason") or self._finish_reason
            self._refusal += said.get("refusal") or ""
            if isinstance(thought := _thought(said), str):
                self._thoughts.append(thought)
            text = _text(said.get("content"))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise FailedError("the answer is not a chat completion") from error
        self._text.append(text)
        return text

    def answer(self, request_s: float) -> Answer:
        """All of it, which took so many seconds.

        Raises:
            DeclinedError, RefusedError: the model refuses.
            FailedError: it holds no text, or is cut off.
        """
        if self._finish_reason is None:
            raise FailedError("it ended too early")
        message: dict[str, Any] = {"content": "".join(self._text), "refusal": self._refusal or None}
        if self._thoughts:
            message["reasoning"] = "".join(self._thoughts)
        choice = {"message": message, "finish_reason": self._finish_reason}
        return read_completion({"choices": [choice], **self._others}, request_s)


def _thought(said: dict[str, Any]) -> str | None:
    return next((thought for name in _REASONING if isinstance(thought := said.get(name), str) and thought), None)


def read_completion(completion: Any, request_s: float) -> Answer:
    """The answer in a chat completion, which took so many seconds.

    Raises:
        DeclinedError, RefusedError: the model refuses.
        FailedError: it is none, or holds no text.
    """
    try:
        choice = completion["choices"][0]
        message, finish_reason = choice["message"], str(choice.get("finish_reason"))
        text, refusal = _text(message.get("content")), message.get("refusal")
        reasoning = _reasoning(message)
        usage = completion.get("usage") or {}
        prompt_tokens = _count(usage.get("prompt_tokens"))
        generated_tokens = _count(usage.get("completion_tokens"))
        tokens_per_s = _speed(completion.get("metrics"))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise FailedError("the answer is not a chat completion") from error
    if not text.strip():
        if refusal:
            raise DeclinedError(f"the model refuses to answer: {refusal}")
        if finish_reason == "content_filter":
            raise RefusedError(f"the model refuses to answer: {finish_reason}")
    if not text.strip() and not reasoning:
        raise FailedError(f"the answer holds no text (finish_reason {finish_reason})")
    return Answer(
        text=text.strip(),
        finish_reason=finish_reason,
        prompt_tokens=prompt_tokens,
        generated_tokens=generated_tokens,
        request_s=request_s,
        tokens_per_s=tokens_per_s,
        reasoning=reasoning,
    )


def _text(content: Any) -> str:
    """What was said: a text, or parts of which some are text, others the model's thoughts."""
    if isinstance(content, list):
        return "".join(part["text"] for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _reasoning(message: dict[str, Any]) -> str | None:
    """The model's thoughts, where an endpoint keeps them apart: vLLM, DeepSeek, OpenRouter, Ollama, Mistral."""
    apart = next((said for name in _REASONING if isinstance(said := message.get(name), str) and said.strip()), "")
    content = message.get("content")
    for part in content if isinstance(content, list) else ():
        thought = part.get(part.get("type")) if part.get("type") in _REASONING else None
        apart += thought if isinstance(thought, str) else _text(thought)
    return apart.strip() or None


def _speed(metrics: Any) -> float | None:
    """Tokens a second as vLLM tells it (`--enable-per-request-metrics`): prefill and decoding, without queueing."""
    told = metrics.get("tokens_per_second") if isinstance(metrics, dict) else None
    return float(told) if isinstance(told, int | float) and 0 < told < _MOST_TOKENS else None


def _count(tokens: Any) -> int:
    """A number of tokens that can be added up and kept; 0 for what is none."""
    return tokens if isinstance(tokens, int) and 0 <= tokens < _MOST_TOKENS else 0
