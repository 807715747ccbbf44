"""Structured answers of a model that chooses at random: they end in time, and are what the schema says."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from llguidance import LLMatcher, LLTokenizer

from server.engines.json_end import LONGEST_WAY, Budget, Closing, JsonState, Vocabulary
from server.engines.json_least import largest_least

DEMO = Path(__file__).parents[2] / "server" / "demo"
END = {"llama-3.2-11b-vision": 4, "llava-next-video-7b": 2}
WITHOUT_BOUNDS = 10**9


class Writer:
    """A model that chooses among the tokens that it may, and ends only if it must."""

    def __init__(self, name: str) -> None:
        self.tokenizer = LLTokenizer((DEMO / name / "tokenizer.json").read_text(), eos_token=END[name])
        self.vocabulary = Vocabulary.of(self.tokenizer)
        self.end = END[name]

    def write(
        self, schema: Any, tokens: int, seed: int, string: int = WITHOUT_BOUNDS, items: int = WITHOUT_BOUNDS
    ) -> str | None:
        """What it writes; None if it did not end in time."""
        grammar = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
        matcher = LLMatcher(self.tokenizer, grammar, log_level=0)
        assert not matcher.get_error()
        budget = Budget(Closing(self.vocabulary), self.vocabulary, tokens, schema)
        budget.check(matcher)
        choose, written = random.Random(seed), []
        for _ in range(tokens):
            row = np.frombuffer(matcher.compute_bitmask(), np.int32).copy()
            budget.narrow(row, matcher, string, items)
            allowed = np.flatnonzero(np.unpackbits(row.view(np.uint8), bitorder="little"))
            others = allowed[allowed != self.end]
            token = int(choose.choice(others if len(others) else allowed))
            if token == self.end:
                return str(self.tokenizer.decode_str(written))
            assert matcher.consume_token(token)
            written.append(token)
            budget.accept([token], matcher)
        return None


@pytest.fixture(scope="module", params=END)
def writer(request: pytest.FixtureRequest) -> Writer:
    return Writer(request.param)


def of(*required: str, **properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


TEXT = {"type": "string"}
ITEM = of("a", "name", a={"type": "integer"}, name=TEXT)
SCHEMAS = {
    "any object": {"type": "object"},
    "object": of("title", "tags", title=TEXT, tags={"type": "array", "items": ITEM}, mood={"enum": ["good", "grim"]}),
    "optional formats": of("a", a=TEXT, when={"type": "string", "format": "date-time"}, mail={"format": "email"}),
    "itself": {"$defs": {"n": of("v", "c", v=TEXT, c={"type": "array", "items": {"$ref": "#/$defs/n"}})}}
    | {"$ref": "#/$defs/n"},
    "number": {"type": "number"},
    "string": TEXT,
    "list": {"type": "array", "items": {"anyOf": [TEXT, {"type": "number"}, {"type": "null"}, ITEM]}},
    "lists of long strings": {"type": "array", "items": {"type": "array", "items": {"type": "string", "minLength": 9}}},
    "at least": {"type": "array", "items": of("x", x={"type": "boolean"}), "minItems": 2},
    "pattern": of("p", "d", p={"type": "string", "pattern": "^[A-Z]{3}-\\d+$"}, d={"type": "string", "format": "date"}),
    "choice": {"type": "array", "items": {"enum": ["a", "ab", "abcdefghijklmnop", 17, None]}},
    "forced openings": of("a", a={"type": "array", "items": {"type": "string", "format": "date-time"}}, b=ITEM),
    "map": {"type": "object", "additionalProperties": {"type": "array", "items": TEXT}},
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_ends_within_its_tokens_and_is_valid(writer: Writer, name: str) -> None:
    for tokens in (56, 90):
        for seed in range(3):
            written = writer.write(SCHEMAS[name], tokens, seed)
            assert written is not None, (tokens, seed)
            jsonschema.validate(json.loads(written), SCHEMAS[name])


def test_what_is_left_is_used_not_only_closed(writer: Writer) -> None:
    written = [writer.write(SCHEMAS["map"], 90, seed) or "" for seed in range(4)]
    assert max(map(len, written)) > 90
    assert max(len(text) for one in written for key, texts in json.loads(one).items() for text in (key, *texts)) > 40


def test_strings_numbers_and_lists_are_bounded(writer: Writer) -> None:
    for seed in range(4):
        written = writer.write(SCHEMAS["any object"], 600, seed, string=40, items=5)
        assert written is not None
        value = json.loads(written)
        assert len(value) <= 6
        assert all(len(key.encode()) < 80 for key in value)
        assert len(str(json.loads(writer.write({"type": "integer"}, 300, seed) or ""))) < 40
        assert writer.write({"type": "integer"}, 9, seed) is not None
    listed = {"type": "array", "items": {"type": "boolean"}, "minItems": 7}
    assert {len(json.loads(writer.write(listed, 200, seed, items=5) or "")) for seed in range(6)} == {7}


def test_an_answer_that_cannot_end_is_left_alone(writer: Writer) -> None:
    assert writer.write(SCHEMAS["at least"], 5, 1) is None


def test_a_long_text_that_the_schema_prescribes_is_not_looked_through(writer: Writer) -> None:
    class Short(Vocabulary):
        def encode(self, text: bytes) -> list[int]:
            assert len(text) <= LONGEST_WAY
            return super().encode(text)

    grammar = LLMatcher.grammar_from_json_schema({"const": "y" * 60_000}, defaults={"whitespace_flexible": False})
    vocabulary = Short(writer.vocabulary.texts)
    assert Closing(vocabulary).way(LLMatcher(writer.tokenizer, grammar, log_level=0), JsonState()) is None


def test_a_string_goes_on_with_what_lets_it_end(writer: Writer) -> None:
    """Although digits are tried first, and may come too."""
    schema = {"type": "string", "pattern": "^[0-3]*z$"}
    grammar = LLMatcher.grammar_from_json_schema(schema, defaults={"whitespace_flexible": False})
    way = Closing(writer.vocabulary).way(LLMatcher(writer.tokenizer, grammar, log_level=0), JsonState())
    assert b"".join(writer.vocabulary.texts[token] or b"" for token in way or ()) == b'"z"'


def test_tokens_taken_back_are_forgotten(writer: Writer) -> None:
    grammar = LLMatcher.grammar_from_json_schema(SCHEMAS["object"], defaults={"whitespace_flexible": False})
    matcher = LLMatcher(writer.tokenizer, grammar, log_level=0)
    budget = Budget(Closing(writer.vocabulary), writer.vocabulary, 70, SCHEMAS["object"])
    budget.check(matcher)
    before = budget.way
    tokens = writer.vocabulary.encode(b'{"title":"red","tags":[{"a":1')
    assert matcher.consume_tokens(tokens)
    budget.accept(tokens, matcher)
    assert b"".join(writer.vocabulary.texts[token] or b"" for token in budget.way or ()) == b',"name":""}]}'
    assert matcher.rollback(len(tokens))
    budget.roll_back(len(tokens), matcher)
    assert (budget.way, budget.left, budget.state) == (before, 70, JsonState())


def test_the_state_of_a_text_is_followed_through_escapes() -> None:
    state = JsonState()
    state.feed(b'{"a\\"]":[1,-2.5e')
    assert (state.in_string, state.commas, state.run) == (False, [0, 1], 5)
    state.feed(b'3,"x\\')
    assert (state.in_string, state.escaped, state.in_name, state.commas) == (True, True, False, [0, 2])
    state.feed(b'"",{"')
    assert (state.in_string, state.in_name, state.objects) == (True, True, [True, False, True])


def test_the_growth_that_one_token_can_bring_is_the_largest_part_of_a_schema() -> None:
    assert largest_least({"type": "object"}) == 0
    small, large = (
        largest_least({"type": "array", "items": of(*names, **dict.fromkeys(names, TEXT))}) for names in ("a", "abcdef")
    )
    assert large - small == 5 * 13
    assert largest_least({"$defs": {"n": of("n", n={"$ref": "#/$defs/n"})}, "$ref": "#/$defs/n"}) < 50
    wide = {f"d{n}": of(*"abcdefgh", **{key: {"$ref": f"#/$defs/d{n + 1}"} for key in "abcdefgh"}) for n in range(900)}
    assert largest_least({"$defs": wide, "$ref": "#/$defs/d0"}) == 4096  # reckoned in no time


def test_no_way_is_looked_for_for_ever(writer: Writer) -> None:
    began = time.process_time()
    assert writer.write({"type": "string", "minLength": 4000}, 300, 1) is None
    assert time.process_time() - began < 3
