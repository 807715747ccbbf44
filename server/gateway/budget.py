"""What one request may cost everybody else: reckoned and bounded before anything is sent on.

An engine tokenises and detokenises all requests on one thread, and computes them in one batch: text without end, or
some thousand log-probabilities, and nobody else is answered meanwhile. The engine's own checks come too late, after the
tokenising.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from server.errors import RequestError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from server.gateway.config import Limits, ServedModel

REST_BYTES = 64 << 10
"""JSON of all parameters together that have no limit of their own."""
COMPLETION_TOKENS = 16
"""vLLM's default of `max_tokens` for completions; a chat may fill the context."""
_TEXTS = ("tools", "functions", "documents", "chat_template_kwargs", "suffix")
"""What chat templates write into the prompt, beside the messages."""
_BOUNDED = {"messages", "prompt", "response_format", "structured_outputs", "stop", "bad_words", *_TEXTS}
_MEDIA = ("image_url", "video_url")


def check_budget(asked: Mapping[str, Any], model: ServedModel, limits: Limits) -> None:
    """Check what a request costs; its parameters have been checked (`check_parameters`).

    Raises:
        RequestError: 400, naming what there is too much of, and how much is taken.
    """
    _check_parts(asked, limits)
    _check_words(asked, limits)
    _check_rest(asked)
    name = "prompt" if "prompt" in asked else "messages"
    others = sum(characters(asked[key]) for key in _TEXTS if key in asked)
    sizes = list(_prompt_sizes(asked, model))
    most = model.max_model_len * limits.max_characters_per_token
    text = max(text for text, _ in sizes) + others
    if text > most:
        raise RequestError(
            400,
            f"{text} characters of text: {model.name} holds {model.max_model_len} tokens, "
            f"and text of {most} characters at most is taken, also if it is to be truncated",
            param=name,
            code="context_length_exceeded",
        )
    _check_work(asked, model, limits, [tokens for _, tokens in sizes])


def characters(value: object) -> int:
    """Characters of all texts in a JSON value, the keys of objects included."""
    total, left = 0, [value]
    while left:
        one = left.pop()
        if isinstance(one, str):
            total += len(one)
        elif isinstance(one, dict):
            total += sum(map(len, one))
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
    return total


def _prompt_sizes(asked: Mapping[str, Any], model: ServedModel) -> Iterator[tuple[int, int]]:
    """(characters, tokens at most) of each prompt."""
    longest = model.max_model_len
    if "prompt" not in asked:
        text, media = _size_of_messages(asked.get("messages"))
        yield text, longest if media else min(longest, text)
        return
    prompt = asked["prompt"]
    several = isinstance(prompt, list) and not all(type(token) is int for token in prompt)
    for one in prompt if several else [prompt]:
        if isinstance(one, list):
            if len(one) > longest:
                message = f"a prompt of {len(one)} tokens: {model.name} holds {longest}"
                raise RequestError(400, message, param="prompt", code="context_length_exceeded")
            yield 0, len(one)
        else:
            text = characters(one)
            yield text, min(longest, text)


def _size_of_messages(messages: object) -> tuple[int, bool]:
    """Characters of text in messages, without their media, and whether they have media."""
    text, media = 0, False
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        content = message.get("content")
        text += characters({name: value for name, value in message.items() if name != "content"})
        for part in content if isinstance(content, list) else [content]:
            found = next((part[kind] for kind in _MEDIA if kind in part), None) if isinstance(part, dict) else None
            if found is None:
                text += characters(part)
            else:
                media = True
                text += characters({k: v for k, v in found.items() if k != "url"}) if isinstance(found, dict) else 0
    return text, media


def _check_parts(asked: Mapping[str, Any], limits: Limits) -> None:
    messages = asked.get("messages")
    contents = [m.get("content") for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []
    parts = sum(len(content) for content in contents if isinstance(content, list))
    if parts > limits.max_parts:
        raise _refusal("messages", f"messages of {parts} parts: {limits.max_parts} are taken, in all messages together")


def _check_words(asked: Mapping[str, Any], limits: Limits) -> None:
    for name in ("stop", "bad_words"):
        if (count := characters(asked.get(name))) > limits.max_word_characters:
            raise _refusal(name, f"{name} has {count} characters: {limits.max_word_characters} are taken")


def _check_rest(asked: Mapping[str, Any]) -> None:
    sizes = {
        name: len(orjson.dumps(value))
        for name, value in asked.items()
        if name not in _BOUNDED and isinstance(value, str | list | dict)
    }
    if sum(sizes.values()) > REST_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        message = f"{largest} is too large: all parameters but the text may have {REST_BYTES >> 10} KiB together"
        raise _refusal(largest, message)


def _check_work(asked: Mapping[str, Any], model: ServedModel, limits: Limits, prompts: list[int]) -> None:
    """Tokens of prompts and answers, each counted once more for every log-probability that is asked for."""
    default = COMPLETION_TOKENS if "prompt" in asked else model.max_model_len
    given = (_number(asked, name) for name in ("max_completion_tokens", "max_tokens"))
    answer = min(next((number for number in given if number is not None), default), model.max_model_len)
    choices = max(_number(asked, "n") or 1, _number(asked, "best_of") or 1)
    logprobs = max(_number(asked, "logprobs") or 0, _number(asked, "top_logprobs") or 0, _length(asked))
    for_prompt = _number(asked, "prompt_logprobs") or (logprobs if asked.get("echo") else 0)
    work = sum(prompts) * (1 + for_prompt) + len(prompts) * choices * answer * (1 + logprobs)
    if len(prompts) * choices > limits.max_sequences:
        message = (
            f"{len(prompts)} prompts with {choices} answers each: {limits.max_sequences} answers are taken at a time"
        )
        raise _refusal("n", message)
    most = limits.max_prompt_contexts * model.max_model_len
    if sum(prompts) > most:
        message = f"{len(prompts)} prompts of up to {sum(prompts)} tokens: {most} are taken at a time"
        raise _refusal("prompt", message)
    most = limits.max_contexts * model.max_model_len
    if work > most:
        raise _refusal(
            "max_tokens",
            f"this request may come to {work} tokens, log-probabilities counted as tokens: {most} are taken; "
            "ask for fewer prompts, choices (n), tokens (max_tokens) or log-probabilities at a time",
        )


def _number(asked: Mapping[str, Any], name: str) -> int | None:
    value = asked.get(name)
    return value if type(value) is int else None


def _length(asked: Mapping[str, Any]) -> int:
    listed = asked.get("logprob_token_ids")
    return len(listed) if isinstance(listed, list) else 0


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, message, param=name, code="too_expensive")
