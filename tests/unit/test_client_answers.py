"""Reading of answers: every form in which models have been seen to give lists, and any text at all."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.tasks.answers import (
    MOST_ITEMS,
    MOST_TAGS,
    READERS,
    normalise_tag,
    read_list,
    read_sentiment,
    read_tags,
    read_text,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from client.tasks.answers import Reading

ABC = ["blue sky", "car", "red"]

FORMS = {
    "array": '["red", "car", "blue sky"]',
    "fence": '```json\n["red", "car", "blue sky"]\n```',
    "bare fence": '```\n["red", "car",\n "blue sky"]\n```\n',
    "talk around": 'Here are the tags for the video:\n\n["red", "car", "blue sky"]\n\nI hope this helps!',
    "single quotes": "['red', 'car', 'blue sky']",
    "curly quotes": "[\u201cred\u201d, \u201ccar\u201d, \u201cblue sky\u201d]",
    "no commas": '["red" "car"\n"blue sky"]',
    "trailing comma": '["red", "car", "blue sky",]',
    "object": '{"tags": ["red", "car", "blue sky"]}',
    "grouped": '{"colours": ["red"], "objects": {"vehicles": ["car"]}, "setting": "blue sky", "score": 0.9}',
    "objects": '[{"tag": "red", "score": 1}, {"tag": "car", "score": 0.5}, {"tag": "blue sky"}]',
    "two arrays": 'Subject: ["red", "car"]\nSetting: ["blue sky"]',
    "cut off": '["red", "car", "blue sky", "woma',
    "cut off after a comma": '```json\n["red", "car", "blue sky",',
    "cut off object": '{"tags": ["red", "car", "blue sky", "wom',
    "no quotes": "[red, car, blue sky]",
    "numbered": "1. red\n2. car\n3. blue sky",
    "numbered, with talk": "Sure! Here are the tags:\n\n1) Red\n2) Car\n3) Blue sky\n\nLet me know if you need more.",
    "bullets": "- red\n- car\n- blue sky",
    "stars": "* **Red**\n* **Car**\n* **Blue Sky**\n",
    "groups": "**Colours:** red\n**Objects:** car\n**Setting:** blue sky",
    "grouped bullets": "- Colours: red\n- Objects and setting: car, blue sky",
    "commas": "red, car, blue sky",
    "commas and a dot": "Red, car, and blue sky.",
    "commas after words": "Here are the tags: red, car, blue sky.",
    "bars": "red | car | blue sky",
    "lines": "red\ncar\nblue sky",
    "quoted lines": '"red"\n"car"\n"blue sky"',
    "hashtags": "#Red #Car #BlueSky",
    "hashtags with commas": "#red, #car, #blue_sky",
    "hashtags in an array": '["#Red", "#car", "#BlueSky"]',
    "hashtags after words": "Tags: #red #car #blueSky",
    "case and space": '["Red", "red ", "RED", "car.", "Blue  Sky", ""]',
    "plurals": '["cars", "car", "blue skies", "Blue Sky", "red"]',
    "one string": '["red, car; blue sky"]',
    "nested, as Llama does": "* Colours:\n\t+ Red\n* Objects and setting:\n\t+ Car\n\t+ Blue sky",
    "nested without colons": "- **Colours**\n  - Red\n- **Objects**\n  - Car\n  - Blue sky",
    "all further in": "- red\n  - car\n  - blue sky",
    "other bullets": "● red\n● car\n● blue sky",
    "numbers in brackets": "(1) red\n(2) car\n(3) blue sky",
    "numbers in a line": "1. red 2. car 3. blue sky",
    "numbers in a line, with commas": "1. red, 2. car, 3. blue sky",
    "explained": "1. Red - the colour of the car\n2. Car (the product)\n3. Blue sky \u2013 the background",
    "hashtags in a row": "#Red#Car#BlueSky",
    "marked up": "<tags>red, car, blue sky</tags>",
    "a lead without a colon": "The tags for this picture are red, car, and blue sky.",
    "sure": "Sure! Red, car, blue sky",
    "a sentence after it": "red, car, blue sky. These tags describe the whole picture.",
    "a sentence with commas after it": "red, car, blue sky, red, car\n\n"
    "These tags cover the subject, the colours and the setting of the whole picture.",
    "wide letters": '["\uff52\uff45\uff44", "car", "blue\u00a0sky"]',
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS.keys())
def test_tags_are_read_in_every_form(text: str) -> None:
    reading = read_tags(text)
    assert reading.items == ABC
    assert reading.text == text
    assert reading.warnings == ()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "It shows a car.",
        "A man, a dog and a car are seen on a beach, which is long and white.",
        "The advertisement is about a car, which drives through a forest in the evening light.",
        "I cannot see any tags.\n\nThe video [silent] is too dark.",
        "1. The video opens with a woman who runs along the beach in the morning.\n2. It ends with a logo.",
    ],
)
def test_what_is_no_list_stays_a_text(text: str) -> None:
    reading = read_tags(text)
    assert reading.items is None
    assert reading.parts == [text]
    assert reading.warnings == ("the answer is not a list; it is kept as text",)


def test_a_list_keeps_its_order_and_words() -> None:
    reading = read_list('["Zebra", "Apple", "Zebra", 3, "men\'s wear", "16:9"]')
    assert reading.items == ["Zebra", "Apple", "3", "men's wear", "16:9"]
    assert read_list("['men's wear', 'girls']").items == ["men's wear", "girls"]


def test_a_list_without_end_is_cut_with_a_warning() -> None:
    many = json.dumps([f"tag {300 - number}" for number in range(300)])
    assert len(read_list(many).items or []) == MOST_ITEMS
    assert read_list(many).warnings == ("the answer lists 300 items; the first 50 are kept",)
    assert read_tags(many).items == sorted(f"tag {300 - number}" for number in range(MOST_TAGS))
    assert read_tags(many).warnings == ("the answer lists 300 items; the first 20 are kept",)
    again_and_again = '["red", "car", ' + '"blue sky", ' * 60 + '"blu'
    assert read_tags(again_and_again).items == ABC
    assert read_tags(again_and_again).warnings == ()


def test_what_looks_like_a_plural_and_is_another_word() -> None:
    assert read_tags('["new", "news", "short", "shorts", "glass", "glasses"]').items == [
        *("glass", "glasses", "new", "news", "short", "shorts")
    ]


@pytest.mark.parametrize("piece", ["tags ", "tags are ", " ", "- ", "1. ", "a - ", "a (", "#a", "<a", "[", "'a", "no "])
@pytest.mark.timeout(30)
def test_a_long_answer_takes_no_long_time(piece: str) -> None:
    """An answer of 300 KB, which would take many minutes if each character were looked at for each other one."""
    for read in READERS.values():
        read("a" + piece * (300_000 // len(piece)) + "b")


def test_deep_nesting_is_no_trap() -> None:
    assert read_tags("[" * 50_000).items is None
    assert read_tags("[" * 50_000 + '"red"' + "]" * 50_000).items == ["red"]


@pytest.mark.parametrize(
    ("tag", "normal"),
    [
        ("#UrbanLandscape", "urban landscape"),
        ("#NASA", "nasa"),
        ("#street_art", "street art"),
        ("Black-and-White.", "black-and-white"),
        ("« Été »", "« été »"),
        ("C++", "c++"),
        ("日本", "日本"),
        ("...", ""),
    ],
)
def test_spelling_of_a_tag(tag: str, normal: str) -> None:
    assert normalise_tag(tag) == normal


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Positive. The ending is warm.", "positive"),
        ("**Negative**\n\nThe picture looks sad, and no positive emotion is seen.", "negative"),
        ("The overall tone of this video is neutral, neither positive nor negative.", "neutral"),
        ("It is not negative. It is positive.", "positive"),
        ("The tone is both positive and negative: joy turns into fear.", "mixed"),
        ("Mixed.", "mixed"),
        ("The tone is very positive, with no negative notes.", "positive"),
        ("It is not entirely positive; rather negative.", "negative"),
        ("Neither negative or positive, but neutral.", "neutral"),
    ],
)
def test_the_tone_that_an_answer_names(text: str, label: str) -> None:
    reading = read_sentiment(text)
    assert reading.facts == {"label": label}
    assert reading.warnings == ()
    assert reading.parts == [text]


def test_an_answer_that_names_no_tone() -> None:
    reading = read_sentiment("The picture evokes joy.")
    assert reading.facts == {"label": None}
    assert reading.warnings == ("the answer names no tone",)


def test_a_text_is_a_text() -> None:
    assert read_text('["a"]').parts == ['["a"]']


pieces = st.sampled_from([*FORMS.values(), "[", "]", "{", "}", '"', "'", ",", ":", "#", "- ", "1. ", "\\", "\n", "```"])


@given(st.text() | st.lists(pieces | st.text(max_size=5)).map("".join))
def test_any_text_is_read(text: str) -> None:
    for read in READERS.values():
        reading = read(text)
        assert reading.text == text
        assert reading.parts
        assert reading.items != []
    tags = read_tags(text).items or []
    assert tags == sorted(set(tags))
    assert all(tag == tag.strip() != "" for tag in tags)


@given(st.lists(st.text(st.characters(codec="utf-8"), min_size=1).filter(str.strip), min_size=1, max_size=MOST_ITEMS))
def test_every_json_array_is_read_whole(items: list[str]) -> None:
    assert read_list(json.dumps(items)).items == list(dict.fromkeys(item.strip() for item in items))


def words(count: int, letter: str = "w") -> str:
    return " ".join(letter + "abcdefghi"[number] for number in range(count))


LONG = "x" * 59
THRESHOLDS: dict[str, tuple[str, list[str] | None]] = {
    "as many words as an item with a bullet may have": (f"- {words(8)}\n- red", [words(8), "red"]),
    "one more": (f"- {words(9)}\n- red", None),
    "as many words as an item between commas may have": (f"red, car, {words(5)}", ["red", "car", words(5)]),
    "a longer one makes its line a sentence": (f"red, car, {words(6)}", None),
    "two lines with bullets": ("- red\n- car", ["red", "car"]),
    "one is no list": ("- red", None),
    "three items between commas": ("red, car, sky", ["red", "car", "sky"]),
    "two are no list": ("red, car", None),
    "one in brackets": ("[red]", ["red"]),
    "five items beside talk": (
        "red, car, sky, sun, sea\nThese are the tags of it.",
        ["red", "car", "sky", "sun", "sea"],
    ),
    "four beside a sentence": (f"red, car, sky, sun\n{words(6)}, red", None),
    "five beside a sentence": (f"red, car, sky, sun, sea\n{words(6)}, red", ["red", "car", "sky", "sun", "sea"]),
    "three words and a dot may be an item": ("red\ncar\nthe blue sky.", ["red", "car", "the blue sky"]),
    "four are talk": ("red\ncar\nsky\nthat is all now.", ["red", "car", "sky"]),
    "three numbers in a line": ("1. red 2. car 3. sky", ["red", "car", "sky"]),
    "two may be anything": ("1. red 2. car", None),
    "a number of three digits": ("998. red\n999. car", ["red", "car"]),
    "one of four is none": ("1998. red\n1999. car", None),
    "a heading of 60 characters": (f"x{LONG}: red, car, sky", ["red", "car", "sky"]),
    "a longer one": (f"xx{LONG}: red, car, sky", [f"xx{LONG}: red", "car", "sky"]),
    "a heading in words, 60 characters before and after them": (
        f"{'x' * 59} tags {'y' * 58} are red, car, sky",
        ["red", "car", "sky"],
    ),
    "an element of 12 letters": ("<abcdefghijkl>red, car, sky</abcdefghijkl>", ["red", "car", "sky"]),
    "a longer name is none": ("<abcdefghijklm>red, car, sky", ["<abcdefghijklm>red", "car", "sky"]),
}


@pytest.mark.parametrize(("text", "items"), THRESHOLDS.values(), ids=THRESHOLDS.keys())
def test_where_a_list_begins_and_ends(text: str, items: list[str] | None) -> None:
    assert read_list(text).items == items


@pytest.mark.parametrize(("read", "most"), [(read_list, MOST_ITEMS), (read_tags, MOST_TAGS)])
def test_as_many_items_as_are_kept_need_no_warning(read: Callable[[str], Reading], most: int) -> None:
    assert (MOST_ITEMS, MOST_TAGS) == (50, 20)
    full = read(json.dumps([f"tag {number:02}" for number in range(most)]))
    assert (len(full.items or []), full.warnings) == (most, ())
    more = read(json.dumps([f"tag {number:02}" for number in range(most + 1)]))
    assert (more.items, len(more.warnings)) == (full.items, 1)


def test_short_words_have_no_plural() -> None:
    assert read_tags('["tv", "tvs", "car", "cars"]').items == ["car", "tv", "tvs"]


def test_tags_keep_the_order_of_the_model_too() -> None:
    reading = read_tags('["Zebra", "apple", "zebras", "Mango"]')
    assert reading.items == ["apple", "mango", "zebra"]
    assert reading.original_order == ["zebra", "apple", "mango"]
    assert read_list('["b", "a"]').original_order is None
    many = read_tags(json.dumps([f"tag {300 - number}" for number in range(300)]))
    assert sorted(many.original_order or []) == many.items
    assert (many.original_order or [])[0] == "tag 300"
