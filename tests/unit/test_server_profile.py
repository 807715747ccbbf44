"""Profiles: typed, checked, and clear about what is wrong in which file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from server.cli import main
from server.errors import ProfileError
from server.profile import DEMO_MODELS, EngineProfile, load_profile
from server.shipped_profiles import available_profiles

ENGINE = '[[engines]]\nname = "m"\nmodel = "demo:m"\nmax_model_len = 512\n'


def write(folder: Path, text: str) -> str:
    path = folder / "mine.toml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", available_profiles())
def test_every_shipped_profile_is_right(name: str) -> None:
    assert load_profile(name).engines


def test_the_demo_serves_the_video_model_under_its_real_name() -> None:
    profile = load_profile("demo")
    engine = next(e for e in profile.engines if e.name == "llava-next-video-7b")
    assert engine.local_model == DEMO_MODELS / "llava-next-video-7b"
    assert (profile.gateway.port, profile.translator and profile.translator.port) == (8000, 8003)
    assert profile.gateway.host == "127.0.0.1"


def test_settings_win_over_the_profile(tmp_path: Path) -> None:
    profile = load_profile(write(tmp_path, ENGINE + '[translator]\nmodel = "demo"\n[gateway]\nport = 81\n'))
    changed = profile.with_settings(host="0.0.0.0", translator_port=0)
    assert (changed.gateway.host, changed.gateway.port) == ("0.0.0.0", 81)
    assert changed.translator is not None
    assert changed.translator.port == 0


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (ENGINE + "max_frame = 8", "unknown key engines[0].max_frame (known: name, model, "),
        (ENGINE + "max_frame = 8", "; did you mean max_frames?)"),
        (ENGINE + 'card = "0"', "unknown key engines[0].card: it is called sleep_group now"),
        (ENGINE + "[gateway.turns]\nleast_s = 2", "unknown key gateway.turns: it is called model_swap now"),
        (ENGINE + "[gateway.limits]\nmax_choice = 2", "unknown key gateway.limits.max_choice (known: max_body_bytes, "),
        (ENGINE + "[gateway.model_swap]\nleast_s = true", "gateway.model_swap.least_s must be of type float, not True"),
        ('gateway = "x"\n' + ENGINE, "gateway must be a table, not 'x'"),
        (ENGINE + "[supervisor]\nfailures = 0", "supervisor: failures must be positive, not 0"),
        ("colour = 1\n" + ENGINE, "unknown key colour (known: engines, gateway, "),
        ('[[engines]]\nname = "m"\nmodel = "x"\n', "missing key engines[0].max_model_len"),
        (ENGINE + 'max_frames = "8"', "engines[0].max_frames must be of type int, not '8'"),
        (ENGINE + "max_frames = true", "engines[0].max_frames must be of type int"),
        (ENGINE + "max_frames = -1", "cannot be negative"),
        (ENGINE + "max_frames = 8\nfewest_frames = 9", "fewest_frames is 9, more than max_frames, 8"),
        (ENGINE + "fewest_frames = 0", "fewest_frames must be positive"),
        (ENGINE + 'task = "hear"', "task"),
        (ENGINE + 'task = "transcribe"\nmax_images = 1', "a model that transcribes takes no"),
        (ENGINE + "args = [1]", "engines[0].args[0] must be of type str"),
        (ENGINE + 'args = "--seed 1"', "engines[0].args must be a list"),
        (ENGINE + "[engines.env]\nA = 1\n", "engines[0].env.A must be of type str"),
        (ENGINE + "fast_start = true", "fast_start needs threads = 1"),
        (ENGINE + "memory_utilization = 90", "share between 0 and 1"),
        (ENGINE + "[gateway]\nport = 70000", "gateway: port must be between"),
        (ENGINE + "ray = { num_cpu = 1 }", "unknown key engines[0].ray.num_cpu (known: num_gpus, num_cpus, resources"),
        (ENGINE + "ray = { num_gpus = -1 }", "engines[0].ray: num_gpus cannot be negative"),
        (
            ENGINE + "ray = { num_gpus = 1.5 }",
            "engines[0].ray: num_gpus is a share of one GPU or a number of whole ones",
        ),
        (ENGINE + 'ray = {}\ngpus = ["0"]', "an engine with ray has no gpus and no sleep_group"),
        (ENGINE + 'ray = {}\nsleep_group = "0"', "an engine with ray has no gpus and no sleep_group"),
        (ENGINE + '[ray]\naddress = "ray://head:10001"', "ray: address must be auto or HOST:PORT, not 'ray://head"),
        (ENGINE + '[ray]\naddress = "local"', "ray: address must be auto or HOST:PORT, not 'local'"),
        (ENGINE + ENGINE, "served more than once: m"),
        ("engines = []", "at least one"),
        ("[gateway", "mine.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, says: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ProfileError) as raised:
        load_profile(path)
    assert says in str(raised.value)
    assert path in str(raised.value)


def test_the_documented_profile_of_another_model_is_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "any-model.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    (engine,) = load_profile(write(tmp_path, block)).engines
    assert (engine.fewest_frames, engine.tool_parser) == (2, "hermes")


@pytest.mark.parametrize("wrong", ["dmeo", "DEMO", "Dmeo"])
def test_an_unknown_profile_lists_the_known_ones(wrong: str) -> None:
    with pytest.raises(ProfileError, match=r"choose one of cpu, demo, .*; did you mean demo\?"):
        load_profile(wrong)


@pytest.mark.parametrize(
    ("model", "local"),
    [
        ("neuralmagic/Llama", None),
        ("/models/x", Path("/models/x")),
        ("./x", Path("x")),
        ("demo:x", DEMO_MODELS / "x"),
    ],
)
def test_hub_models_and_folders_are_told_apart(model: str, local: Path | None) -> None:
    assert EngineProfile(name="m", model=model, max_model_len=1).local_model == local


def test_models_lists_what_would_be_served(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--profile", "demo"]) == 0
    assert "llava-next-video-7b" in capsys.readouterr().out


def test_the_environment_is_checked_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("BABELVIEW_PORT", "many")
    assert main(["models"]) == 2
    assert "BABELVIEW_PORT" in capsys.readouterr().err
