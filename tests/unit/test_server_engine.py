"""What vLLM is started with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from server.engines.engine import engine_arguments, engine_environment, engine_parts
from server.engines.media_limits import check_limits
from server.parts import gateway_config
from server.profile import EngineProfile, Profile

SOCKET = Path("/run/x/m.sock")
HERE = ("--uds", str(SOCKET))
ENGINE = EngineProfile(name="m", model="org/model", aliases=("hub/name",), max_model_len=512, max_frames=8)


def option(arguments: list[str], name: str) -> str:
    return arguments[arguments.index(name) + 1]


def test_it_listens_on_the_socket_only() -> None:
    arguments = engine_arguments(ENGINE, HERE)
    assert option(arguments, "--uds") == str(SOCKET)
    assert "--port" not in arguments


def test_vllm_keeps_as_many_frames_as_the_gateway_lets_through() -> None:
    arguments = engine_arguments(ENGINE, HERE)
    assert json.loads(option(arguments, "--media-io-kwargs")) == {"video": {"num_frames": 8}}
    assert json.loads(option(arguments, "--limit-mm-per-prompt")) == {"image": 0, "video": 1, "audio": 0}


def test_a_picture_model_takes_no_video() -> None:
    arguments = engine_arguments(replace(ENGINE, max_frames=0, max_images=2), HERE)
    assert json.loads(option(arguments, "--limit-mm-per-prompt")) == {"image": 2, "video": 0, "audio": 0}
    assert "--media-io-kwargs" not in arguments


def test_a_model_that_transcribes_hears_one_sound_at_a_time() -> None:
    hears = replace(ENGINE, max_frames=0, task="transcribe")
    arguments = engine_arguments(hears, HERE)
    assert json.loads(option(arguments, "--limit-mm-per-prompt")) == {"image": 0, "video": 0, "audio": 1}
    variables = engine_environment(hears, SOCKET.parent)
    assert variables["BABELVIEW_SPEECH"] == "1"
    assert int(variables["VLLM_MAX_AUDIO_DECODE_DURATION_S"]) > 3600  # how much is taken the gateway says
    assert "BABELVIEW_SPEECH" not in engine_environment(ENGINE, SOCKET.parent)
    (model,) = gateway_config(Profile(engines=(replace(hears, urls=("http://far:1",)),))).models
    assert model.task == "transcribe"


def test_it_may_fetch_nothing_and_run_no_foreign_code() -> None:
    arguments = engine_arguments(ENGINE, HERE)
    assert option(arguments, "--allowed-media-domains").endswith(".invalid")
    assert "--trust-remote-code" not in arguments


def test_nothing_is_compiled_while_others_wait() -> None:
    arguments = engine_arguments(ENGINE, HERE)
    *inner, last = (arguments[at + 1] for at, name in enumerate(arguments) if name == "--middleware")
    assert last == "server.engines.warm_up.WarmUp"  # the outermost: not even health checks pass it
    assert "server.engines.require_key.RequireKey" in inner  # it has the key
    assert engine_environment(ENGINE, SOCKET.parent)["TORCH_COMPILE_DISABLE"] == "1"
    assert "TORCH_COMPILE_DISABLE" not in engine_environment(ENGINE, SOCKET.parent, on_gpu=True)
    (part,) = engine_parts(ENGINE, SOCKET.parent, on_gpu=True)
    assert "TORCH_COMPILE_DISABLE" not in part.env


def test_aliases_are_served_names() -> None:
    arguments = engine_arguments(ENGINE, HERE)
    at = arguments.index("--served-model-name")
    assert arguments[at + 1 : at + 3] == ["m", "hub/name"]


def test_short_cuts_are_taken_only_where_the_profile_says_so() -> None:
    assert "--fast-start" not in engine_arguments(ENGINE, HERE)
    assert "--fast-start" in engine_arguments(replace(ENGINE, threads=1, fast_start=True), HERE)


def test_the_profile_has_the_last_word() -> None:
    engine = replace(ENGINE, args=("--max-model-len", "64"), env={"TMPDIR": "/big"})
    assert engine_arguments(engine, HERE)[-2:] == ["--max-model-len", "64"]
    assert engine_environment(engine, SOCKET.parent)["TMPDIR"] == "/big"


@pytest.mark.parametrize(("model", "offline"), [("/models/m", True), ("demo:m", True), ("org/m", False)])
def test_only_models_of_the_hub_go_online(model: str, offline: bool) -> None:
    environment = engine_environment(replace(ENGINE, model=model), SOCKET.parent)
    assert (environment.get("HF_HUB_OFFLINE") == "1") is offline
    assert environment["VLLM_NO_USAGE_STATS"] == "1"


@pytest.mark.parametrize(("model", "token"), [("/models/m", False), ("org/m", True)])
def test_keys_of_others_are_hidden_from_an_engine(model: str, token: bool) -> None:
    (part,) = engine_parts(replace(ENGINE, model=model), SOCKET.parent, ["KEY_OF_THE_OTHERS"])
    assert part.hidden >= {"BABELVIEW_API_KEYS", "VLLM_API_KEY", "KEY_OF_THE_OTHERS"}
    assert ("HF_TOKEN" in part.hidden) is not token


def test_the_log_tells_the_stage() -> None:
    (part,) = engine_parts(ENGINE, SOCKET.parent)
    assert part.first_stage == "importing vLLM"
    assert part.stage("INFO 11-21 03:21:18 Starting to load model m") == "loading weights"
    assert part.stage("something else") is None


def test_replicas_have_names_sockets_and_gpus_of_their_own() -> None:
    first, second = engine_parts(replace(ENGINE, replicas=2, gpus=("0,1", "2,3"), tensor_parallel=2), SOCKET.parent)
    assert (first.name, second.name) == ("vllm-m-0", "vllm-m-1")
    assert first.probe.socket != second.probe.socket
    assert (first.env["CUDA_VISIBLE_DEVICES"], second.env["CUDA_VISIBLE_DEVICES"]) == ("0,1", "2,3")
    assert option(list(first.command), "--tensor-parallel-size") == "2"


def test_the_gateway_writes_where_the_supervisor_reads_whose_crash_it_was(tmp_path: Path) -> None:
    profile = Profile(engines=(replace(ENGINE, replicas=2),))
    parts = engine_parts(profile.engines[0], tmp_path)
    (model,) = gateway_config(profile, [parts]).models
    assert [replica.poison_log for replica in model.replicas] == [str(part.poison_log) for part in parts]
    assert len({part.poison_log for part in parts}) == 2
    assert parts[0].poisoned() == 0
    assert parts[0].poison_log is not None
    parts[0].poison_log.write_text("digest\n" * 3)
    assert parts[0].poisoned() == 3


def test_a_name_stays_within_the_folder() -> None:
    (part,) = engine_parts(replace(ENGINE, name="../org/model"), SOCKET.parent)
    assert part.probe.socket == SOCKET.parent / "..-org-model.sock"
    assert "/" not in part.name


@pytest.mark.parametrize(
    ("wanted", "supported", "says"),
    [
        ({"image": 4, "video": 0}, {"image": None}, None),
        ({"image": 4, "video": 1}, {"image": None, "video": None}, None),
        ({"image": 0, "video": 1, "audio": 0}, {"video": 1}, None),
        ({"image": 1, "video": 1}, {"image": None}, "m takes no video in vLLM, but image: leave out max_frames"),
        ({"image": 2, "video": 1}, {"video": 1}, "m takes no pictures in vLLM, but video: leave out max_images"),
        ({"image": 2, "video": 0}, {"image": 1}, "m takes 1 of image a request in vLLM, not 2: max_images = 1"),
        ({"image": 2}, {}, "m takes no pictures in vLLM, but text alone: leave out max_images"),
        ({"image": {"count": 5, "width": 9}}, {}, None),
    ],
)
def test_a_model_is_not_served_with_media_that_it_does_not_take(
    wanted: dict[str, Any], supported: dict[str, int | None], says: str | None
) -> None:
    if says is None:
        check_limits(wanted, supported, "m")
        return
    with pytest.raises(SystemExit) as refused:
        check_limits(wanted, supported, "m")
    assert str(refused.value) == says
