"""Subtitles: sentences go over cues, times and all the rest stay."""

import re
import time
import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from translator_toy import Client, Engine, serving

from translator.errors import SubtitleError
from translator.model.job import Job, Translation
from translator.text.placement import break_lines
from translator.text.subtitles import Subtitles

VTT = """WEBVTT - title

NOTE a comment
of two lines

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:03.000 align:start
It opens with <i>red</i>
everywhere, and the

2
00:00:03.000 --> 00:00:05.500
car stops. Tom &amp; Jerry
wait there.

00:00:06.000 --> 00:00:07.000
- Hello.
- Who is it?

00:00:20.000 --> 00:00:21.000
<v Bob>This is a very long line that will have to be broken into several lines of text</v>
"""
UPPER = """WEBVTT - title

NOTE a comment
of two lines

STYLE
::cue { color: red }

1
00:00:01.000 --> 00:00:03.000 align:start
IT OPENS WITH <i>RED</i> EVERYWHERE, AND THE

2
00:00:03.000 --> 00:00:05.500
CAR STOPS. TOM &amp; JERRY WAIT THERE.

00:00:06.000 --> 00:00:07.000
- HELLO.
- WHO IS IT?

00:00:20.000 --> 00:00:21.000
<v Bob>THIS IS A VERY LONG LINE THAT WILL HAVE
TO BE BROKEN INTO SEVERAL LINES OF TEXT</v>
"""
SRT = "1\r\n00:00:01,000 --> 00:00:03,000\r\n{\\an8}Hello there.\r\n\r\n2\r\n00:00:04,000 --> 00:00:05,000\r\n2 & 3\r\n"


def upper(job: Job) -> Translation:
    return Translation(job.text.upper())


@pytest.fixture
async def client() -> Any:
    async with serving(Engine(upper)) as client:
        yield client


async def ask(client: Client, text: str, form: str, source: str = "en") -> Any:
    body = {"texts": [text], "targets": ["fr", "zh"], "source": source, "format": form}
    async with client.post("/v1/translations", json=body) as response:
        return await response.json()


async def test_vtt(client: Client) -> None:
    french = (await ask(client, VTT, "vtt"))["translations"][0]["fr"]
    assert french["text"] == UPPER
    assert [sentence["source"] for sentence in french["sentences"]][:2] == [
        "It opens with red everywhere, and the\ncar stops.",
        "Tom & Jerry wait there.",
    ]


async def test_srt_and_what_is_said_of_it(client: Client) -> None:
    answer = await ask(client, SRT, "srt", source="auto")
    assert answer["translations"][0]["fr"]["text"] == SRT.replace("Hello there.", "HELLO THERE.")
    assert answer["detected"][0]["language"] == "eng_Latn"


async def test_lines_are_as_long_as_the_script_lets_them(client: Client) -> None:
    chinese = (await ask(client, VTT, "vtt"))["translations"][0]["zh"]["text"]
    lines = [re.sub("<[^>]*>", "", line) for line in chinese.splitlines() if line.isupper() and "-->" not in line]
    assert max(len(line) for line in lines if line != "WEBVTT - TITLE") <= 16


@pytest.mark.parametrize(
    ("text", "lines", "broken"),
    [
        ("ผู้ชายคนหนึ่งยิ้มและเดินไปตลาด", 2, ["ผู้ชายคนหนึ่ง", "ยิ้มและเดินไปตลาด"]),
        ("「ちょっと」と言ってキャッチした", 2, ["「ちょっと」と", "言ってキャッチした"]),
        ("a bb, ccc dddd", 2, ["a bb,", "ccc dddd"]),
        ("กำลัง", 2, None),
        ("x", 3, ["x", "", ""]),
    ],
)
def test_lines_are_broken_between_words(text: str, lines: int, broken: list[str] | None) -> None:
    starts = break_lines(text, [1 / lines] * lines)
    found = [text[a:b].strip() for a, b in zip([0, *starts], [*starts, len(text)], strict=True)]
    assert "".join(found).replace(" ", "") == text.replace(" ", "")
    assert not any(line and unicodedata.category(line[0])[0] == "M" for line in found)
    assert broken is None or found == broken


@pytest.mark.parametrize("words", ["a\n" * 20_000, ("<" + "b" * 900) * 500])
def test_a_huge_cue_takes_no_longer_than_its_letters_let(words: str) -> None:
    """It is put together where others wait for it."""
    began = time.process_time()
    file = Subtitles(f"WEBVTT\n\n00:00.000 --> 00:01.000\n{words}", "vtt")
    file.with_text(file.text.text, "Latn")
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize("form", ["vtt", "srt"])
async def test_what_is_no_subtitle_file_is_refused(client: Client, form: str) -> None:
    answer = await ask(client, "Hello there.", form)
    assert answer["error"]["message"].startswith(f"text 0: no {form} subtitles")
    with pytest.raises(SubtitleError):
        Subtitles("", "vtt")


LINES = [
    "Hello",
    "- you",
    "<i>there</i>",
    "and the",
    "stops.",
    "{\\an8}x",
    "&amp;",
    "-",
    "7",
    "♪ la",
    "小狗在跑",
    "WEBVTT",
]
CUES = st.lists(
    st.tuples(st.sampled_from(["\n", "\r\n"]), st.integers(0, 9), st.lists(st.sampled_from(LINES), max_size=3)),
    min_size=1,
    max_size=6,
)


@given(CUES, st.sampled_from(["vtt", "srt"]))
def test_with_its_own_text_each_cue_says_the_same(cues: Any, form: Any) -> None:
    source = "".join(
        f"{number}{end}00:00:0{start}.000 --> 00:00:0{start}.500{end}" + "".join(line + end for line in lines) + end
        for number, (end, start, lines) in enumerate(cues)
    )
    if not any(lines for _, _, lines in cues):
        return
    subtitles = Subtitles(source, form)
    text = subtitles.text
    written, at = "", 0
    for tag in text.tags:
        written += text.written(at, tag.at) + tag.source
        at = tag.at
    back = subtitles.with_text(written + text.written(at, len(text.text)), "Latn")
    assert re.sub(r"\s+", " ", back) == re.sub(r"\s+", " ", source)
    times = re.compile(r"^.*-->.*$", re.MULTILINE)
    assert times.findall(back) == times.findall(source)
