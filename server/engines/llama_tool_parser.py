"""Calls of tools in what Llama 3.2 writes: vLLM's parser for its JSON, told apart from other JSON.

vLLM's `llama3_json` takes every text that begins with a brace for calls. An answer that is JSON because a schema asked
for it, in a request that has tools too, is then lost in a stream, where nothing is passed on that is no call. A call
begins with the name of a tool; until that is written nothing is passed on, and what begins otherwise is text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import regex
from vllm.entrypoints.generate.base.protocol import DeltaMessage, ExtractedToolCallInformation
from vllm.tool_parsers.llama_tool_parser import Llama3JsonToolParser

if TYPE_CHECKING:
    from collections.abc import Sequence

CALL = regex.compile(r'\s*(?:<\|python_tag\|>)?\s*\{\s*(?:"type"\s*:\s*"function"\s*,\s*)?"name"\s*:\s*"([^"]*)"')
"""How a call begins."""


class LlamaToolParser(Llama3JsonToolParser):  # type: ignore[misc]  # vLLM's types are not followed
    """vLLM's parser, for calls of the request's own tools."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_text = False

    def extract_tool_calls(self, model_output: str, request: Any) -> ExtractedToolCallInformation:
        """The calls in a whole answer; JSON that calls none of the tools is text."""
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
        begun = CALL.match(current_text, partial=True)
        if begun is not None and begun.partial:
            return None
        if begun is None or begun[1] not in _names(request):
            self._is_text = True
            return DeltaMessage(content=current_text)  # with what was held back
        return super().extract_tool_calls_streaming(
            previous_text,
            current_text,
            delta_text,
            previous_token_ids,
            current_token_ids,
            delta_token_ids,
            request,
        )


def _names(request: Any) -> set[str]:
    """The functions of a chat, or of a response."""
    return {getattr(tool, "function", tool).name for tool in request.tools or ()}
