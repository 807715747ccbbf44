# ruff: noqa: RUF001  (signs of many scripts)
"""Where sentences end in many languages, in lists, in wrapped lines and around JSON."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from translator.text import wrapped
from translator.text.sentences import split

GOLDEN = json.loads((Path(__file__).parent / "golden_rules.json").read_text(encoding="utf-8"))
"""The golden rules of Pragmatic Segmenter (Copyright (c) 2015 Kevin S. Dias, MIT) as the tests of pySBD have them
(Copyright (c) 2019 Nipun Sadvilkar, MIT): language -> [text, sentences]."""


def said(text: str, language: str = "en") -> list[str]:
    """The sentences, each on one line."""
    pieces = split(text, language)
    assert "".join(piece.text for piece in pieces) == text
    return [wrapped.unwrap(piece.text).text for piece in pieces if piece.is_sentence]


def with_what_is_kept(text: str, language: str) -> list[str]:
    """The sentences with what stands before each of them, a list's numbers for instance."""
    found, before = [], ""
    for piece in split(text, language):
        before += piece.text
        if piece.is_sentence:
            found.append(before)
            before = ""
    if before and found:
        found[-1] += before
    return [sentence.strip() for sentence in found]


def test_the_golden_rules() -> None:
    wrong = {
        language: [text for text, sentences in cases if with_what_is_kept(text, language) != sentences]
        for language, cases in GOLDEN.items()
    }
    assert wrong.pop("en") == []
    # What is left begins a question in lower case.
    assert {language: texts for language, texts in wrong.items() if texts} == {
        "kk": ["Оқушылар үйі, Достық даңғылы, Абай даналығы, ауыл шаруашылығы – кім? не?"]
    }


@pytest.mark.parametrize(
    ("language", "text", "sentences"),
    [
        ("km", "នេះជារថយន្ត។ វាមានពណ៌ក្រហម។", ["នេះជារថយន្ត។", "វាមានពណ៌ក្រហម។"]),
        ("km", "មានស្វាយ ចេក ។ល។ នៅទីនេះ។", ["មានស្វាយ ចេក ។ល។ នៅទីនេះ។"]),
        ("bo", "འདི་ནི་མོ་ཊ་ཞིག་རེད། དེ་དམར་པོ་རེད།", ["འདི་ནི་མོ་ཊ་ཞིག་རེད།", "དེ་དམར་པོ་རེད།"]),
        ("th", "โฆษณานี้แสดงรถสีแดงวิ่งบนถนน ผู้ชายคนหนึ่งยิ้ม", ["โฆษณานี้แสดงรถสีแดงวิ่งบนถนน", "ผู้ชายคนหนึ่งยิ้ม"]),
        ("th", "ฉันไปประชุมเมื่อวันที่ 11 มีนาคม แล้วกลับมา", ["ฉันไปประชุมเมื่อวันที่ 11 มีนาคม แล้วกลับมา"]),
        ("hi", "डॉ. शर्मा यहाँ हैं। वे आए।", ["डॉ. शर्मा यहाँ हैं।", "वे आए।"]),
        ("hi", "श्री. वर्मा और प्रो. गुप्ता आए। यह है. वह है.", ["श्री. वर्मा और प्रो. गुप्ता आए।", "यह है.", "वह है."]),
        ("bn", "ডা. রহমান এসেছেন। তিনি বসলেন।", ["ডা. রহমান এসেছেন।", "তিনি বসলেন।"]),
        ("ta", "திரு. ராமன் வந்தார். அவர் அமர்ந்தார்.", ["திரு. ராமன் வந்தார்.", "அவர் அமர்ந்தார்."]),
        ("ar", "جاء د. محمد. ثم جلس.", ["جاء د. محمد.", "ثم جلس."]),
        ("en", "Guess Who? is a game. It is fun.", ["Guess Who? is a game.", "It is fun."]),
        ("en", "“Who Framed Roger Rabbit?” is a film.", ["“Who Framed Roger Rabbit?” is a film."]),
        ("en", "He asked why? I see.", ["He asked why?", "I see."]),
        ("en", "Step 1. Open. Step 2. Close.", ["Step 1. Open.", "Step 2. Close."]),
        ("en", "See Figure 2. The car is red.", ["See Figure 2.", "The car is red."]),
        ("en", "It says so in Ch. 4. It ends.", ["It says so in Ch. 4.", "It ends."]),
        ("zh", "“我走了。”他说。然后他离开了。", ["“我走了。”他说。", "然后他离开了。"]),
        ("zh", "“你好！”小明高兴地说：“再见。”", ["“你好！”小明高兴地说：“再见。”"]),
        ("zh", "“我走了。”然后他离开了。", ["“我走了。”", "然后他离开了。"]),
        ("ja", "「行くよ。」と彼は言った。彼は去った。", ["「行くよ。」と彼は言った。", "彼は去った。"]),
        ("ja", "『ありがとう。』って言った。彼は去った。", ["『ありがとう。』って言った。", "彼は去った。"]),
        ("ja", "「おはよう！」先生は笑顔で言った。", ["「おはよう！」先生は笑顔で言った。"]),
        ("ja", "「本当ですか？」彼女は聞いた。", ["「本当ですか？」彼女は聞いた。"]),
        ("ja", "『ありがとう。』彼は去った。", ["『ありがとう。』", "彼は去った。"]),
        ("vi", "TS. Nguyễn đến. Ông ngồi.", ["TS. Nguyễn đến.", "Ông ngồi."]),
        ("fr", "M. Dupont est là. Il a 3,5 km à faire.", ["M. Dupont est là.", "Il a 3,5 km à faire."]),
        ("pl", "Ma 5 tys. zł. Idzie na ul. Długą.", ["Ma 5 tys. zł.", "Idzie na ul. Długą."]),
        ("ro", "Dl. Popescu a venit. Da.", ["Dl. Popescu a venit.", "Da."]),
        ("pl", "Przyszedł o godz. 5. Usiadł.", ["Przyszedł o godz. 5.", "Usiadł."]),
        ("ja", "「行くよ。」彼は去った。", ["「行くよ。」", "彼は去った。"]),
        ("ko", "“가자.”라고 그는 말했다. 그는 떠났다.", ["“가자.”라고 그는 말했다.", "그는 떠났다."]),
        ("de", "Er spielt in der 2. Liga. Am 3. Mai ging er.", ["Er spielt in der 2. Liga.", "Am 3. Mai ging er."]),
        ("da", "Han arbejder for Pitt & Co. De lukkede.", ["Han arbejder for Pitt & Co.", "De lukkede."]),
    ],
)
def test_sentence_ends_of(language: str, text: str, sentences: list[str]) -> None:
    assert said(text, language) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("1. The first item 2. The second item", ["The first item", "The second item"]),
        ("You need: (i) eggs; (ii) milk.", ["You need:", "eggs;", "milk."]),
        ("a) red b) blue c) green", ["red", "blue", "green"]),
        ("• One • Two • Three", ["One", "Two", "Three"]),
        ("* One * Two", ["One", "Two"]),
        ("I. Red II. Blue III. Green", ["Red", "Blue", "Green"]),
        ("1) Open it. 3) Close it.", ["Open it.", "3) Close it."]),
        ("It costs 5. 6 people came.", ["It costs 5.", "6 people came."]),
        ("Plan a. is good, plan b. is not.", ["Plan a. is good, plan b. is not."]),
    ],
)
def test_lists_within_a_line(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("It opens with\nred everywhere. It\r\n  ends in blue.", ["It opens with red everywhere.", "It ends in blue."]),
        (
            "The quick brown fox jumps over the lazy dog and\nMary goes to the market to buy some bread. It is\nlate.",
            [
                "The quick brown fox jumps over the lazy dog and Mary goes to the market to buy some bread.",
                "It is late.",
            ],
        ),
        (
            "今天天气很好，我们一起去公园散步，看见了很多\n美丽的花和树。",
            ["今天天气很好，我们一起去公园散步，看见了很多美丽的花和树。"],
        ),
        ("urban landscape\nred car\na dog", ["urban landscape", "red car", "a dog"]),
        (
            "Tags for this\nurban landscape\nred car\nHere it ends.",
            ["Tags for this", "urban landscape", "red car", "Here it ends."],
        ),
        ("urban landscape\nsome red cars\na dog.", ["urban landscape", "some red cars", "a dog."]),
        ("Roses are red\nViolets are blue", ["Roses are red", "Violets are blue"]),
        ("A Heading\nThe text below goes on.", ["A Heading", "The text below goes on."]),
        ("This is one line\n\nand this is another.", ["This is one line", "and this is another."]),
        ("What you need\n- eggs\n- milk and\n  honey.", ["What you need", "eggs", "milk and", "honey."]),
        ("It ends with two spaces  \nand goes on.", ["It ends with two spaces", "and goes on."]),
    ],
)
def test_wrapped_lines(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ('{"title": "A red car", "tags": ["a", "b"]}', []),
        (
            'Here it is:\n```json\n{\n  "title": "A car",\n  "n": 3\n}\n```\nThat is all.',
            ["Here it is:", "That is all."],
        ),
        ('"title": "A red car",\n"n": 3,\nIt works.', ["It works."]),
        ('It gives [{"a": "b c"}] back.', ["It gives", "back."]),
        ('{"title": "A red ca', []),
        ('"objects": ["car", "tree"],\n"mood": "calm"\n}', []),
        ('He says {"hello"} to "you".', ['He says {"hello"} to "you".']),
        ('["Buy now!" she says]', ['["Buy now!" she says]']),
    ],
)
def test_json_is_passed_through(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("{\\an8}Hello there.", ["Hello there."]),
        ("<i>It works.</i><br />It stops.", ["It works.", "It stops."]),
        ("Now &nbsp;", ["Now"]),
        ("A <b>red</b> car.", ["A <b>red</b> car."]),
        ("#summer #sale", []),
    ],
)
def test_markup_around_a_sentence_is_no_part_of_it(text: str, sentences: list[str]) -> None:
    assert said(text) == sentences


@pytest.mark.parametrize(
    "unit", ['[{"a":', "[", '{"', "1. x ", "a\n", '["a\\"', "<a ", "• ", "Mr. ", "&#", "ก ข ", "a) "]
)
def test_a_text_made_to_be_slow_is_not(unit: str) -> None:
    text = unit * (60_000 // len(unit))
    assert "".join(piece.text for piece in split(text)) == text


def test_a_long_line_is_cut_at_sentence_ends() -> None:
    assert said("It has two scenes. " * 3000) == ["It has two scenes."] * 3000


def test_thai_in_several_threads_and_nothing_in_the_home(tmp_path: Path) -> None:
    text = "โฆษณานี้แสดงรถสีแดงวิ่งบนถนน ผู้ชายคนหนึ่งยิ้ม"
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda _: said(text, "th"), range(40))) == [text.split()] * 40
    code = f"from translator.text.sentences import split; assert len(split({text!r}, 'th')) == 3"
    environment = os.environ | {"HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])}
    subprocess.run([sys.executable, "-c", code], env=environment, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
