"""Calls of tools, told apart from other JSON: with vLLM's own parser, and the demo's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.engines import json_closing

MODEL = Path(__file__).parents[2] / "server" / "demo" / "llama-3.2-11b-vision"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = '{"name": "look", "parameters": {"colour": "red", "times": 2}}'


@pytest.fixture(scope="module")
def request_with_tool() -> Any:
    """What the parser is told of the request. vLLM is imported here: workers that run other modules do without."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest  # noqa: PLC0415

    return ChatCompletionRequest(
        model="m", messages=[{"role": "user", "content": "a"}], tools=[TOOL], tool_choice="auto", stream=True
    )


@pytest.fixture
def parser(request_with_tool: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The parser that an engine of ours finds under vLLM's name."""
    from transformers import AutoTokenizer  # noqa: PLC0415  # as above
    from vllm.tool_parsers import ToolParserManager  # noqa: PLC0415

    monkeypatch.setattr(ToolParserManager, "lazy_parsers", dict(ToolParserManager.lazy_parsers))
    monkeypatch.setattr(ToolParserManager, "tool_parsers", {})
    monkeypatch.delenv(json_closing.LONGEST_STRING, raising=False)
    monkeypatch.setenv(json_closing.OWN_CALLS, "1")
    json_closing.install()
    return ToolParserManager.get_tool_parser("llama3_json")(
        AutoTokenizer.from_pretrained(MODEL), request_with_tool.tools
    )


def streamed(parser: Any, request: Any, text: str) -> tuple[str, str, str]:
    """(content, name of the call, its arguments) of a text that comes character by character."""
    content, name, arguments = "", "", ""
    for end in range(1, len(text) + 1):
        delta = parser.extract_tool_calls_streaming(text[: end - 1], text[:end], text[end - 1], [], [], [], request)
        content += (delta and delta.content) or ""
        for call in (delta and delta.tool_calls) or ():
            name += call.function.name or ""
            arguments += call.function.arguments or ""
    return content, name, arguments


@pytest.mark.parametrize(
    "text", ['{"title": "red", "name": "look"}', '{"name": "Ada", "parameters": {}}', "{}", "It is red {"]
)
def test_other_json_and_words_are_text(parser: Any, request_with_tool: Any, text: str) -> None:
    assert streamed(parser, request_with_tool, text) == (text, "", "")
    found = parser.extract_tool_calls(text, request_with_tool)
    assert (found.tools_called, found.content) == (False, text)


@pytest.mark.parametrize("text", [CALL, CALL.replace(": ", ":").replace(", ", ",")])
def test_calls_are_calls(parser: Any, request_with_tool: Any, text: str) -> None:
    content, name, arguments = streamed(parser, request_with_tool, text)
    assert (content, name, json.loads(arguments)) == ("", "look", {"colour": "red", "times": 2})
    found = parser.extract_tool_calls(text, request_with_tool)
    assert [call.function.name for call in found.tool_calls] == ["look"]
