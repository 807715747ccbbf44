"""The command line of the service: settings, their sources, what is refused, and what is not imported too early."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from translator import cli
from translator.model import models
from translator.model.convert import main as convert
from translator.settings import Settings

KEY = "BABELVIEW_TRANSLATOR_API_KEY"
HEAVY = {"aiohttp", "asyncio", "ctranslate2", "huggingface_hub", "numpy", "prometheus_client", "tokenizers", "torch"}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings with which the service would have run."""
    ran: list[Settings] = []

    def run(settings: Settings) -> int:
        ran.append(settings)
        return 0

    monkeypatch.delenv(KEY, raising=False)
    monkeypatch.setattr(cli, "_run", run)
    return ran


def call(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(cli.translate, arguments, env=environment)


def test_without_arguments_the_settings_are_the_defaults(asked: list[Settings]) -> None:
    assert call().exit_code == 0
    assert asked == [Settings()]


@pytest.mark.parametrize(
    ("option", "said", "name", "value"),
    [
        ("model", "./nllb", "model", "./nllb"),
        ("host", "localhost", "host", "localhost"),
        ("port", "0", "port", 0),
        ("device", "cuda", "device", "cuda"),
        ("compute-type", "int8_float16", "compute_type", "int8_float16"),
        ("threads", "3", "threads", 3),
        ("replicas", "2", "replicas", 2),
        ("beam-size", "1", "beam_size", 1),
        ("scripts", "Latn, Cyrl", "scripts", ("Latn", "Cyrl")),
        ("batch-tokens", "100", "batch_tokens", 100),
        ("queue", "7", "queue", 7),
        ("cache-mb", "0", "cache_mib", 0),
        ("max-body-mb", "9", "max_body_mib", 9),
        ("max-texts", "8", "max_texts", 8),
        ("max-chars", "70", "max_chars", 70),
        ("connections", "5", "connections", 5),
        ("body-timeout", "1.5", "body_timeout_s", 1.5),
        ("cors", "https://a.example", "origins", ("https://a.example",)),
        ("grace", "2", "grace_s", 2.0),
        ("log-level", "debug", "log_level", "debug"),
    ],
)
def test_every_option_by_argument_and_by_variable(
    asked: list[Settings], option: str, said: str, name: str, value: Any
) -> None:
    variable = "BABELVIEW_TRANSLATOR_" + option.upper().replace("-", "_")
    assert call(f"--{option}", said).exit_code == 0
    assert call(**{variable: said}).exit_code == 0
    expected = replace(Settings(), **{name: value})
    assert asked == [expected, expected]


def test_an_argument_wins_over_a_variable(asked: list[Settings]) -> None:
    assert call("--port", "9003", BABELVIEW_TRANSLATOR_PORT="8010").exit_code == 0
    assert call("--scripts", "", BABELVIEW_TRANSLATOR_SCRIPTS="Cyrl").exit_code == 0
    assert [(settings.port, settings.scripts) for settings in asked] == [(9003, ("Latn", "Deva")), (8003, ())]


def test_keys_come_from_the_environment_alone_and_are_not_shown(asked: list[Settings]) -> None:
    assert call("--api-key", "x").exit_code == 2
    assert call(**{KEY: " one, two ,"}).exit_code == 0
    assert asked[0].keys == ("one", "two")
    assert "two" not in repr(asked[0])


@pytest.mark.parametrize(
    ("arguments", "environment", "opens"),
    [
        ("--host 0.0.0.0", {}, False),
        ("--host ::", {}, False),
        ("--host example.org", {}, False),
        ("--host 0.0.0.0 --no-key", {}, True),
        ("--host 0.0.0.0", {KEY: "secret"}, True),
        ("--host 0.0.0.0", {KEY: " , "}, False),
        ("--host 127.0.0.2", {}, True),
        ("--host ::1", {}, True),
        ("--host localhost", {}, True),
    ],
)
def test_the_world_is_let_in_only_with_a_key_or_on_purpose(
    asked: list[Settings], arguments: str, environment: dict[str, str], opens: bool
) -> None:
    result = call(*arguments.split(), **environment)
    assert (result.exit_code, len(asked)) == ((0, 1) if opens else (2, 0))
    assert opens or f"set {KEY} in the environment, or say --no-key" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--modle", "demo"], "No such option '--modle'. Did you mean '--model'?"),
        (["--beam-sise", "1"], "Did you mean '--beam-size'?"),
        (["--beam-size", "0"], "0 is not in the range x>=1"),
        (["--port", "70000"], "70000 is not in the range 0<=x<=65535"),
        (["--device", "gpu"], "'gpu' is not one of 'auto', 'cpu', 'cuda'"),
        (["--scripts", "Latn,Runr"], "no script 'Runr': choose of Arab, Armn, Beng"),
        (["demo"], "unexpected extra argument (demo)"),
    ],
)
def test_wrong_usage_is_named(asked: list[Settings], arguments: list[str], said: str) -> None:
    result = call(*arguments)
    assert (result.exit_code, asked) == (2, [])
    assert said in result.stderr


def test_a_wrong_variable_is_named(asked: list[Settings]) -> None:
    result = call(BABELVIEW_TRANSLATOR_BEAM_SIZE="many")
    assert (result.exit_code, asked) == (2, [])
    assert "BABELVIEW_TRANSLATOR_BEAM_SIZE in the environment: 'many' is not a valid integer" in result.stderr


def test_an_empty_variable_is_a_value_too(asked: list[Settings]) -> None:
    assert call(BABELVIEW_TRANSLATOR_SCRIPTS="", BABELVIEW_TRANSLATOR_CORS="").exit_code == 0
    assert [(settings.scripts, settings.origins) for settings in asked] == [((), ())]
    assert "BABELVIEW_TRANSLATOR_PORT in the environment: ''" in call(BABELVIEW_TRANSLATOR_PORT="").stderr


def test_ctrl_c_before_the_service_runs_is_told_as_by_the_other_commands(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(_: Settings) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_run", interrupt)
    assert cli.main(["--model", "demo"]) == 130
    assert "Aborted" not in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--port", "x"], 2)])
def test_the_exit_code_of_the_module(asked: list[Settings], arguments: list[str], code: int) -> None:
    assert cli.main(arguments) == code
    assert len(asked) == (code == 0)


def test_without_its_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "translator.service", None)
    result = call("--model", "demo")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "pip install -e '.[translator]' in Babelview's own folder" in result.stderr


@pytest.mark.parametrize("module", ["translator", "translator.model.convert"])
@pytest.mark.parametrize("argument", ["--help", "--no-such-option"])
def test_nothing_heavy_is_imported_before_the_arguments_are_parsed(module: str, argument: str) -> None:
    code = (
        "import runpy, sys, threading\n"
        f"sys.argv = ['x', {argument!r}]\n"
        f"try: runpy.run_module({module!r}, run_name='__main__')\n"
        "except SystemExit as end: status = end.code\n"
        "print('status', status, *sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    _, status, *loaded = done.stdout.splitlines()[-1].split()
    assert status == ("0" if argument == "--help" else "2")
    assert f"Usage: python -m {module}" in done.stdout + done.stderr
    assert HEAVY.isdisjoint(loaded)


def test_convert_wants_a_checkpoint_and_a_place_or_a_name() -> None:
    for arguments in ([], ["checkpoint"]):
        result = CliRunner().invoke(convert, arguments)
        assert result.exit_code == 2
        assert "give CHECKPOINT and OUTPUT, or --download NAME" in result.stderr
    result = CliRunner().invoke(convert, ["--downlaod", "x"])
    assert "Did you mean '--download'?" in result.stderr


def test_what_the_hub_does_not_have_can_be_fetched_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    from translator.model import hub  # noqa: PLC0415

    def refuse(*_: object, **__: object) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr(hub, "snapshot_download", refuse)
    result = CliRunner().invoke(convert, ["--download", "someone/nllb"])
    assert result.exit_code == 1
    (line,) = result.stderr.splitlines()
    assert "`hf download someone/nllb --local-dir FOLDER`" in line
    assert line.endswith("(no network)")


async def test_a_folder_with_modules_of_the_users_does_not_break_the_conversion(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("translator", "click", "numpy", "json"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the user's own')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BABELVIEW_CACHE", str(tmp_path / "cache"))
    folder = await models.prepare("demo")
    assert (folder / "model.bin").is_file()
