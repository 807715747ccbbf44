# ruff: noqa: RUF001  (signs of many scripts)
"""Texts taken apart: nothing is lost, and sentences end where a reader would end them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from translator.text import protected, wrapped
from translator.text.sentences import Piece, clauses, is_for_the_model, split, split_long

TEXTS = st.text() | st.text("ab. …!?\"'()-*#>1\n\r\t\u2028 的。，TheDr")


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
        marks_a_list = re.fullmatch(r"\W*[a-zA-Z]{1,4}[.)]\s+", piece.text)  # "a) ", "(iv) "
        assert piece.is_sentence == is_for_the_model(piece.text) or marks_a_list
        if piece.is_sentence:
            assert piece.text == piece.text.strip()
            assert len(wrapped.unwrap(piece.text).text.splitlines()) == 1


@given(TEXTS)
def test_as_many_lines_come_back_as_went_in(text: str) -> None:
    replaced = "".join(re.sub(".+", "x", piece.text) if piece.is_sentence else piece.text for piece in split(text))
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
        ("**Scene 1:** A red car. It stops.", ["Scene 1:", "A red car.", "It stops."]),
        ("- **Mood**: calm and warm.\n**Summary**", ["Mood", "calm and warm.", "Summary"]),
        ("x. x. y", ["x. y"]),
        ("a **bold** word", ["a **bold** word"]),
        ("> Said one. Said two.\n>> And so on.", ["Said one.", "Said two.", "And so on."]),
        ("(a) first\n(iv) second\nb) third\n- [x] fourth\n☑ fifth", ["first", "second", "third", "fourth", "fifth"]),
        ("| Name | Colour |\n|---|:--:|\n| a car | 5 |", ["Name", "Colour", "a car"]),
        ("🎬 A red car 🚗 stops 💨\nGreat! 🎉 Next ❤️", ["A red car 🚗 stops", "Great!", "Next"]),
        ("https://example.org/a.b\na@example.org, {name} – %s\n@someone </s>", []),
        ("\ufeffOne\u200b\x0cTwo\u2028\u00a0Three\u2029Four\x85\tFive", ["One", "Two", "Three", "Four", "Five"]),
        ("红色的汽车。蓝色的汽车！", ["红色的汽车。", "蓝色的汽车！"]),
        ("यह कार है। वह लाल है।", ["यह कार है।", "वह लाल है।"]),
        ("هذه سيارة. هل هي حمراء؟", ["هذه سيارة.", "هل هي حمراء؟"]),
        ("42 … 🎬 --- 7:30\n\n***", []),
        ("", []),
        (" \n\t", []),
    ],
)
def test_sentences_of(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


@given(st.text(max_size=300) | st.text("ab, ;：，กa\u0301👍🏽\u200d", max_size=300), st.integers(1, 12))
def test_a_sentence_at_its_clauses_is_the_sentence(text: str, most: int) -> None:
    pieces = clauses(text, protected.spans(text), most)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.is_sentence == is_for_the_model(piece.text) for piece in pieces)


def test_clauses_and_what_is_not_for_the_model() -> None:
    sentence = "A red car turns left, no, right, and it stops at https://example.org/a,b before the bridge."
    pieces = [(piece.text, piece.is_sentence) for piece in clauses(sentence, protected.spans(sentence))]
    assert pieces == [
        ("A red car turns left,", True),
        (" ", False),
        ("no, right, and it stops at", True),
        (" ", False),
        ("https://example.org/a,b", False),
        (" ", False),
        ("before the bridge.", True),
    ]
    assert clauses("No clauses here") == [Piece("No clauses here", is_sentence=True)]


def test_a_word_without_end_is_cut_between_letters() -> None:
    word = "e\u0301" * 50
    parts = split_long(word, lambda part: len(part) <= 9)
    assert "".join(part.text for part in parts) == word
    assert not any(part.text.startswith("\u0301") for part in parts)


@pytest.mark.parametrize("text", ["a" * 1_000_000, "ก" * 1_000_000, "a b, " * 200_000, "，" * 1_000_000 + "红"])
def test_a_megabyte_in_one_line(text: str) -> None:
    parts = [part for piece in split(text) for part in split_long(piece.text, lambda part: len(part) <= 600)]
    assert "".join(part.text for part in parts) == text


def test_bullets_and_spaces_stay_between_the_sentences() -> None:
    between = [piece.text for piece in split("  * One.  Two.\n\n3. Three. \n") if not piece.is_sentence]
    assert "".join(between) == "  *   \n\n3.  \n"
    assert not any(re.search("[a-z]", text) for text in between)
