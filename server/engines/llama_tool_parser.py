"""Calls of tools in what Llama 3.2 writes: vLLM's parser for its JSON, told apart from other JSON.

vLLM's `llama3_json` takes every text that begins with a brace for calls. An answer that is JSON because a schema asked
for it, in a request that has tools too, is then lost in a stream, where nothing is passed on that is no call. A call
begins with the name of a tool; until that is written nothing is passed on, and what begins otherwise is text.

In a stream vLLM's parser takes one step with each piece: a call has begun, its name, its arguments. Of calls that come
in few pieces, as they do if the reader is slow, the rest follows at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import regex
from vllm.entrypoints.generate.base.protocol import (
    DeltaFunctionCall,
    DeltaMessage,
    DeltaToolCall,
    ExtractedToolCallInformation,
)
from vllm.tool_parsers.llama_tool_parser import Llama3JsonToolParser

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CALL = regex.compile(r'\s*(?:<\|python_tag\|>)?\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*"([^"]*)"')
"""How a call begins."""


class LlamaToolParser(Llama3JsonToolParser):  # type: ignore[misc]  # vLLM's types are not followed
    """vLLM's parser, for calls of the request's own tools."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._text = ""
        """What has come of a stream."""
        self._request: Any = None
        self._is_text = False
        self._passed_on: dict[int, str] = {}
        """Index of a call whose name was passed on -> its arguments as far as they were."""

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """The calls in a whole answer; JSON that calls none of the tools, or stands behind words, is text."""
        if CALL.match(model_output) is None:
            return ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)
        found = super().extract_tool_calls(model_output, request)
        if found.tools_called and not {call.function.name for call in found.tool_calls} <= _names(request):
            return ExtractedToolCallInformation(tools_called=False, tool_calls=[], content=model_output)
        return found

    def extract_tool_calls_streaming(  # noqa: PLR0917 - vLLM's signature
        self,
        previous_text: str,
        current_text: str,
        delta_text: str,
        previous_token_ids: Sequence[int],
        current_token_ids: Sequence[int],
        delta_token_ids: Sequence[int],
        request: Any,
    ) -> DeltaMessage | None:
        """What a piece of a stream adds: text, or a part of a call."""
        if self._is_text:
            return DeltaMessage(content=delta_text)
        self._text, self._request = current_text, request
        self.engine_based_streaming = True  # vLLM calls `finish_streaming` of parsers that say so in the end
        begun = CALL.match(current_text, partial=True)
        if begun is not None and begun.partial:
            return None
        if begun is None or begun[1] not in _names(request):
            self._is_text = True
            return DeltaMessage(content=current_text)  # with what was held back
        found = super().extract_tool_calls_streaming(
            previous_text.lstrip(),
            current_text.lstrip(),
            delta_text,
            previous_token_ids,
            current_token_ids,
            delta_token_ids,
            request,
        )
        # vLLM's parser may go on to the second call before it has told the name of the first one.
        calls = (
            [call for call in found.tool_calls if call.function.name or call.index in self._passed_on] if found else []
        )
        for call in calls:
            self._passed_on[call.index] = self._passed_on.get(call.index, "") + (call.function.arguments or "")
        return DeltaMessage(tool_calls=calls) if calls else None

    def get_remaining_unstreamed_args(self) -> str:
        """Nothing: `finish_streaming` says what is left."""
        return ""

    def finish_streaming(self) -> DeltaMessage | None:
        """What of a stream that has ended was not passed on yet."""
        if self._is_text or not self._text:
            return None
        found = self.extract_tool_calls(self._text, self._request)
        if found.tools_called:
            left = list(self._left(found.tool_calls))
            return DeltaMessage(tool_calls=left) if left else None
        return None if self._passed_on else DeltaMessage(content=self._text)

    def _left(self, calls: Sequence[Any]) -> Iterator[DeltaToolCall]:
        for index, call in enumerate(calls):
            name, arguments = call.function.name, call.function.arguments
            if index not in self._passed_on:
                function = DeltaFunctionCall(name=name, arguments=arguments)
                yield DeltaToolCall(index=index, type="function", id=call.id, function=function)
            elif len(arguments) > len(passed := self._passed_on[index]) and arguments.startswith(passed):
                yield DeltaToolCall(index=index, function=DeltaFunctionCall(arguments=arguments[len(passed) :]))


def _names(request: Any) -> set[str]:
    """The functions of a chat, or of a response."""
    return {getattr(tool, "function", tool).name for tool in request.tools or ()}
