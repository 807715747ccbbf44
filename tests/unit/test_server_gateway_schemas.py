"""Schemas of SDKs: reworded for the engine's grammars, read where they are written as text or announced in a prompt."""

from __future__ import annotations

import json
import time
from typing import Any

import jsonschema
import orjson
import pytest
from everything import FLAT, Everything, ask
from gateway_rig import HELLO
from llguidance import LLMatcher
from pydantic import BaseModel

from server.errors import RequestError
from server.gateway.prompted_schema import follow_prompted
from server.gateway.schemas import loosen, loosen_schemas

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string", "format": "path"},
        "mail": {"type": "string", "format": "email", "pattern": r"^(?!\.)(?!.*\.\.)[a-z.]+@[a-z.]+$"},
        "price": {"anyOf": [{"type": "number"}, {"type": "string", "pattern": r"^(?!^[-+.]*$)[+-]?0*\d*\.?\d*$"}]},
        "marks": {"type": "object", "propertyNames": {"type": "string"}, "additionalProperties": {"type": "integer"}},
        "by": {"type": "object", "propertyNames": {"enum": ["a", "b"]}, "additionalProperties": {"type": "boolean"}},
        "of": {"type": "object", "propertyNames": {"pattern": "^x"}, "additionalProperties": {"type": "boolean"}},
        "set": {"type": "array", "uniqueItems": True, "items": {"type": "string", "pattern": r"\bfoo\b[()]"}},
        "pattern": {"type": "object", "properties": {"format": {"type": "string"}}, "maxProperties": 4},
    },
    "required": ["path"],
    "x-guidance": {"whitespace_flexible": True},
}


def test_schemas_of_sdks_become_such_as_grammars_take() -> None:
    schema = json.loads(json.dumps(SCHEMA))
    assert LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema), None)
    assert loosen(schema)
    assert not LLMatcher.validate_grammar(LLMatcher.grammar_from_json_schema(schema), None)
    good = {"path": "a", "mail": "a@b", "by": {"a": True}, "of": {"xy": True}, "set": ["foo("], "marks": {"z": 1}}
    jsonschema.validate(good, schema)
    assert not jsonschema.Draft202012Validator(schema).is_valid({"path": "a", "by": {"c": True}})
    assert not jsonschema.Draft202012Validator(schema).is_valid({"path": "a", "other": 1})  # no name is made up
    assert not loosen(schema)
    chain = {f"d{n}": {"properties": {"x": {"$ref": f"#/$defs/d{n + 1}"}}, "required": ["x"]} for n in range(900)}
    with pytest.raises(RequestError, match="too long a chain"):
        loosen_schemas({"structured_outputs": {"json": {"$defs": chain, "$ref": "#/$defs/d0"}}})
    tree = {
        "$defs": {"n": {"properties": {"n": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]}}, "required": ["n"]}}
    }
    assert loosen_schemas({"text": {"format": {"type": "json_schema", "schema": tree | {"$ref": "#/$defs/n"}}}})
    assert not loosen({"allOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]})


@pytest.mark.parametrize(
    "schema",
    [
        {"format": ["uuid"]},
        {"format": {}},
        {"properties": [{}], "required": ["a"], "minProperties": 1},
        {"properties": "a", "propertyNames": {"enum": ["a"]}},
        {"patternProperties": [1], "propertyNames": {"pattern": "a"}},
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_what_is_no_schema_is_left_to_the_engine(
    everything: Everything, gateway_url: str, schema: dict[str, Any]
) -> None:
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    assert (await ask(gateway_url, {"messages": HELLO, "response_format": format_}))[0] == 200
    assert len(everything.bodies) == 1


def test_a_schema_that_is_written_as_text_is_read() -> None:
    asked = {"structured_outputs": {"json": '{"type": "string", "pattern": "(?=a)b", "x-guidance": {}}'}}
    assert loosen_schemas(asked)
    assert asked == {"structured_outputs": {"json": {"type": "string", "pattern": "b"}}}
    endless = {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}
    with pytest.raises(RequestError, match="value without end"):
        loosen_schemas({"structured_outputs": {"json": orjson.dumps(endless).decode()}})
    with pytest.raises(RequestError, match="must be an object"):
        loosen_schemas({"structured_outputs": {"json": "true"}})


@pytest.mark.asyncio(loop_scope="module")
async def test_the_schemas_of_a_request_are_loosened_wherever_they_stand(
    everything: Everything, gateway_url: str
) -> None:
    class Names(BaseModel):
        names: set[str]

    schema = Names.model_json_schema()
    tool = {"type": "function", "function": {"name": "look", "parameters": schema}}
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    await ask(gateway_url, {"messages": HELLO, "tools": [tool], "response_format": format_})
    await ask(gateway_url, {"prompt": "a", "structured_outputs": {"json": schema}}, "/v1/completions")
    text = {"format": {"type": "json_schema", "name": "x", "schema": schema}}
    await ask(gateway_url, {"input": "hi", "tools": [FLAT | {"parameters": schema}], "text": text}, "/v1/responses")
    assert len(everything.bodies) == 3
    assert not any(b"uniqueItems" in body for body in everything.bodies)


ANNOUNCED = "Give the parsed objects in json that match the following json_schema:\n\n{}\n\nNot the schema itself."
BELOW = "JSON schema:\n{}\nYou MUST answer with a JSON object that matches the JSON schema above."


class Place(BaseModel):
    """A place."""

    name: str


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        (ANNOUNCED.format(json.dumps(Place.model_json_schema(), indent=2)), True),
        (BELOW.format(json.dumps(Place.model_json_schema())), True),
        ('The output must conform to the JSON schema below.\n```\n{"properties": {"name": {}}}\n```', True),
        ('Answer in JSON, such as {"name": "here"}, according to this: {"properties": {}}', False),
        ('Follow this json schema: {"type": "array", "items": {}}', False),
        ('Follow this json schema: {"properties": {"a": {}}, "not": {}}', False),
        ('Follow this json schema: {"properties": {"a": {"maxLength": 99999}}}', False),
        ("Follow the JSON schema {{{{{{{{{{{{", False),
        (f'Follow this json schema: {{"properties": {{"a": {{"maximum": {10**30}}}}}}}', False),
        ('Follow this json schema: {"properties": {"\\ud800": {}}}', False),
    ],
)
@pytest.mark.asyncio(loop_scope="module")
async def test_a_schema_that_the_prompt_announces_is_followed(
    everything: Everything, gateway_url: str, text: str, followed: bool
) -> None:
    asked = {"response_format": {"type": "json_object"}, "messages": [{"role": "system", "content": text}, *HELLO]}
    assert (await ask(gateway_url, asked))[0] == 200
    sent = orjson.loads(everything.bodies[0])["response_format"]
    assert sent["type"] == ("json_schema" if followed else "json_object")
    if followed:
        assert sent["json_schema"]["schema"]["properties"].keys() == {"name"}
    await ask(gateway_url, asked | {"response_format": {"type": "text"}})
    assert orjson.loads(everything.bodies[1])["response_format"] == {"type": "text"}


def test_no_text_makes_looking_for_a_schema_long() -> None:
    message = {"role": "user", "content": "match" * 26_000}
    began = time.process_time()
    assert not follow_prompted({"response_format": {"type": "json_object"}, "messages": [message]})
    assert time.process_time() - began < 1
