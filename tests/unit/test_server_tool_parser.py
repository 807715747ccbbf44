"""Calls of tools, told apart from other JSON: with vLLM's own parser, and the demo's tokenizer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from server.engines import llama_tool_calls

MODEL = Path(__file__).parents[2] / "server" / "demo" / "llama-3.2-11b-vision"
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
CALL = '{"name": "look", "parameters": {"colour": "red", "times": 2}}'
NO_ARGUMENTS = '{"name": "look", "parameters": {}}'


@pytest.fixture(scope="module")
def request_with_tool() -> Any:
    """What the parser is told of the request. vLLM is imported here: workers that run other modules do without."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest  # noqa: PLC0415

    return ChatCompletionRequest(
        model="m", messages=[{"role": "user", "content": "a"}], tools=[TOOL], tool_choice="auto", stream=True
    )


@pytest.fixture
def new_parser(request_with_tool: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes what vLLM makes for each answer, with the parser that an engine of ours finds under its name."""
    from transformers import AutoTokenizer  # noqa: PLC0415  # as above
    from vllm.parser import ParserManager  # noqa: PLC0415
    from vllm.tool_parsers import ToolParserManager  # noqa: PLC0415

    monkeypatch.setattr(ToolParserManager, "lazy_parsers", dict(ToolParserManager.lazy_parsers))
    monkeypatch.setattr(ToolParserManager, "tool_parsers", {})
    monkeypatch.setenv(llama_tool_calls.LLAMA_TOOL_PARSER, "1")
    llama_tool_calls.install()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    kind = ParserManager.get_parser(tool_parser_name="llama3_json", reasoning_parser_name="", enable_auto_tools=True)
    return lambda: kind(tokenizer, request_with_tool.tools)


def streamed(parser: Any, request: Any, text: str, step: int = 1) -> tuple[str, list[tuple[str, str]]]:
    """(content, [(name of a call, its arguments)]) of a text that comes in pieces of `step` characters."""
    content = ""
    calls: dict[int, list[str]] = {}
    for begin in range(0, len(text), step):
        end = begin + step
        delta = parser.parse_delta(text[begin:end], [7], request, [7], finished=end >= len(text))
        content += (delta and delta.content) or ""
        for call in (delta and delta.tool_calls) or ():
            if call.id:
                calls[call.index] = [call.function.name, ""]
            calls[call.index][1] += call.function.arguments or ""
    return content, [(name, arguments) for _, (name, arguments) in sorted(calls.items())]


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize(
    "text",
    [
        *('{"title": "red", "name": "look"}', '{"name": "Ada", "parameters": {}}', "{}", "It is red {"),
        *('{"na', "{", ' {"name": "loo'),
        *(f"It is red: {CALL}", f"It is {{red}} {CALL}", f"[{CALL}]", f"```json\n{CALL}\n```"),
    ],
)
def test_other_json_and_words_are_text(new_parser: Any, request_with_tool: Any, text: str, step: int) -> None:
    assert streamed(new_parser(), request_with_tool, text, step) == (text, [])
    assert new_parser().parse(text, request_with_tool, enable_auto_tools=True) == (None, text, None)


@pytest.mark.parametrize("step", [1, 7, 40, 1000])
@pytest.mark.parametrize(
    "text",
    [
        CALL,
        CALL.replace(": ", ":").replace(", ", ","),
        f"\n <|python_tag|>{CALL}",
        NO_ARGUMENTS,
        f"{CALL}; {CALL.replace('red', 'blue')}",
        f"{NO_ARGUMENTS}; {CALL}",
    ],
)
def test_calls_are_calls_in_however_many_pieces_they_come(
    new_parser: Any, request_with_tool: Any, text: str, step: int
) -> None:
    _, content, calls = new_parser().parse(text, request_with_tool, enable_auto_tools=True)
    expected = [(call.name, json.loads(call.arguments)) for call in calls]
    assert len(expected) == text.count("look")
    assert content is None
    content, calls = streamed(new_parser(), request_with_tool, text, step)
    assert content == ""
    assert [(name, json.loads(arguments)) for name, arguments in calls] == expected


@pytest.mark.parametrize("before", ["", "\n ", "<|python_tag|>"])
def test_a_call_is_passed_on_as_it_comes(new_parser: Any, request_with_tool: Any, before: str) -> None:
    parser = new_parser()
    deltas = [parser.parse_delta(letter, [7], request_with_tool, [7], finished=False) for letter in before + CALL]
    assert sum(bool(delta and delta.tool_calls) for delta in deltas) > 3
