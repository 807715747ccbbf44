"""JSON schemas of prompts: which are taken, what of an answer they make text, fixed, or a time."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client import timed_record
from client.errors import UsageError
from client.tasks import structured
from client.tasks.prompt import read_prompt
from client.tasks.readers import reader_of
from client.tasks.schemas import in_one_order, reader_name, sent_schema
from client.tasks.structured import texts_in, times_at, with_texts
from client.tasks.tasks import BUILT_IN, choose_tasks

if TYPE_CHECKING:
    from pathlib import Path


# -- schemas -----------------------------------------------------------------------------------------------------


def test_a_guided_model_writes_properties_in_the_order_of_the_prompt() -> None:
    """Where they are written in another order, it has to be sure before it says what it is sure of."""
    first, last = {"type": "string"}, {"type": "number"}
    readers = [
        reader_name({"type": "object", "properties": properties})
        for properties in ({"what": first, "confidence": last}, {"confidence": last, "what": first})
    ]
    assert list(sent_schema(readers[0])["properties"]) == ["what", "confidence"]
    assert readers[0] != readers[1]
    assert in_one_order(readers[0]) == in_one_order(readers[1])


NESTED = {
    "type": "object",
    "properties": {
        "kind": {"enum": ["a", "b"]},
        "words": {"type": "array", "items": {"type": "string"}},
        "inner": {
            "type": "object",
            "properties": {"note": {"type": "string"}, "code": {"type": "string", "x-translate": False}},
        },
    },
}
data = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["a", "b"]),
        "words": st.lists(st.text()),
        "inner": st.fixed_dictionaries({"note": st.text(), "code": st.text()}),
    }
)


@given(data)
def test_texts_go_back_to_where_they_were(value: dict[str, Any]) -> None:
    name = reader_name(NESTED)
    texts = texts_in(name, value)
    assert with_texts(name, value, texts) == value
    other = with_texts(name, value, [f"<{text}>" for text in texts])
    assert texts_in(name, other) == [f"<{text}>" for text in texts]
    assert (other["kind"], other["inner"]["code"]) == (value["kind"], value["inner"]["code"])


@pytest.mark.parametrize(
    ("front", "said"),
    [
        ("schema: 5", "line 2: schema must be a JSON schema"),
        ("schema: {type: objekt}", "schema is no JSON schema"),
        ("schema: {type: array}", "schema must be that of an object"),
        ("schema: {type: object, default: 2026-01-01}", "schema holds what JSON cannot"),
        ("answer: list\nschema: {type: object}", "leave out `answer`"),
        ("schema: {type: object, properties: {yes: {type: string}}}", "the name True is no text to YAML"),
        ("schema: {type: object, properties: {a: {$ref: '#/$defs/no'}}}", "$ref #/$defs/no names nothing in it"),
        ("schema: {type: object, properties: {a: {$ref: 'http://127.0.0.1:9/a'}}}", "names nothing in it"),
        ("schema: {type: object, properties: {a: {$ref: '#/properties/a'}}}", "leads back to itself"),
    ],
)
def test_a_wrong_schema_is_told_before_work_starts(tmp_path: Path, front: str, said: str) -> None:
    path = tmp_path / "image.md"
    path.write_text(f"---\n{front}\n---\nA")
    with pytest.raises(UsageError) as raised:
        read_prompt(path)
    assert str(path) in str(raised.value)
    assert said in str(raised.value)


@pytest.mark.parametrize("path", sorted(BUILT_IN.glob("*/*.md")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_shipped_schemas_close_everything(path: Path) -> None:
    """Every string and list has a longest, and nothing unknown is allowed: so answers end within their tokens."""
    prompt = read_prompt(path)
    if prompt.schema is None or prompt.measure or prompt.over == "audio":  # or no model is asked to write it
        return
    sizes = list(_open_ends(sent_schema(prompt.answer)))
    assert sizes == []


def _open_ends(schema: Any, where: str = "") -> Any:
    if isinstance(schema, dict):
        kinds = schema.get("type", ())
        if "string" in ([kinds] if isinstance(kinds, str) else kinds) and "maxLength" not in schema:
            yield where
        if kinds == "array" and "maxItems" not in schema:
            yield where
        if kinds == "object" and schema.get("additionalProperties") is not False:
            yield where
        for name, part in schema.items():
            yield from _open_ends(part, f"{where}/{name}")


def test_which_shipped_tasks_have_times() -> None:
    timed = {
        task.name
        for task in choose_tasks(
            sorted(path.name for path in BUILT_IN.iterdir() if path.is_dir() and path.name != "ask"), []
        )
        for steps in task.steps.values()
        for step in steps
        if step.prompt.schema and times_at(step.prompt.answer)
    }
    assert timed == {"chapters", "events", "highlights", "transcript"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties}


DEFINED = {"$ref": "#/$defs/brand"}
ODD = _object(
    brand=DEFINED,
    brands={"type": "array", "items": DEFINED},
    tone={"anyOf": [{"enum": ["warm"]}, {"type": "null"}, {"type": "string", "minLength": 9}]},
    places={"type": "array", "x-translate": False, "items": {"type": "string"}},
    said={"type": "string", "pattern": ".", "x-translate": True},
    deeper={"allOf": [_object(code={"const": "a"})]},
    anything=True,
) | {
    "$defs": {"brand": {"type": "string", "x-translate": False}},
    "patternProperties": {"^id_": {"type": "string", "x-translate": False}},
    "additionalProperties": {"enum": ["fixed", 1]},
}


@pytest.mark.parametrize(
    ("value", "translated"),
    [
        ({"brand": "Solvo", "brands": ["Solvo"]}, []),
        ({"tone": "warm"}, []),
        ({"tone": None}, []),
        ({"tone": "warm and wide"}, ["warm and wide"]),
        ({"places": ["Rome"], "id_1": "x", "other": "fixed"}, []),
        ({"said": "hello", "anything": {"it": ["is"]}}, ["hello", "is"]),
        ({"deeper": {"code": "a", "note": "b"}}, ["b"]),
    ],
)
def test_what_is_fixed_stays_wherever_its_schema_says_so(value: dict[str, Any], translated: list[str]) -> None:
    name = reader_name(ODD)
    assert structured.read(name, json.dumps(value)) == (value, None)
    assert texts_in(name, value) == translated


def test_properties_may_be_called_like_our_own_keywords() -> None:
    schema = _object(**{"x-axis": {"type": "string", "x-translate": False}}) | {"required": ["x-axis"]}
    assert sent_schema(reader_name(schema)) == _object(**{"x-axis": {"type": "string"}}) | {"required": ["x-axis"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": NaN}', "no number of JSON"),
        ('{"a": -Infinity}', "no number of JSON"),
        ('{"a": 1e999}', "too large"),
        ('{"a": 1' + "0" * 400 + "}", "too large"),
        ('{"a": "\\ud83d"}', "surrogates"),
        ('{"a": ' * 200 + "1" + "}" * 200, "more than 64 deep"),
        ("[" * 100_000, "no JSON"),
    ],
)
def test_what_cannot_be_written_is_no_data(text: str, said: str) -> None:
    data, problem = structured.read(reader_name({"type": "object"}), text)
    assert data is None
    assert said in str(problem)


def test_a_huge_integer_can_be_written() -> None:
    data, problem = structured.read(reader_name(_object(a={"type": "integer"})), '{"a": 1' + "0" * 30 + "}")
    assert (orjson.loads(orjson.dumps(data)), problem) == ({"a": 1e30}, None)


def test_a_schema_that_holds_itself_is_refused() -> None:
    schema: dict[str, Any] = {"type": "object"}
    schema["properties"] = {"a": schema}
    with pytest.raises(UsageError, match="schema holds itself"):
        reader_name(schema)


E = {"type": "object", "properties": {"start": {"type": ["number", "null"]}, "what": {"type": "string"}}}


@pytest.mark.parametrize(
    ("schema", "times"),
    [
        (_object(parts={"type": ["array", "null"], "items": {"$ref": "#/$defs/e"}}) | {"$defs": {"e": E}}, "parts"),
        (_object(parts={"anyOf": [{"type": "array", "items": {"allOf": [E]}}, {"type": "null"}]}), "parts"),
        (_object(parts={"type": "array", "items": _object(start={"type": "string"})}), None),
        (_object(parts={"type": "array", "items": False}, more=True), None),
    ],
)
def test_which_schemas_have_times(schema: dict[str, Any], times: str | None) -> None:
    assert times_at(reader_name(schema)) == times


def _segments(schema: dict[str, Any], data: dict[str, Any]) -> list[dict[str, Any]]:
    reading = reader_of(reader_name(schema))(json.dumps(data))
    return list(timed_record.of_window(timed_record.TimedAnswer((10.0, 20.0), reading, {}, {})))


def test_chapters_of_a_window_tile_it() -> None:
    schema = _object(parts={"type": "array", "items": _object(start={"type": "number"}, title={"type": "string"})})
    found = _segments(schema, {"parts": [{"start": 15, "title": "b"}, {"start": 11, "title": "a"}]})
    assert [(part["start"], part["end"], part["title"]) for part in found] == [(10.0, 15.0, "a"), (15.0, 20.0, "b")]


def test_a_part_that_begins_before_its_window_is_shown_in_it_with_all_that_is_said_of_it() -> None:
    schema = _object(parts={"type": "array", "items": E})
    part = {"start": 9.5, "end": 13, "what": "a car", "wheels": 4}
    assert _segments(schema, {"parts": [part]}) == [
        {"start": 10.0, "end": 13.0, "text": "a car", "data": {"wheels": 4}}
    ]
    assert _segments(schema, {"parts": [{"start": None}, {"start": 15, "end": 12}, {"start": -3, "end": 1e9}]}) == [
        {"start": 10.0, "end": 20.0, "text": ""}
    ]
