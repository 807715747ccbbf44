"""How conversations become prompts of Llama 3.2 Vision, where the published templates refuse or go wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from transformers.utils.chat_template_utils import render_jinja_template

from server.llama_vision.compat import CHAT_TEMPLATE

DEMO = Path(__file__).parents[2] / "server" / "demo" / "llama-3.2-11b-vision" / "chat_template.jinja"
PICTURE = {"type": "image"}
TOOL = {"type": "function", "function": {"name": "find_color", "parameters": {"type": "object", "properties": {}}}}
BEGIN = "<|begin_of_text|>"


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def said(role: str, text: str) -> str:
    return f"<|start_header_id|>{role}<|end_header_id|>\n\n{text}<|eot_id|>"


ANSWER = "<|start_header_id|>assistant<|end_header_id|>\n\n"


def render(messages: list[dict[str, Any]], template: Path = CHAT_TEMPLATE, **options: Any) -> str:
    (prompt,), _ = render_jinja_template(
        [messages],
        chat_template=template.read_text(),
        **({"add_generation_prompt": True, "bos_token": BEGIN} | options),
    )
    return prompt


SEEN = [{"role": "user", "content": [PICTURE, words("What is it?")]}]


@pytest.mark.parametrize(
    "messages",
    [
        SEEN,
        [{"role": "user", "content": "Hello."}],
        [{"role": "system", "content": "Be brief."}, *SEEN],
        [*SEEN, {"role": "assistant", "content": "Red."}, {"role": "user", "content": [words("And this?"), PICTURE]}],
    ],
)
def test_plain_conversations_are_rendered_as_the_models_were_trained(messages: list[dict[str, Any]]) -> None:
    assert render(messages) == render(messages, DEMO)


@pytest.mark.parametrize(
    "content", ["Be brief.", " Be brief.\n", [words("Be brief.")], [words(" Be"), words("brief. ")]]
)
def test_a_system_message_stands_beside_a_picture_in_any_form(content: Any) -> None:
    text = "Be\nbrief." if len(content) == 2 else "Be brief."
    assert render([{"role": "system", "content": content}, *SEEN]) == (
        BEGIN + said("system", text) + said("user", "<|image|>What is it?") + ANSWER
    )


@pytest.mark.parametrize("content", ["", " ", [], [words("")], None])
def test_an_empty_system_message_is_left_out(content: Any) -> None:
    assert render([{"role": "system", "content": content}, *SEEN]) == render(SEEN)


def test_text_and_pictures_stay_in_their_order() -> None:
    parts = [words("a"), words("b "), PICTURE, PICTURE, words("c"), PICTURE]
    assert said("user", "a\nb<|image|><|image|>c<|image|>") in render([{"role": "user", "content": parts}])


def test_no_prompt_changes_with_the_day() -> None:
    for tools in (None, [TOOL]):
        assert "Date" not in render(SEEN, tools=tools)
        assert "strftime_now" not in CHAT_TEMPLATE.read_text()


def test_tools_stand_before_the_system_message_beside_pictures() -> None:
    prompt = render([{"role": "system", "content": "Be brief."}, *SEEN], tools=[TOOL])
    system, _, rest = prompt.removeprefix(BEGIN + said("system", "").removesuffix("<|eot_id|>")).partition("<|eot_id|>")
    preface, _, described = system.partition("\n\n{")
    assert preface.startswith("Environment: ipython")
    assert '{"name": function name, "parameters": dictionary of argument name and its value}' in preface
    assert json.loads("{" + described.removesuffix("\n\nBe brief.")) == TOOL
    assert rest == said("user", "<|image|>What is it?") + ANSWER


def test_calls_and_their_results_are_rendered_as_the_model_writes_and_reads_them() -> None:
    calls = [
        {"type": "function", "function": {"name": "find_color", "arguments": arguments}}
        for arguments in ({"of": "the sky"}, '{"of": "the sea"}')
    ]
    prompt = render(
        [
            *SEEN,
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "content": [words("blue")], "tool_call_id": "1"},
            {"role": "tool", "content": 'gr"een', "tool_call_id": "2"},
        ],
        tools=[TOOL],
    )
    written = "; ".join(f'{{"name": "find_color", "parameters": {{"of": "the {what}"}}}}' for what in ("sky", "sea"))
    results = said("ipython", '{"output": "blue"}') + said("ipython", '{"output": "gr\\"een"}')
    assert prompt.endswith(said("assistant", written) + results + ANSWER)


def test_without_a_generation_prompt_nothing_is_begun() -> None:
    assert render(SEEN, add_generation_prompt=False).endswith("What is it?<|eot_id|>")
