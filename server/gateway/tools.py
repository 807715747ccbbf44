"""Tools of a request: taken where the model calls tools, refused in plain words where it does not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from server.errors import RequestError
from server.gateway.body import DEEPEST, is_deep

if TYPE_CHECKING:
    from server.gateway.config import ServedModel

_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_DIGITS = 4300
"""Python, in which engines are written, reads no longer whole numbers."""
_LONG_NUMBER = re.compile(rf"\d{{{_DIGITS + 1}}}")
_WORDS = ("none", "auto", "required")
_ABOUT_TOOLS = ("tools", "tool_choice", "parallel_tool_calls")


def check_tools(asked: dict[str, Any], model: ServedModel) -> bool:
    """Check the tools of a chat or of a response, and what refers to them.

    An empty list of tools, and a choice among none, are left out: SDKs send them, engines refuse them.

    Returns:
        Whether `asked` was changed.

    Raises:
        RequestError: 400, naming what is wrong, or what this model cannot do.
    """
    tools, choice = asked.get("tools"), asked.get("tool_choice")
    if tools in (None, []):
        if choice not in (None, "none", "auto"):
            raise _refusal("tool_choice", "tool_choice without tools: send the tools too")
        return _leave_out(asked)
    if not isinstance(tools, list):
        raise _refusal("tools", "tools must be a list")
    if not model.tools:
        if choice != "none":
            raise _refusal("tools", f"{model.name} calls no tools: ask without tools, or another model")
        _leave_out(asked)
        return True
    names = [_name_of(tool) for tool in tools]
    _check_choice(choice, names, flat="function" not in tools[0])
    return _without_null(asked)


def _leave_out(asked: dict[str, Any]) -> bool:
    """Leave out all that is about tools; whether there was any."""
    return len([asked.pop(name) for name in _ABOUT_TOOLS if name in asked]) > 0


def check_turns(messages: Any, model: ServedModel) -> bool:
    """Check the turns of a conversation: who speaks, and that only a model that calls tools is told of calls.

    OpenAI's `developer` is the `system` of the models here.

    Returns:
        Whether a message was changed.

    Raises:
        RequestError: 400.
    """
    changed = False
    for message in messages if isinstance(messages, list) else ():
        if not isinstance(message, dict):
            continue
        if message.get("role") == "developer":
            message["role"] = "system"
            changed = True
        if not model.tools and (message.get("tool_calls") or message.get("role") == "tool"):
            raise _refusal(
                "messages", f"{model.name} calls no tools, and does not understand a conversation with calls"
            )
        calls = message.get("tool_calls")
        if not isinstance(calls, list | None):
            raise _refusal("messages", "tool_calls of a message must be a list")
        for call in calls or ():
            _check_call(call)
    return changed


def _check_call(call: Any) -> None:
    """Check an earlier call. Its arguments are JSON in a text, which the engine's template reads by recursion."""
    function = call.get("function") if isinstance(call, dict) else None
    name, arguments = (function.get("name"), function.get("arguments")) if isinstance(function, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(arguments, str):
        raise _refusal("messages", "an earlier call needs a function with a name and arguments, both as text")
    if _LONG_NUMBER.search(arguments):
        raise _refusal("messages", f"the arguments of a call have a number of more than {_DIGITS} digits")
    if arguments.count("[") + arguments.count("{") >= DEEPEST:
        try:
            deep = is_deep(orjson.loads(arguments))
        except orjson.JSONDecodeError as error:
            deep = "depth limit" in str(error)
        if deep:
            raise _refusal("messages", f"the arguments of a call are nested deeper than {DEEPEST} levels")


def _name_of(tool: Any) -> str:
    """The name of a function; in a chat it is wrapped, in `/v1/responses` it is not."""
    kind = tool.get("type") if isinstance(tool, dict) else None
    if kind != "function":
        raise _refusal("tools", f"a tool of type {str(kind)[:40]!r} is not taken: only functions of your own are")
    function = tool.get("function", tool)
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _refusal("tools", "a function needs a name of up to 64 letters, digits, _, - and .")
    if not isinstance(function.get("parameters"), dict | None):
        raise _refusal("tools", f"{name}: parameters must be a JSON schema")
    return name


def _check_choice(choice: Any, names: list[str], *, flat: bool) -> None:
    """`flat`: whether functions are not wrapped, as in `/v1/responses`."""
    if choice is None or choice in _WORDS:
        return
    function = choice.get("function", choice) if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) and choice.get("type") == "function" else None
    if not isinstance(name, str):
        raise _refusal("tool_choice", f"tool_choice is one of {', '.join(_WORDS)}, or names one function")
    if flat is not ("function" not in choice):
        right = '{"type": "function", "name": "..."}' if flat else '{"type": "function", "function": {"name": "..."}}'
        raise _refusal("tool_choice", f"tool_choice: a function is named here as {right}")
    if name not in names:
        raise _refusal("tool_choice", f"tool_choice: there is no function {name[:64]!r} among the tools")


def _without_null(asked: dict[str, Any]) -> bool:
    if "tool_choice" in asked and asked["tool_choice"] is None:
        del asked["tool_choice"]
        return True
    return False


def _refusal(name: str, message: str) -> RequestError:
    return RequestError(400, message, param=name, code="invalid_parameter")
