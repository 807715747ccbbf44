"""vLLM's own parser takes every argument of every shipped profile."""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from server.engines import media_limits, vllm_entry
from server.engines.engine import engine_command, engine_parts
from server.engines.vllm_entry import FAST_START
from server.profile import load_profile
from server.shipped_profiles import available_profiles

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def parser() -> Any:
    """`vllm serve`'s own."""
    from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: PLC0415 - takes seconds

    return vllm_entry._first_module(vllm_entry.ARGUMENTS).make_arg_parser(FlexibleArgumentParser())


def after_module(command: tuple[str, ...]) -> tuple[str, ...]:
    """What vLLM gets of an engine's command line."""
    return command[command.index("-m") + 2 :]


@pytest.mark.parametrize("name", available_profiles())
def test_vllms_own_parser_takes_every_argument_and_all_flags_are_safe(name: str, parser: Any, tmp_path: Path) -> None:
    profile = load_profile(name)
    for engine in profile.engines:
        for part in engine_parts(engine, tmp_path):
            arguments = [argument for argument in after_module(part.command) if argument != FAST_START]
            args = parser.parse_args(arguments)
            assert not args.trust_remote_code
            assert args.allowed_media_domains == ["media.invalid"]
            assert args.allowed_local_media_path == ""
            assert args.uds == str(part.probe.socket)
            assert args.max_model_len == engine.max_model_len
            limits = args.limit_mm_per_prompt
            assert limits["image"] == engine.max_images
            assert limits["video"] == int(engine.max_frames > 0)
            if engine.max_frames:
                assert args.media_io_kwargs == {"video": {"num_frames": engine.max_frames}}
            assert args.enable_sleep_mode == (engine.sleep_group is not None)
            assert args.tensor_parallel_size == engine.tensor_parallel
            assert part.env["VLLM_NO_USAGE_STATS"] == "1"
            assert ("VLLM_SERVER_DEV_MODE" in part.env) == (engine.sleep_group is not None)


@pytest.mark.parametrize("name", available_profiles())
def test_it_takes_those_of_a_container_too(name: str, parser: Any) -> None:
    for engine in load_profile(name).engines:
        command = engine_command(engine, ("--host", "0.0.0.0", "--port", "8000"))
        args = parser.parse_args([argument for argument in after_module(command) if argument != FAST_START])
        assert (args.host, args.port, args.uds) == ("0.0.0.0", 8000, None)


def test_vllm_is_told_to_look_at_what_a_profile_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(media_limits, "install", lambda: sys.exit("installed"))
    monkeypatch.setattr(gc, "disable", lambda: None)
    with pytest.raises(SystemExit, match="installed"):
        vllm_entry.main([])


def test_a_profile_that_promises_pictures_of_a_video_model_ends_start_up(
    parser: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vllm.engine.arg_utils import AsyncEngineArgs  # noqa: PLC0415

    monkeypatch.setattr(AsyncEngineArgs, "create_engine_config", AsyncEngineArgs.create_engine_config)
    media_limits.install()

    def configure(**changes: Any) -> Any:
        (engine,) = (one for one in load_profile("demo").engines if one.max_frames)
        arguments = after_module(engine_command(replace(engine, **changes), ("--port", "1")))
        args = parser.parse_args([argument for argument in arguments if argument != FAST_START])
        return AsyncEngineArgs.from_cli_args(args).create_engine_config()

    assert configure().model_config.is_multimodal_model
    with pytest.raises(SystemExit, match="takes no pictures in vLLM, but video: leave out max_images"):
        configure(max_images=2)
