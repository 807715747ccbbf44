"""`/v1/responses`: what OpenAI's newer API asks for, seen as a chat, so that the same guards judge it.

An engine answers it itself (vLLM has the API); nothing is kept here or there, so what refers to an earlier answer, or
asks for one to be kept, is refused. `ChatView` has the messages, tools and limits of a request under the names that a
chat has; media that a guard has put in order there are written back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from server.errors import RequestError
from server.gateway.parameters import CHAT

if TYPE_CHECKING:
    from collections.abc import Iterator

STATE = {
    "previous_response_id": "answers are not kept: send the whole conversation in input",
    "conversation": "conversations are not kept: send the whole of it in input",
    "background": "answers are given at once, plain or streamed",
    "store": "answers are not kept: leave store out, or set it to false",
    "prompt": "there are no stored prompts: send instructions and input",
}
"""What would keep something on the server -> what to do without it."""
TEXTS = frozenset({"input_text", "output_text", "text", "summary_text", "reasoning_text", "refusal"})
ROLES = ("user", "assistant", "system", "developer")
OTHERWISE = {"messages": "input", "response_format": "text", "max_tokens": "max_output_tokens"}
"""What a chat and a response call by different names."""
_NEEDED: dict[str, dict[str, Any]] = {
    "message": {"role": str, "content": str | list},
    "function_call": {"call_id": str, "name": str, "arguments": str},
    "function_call_output": {"call_id": str, "output": str | list},
    "reasoning": {"summary": list},
}
"""The types of item that are taken, and what each needs."""


class ChatView:
    """A request for a response, as a chat."""

    def __init__(self, asked: dict[str, Any]) -> None:
        """`asked`: the request; what a chat calls otherwise is put in order in it.

        Raises:
            RequestError: 400, naming what is not taken.
        """
        self._pictures: list[tuple[dict[str, Any], dict[str, Any]]] = []
        _check_state(asked)
        if asked.get("truncation") not in (None, "disabled"):
            raise _refusal("truncation", "truncation: only 'disabled' is taken; a prompt is answered whole, or refused")
        messages = list(self._messages(asked.get("input")))
        if isinstance(instructions := asked.get("instructions"), str):
            messages.insert(0, {"role": "system", "content": instructions})
        others = {name: value for name, value in asked.items() if name in CHAT}
        self.chat: dict[str, Any] = {**others, "messages": messages}
        if "max_output_tokens" in asked:
            self.chat["max_tokens"] = asked["max_output_tokens"]
        if isinstance(text := asked.get("text"), dict):
            self.chat["response_format"] = text.get("format")

    def write_back(self) -> bool:
        """Put the pictures of `chat` where they came from; whether any is another one now, or was left out."""
        changed = False
        for part, shown in self._pictures:
            if "image_url" not in shown:
                part.clear()
                part.update(type="input_text", text=shown["text"])
                changed = True
                continue
            url = shown["image_url"]["url"]
            changed |= part["image_url"] is not url
            part["image_url"] = url
        return changed

    def _messages(self, items: Any) -> Iterator[dict[str, Any]]:
        if isinstance(items, str):
            yield {"role": "user", "content": items}
            return
        if not isinstance(items, list) or not items:
            raise _refusal("input", "input must be text, or a list of at least one item")
        for item in items:
            if not isinstance(item, dict):
                raise _refusal("input", "an item of input must be an object")
            kind = item.get("type", "message")
            if kind == "item_reference":
                raise _refusal("input", "item_reference: answers are not kept; send the item itself (store: false)")
            if not isinstance(kind, str) or kind not in _NEEDED:
                raise _refusal("input", f"an item of type {str(kind)[:40]!r} is not taken: {', '.join(_NEEDED)}")
            yield self._message(item, kind)

    def _message(self, item: dict[str, Any], kind: str) -> dict[str, Any]:
        _check_item(item, kind)
        if kind == "function_call":
            function = {"name": item.get("name"), "arguments": item.get("arguments")}
            return {"role": "assistant", "tool_calls": [{"type": "function", "function": function}]}
        if kind == "function_call_output":
            return {"role": "tool", "content": self._content(item.get("output"))}
        if kind == "reasoning":
            return {"role": "assistant", "content": self._content(item.get("content") or item.get("summary"))}
        if item.get("role") == "developer":
            item["role"] = "system"
        content = self._content(item.get("content"))
        if item.get("role") == "assistant" and isinstance(content, list):
            texts = [part["text"] for part in content if part["type"] == "text"]
            if len(texts) == len(content):  # of several parts an engine reads the first, and of refusals none
                item.clear()
                item.update(type="message", role="assistant", content="".join(texts))
        return {"role": item.get("role"), "content": content}

    def _content(self, content: Any) -> Any:
        return [self._part(part) for part in content] if isinstance(content, list) else content

    def _part(self, part: Any) -> dict[str, Any]:
        kind = part.get("type") if isinstance(part, dict) else None
        if isinstance(kind, str) and kind in TEXTS:
            text = part.get("refusal" if kind == "refusal" else "text")
            if not isinstance(text, str):
                raise _refusal("input", f"the text of a part of type {kind!r} is missing")
            return {"type": "text", "text": text}
        if kind == "input_image":
            if not isinstance(part.get("image_url"), str):
                raise _refusal("input", "input_image: image_url must be a data URL; files are not kept here")
            part.setdefault("detail", "auto")
            shown = {"type": "image_url", "image_url": {"url": part["image_url"]}}
            self._pictures.append((part, shown))
            return shown
        more = "; a video goes to /v1/chat/completions" if str(kind).endswith(("video", "video_url", "file")) else ""
        raise _refusal("input", f"a part of type {str(kind)[:40]!r} is not taken: input_text and input_image are{more}")


def in_words_of_responses(error: RequestError) -> RequestError:
    """An error about a parameter of a chat, as one about what a response calls otherwise."""
    if error.param in OTHERWISE:
        name = OTHERWISE[error.param]
        message = (
            error.message.replace(error.param, name, 1) if error.message.startswith(error.param) else error.message
        )
        return RequestError(error.status, message, param=name, code=error.code, retry_after_s=error.retry_after_s)
    return error


def _check_item(item: dict[str, Any], kind: str) -> None:
    wanted = _NEEDED[kind]
    if missing := [name for name in wanted if not isinstance(item.get(name), wanted[name])]:
        raise _refusal(
            "input", f"an item of type {kind!r} needs {', '.join(wanted)}: {missing[0]} is missing, or no text"
        )
    if kind == "message" and item["role"] not in ROLES:
        raise _refusal("input", f"role is one of {', '.join(ROLES)}, not {item['role'][:40]!r}")


def _check_state(asked: dict[str, Any]) -> None:
    for name, advice in STATE.items():
        if asked.get(name):
            raise _refusal(name, f"{name} is not taken: {advice}", "unsupported_parameter")


def _refusal(name: str, message: str, code: str = "invalid_parameter") -> RequestError:
    return RequestError(400, message, param=name, code=code)
