"""`babelview ask`: answers that stream to the terminal, conversations, and how they end."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batch_runs import Done, pictures, wait_until
from fake_servers import FakeServers, error, stream, what_is_seen
from media_files import write_video
from shared_decoders import SharedForkServer

from client.cli import signals
from client.cli.ask import command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aiohttp import web

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "\x1b[?2004h"
"""What a terminal is sent when a prompt begins, with its keys ready."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with three pictures and a video of ten seconds."""
    for name in [name for name in os.environ if name.startswith("BABELVIEW_")]:
        monkeypatch.delenv(name)
    pictures(tmp_path / "ads", 3)
    write_video(tmp_path / "ad.mp4", frames=100, rate=10)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ask(servers: FakeServers | None, *arguments: str, typed: str = "") -> Done:
    """The command within this process: the same in all but the second that a process takes to start."""
    where = ["--base-url", servers.url, "--translator", servers.url] if servers else []
    output, errors = io.StringIO(), io.StringIO()
    with (
        pytest.MonkeyPatch.context() as patch,
        contextlib.redirect_stdout(output),
        contextlib.redirect_stderr(errors),
    ):
        patch.setattr("client.api.session.ForkServer", SharedForkServer)
        patch.setattr(signals, "leave", sys.exit)
        patch.setattr(signals, "end_at_once", lambda *_: None)
        patch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            command.main([*arguments, *where], "babelview ask")
    return Done(int(ended.value.code or 0), output.getvalue(), errors.getvalue())


def test_a_question_is_answered_and_translated(servers: FakeServers, folder: Path) -> None:
    done = ask(servers, "ads/0001.png", "What is it?", "--languages", "es,fra_Latn")
    assert done.returncode == 0, done.stderr
    said = "You asked: What is it?"
    assert done.stdout == f"{said}\n\nspa_Latn: spa_Latn: {said}\n\nfra_Latn: fra_Latn: {said}\n"
    assert done.stderr == ""
    assert servers.asked[0]["stream"] is True
    assert sorted(path.name for path in folder.iterdir()) == ["ad.mp4", "ads"], "something was kept"


def test_pictures_are_asked_about_together(servers: FakeServers, folder: Path) -> None:
    done = ask(servers, "ads/0001.png", "ads/0002.png", "Which?", "--json", "--languages", "es")
    assert what_is_seen(servers.asked[0]) == "1 2"
    assert json.loads(done.stdout) == {
        "files": ["ads/0001.png", "ads/0002.png"],
        "question": "Which?",
        "text": "You asked: Which?",
        "verdict": "ok",
        "translations": {"spa_Latn": "spa_Latn: You asked: Which?"},
        "error": None,
    }
    assert ask(servers, "ads/0001.png", "ads/0002.png", "--task", "quality").returncode == 2


def test_json_is_the_record_of_a_batch(servers: FakeServers, folder: Path) -> None:
    done = ask(servers, "ad.mp4", "How?", "--json", "--frames", "2")
    record = json.loads(done.stdout)
    assert (record["file"], record["kind"], record["error"]) == ("ad.mp4", "video", None)
    assert record["tasks"]["ask"]["text"] == "You asked: How?"
    assert what_is_seen(servers.asked[0]) == "0 99"


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        ((), "I see 0 14 28 42 56 70 84 99\n"),
        (
            ("--task", "tags", "--languages", "es"),
            "blue sky, red car\n\nspa_Latn: spa_Latn: blue sky, spa_Latn: red car\n",
        ),
        (("--task", "captions", "--window", "5", "--frames", "2"), "0:00-0:05  I see 0 49\n0:05-0:10  I see 50 99\n"),
    ],
)
def test_a_task_is_shown_as_people_read_it(
    servers: FakeServers, folder: Path, options: tuple[str, ...], shown: str
) -> None:
    done = ask(servers, "ad.mp4", *(options or ("--task", "describe")))
    assert (done.returncode, done.stdout) == (0, shown), done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ad.mp4",), "give a file and a question"),
        (("What is it?",), "give a file and a question"),
        (("no.mp4",), "no such file or folder: no.mp4"),
        (("ad.mp4", "ads/0001.png"), "is a file: the last argument is the question"),
        (("ad.mp4", " "), "the question is empty"),
        (("none.png", "What?"), "no such file or folder: none.png"),
        (("ad.mp4", "How", "does", "it", "end?"), "no such file or folder: How (the question is one argument"),
        (("none.png", "--task", "tags"), "no such file or folder: none.png"),
        (("ads", "What?"), "ads is a folder"),
        (("ad.mp4", "--task", "describ"), "did you mean describe"),
        (("ad.mp4", "What?", "--window", "4"), "are for tasks over time"),
        (("ad.mp4", "What?", "--languages", "en"), "in English already"),
        (("ad.mp4", "What?", "--languages", "jp"), "unknown language jp"),
        (("ad.mp4", "--chat", "--json"), "cannot be combined"),
        (("ad.mp4", "What?", "--frames", "2", "--fps", "1"), "cannot be combined"),
        (("ad.mp4", "What?", "--base-url", "nowhere"), "must be a URL"),
        (("--task", "tags"), "Missing argument"),
    ],
)
def test_wrong_usage_fails_before_anything_is_asked(folder: Path, arguments: tuple[str, ...], message: str) -> None:
    done = ask(None, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stdout == ""


def test_what_cannot_be_read_or_answered_is_said(servers: FakeServers, folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    done = ask(servers, "broken.jpg", "What?")
    assert (done.returncode, done.stdout) == (1, "")
    assert re.fullmatch(r"Error: broken\.jpg: .+\n", done.stderr)
    (folder / "cut.mp4").write_bytes((folder / "ad.mp4").read_bytes()[:300])
    done = ask(servers, "cut.mp4", "What?")
    assert re.fullmatch(r"Error: cut\.mp4: .+\n", done.stderr)
    done = ask(servers, "http://[::1/a.jpg", "What?")
    assert done.stderr == "Error: http://[::1/a.jpg: cannot be fetched: no http URL: Invalid IPv6 URL\n"
    done = ask(servers, "broken.jpg", "What?", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]
    # A process: pytest would take what is logged.
    process = started(servers, "broken.jpg", "--task", "tags", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    output, errors = process.communicate(timeout=100)
    assert (process.returncode, output) == (1, b"")
    assert re.fullmatch(r"failed: broken\.jpg: .+\n", errors.decode())

    async def on_ask(*_: Any) -> web.Response:
        return error(400, "not about this")

    servers.on_ask = on_ask
    done = ask(servers, "ads/0001.png", "What?")
    assert (done.returncode, done.stdout) == (1, "")
    assert "not about this" in done.stderr


def test_a_language_that_the_translator_does_not_know_is_told_before_anything_is_asked(
    servers: FakeServers, folder: Path
) -> None:
    done = ask(servers, "ad.mp4", "What?", "--languages", "deu")
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown language deu_Latn" in done.stderr
    assert not servers.asked


def test_an_answer_cannot_steer_the_terminal(servers: FakeServers, folder: Path) -> None:
    async def on_ask(request: web.Request, *_: Any) -> web.StreamResponse:
        return await stream(request, "A \x1b[2J cat.\nI'm sorry, but I can't help with that.")

    servers.on_ask = on_ask
    done = ask(servers, "ads/0001.png", "What?")
    assert done.stdout == "A \\x1b[2J cat.\nI'm sorry, but I can't help with that.\n"


def test_a_doubtful_answer_is_said_to_be(servers: FakeServers, folder: Path) -> None:
    async def on_ask(request: web.Request, *_: Any) -> web.StreamResponse:
        return await stream(request, "I'm sorry, but I can't help with that.")

    servers.on_ask = on_ask
    done = ask(servers, "ads/0001.png", "What?")
    assert done.returncode == 0
    assert done.stderr.startswith("doubtful answer: ")


def test_a_conversation_of_lines(servers: FakeServers, folder: Path) -> None:
    lines = [
        "And?",
        "",
        "/task tags",
        "/at 0:05",
        "Now?",
        "/at 1:00:00",
        "Later?",
        "/at",
        "/at soon",
        "/save",
        "/save a.json",
    ]
    lines += ["/task", "/nothing", "/save", "/help", "/quit", "Never?"]
    done = ask(servers, "ad.mp4", "How?", "--chat", "--frames", "2", "--no-hear", typed="\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert (
        done.stdout.splitlines()
        == ["You asked: How?", "You asked: How?", "blue sky, red car"] + ["You asked: Now?"] * 2
    )
    assert [len(body["messages"]) for body in servers.asked] == [1, 3, 1, 1, 3]
    assert [what_is_seen(body) for body in servers.asked] == ["0 99", "0 99", "0 99", "40 59", "40 59"]
    saved = json.loads((folder / "a.json").read_text())
    assert saved["files"] == ["ad.mp4"]
    assert [(each["asked"], each.get("at")) for each in saved["said"]] == [
        ("How?", None),
        ("And?", None),
        ("tags", None),
        ("Now?", 5.0),
        ("Later?", 5.0),
    ]
    text = (folder / "ad.chat.md").read_text()
    assert text.startswith("# ad.mp4\n\n**How?**\n\nYou asked: How?\n\n**And?**")
    assert "**Now?** (0:05)\n\nYou asked: Now?\n" in text
    for said in (
        "looking at 0:05; what was said before is put aside",
        "Error: ad.mp4 lasts 10 s: there is nothing at 3600 s",
        "looking at all of it",
        "Error: /at soon: a time is",
        "saved: ad.chat.md",
        "saved: a.json",
        "Error: /task NAME asks",
        "Error: there is no /nothing",
        "Error: /save: there is a ad.chat.md already",
        "/quit ends",
    ):
        assert said in done.stderr


def test_a_window_of_a_conversation_is_for_its_tasks_over_time(servers: FakeServers, folder: Path) -> None:
    done = ask(servers, "ad.mp4", "--chat", "--window", "5", "--frames", "2", typed="How?\n/task captions\n")
    assert done.returncode == 0
    assert done.stdout == "You asked: How?\n0:00-0:05  I see 0 49\n0:05-0:10  I see 50 99\n", done.stderr


def test_a_conversation_goes_on_after_a_request_that_failed(servers: FakeServers, folder: Path) -> None:
    async def on_ask(_: web.Request, __: dict[str, Any], number: int) -> web.Response | None:
        return error(400, "not this one") if number == 1 else None

    servers.on_ask = on_ask
    done = ask(servers, "ads/0001.png", "--chat", typed="/save\nWho?\nWhat?\n")
    assert done.returncode == 0
    assert done.stdout == "You asked: What?\n"
    assert "nothing was said yet" in done.stderr
    assert "not this one" in done.stderr


def started(servers: FakeServers, *arguments: str, tmp: str = "", **more: Any) -> subprocess.Popen[Any]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **({"TMPDIR": tmp} if tmp else {})}
    line = [sys.executable, "-m", "client.cli.main", "ask", *arguments, "--base-url", servers.url]
    line += ["--translator", servers.url]
    return subprocess.Popen(line, env=environment, cwd=Path.cwd(), start_new_session=True, **more)


def test_ctrl_c_ends_an_answer_at_once_and_leaves_nothing(servers: FakeServers, folder: Path) -> None:
    begun = threading.Event()

    async def on_ask(request: web.Request, _: dict[str, Any], __: int) -> web.StreamResponse:
        response = await stream(request, "A cat ", end=False)
        begun.set()
        while True:  # until the connection is closed
            await response.write(b": \n\n")
            await asyncio.sleep(0.05)

    servers.on_ask = on_ask
    (folder / "tmp").mkdir()
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = started(servers, "ads/0001.png", "What?", **piped, tmp=str(folder / "tmp"))
    assert begun.wait(100)
    assert process.stdout is not None
    assert process.stdout.read(6) == b"A cat "
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, errors) == (130, b"")
    assert list((folder / "tmp").iterdir()) == []
    wait_until(lambda: servers.in_flight == 0)


class Typist:
    """A terminal in which the command runs, and what is typed in it."""

    def __init__(self, servers: FakeServers, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.settings = termios.tcgetattr(theirs)
        self.process = started(servers, *arguments, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        self._shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        with contextlib.suppress(OSError):  # it has ended
            while piece := os.read(self.ours, 4096):
                self._shown += piece
                if b"\x1b[6n" in piece:  # where is the cursor?
                    os.write(self.ours, b"\x1b[1;1R")

    def sees(self, text: str, times: int = 1) -> None:
        wait_until(lambda: self._shown.count(text.encode()) >= times)

    def types(self, keys: str) -> None:
        os.write(self.ours, keys.encode())

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(100)
        self._reader.join(100)
        os.close(self.ours)


@pytest.fixture
def typist(servers: FakeServers, folder: Path) -> Iterator[Typist]:
    made = Typist(servers, "ads/0001.png", "--chat")
    yield made
    made.close()


def test_a_terminal_has_a_history_and_ctrl_d_ends(servers: FakeServers, typist: Typist) -> None:
    typist.sees("ask away")
    typist.sees(PROMPT)
    typist.types("Whoo\x1b[D\x7f\x1b[C?\r")  # left, delete, right
    typist.sees("asked: Who?")
    typist.sees(PROMPT, 2)
    typist.types("\x1b[A\r")  # up
    typist.sees(PROMPT, 3)
    typist.types("\x04")
    assert typist.process.wait(100) == 0
    asked = [body["messages"][-1]["content"][-1]["text"].rpartition(": ")[2] for body in servers.asked]
    assert asked == ["Who?", "Who?"]


def test_ctrl_c_at_the_prompt_ends_at_once(typist: Typist) -> None:
    typist.sees(PROMPT)
    typist.types("half a quest\x03")
    assert typist.process.wait(100) == 130


def test_a_signal_gives_the_terminal_back(typist: Typist) -> None:
    typist.sees(PROMPT)
    assert termios.tcgetattr(typist.ours) != typist.settings
    typist.process.terminate()
    assert typist.process.wait(100) == 130
    assert termios.tcgetattr(typist.ours) == typist.settings


def test_who_reads_the_answer_may_leave(servers: FakeServers, folder: Path) -> None:
    async def on_ask(request: web.Request, *_: Any) -> web.StreamResponse:
        return await stream(request, "word " * 30_000)

    servers.on_ask = on_ask
    process = started(servers, "ads/0001.png", "What?", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.read(5) == b"word "
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    assert process.wait(100) == signals.CLOSED_PIPE
