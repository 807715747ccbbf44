"""Texts taken apart: nothing is lost, and sentences end where a reader would end them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.sentences import is_for_the_model, split, split_long

TEXTS = st.text() | st.text("ab. …!?\"'()-*#>1\n\r\t\u2028 的。，TheDr")  # noqa: RUF001


def said(text: str) -> list[str]:
    return [piece.text for piece in split(text) if piece.is_sentence]


@given(TEXTS)
def test_the_pieces_are_the_text(text: str) -> None:
    pieces = split(text)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


@given(TEXTS)
def test_every_letter_is_in_a_sentence_and_sentences_are_bare(text: str) -> None:
    for piece in split(text):
        assert piece.is_sentence == is_for_the_model(piece.text)
        if piece.is_sentence:
            assert piece.text == piece.text.strip()
            assert len(piece.text.splitlines()) == 1


@given(TEXTS)
def test_as_many_lines_come_back_as_went_in(text: str) -> None:
    replaced = "".join("x" if piece.is_sentence else piece.text for piece in split(text))
    assert len(replaced.splitlines()) == len(text.splitlines())


@given(TEXTS, st.integers(1, 12))
def test_a_long_sentence_is_cut_but_not_shortened(text: str, limit: int) -> None:
    pieces = split_long(text, lambda part: len(part) <= limit)
    assert "".join(piece.text for piece in pieces) == text
    assert all(len(piece.text) <= limit for piece in pieces)


def test_a_long_sentence_is_cut_at_clauses_then_at_spaces() -> None:
    sentence = "a red car turns left, a dog looks on; both of them wait for nobody"
    parts = [piece.text for piece in split_long(sentence, lambda part: len(part) <= 40) if piece.is_sentence]
    assert parts == ["a red car turns left, a dog looks on;", "both of them wait for nobody"]
    words = [piece.text for piece in split_long("one two three four", lambda part: len(part) <= 10)]
    assert words == ["one two", " ", "three four"]


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        (
            "This advertisement has two scenes.\n\nIt opens with red.  It ends with blue.",
            ["This advertisement has two scenes.", "It opens with red.", "It ends with blue."],
        ),
        ("Dr. Smith of the U.S. Army waits. He smiles.", ["Dr. Smith of the U.S. Army waits.", "He smiles."]),
        ("It runs approx. 5 km. It stops.", ["It runs approx. 5 km.", "It stops."]),
        ("He waits… The door opens.", ["He waits…", "The door opens."]),
        ("He waits... The door opens.", ["He waits...", "The door opens."]),
        ('"Buy now!" she says. Fade out.', ['"Buy now!" she says.', "Fade out."]),
        (
            "# Summary\n\n- a red car\n- two dogs. One barks.",
            ["Summary", "a red car", "two dogs.", "One barks."],
        ),
        ("1. First scene\r\n2) Second scene\r\n", ["First scene", "Second scene"]),
        (
            "See https://example.org/a.b?c=d for more. End.",
            ["See https://example.org/a.b?c=d for more.", "End."],
        ),
        ("urban landscape", ["urban landscape"]),
        ("42 … 🎬 --- 7:30\n\n***", []),
        ("", []),
        (" \n\t", []),
    ],
)
def test_sentences_of(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


def test_bullets_and_spaces_stay_between_the_sentences() -> None:
    between = [piece.text for piece in split("  * One.  Two.\n\n3. Three. \n") if not piece.is_sentence]
    assert "".join(between) == "  *   \n\n3.  \n"
    assert not any(re.search("[a-z]", text) for text in between)
