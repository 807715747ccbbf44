"""The command line and the environment."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from batch_runs import ROOT, command, pictures, results, run, run_process, tree

from client.cli.options import BATCH_OPTIONS
from client.cli.settings import OF_OTHERS, OTHER_VARIABLES, batch_command, read_settings

if TYPE_CHECKING:
    from fake_servers import FakeServers


def test_the_command_line_counts_more_than_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BABELVIEW_CONCURRENCY", "7")
    monkeypatch.setenv("BABELVIEW_LANGUAGES", "")
    monkeypatch.setenv("BABELVIEW_BASE_URL", "http://example.org:9")
    assert read_settings(["ads"]).concurrency == 7
    assert read_settings(["ads", "--concurrency", "9"]).concurrency == 9
    assert read_settings(["ads"]).languages == ()
    assert read_settings(["ads"]).base_url == "http://example.org:9/v1"
    monkeypatch.setenv("BABELVIEW_CONCURRENCY", "lots")
    with pytest.raises(SystemExit) as wrong:
        read_settings(["ads"])
    assert wrong.value.code == 2
    assert "BABELVIEW_CONCURRENCY in the environment: must be a whole number" in capsys.readouterr().err
    assert read_settings(["ads", "--concurrency", "9"]).concurrency == 9


def test_the_command_to_go_on_holds_what_the_environment_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("OUTPUT", "my captions"), ("TASKS", "tags"), ("LANGUAGES", ""), ("API_KEY", "secret")):
        monkeypatch.setenv(f"BABELVIEW_{name}", value)
    typed = "babelview batch ads --tasks describe"
    expected = f"BABELVIEW_LANGUAGES='' BABELVIEW_OUTPUT='my captions' {typed}"
    assert read_settings(["ads", "--tasks", "describe"]).command_line == expected


@pytest.mark.parametrize(("text", "on"), [("1", True), ("yes", True), ("On", True), ("0", False), ("", False)])
def test_a_switch_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch, text: str, on: bool) -> None:
    monkeypatch.setenv("BABELVIEW_QUIET", text)
    assert read_settings(["ads"]).quiet is on
    assert read_settings(["ads", "--quiet"]).quiet


def test_what_is_no_switch_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BABELVIEW_QUIET", "maybe")
    with pytest.raises(SystemExit):
        read_settings(["ads"])
    assert "BABELVIEW_QUIET in the environment: must be 1 or 0, not 'maybe'" in capsys.readouterr().err


def test_a_language_has_one_name() -> None:
    given = "de,deu_Latn,deu,ger,ZH-hant,zh-TW,fra_latn,zh,no,tlh,fr-CA"
    codes = ("deu_Latn", "zho_Hant", "fra_Latn", "zho_Hans", "nob_Latn", "tlh", "fr-CA")
    assert read_settings(["ads", "--languages", given]).languages == codes


@pytest.mark.parametrize("english", ["en", "eng", "eng_Latn", "EN"])
def test_english_is_what_answers_are_in(english: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(["ads", "--languages", f"fr,{english}"])
    assert f"answers are in English already: leave {english} out" in capsys.readouterr().err


def test_variables_that_mean_nothing_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_CONCURENCY", "7")
    monkeypatch.setenv("BABELVIEW_PROFILE", "demo")  # the server's
    monkeypatch.setenv("BABELVIEW_TRANSLATOR_BEAM_SIZE", "1")  # the translator's
    monkeypatch.setenv("BABELVIEW_QUIET", "1")
    settings = read_settings(["ads"])
    assert settings.quiet
    (warning,) = settings.warnings
    assert "BABELVIEW_CONCURENCY" in warning
    assert "did you mean BABELVIEW_CONCURRENCY?" in warning


def test_variables_are_compared_without_what_all_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BABELVIEW_WIDGETS", "1")
    (warning,) = read_settings(["ads"]).warnings
    assert warning == "warning: BABELVIEW_WIDGETS is set but is no setting of this command (see --help)"


def test_the_options_without_a_variable_are_documented() -> None:
    without = {option.opts[0] for option in BATCH_OPTIONS if not option.variable}
    page = (ROOT / "docs" / "batch.md").read_text()
    (documented,) = re.findall(r"have no variable: ([^.]*)\.", page)
    assert set(re.findall(r"`(--[a-z-]+)`", documented)) == without
    epilog = batch_command(lambda settings: settings).epilog or ""
    assert set(re.findall("--[a-z-]+", epilog.partition("The key")[0])) == {*without, "--concurrency"}


def test_keys_and_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BABELVIEW_API_KEY", raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "theirs")
    assert read_settings(["ads"]).api_key == "theirs"
    monkeypatch.setenv("BABELVIEW_API_KEY", "ours")
    assert read_settings(["ads"]).api_key == "ours"
    assert set(read_settings(["ads", "--model", "m", "--image-model", "i"]).models.values()) == {"m"}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["nowhere"], "no such file or folder: nowhere"),
        (
            ["ads", "--tasks", "describe,dance"],
            "unknown task dance; there are:\n  abstract   One or two sentences",
        ),
        (["ads", "--tasks", "Descrbe"], "unknown task Descrbe (did you mean describe?); there are:"),
        (["ads", "--format", "jsno,csv"], "unknown format 'jsno' (did you mean json?); there are: json, jsonl,"),
        (
            ["ads", "--redo", "faild"],
            "--redo faild (did you mean failed?): must be failed, doubtful, all or one of the tasks",
        ),
        (["ads", "--redo", "descripe"], "--redo descripe (did you mean describe?): must be"),
        (
            ["ads", "--languages", "fra_Latn,deu_Latn"],
            "unknown language deu_Latn; the translator knows: eng_Latn",
        ),
        (
            ["ads", "--languages", "spa_Lat,French,chinese"],
            "unknown language spa_Lat (did you mean spa_Latn?), French (did you mean fra_Latn?), "
            "chinese (did you mean zho_Hans?); they are called",
        ),
        (
            ["ads", "--languages", "fra_Arab"],
            "unknown language fra_Arab (did you mean fra_Latn?); the translator",
        ),
        (
            ["ads", "--languages", "french,spanish,xxx_Zzzz", "--translator", "http://127.0.0.1:9"],
            "unknown language french (did you mean fra_Latn?), spanish (did you mean spa_Latn?), xxx_Zzzz",
        ),
        (["ads", "--languages", "jp", "--dry-run"], "unknown language jp"),
        (["ads", "--languages", "xx-MX", "--base-url", "http://127.0.0.1:9/v1"], "unknown language xx-MX"),
        (["ads", "--languages", "tlh", "--base-url", "http://127.0.0.1:9/v1"], "unknown language tlh; the translator"),
        (["ads", "--concurrency", "0"], "must be a whole number above 0"),
        (["ads", "--base-url", "localhost"], "must be a URL such as"),
        (["ads", "--base-url", "http://[::1"], "must be a URL such as"),
        (["ads", "--base-url", "http://h:1/v1,,foo"], "also behind a comma, not 'foo'"),
        (["ads", "--base-url", "http://h:1/v1, h:2/v1"], "also behind a comma, not ' h:2/v1'"),
        (["ads", "--base-url", "http://host:99999/v1"], "must be a URL such as"),
        (
            ["ads", "--base-url", "http://host/v1/chat/completions"],
            "must be the URL to which /chat/completions is added: http://host/v1",
        ),
        (["ads", "--timeout", "0"], "must be more than 0"),
        (
            ["ads", "--frames-as", "film"],
            "'--frames-as': 'film' is not one of 'auto', 'video', 'images'",
        ),
        (["ads", "--temp", "1"], "No such option '--temp'. (Did you mean one of: '--help', '--temperature'?)"),
        (["ads", "--log-file", "."], "--log-file .: Is a directory"),
        (["ads", "--tasks", "ask"], "needs a question"),
        (["ads", "--max-frames", "4"], "--max-frames limits --fps and --every"),
        (["ads", "--max-frames", "4", "--frames", "8"], "--max-frames limits --fps and --every"),
        (["ads", "--column", "video"], "--column names a column of a manifest, and none is given"),
        (["ads", "--redo", "everything"], "must be failed, doubtful, all or one of the tasks"),
        (["ads", "--output", ""], "'--output': must name a folder; . is the working one"),
        (["ads", "--languages", "spa_Latn,eng_Latn"], "answers are in English already: leave eng_Latn out"),
        (["ads", "--format", ","], "--format: no format is named; there are: json, jsonl, csv, parquet, "),
        (["ads", "--redo", ""], "must be failed, doubtful, all or one of the tasks"),
        (["ads", "--output", "ads/0000.png"], "--output ads/0000.png: is a file, not a folder"),
        (["ads", "--price-in", "cheap"], "Invalid value for '--price-in': must be a number, 0 or more, not 'cheap'"),
        (["ads", "--prompts", "nowhere"], "no such folder"),
        (["empty"], "no pictures or videos in empty\n"),
        (["other"], "no pictures or videos in other (3 others passed over: 2 .doc, 1 without a suffix)"),
        (["ads", "--include", "*.mp4"], "no pictures or videos in ads that --include and --exclude let through\n"),
        ([], "PATH"),
    ],
)
def test_wrong_usage_is_told_before_anything_starts(
    servers: FakeServers, tmp_path: Path, arguments: list[str], reason: str
) -> None:
    pictures(tmp_path / "ads", 1)
    (tmp_path / "empty").mkdir()
    tree(tmp_path / "other", "a.doc", "b/c.DOC", "Makefile", ".hidden.doc")
    done = run(servers, *arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert reason in done.stderr
    assert servers.asked == []
    assert "Traceback" not in done.stderr


def test_an_empty_folder_in_the_environment_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BABELVIEW_OUTPUT", "")
    with pytest.raises(SystemExit):
        read_settings(["ads"])
    assert "BABELVIEW_OUTPUT in the environment: must name a folder" in capsys.readouterr().err


def test_help_for_which_there_is_no_room_is_no_traceback(tmp_path: Path) -> None:
    line, environment = command("http://127.0.0.1:9", "--help")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            line, env=environment, cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (1, "Error: No space left on device\n")


@pytest.mark.parametrize("to", [">&-", ">/dev/full"])
def test_a_run_whose_messages_nobody_gets_is_done_all_the_same(servers: FakeServers, tmp_path: Path, to: str) -> None:
    tree(pictures(tmp_path / "ads", 1), "a.doc")
    line, environment = command(servers, "ads", "--languages", "")
    environment["BABELVIEW_ODD"] = "1"  # a warning
    shell = subprocess.run(["sh", "-c", f"exec {shlex.join(line)} 2{to}"], env=environment, cwd=tmp_path, check=False)
    assert shell.returncode == 0
    assert results(tmp_path)["files"][0]["tasks"]["describe"]["text"] == "I see 0"


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert run_process("http://127.0.0.1:9", "nowhere", cwd=tmp_path).returncode == 2


def test_help_teaches(tmp_path: Path) -> None:
    done = run_process("http://127.0.0.1:9", "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.count("  babelview batch ") >= 5


def test_the_variables_of_the_other_parts_are_known() -> None:
    """The client imports nothing of them, and must not warn of what they read."""
    used: set[str] = set()
    parts = [path for part in ("server", "translator", "scripts") for path in (ROOT / part).rglob("*.py")]
    for path in (*parts, *ROOT.glob("compose*.yaml")):
        used.update(re.findall(r"\bBABELVIEW_[A-Z_]+", path.read_text()))
    others = {name for name in used if not f"{name}_".startswith(OF_OTHERS)}
    assert others
    own = {option.variable for option in BATCH_OPTIONS}  # which a script may set for the batch
    assert others - OTHER_VARIABLES - own == set()
