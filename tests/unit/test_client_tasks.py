"""Tasks and their prompt files: what is shipped, what users add, and what is wrong with a file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from client.errors import UsageError
from client.media.kinds import SEEN, Kind
from client.tasks.answers import READERS
from client.tasks.prompt import Prompt, read_prompt
from client.tasks.schemas import is_structured
from client.tasks.tasks import BUILT_IN, FIELDS, choose_tasks

if TYPE_CHECKING:
    from pathlib import Path

SHIPPED = ("ad", "ask", "describe", "sentiment", "tags")
WHOLE = (*SHIPPED, "ad_facts", "promo")
OVER_TIME = ("captions", "chapters", "events", "highlights", "summary")
"""Of videos alone."""
BOTH = ("abstract", "elements", "moderation", "mood", "quality")
"""Whole pictures, and windows of videos."""
PROMPTS = [BUILT_IN / task / f"{kind}.md" for task in WHOLE for kind in SEEN]
PROMPTS += [BUILT_IN / task / "image.md" for task in BOTH]
HEARD = [BUILT_IN / "transcript" / "audio.md", BUILT_IN / "summary" / "talk.md"]
WINDOWS = [BUILT_IN / task / "window.md" for task in (*OVER_TIME, *BOTH)]
MERGES = [BUILT_IN / task / "merge.md" for task in ("abstract", "chapters", "highlights", "moderation", "summary")]
SOUNDS = r"hear|sound|music|song|jingle|voice|audio|listen|speech|spoken|speak|dialog|narrat|lyric|noise|loud"


def put(path: Path, content: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_each_shipped_task_has_its_prompts() -> None:
    assert sorted(BUILT_IN.glob("*/*")) == sorted([*PROMPTS, *HEARD, *WINDOWS, *MERGES])


@pytest.mark.parametrize("path", [*PROMPTS, *WINDOWS, *MERGES], ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_shipped_prompt(path: Path) -> None:
    prompt = read_prompt(path)
    assert prompt.title
    assert prompt.about
    assert prompt.answer in READERS or is_structured(prompt.answer)
    # What sees frames or a picture has nothing to hear.
    assert not re.search(rf"\b({SOUNDS})", prompt.text, re.IGNORECASE)
    # 16 frames of LLaVA-NeXT-Video, a prompt of two tokens a word and the answer fit into its 4096 tokens.
    assert 16 * 144 + 2 * len(prompt.text.split()) + prompt.max_tokens < 4096
    # A window says of which time it is.
    assert ("{start}" in prompt.text) == ("{end}" in prompt.text) == (path in WINDOWS and not prompt.measure)
    assert ("{question}" in prompt.text) == (path.parent.name == "ask")


def test_a_sound_would_be_found() -> None:
    assert re.search(rf"\b({SOUNDS})", "Describe the Soundtrack.", re.IGNORECASE)


def test_questions_have_keys_of_their_own() -> None:
    assert [task.key for task in choose_tasks(["describe"], ["Why?"])] == ["describe", "ask"]
    two = choose_tasks([], ["Why {so}?", "Who?", "Who?"])
    assert [(task.key, task.question) for task in two] == [("ask-1", "Why {so}?"), ("ask-2", "Who?")]
    assert "Why {so}?" in two[0].prompts[Kind.VIDEO].text
    assert two[0].name == "ask"


def test_a_new_task_costs_a_prompt_file(tmp_path: Path) -> None:
    put(tmp_path / "haiku" / "image.md", "Write a haiku about this picture.")
    (task,) = choose_tasks(["haiku"], [], tmp_path)
    assert task.prompts == {Kind.IMAGE: Prompt("Write a haiku about this picture.", "text", 400)}


def test_a_prompt_of_one_kind_can_be_overridden(tmp_path: Path) -> None:
    put(tmp_path / "describe" / "video.md", "---\nmax_tokens: 7\n---\nIn one word.\n")
    (ours,), (theirs,) = choose_tasks(["describe"], []), choose_tasks(["describe"], [], tmp_path)
    assert theirs.prompts[Kind.VIDEO] == Prompt("In one word.", "text", 7)
    assert theirs.prompts[Kind.IMAGE] == ours.prompts[Kind.IMAGE]


def test_a_question_can_be_put_in_other_words(tmp_path: Path) -> None:
    put(tmp_path / "ask" / "video.md", "Briefly: {question}")
    (task,) = choose_tasks([], ["Who?"], tmp_path)
    assert task.prompts[Kind.VIDEO].text == "Briefly: Who?"


def test_a_question_goes_to_a_task_of_ones_own(tmp_path: Path) -> None:
    put(tmp_path / "brief" / "image.md", "Briefly: {question}")
    put(tmp_path / "haiku" / "image.md", "Write a haiku.")
    assert [task.key for task in choose_tasks(["brief"], ["Who?"], tmp_path)] == ["brief"]
    assert [task.key for task in choose_tasks(["haiku"], ["Who?"], tmp_path)] == ["haiku", "ask"]
    with pytest.raises(UsageError, match="the task brief needs a question"):
        choose_tasks(["brief"], [], tmp_path)


def test_braces_that_are_no_place_stay(tmp_path: Path) -> None:
    path = put(tmp_path / "image.md", 'Answer with JSON: {"brand": "...", "colours": [{}]}, {one or two}')
    assert read_prompt(path).text.endswith('{"brand": "...", "colours": [{}]}, {one or two}')


def test_a_prompt_that_was_changed_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "video.md"
    for text in ("What is sold?", "Who is shown?"):
        path.write_text(text)
        assert read_prompt(path).text == text
        assert read_prompt(path) is read_prompt(path)


def test_the_tasks_are_listed_where_one_is_unknown(tmp_path: Path) -> None:
    put(tmp_path / "objects" / "image.md", "---\nabout: What can be bought.\n---\nList the products.")
    with pytest.raises(UsageError, match="unknown task dance") as unknown:
        choose_tasks(["describe", "dance"], [], tmp_path)
    lines = str(unknown.value).splitlines()[1:]
    assert [line.split()[0] for line in lines] == sorted([*WHOLE, *OVER_TIME, *BOTH, "objects", "transcript"])
    assert "  objects    What can be bought." in lines
    with pytest.raises(UsageError, match="say what to ask"):
        choose_tasks(["describe"], [" "])
    with pytest.raises(UsageError, match="nothing to ask"):
        choose_tasks([], [])


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_no_task_is_called_like_a_field_of_an_answer(tmp_path: Path, name: str) -> None:
    put(tmp_path / name / "image.md", "List all.")
    with pytest.raises(UsageError, match=f"no task can be called {name}, .*rename its folder in {tmp_path}"):
        choose_tasks([name], [], tmp_path)
    assert choose_tasks(["describe"], [], tmp_path)  # it is in nobody's way there


def test_a_file_may_come_from_any_editor(tmp_path: Path) -> None:
    path = tmp_path / "image.md"
    path.write_bytes("\ufeff---\r\nabout: 'Été: tout'\r\n# a remark\r\n---\r\nDis:\r\n---\r\nÉté?\r\n".encode())
    assert read_prompt(path) == Prompt("Dis:\n---\nÉté?", about="Été: tout")
    path.write_text("---\n---\nSing")
    assert read_prompt(path) == Prompt("Sing")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("---\ntitle: A\nanswer: song\n---\nSing", "line 3: answer must be one of text, list, tags, sentiment"),
        ("---\nmax_tokens: many\n---\nSing", "line 2: max_tokens must be"),
        ("---\nmax_tokens: true\n---\nSing", "line 2: max_tokens must be"),
        ("---\nmax_tokens: 0\n---\nSing", "line 2: max_tokens must be"),
        ("---\ntitle: 7\n---\nSing", "line 2: title must be a text"),
        ("---\n\nmax_token: 9\n---\nSing", "line 3: there is no setting 'max_token'"),
        ("---\n7: 9\n---\nSing", "line 2: there is no setting"),
        ("---\nanswer: [text]\n---\nSing", "line 2: answer must be one of"),
        ("---\nyes: 9\n---\nSing", "line 2: there is no setting 'yes'"),
        ("---\n? [a]\n: b\n---\nSing", "line 2: there is no setting"),
        ("---\nanswer: text\n---\n", "line 4: .* no prompt"),
        ("---\nanswer: text\n\nSing", "line 1: the front matter has no end"),
        ("---\njust words\n---\nSing", "line 2: must be lines of"),
        ("---\ntitle: A\nabout: Tone: how it is\n---\nSing", "line 3: .* needs quotes"),
        ("---\n[broken: {\n---\nSing", r"video.md, line \d"),
        ("---\nabout: 2020-99-99\n---\nSing", "video.md"),
        ("", "line 1: there is no prompt"),
        (
            "---\ntitle: A\n---\nSing\nof {brand}",
            "line 5: nothing is known to fill in for {brand}, only for {question}",
        ),
        ("Sing of { Question }", "line 1: nothing is known to fill in for { Question }"),
    ],
)
def test_wrong_prompt_files_are_named_with_the_line(tmp_path: Path, content: str, reason: str) -> None:
    path = put(tmp_path / "sing" / "video.md", content)
    with pytest.raises(UsageError, match=reason) as wrong:
        choose_tasks(["sing"], [], tmp_path)
    assert str(wrong.value).startswith(str(path))


def test_a_prompt_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "sing" / "video.md"
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="utf-8"):
        choose_tasks(["sing"], [], tmp_path)


def test_nothing_in_a_folder_of_prompts_is_overlooked(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are no prompts"):
        choose_tasks(["describe"], [], tmp_path)
    put(tmp_path / "README.md", "Not a prompt.")
    put(tmp_path / "haiku" / "image.md", "Write a haiku.")
    choose_tasks(["haiku"], [], tmp_path)
    put(tmp_path / "haiku" / "movie.md", "Write a haiku.")
    with pytest.raises(UsageError, match=r"movie.md: a prompt is named image.md or video.md"):
        choose_tasks(["haiku"], [], tmp_path)
    with pytest.raises(UsageError, match="no such folder"):
        choose_tasks(["haiku"], [], tmp_path / "nowhere")
