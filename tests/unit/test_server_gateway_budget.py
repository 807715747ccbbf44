"""What one request may cost, and that every parameter has been tried."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest
from gateway_rig import PICTURE, image, picture_model
from parameter_cases import CHAT_CASES, COMPLETION_CASES, RESPONSES_CASES, SOUND_CASES, Cases

from server.errors import RequestError
from server.gateway.budget import characters, check_budget
from server.gateway.config import Limits
from server.gateway.forms import FIELDS
from server.gateway.parameters import CHAT, COMPLETION, RESPONSES, check_parameters
from server.gateway.schema_limits import MOST_REPEATS, written_out

TOKENS = 100
MODEL = picture_model(Path(), max_model_len=TOKENS)
LIMITS = Limits(
    max_parts=10,
    max_characters_per_token=2,
    max_word_characters=50,
    max_contexts=4,
    max_prompt_contexts=3,
    max_sequences=40,
)


def chat(content: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"model": PICTURE, "messages": [{"role": "user", "content": content}], **more}


def completion(prompt: Any = "hello", **more: Any) -> dict[str, Any]:
    return {"model": PICTURE, "prompt": prompt, **more}


def text(characters: int) -> dict[str, str]:
    return {"type": "text", "text": "x" * characters}


@pytest.mark.parametrize(
    ("cases", "names"),
    [(CHAT_CASES, CHAT), (COMPLETION_CASES, COMPLETION), (RESPONSES_CASES, RESPONSES), (SOUND_CASES, FIELDS)],
)
def test_no_parameter_is_let_through_that_no_test_tries(cases: Cases, names: frozenset[str]) -> None:
    assert cases.keys() == names
    for name, variants in cases.items():
        assert all(name in asked or name in {"model", "messages", "input", "file"} for asked in variants)


@pytest.mark.parametrize(
    ("asked", "code", "says"),
    [
        (chat("x" * 200), "context_length_exceeded", "of text: picture-model holds 100 tokens"),
        (chat("x" * 200, truncate_prompt_tokens=5), "context_length_exceeded", "to be truncated"),
        (chat([text(90), text(90)]), "context_length_exceeded", "characters of text"),
        (chat("x" * 150, documents=[{"text": "y" * 50}]), "context_length_exceeded", "characters of text"),
        (chat("x" * 100, chat_template_kwargs={"y" * 100: 1}), "context_length_exceeded", "characters of text"),
        (chat(image(count=1)[0]["content"] + [text(200)]), "context_length_exceeded", "characters of text"),
        (chat([{"type": "image_url", "image_url": {"url": "x", "y": "z" * 200}}]), "context_length_exceeded", "text"),
        (completion("x" * 201), "context_length_exceeded", "201 characters"),
        (completion(["x", "x" * 201]), "context_length_exceeded", "201 characters"),
        (completion([1] * 101), "context_length_exceeded", "101 tokens"),
        (completion([[1], [1] * 101]), "context_length_exceeded", "101 tokens"),
        (completion("x", suffix="y" * 200), "context_length_exceeded", "201 characters"),
        (chat([text(1)] * 11), "too_expensive", "11 parts"),
        (chat(stop=["x" * 26] * 2), "too_expensive", "stop has 52 characters"),
        (chat(stop="x" * 51), "too_expensive", "stop has 51 characters"),
        (chat(bad_words=["x" * 51]), "too_expensive", "bad_words has 51 characters"),
        (chat(user="x" * 70_000), "too_expensive", "user is too large"),
        (chat(metadata={str(n): "x" * 500 for n in range(200)}), "too_expensive", "metadata is too large"),
        (chat(n=4), "too_expensive", "413 tokens"),
        (chat(logprobs=True, top_logprobs=4), "too_expensive", "tokens"),
        (chat(max_tokens=50, n=8), "too_expensive", "tokens"),
        (chat(max_completion_tokens=50, best_of=8), "too_expensive", "tokens"),
        (chat(max_tokens=10, logprobs=True, logprob_token_ids=list(range(40))), "too_expensive", "tokens"),
        (completion(["x"] * 6, n=8, max_tokens=1), "too_expensive", "6 prompts with 8 answers each: 40"),
        (completion(["x"] * 25), "too_expensive", "425 tokens"),
        (completion([[1] * 100] * 3 + [[1]], max_tokens=1), "too_expensive", "4 prompts of up to 301 tokens"),
        (completion([1] * 100, prompt_logprobs=4), "too_expensive", "tokens"),
        (completion([1] * 100, echo=True, logprobs=4), "too_expensive", "tokens"),
    ],
)
def test_what_costs_others_too_much_is_refused(asked: dict[str, Any], code: str, says: str) -> None:
    with pytest.raises(RequestError) as raised:
        check_budget(asked, MODEL, LIMITS)
    assert (raised.value.status, raised.value.code) == (400, code)
    assert says in raised.value.message


@pytest.mark.parametrize(
    "asked",
    [
        chat("x" * 190),
        chat(image(count=2)[0]["content"]),
        chat(n=3, max_tokens=33, logprobs=True),
        chat(logprobs=True, top_logprobs=2),
        chat(stop=["x" * 25] * 2, bad_words=["y" * 50]),
        completion([1] * 100, prompt_logprobs=2),
        completion([[1] * 100] * 3, max_tokens=20),
        completion([1] * 100, echo=True, max_tokens=0),
        {"model": PICTURE},
        {"model": PICTURE, "messages": "no list"},
        {"model": PICTURE, "messages": [7, {"role": "user", "content": [7, None]}]},
    ],
)
def test_what_is_within_its_budget_passes(asked: dict[str, Any]) -> None:
    check_budget(asked, MODEL, LIMITS)


def test_the_defaults_leave_room_for_what_people_ask() -> None:
    model = picture_model(Path(), max_model_len=4096)
    check_budget(chat(n=8), model, Limits())
    check_budget(chat(logprobs=True, top_logprobs=20), model, Limits())
    check_budget(chat("word " * 4000), model, Limits())
    check_budget(completion(["word " * 200] * 32, max_tokens=200), model, Limits())


def test_characters_of_keys_and_values_count() -> None:
    assert characters({"ab": ["cde", {"f": "gh"}, 7, None]}) == 8


DEEP = orjson.loads("[" * 60 + "]" * 60)


TOO_OFTEN = ("^((a{60}){60}){60}$", "(a{1,70}){,70}b|(a{70}){70}", "[)({9}\\]]{5000}", "((a{0}){99}(b{2,99}){99}){2}")
OFTEN = (
    "^a{4000}$",
    r"\{9999}",
    "[{9999}]",
    r"^(\w+\s){9,99}(2024|19999)$",
    "]a{9}(",
    "(a{0}){99}",
    "(((((x)))))?",
    "",
)


@pytest.mark.parametrize("pattern", OFTEN)
def test_patterns_that_repeat_less_are_taken(pattern: str) -> None:
    check_parameters(chat(structured_outputs={"json": {"pattern": pattern, "multipleOf": 0.25}}), CHAT, MODEL, LIMITS)
    assert written_out(pattern) <= MOST_REPEATS


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"structured_outputs": {"json": '{"maxItems": 1000000000}'}}, "maxItems"),
        ({"structured_outputs": {"json": '{"pattern": "a{9999}"}'}}, "pattern"),
        *(({"structured_outputs": {"json": {"pattern": pattern}}}, "repeats too often") for pattern in TOO_OFTEN),
        ({"structured_outputs": {"json": {"patternProperties": {"a{5000}": {}}}}}, "repeats too often"),
        ({"structured_outputs": {"json": {"multipleOf": 9999991}}}, "multipleOf: 10000 is the most"),
        ({"structured_outputs": {"json": {"multipleOf": 0.123457}}}, "multipleOf: 10000 is the most"),
        (
            {"structured_outputs": {"json": {"allOf": [{"multipleOf": prime} for prime in (97, 89, 83)]}}},
            "multipleOf: 10000 is the most",
        ),
        ({"structured_outputs": {}}, "needs one of json, choice, json_object"),
        ({"structured_outputs": {"json": {}, "choice": ["a"]}}, "needs one of"),
        ({"structured_outputs": {"choice": []}}, "choice must be a list of texts"),
        ({"structured_outputs": {"choice": "red"}}, "choice must be a list of texts"),
        ({"structured_outputs": {"json_object": "yes"}}, "json_object must be true"),
        ({"structured_outputs": {"json": [1]}}, "json must be a JSON schema"),
        ({"structured_outputs": {"json": "[" * 500 + "]" * 500}}, "levels deep"),
        ({"structured_outputs": {"json": "{"}}, "no JSON schema"),
        ({"structured_outputs": {"choice": ["x"] * 1001}}, "choice has 1001 entries"),
        ({"structured_outputs": {"json": {"properties": dict.fromkeys(map(str, range(401)))}}}, "401 properties: 400"),
        ({"structured_outputs": {"json": ""}}, "no JSON schema"),
        ({"repetition_detection": {"max_pattern_size": 2000, "min_count": 2}}, "max_pattern_size"),
        ({"repetition_detection": {"max_pattern_size": 2, "min_count": 10**9}}, "min_count"),
        ({"chat_template_kwargs": {"chat_template": "{{ 1 }}"}}, "chat_template is not taken"),
        ({"echo": True}, "/v1/completions"),
        ({"prompt_logprobs": 0}, "/v1/completions"),
    ],
)
def test_what_hurts_in_disguise_is_refused(more: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError, match=says):
        check_parameters(chat(**more), CHAT, MODEL, LIMITS)


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"structured_outputs": 5}, "structured_outputs: expected object | null, got int"),
        ({"stop": ["x", None]}, "stop[1]: expected str, got null"),
        ({"logit_bias": {"5": "x"}}, "logit_bias[...]: expected float, got str"),
        ({"temperature": 5}, "temperature: expected float <= 2.0"),
        ({"tools": ["x"]}, "tools[0]: expected object"),
        ({"tool_choice": 7}, "tool_choice: expected"),
        ({"chat_template_kwargs": {"x": ["y"]}}, "chat_template_kwargs[...]: expected"),
        ({"stream_options": True}, "stream_options: expected object | null, got bool"),
    ],
)
def test_a_value_of_another_type_is_refused_by_name(more: dict[str, Any], says: str) -> None:
    with pytest.raises(RequestError) as raised:
        check_parameters(chat(**more), CHAT, MODEL, LIMITS)
    assert says in raised.value.message
    assert raised.value.param == next(iter(more))


def test_a_schema_in_text_that_is_right_passes() -> None:
    check_parameters(chat(structured_outputs={"json": '{"type": "object"}'}), CHAT, MODEL, LIMITS)
    tools = [{"function": {"parameters": {"properties": dict.fromkeys(map(str, range(9)))}}}] * 100
    check_parameters(chat(tools=tools), CHAT, MODEL, LIMITS)
    check_parameters(chat(repetition_detection={"max_pattern_size": 8, "min_count": 3}), CHAT, MODEL, LIMITS)
    check_parameters(completion(echo=True, prompt_logprobs=1), COMPLETION, MODEL, LIMITS)
