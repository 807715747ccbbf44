# ruff: noqa: RUF001  (signs of many scripts)
"""Subtitles and chapters: how texts become cues, where the files lie, and that FFmpeg takes them."""

from __future__ import annotations

import itertools
import re
import subprocess
import unicodedata
from typing import TYPE_CHECKING, Any

import av
import pytest
from ffmpeg_files import FFMPEG
from hypothesis import given
from hypothesis import strategies as st
from result_runs import Run, read, write
from test_client_segments import add_part

from client.errors import UsageError
from client.export import cues
from client.export.cues import RLM, Cue
from client.export.formats import check, export
from client.export.subtitles import files

if TYPE_CHECKING:
    from pathlib import Path

ENGLISH = (
    "A red car drives along the coast while the sun sets, and a woman waves. Then a logo appears on a black screen."
)
CHINESE = "红色的汽车沿着海岸行驶，太阳正在落下，一位身穿白色连衣裙的女士在副驾驶座上挥手。然后，徽标出现在黑色屏幕上。"
ARABIC = "BMW تقود سيارة حمراء على طول الساحل، وامرأة ترتدي فستانا أبيض تلوح من مقعد الراكب."


def lines(text: str, language: str, shown_s: float = 60) -> list[list[str]]:
    return [cue.text.split("\n") for cue in cues.cues(0, shown_s, text, language)]


def test_cues_end_where_sentences_and_clauses_do() -> None:
    assert lines(ENGLISH, "eng_Latn") == [
        ["A red car drives along the coast", "while the sun sets, and a woman waves."],
        ["Then a logo appears on a black screen."],
    ]
    assert lines(CHINESE, "zho_Hans") == [
        ["红色的汽车沿着海岸行驶，", "太阳正在落下，"],
        ["一位身穿白色连衣裙的", "女士在副驾驶座上挥手。"],
        ["然后，徽标出现在黑色屏幕上。"],
    ]


@pytest.mark.parametrize(
    ("language", "text", "longest"),
    [
        ("eng_Latn", ENGLISH * 5, 42),
        ("zho_Hans", CHINESE * 5, 16),
        ("jpn_Jpan", CHINESE * 5, 13),
        ("arb_Arab", ARABIC * 5, 43),
        ("tha_Thai", "ผู้หญิง โบกมือ จาก ที่นั่ง" * 9, 35),
        ("deu_Latn", "x" * 300, 42),
    ],
)
def test_no_cue_is_too_long_to_be_read(language: str, text: str, longest: int) -> None:
    found = lines(text, language)
    assert len(found) > 2
    assert all(0 < len(line) <= longest for cue in found for line in cue)
    assert all(len(cue) <= 2 for cue in found)


def test_a_line_that_runs_from_right_to_left_says_so_where_it_begins_with_a_latin_name() -> None:
    (first, *_), *rest = lines(ARABIC, "arb_Arab")
    assert first.startswith(RLM + "BMW")
    assert not any(line.startswith(RLM) for cue in rest for line in cue)


def test_no_line_begins_with_a_mark_that_ends_something() -> None:
    found = [line for cue in lines(CHINESE * 3, "zho_Hans") for line in cue]
    assert not any(line[0] in "，。、" for line in found)
    assert "".join(found) == CHINESE * 3


def test_a_word_longer_than_a_line_is_not_cut_between_a_sign_and_its_vowel() -> None:
    khmer = "នេះជាអត្ថបទខ្មែរវែងមួយដែលមិនមានចន្លោះរវាងពាក្យហើយត្រូវបំបែកជាបន្ទាត់"
    found = [line for cue in lines(khmer, "khm_Khmr") for line in cue]
    assert "".join(found) == khmer
    assert not [line for line in found if unicodedata.category(line[0]).startswith("M")]


def test_every_cue_has_time_and_no_controls() -> None:
    found = list(cues.cues(1, 1.002, "\x1b[1mHi\0 there you. " * 40, "eng_Latn"))
    assert found
    assert all(cue.start_s < cue.end_s for cue in found)
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", "".join(cue.text for cue in found))
    assert not list(cues.cues(1, 1, "Hi.", "eng_Latn"))


def test_what_would_flash_by_is_joined() -> None:
    assert len(lines("One. Two. Three.", "eng_Latn", shown_s=2)) == 1


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=400),
    st.floats(0, 1e4),
    st.floats(0.01, 100),
    st.sampled_from(["eng_Latn", "zho_Hans", "arb_Arab", "hin_Deva", "tha_Thai"]),
)
def test_nothing_is_lost_and_times_follow_each_other(text: str, start: float, length: float, language: str) -> None:
    found = list(cues.cues(start, start + length, text, language))
    said = "".join(cue.text for cue in found)
    left_out = rf"[\s\x00-\x1f\x7f-\x9f{RLM}]"
    assert re.sub(left_out, "", said) == re.sub(left_out, "", text)
    if found:
        assert found[0].start_s == start
        assert found[-1].end_s == pytest.approx(start + length, abs=1e-3)
        assert all(before.end_s == after.start_s for before, after in itertools.pairwise(found))
        assert all("\n\n" not in cue.text for cue in found)


HOSTILE = "a --> b <script> & </c>\n\n00:00:01.000 --> 00:00:02.000\nNOTE x"


def test_a_text_stays_a_text() -> None:
    written = cues.vtt([Cue(0, 1, " ".join(HOSTILE.split()))])
    assert written.count("-->") == 1
    assert "<" not in written
    assert cues.srt([Cue(0, 1, HOSTILE)]).count(" --> ") == 1
    assert "title=a\\=b\\;\\#\\\\ c\n" in cues.ffmetadata([Cue(0, 1, "a=b;#\\\nc")])


def record(**tasks: Any) -> dict[str, Any]:
    return {"file": "brand/film.mp4", "tasks": tasks}


SEGMENTS = [
    {"start": 0.0, "end": 4.0, "text": "A car.", "translations": {"spa_Latn": "Un coche.", "arb_Arab": "سيارة."}},
    {"start": 4.0, "end": 10.0, "text": "A logo & a name.", "translations": {"spa_Latn": "Un logotipo y un nombre."}},
]
CHAPTERS = [
    {"start": 0.0, "end": 4.0, "text": "The car", "title": "The car"},
    {"start": 4.0, "end": 10.0, "text": "The end = logo", "title": "The end = logo"},
]


def test_a_file_for_each_task_language_and_format() -> None:
    made = dict(files(record(captions={"segments": SEGMENTS}, describe={"text": "All."}), ["vtt", "srt", "ffmetadata"]))
    assert [str(path) for path in made] == [
        f"brand/film.mp4.captions.{language}.{suffix}"
        for language in ("eng_Latn", "spa_Latn", "arb_Arab")
        for suffix in ("vtt", "srt")
    ]
    assert dict(files(record(chapters={"segments": CHAPTERS}), ["ffmetadata"]))


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "/abs/film.mp4",
        "https://cdn.example/a?b=1",
        "a:b.mp4",
        "n" * 300,
        ".",
        "CON|x\n.mp4",
        "\udcff.mp4",
        f"https://a/{'n' * 300}/b.mp4",
    ],
)
def test_a_name_leads_nowhere_else_and_is_taken_for_no_other(name: str) -> None:
    path, _ = next(files({"file": name, "tasks": {"captions": {"segments": SEGMENTS}}}, ["vtt"]))
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert len(path.name.encode()) < 250
    assert all(len(part.encode()) <= 255 for part in path.parts)
    assert re.search(r"-[0-9a-f]{8}\.captions\.eng_Latn\.vtt$", path.name)


def test_the_name_of_a_task_fits_into_that_of_a_file() -> None:
    names = ["t" * 250, "t" * 249, "a:b", "a?b", "a_b"]
    found = [next(files({"file": "film.mp4", "tasks": {name: {"segments": SEGMENTS}}}, ["vtt"]))[0] for name in names]
    assert len({path.name for path in found}) == len(names)
    assert all(len(path.name.encode()) < 240 for path in found)
    assert found[-1].name == "film.mp4.a_b.eng_Latn.vtt"


def read_back(path: Path) -> list[tuple[float, float, str]]:
    """The cues of a film's first subtitle stream, as FFmpeg reads it."""
    done = subprocess.run(
        [FFMPEG, "-v", "error", "-i", str(path), "-map", "0:s:0", "-f", "srt", "-"], capture_output=True, check=True
    )
    found = []
    for block in done.stdout.decode().strip().split("\n\n"):
        _, times, *text = block.split("\n")
        start, end = (
            sum(
                float(part.replace(",", ".")) * unit for part, unit in zip(clock.split(":"), (3600, 60, 1), strict=True)
            )
            for clock in times.split(" --> ")
        )
        found.append((start, end, "\n".join(text)))
    return found


@pytest.mark.parametrize(
    ("suffix", "container", "codec"), [("vtt", "mkv", "copy"), ("srt", "mkv", "copy"), ("srt", "mp4", "mov_text")]
)
def test_players_take_subtitles(tmp_path: Path, suffix: str, container: str, codec: str) -> None:
    made = dict(files(record(captions={"segments": SEGMENTS}), [suffix]))
    for language in ("eng_Latn", "arb_Arab"):
        source = tmp_path / f"x.{suffix}"
        source.write_text(next(text for path, text in made.items() if language in path.name))
        film = tmp_path / f"film.{container}"
        still = ["-f", "lavfi", "-i", "color=s=64x64:d=10", "-i", str(source)]
        subprocess.run([FFMPEG, "-v", "error", "-y", *still, "-c:s", codec, str(film)], check=True)
        if language == "eng_Latn":
            assert read_back(film) == [(0, 4, "A car."), (4, 10, "A logo & a name.")]
        else:
            assert read_back(film) == [(0, 4, "سيارة.")]


def test_players_take_chapters(tmp_path: Path) -> None:
    made = dict(files(record(chapters={"segments": CHAPTERS}), ["ffmetadata"]))
    source, film = tmp_path / "x.ffmeta", tmp_path / "film.mp4"
    source.write_text(next(iter(made.values())))
    still = ["-f", "lavfi", "-i", "color=s=64x64:d=10", "-i", str(source), "-map_chapters", "1"]
    subprocess.run([FFMPEG, "-v", "error", *still, str(film)], check=True)
    with av.open(str(film)) as container:
        found = container.chapters()
    assert [chapter["metadata"]["title"] for chapter in found] == ["The car", "The end = logo"]
    assert [(c["start"] * c["time_base"], c["end"] * c["time_base"]) for c in found] == [(0, 4), (4, 10)]


def test_export_writes_them_once_and_names_their_folder(tmp_path: Path) -> None:
    write(tmp_path, Run(("a.png", "b.mp4")))
    add_part(tmp_path, "early", "window", (0, 2_000_000), "First.", at=1)
    assert read(tmp_path)[1]["tasks"]["describe"]["segments"]
    assert export(tmp_path, ["json", "vtt"]) == [tmp_path / "results.json", tmp_path / "subtitles"]
    (path,) = (path for path in (tmp_path / "subtitles").rglob("*") if path.is_file())
    assert path == tmp_path / "subtitles" / "b.mp4.describe.eng_Latn.vtt"
    assert path.read_text() == "WEBVTT\n\n00:00:00.000 --> 00:00:02.000\nFirst.\n"
    before = path.stat().st_mtime_ns
    export(tmp_path, ["vtt"])
    assert path.stat().st_mtime_ns == before


def test_a_format_that_is_mistyped() -> None:
    with pytest.raises(UsageError, match="did you mean vtt"):
        check(["vvt"])
