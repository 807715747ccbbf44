"""The shipped profiles fit their GPUs, and say what is computed."""

from __future__ import annotations

import re

import pytest

from server.profile import load_profile
from server.shipped_profiles import PROFILES, available_profiles
from server.sizing.machine import GIB
from server.sizing.models import model_sizes
from server.sizing.plan import ASLEEP, need, plan

ON_GPU = [name for name in available_profiles() if load_profile(name).device.on_gpu]
ON_CPU = [name for name in available_profiles() if name not in ON_GPU]
PICTURE_TOKENS = 6404


def test_there_is_one_for_each_kind_of_machine() -> None:
    assert available_profiles() == ["cpu", "demo", "gpu-16gb", "gpu-20gb", "gpu-24gb", "gpu-80gb", "multi-gpu"]


@pytest.mark.parametrize("name", ON_GPU)
def test_it_fits_its_gpus(name: str) -> None:
    profile = load_profile(name)
    devices = plan(profile)
    assert profile.device.memory_gib is not None
    assert len(devices) == profile.device.count
    for device in devices:
        assert 0.8 < device.needed / (profile.device.memory_gib * GIB) < 1, device.name


@pytest.mark.parametrize("name", ON_CPU)
def test_on_a_cpu_it_asks_for_the_main_memory_that_it_takes(name: str) -> None:
    profile = load_profile(name)
    for engine in profile.engines:
        assert need(engine, profile).total <= engine.memory_gib * GIB


@pytest.mark.parametrize("name", available_profiles())
def test_a_request_of_the_full_context_fits_into_the_kv_cache(name: str) -> None:
    profile = load_profile(name)
    for engine in profile.engines:
        assert engine.kv_cache_gib is not None
        capacity = model_sizes(engine.model, engine.local_model).kv_capacity(
            int(engine.kv_cache_gib * GIB),
            max_model_len=engine.max_model_len,
            batched_tokens=engine.max_batched_tokens or 2048,
            block=16 if profile.device.on_gpu else 128,
            tensor_parallel=engine.tensor_parallel,
        )
        assert capacity >= 1, engine.name


@pytest.mark.parametrize("name", available_profiles())
def test_the_start_of_an_engine_asks_for_no_more_than_is_free(name: str) -> None:
    """vLLM refuses to start unless `memory_utilization` of the GPU is free."""
    profile = load_profile(name)
    if profile.device.memory_gib is None:
        return
    for device in plan(profile):
        before = 0.0
        for wanted in device.needs:
            engine = next(e for e in profile.engines if e.name == wanted.engine)
            assert engine.memory_utilization is not None
            assert engine.memory_utilization * profile.device.memory_gib <= profile.device.memory_gib - before / GIB
            before += ASLEEP if wanted.sleep_group else wanted.total


@pytest.mark.parametrize("name", [*ON_GPU, "cpu"])
def test_a_picture_goes_through_in_one_step_and_a_prompt_is_not_cut(name: str) -> None:
    engine = next(e for e in load_profile(name).engines if e.max_images)
    assert engine.max_batched_tokens is not None
    assert engine.max_batched_tokens >= max(PICTURE_TOKENS, engine.max_model_len)


@pytest.mark.parametrize("name", [*ON_GPU, "cpu"])
def test_all_frames_and_an_answer_fit_into_the_context(name: str) -> None:
    engine = next(e for e in load_profile(name).engines if e.max_frames)
    assert engine.max_frames * 144 + 512 <= engine.max_model_len


@pytest.mark.parametrize("name", [*ON_GPU, "cpu"])
def test_what_was_not_run_is_marked(name: str) -> None:
    assert "NOT YET RUN" in (PROFILES / f"{name}.toml").read_text()


@pytest.mark.parametrize("name", [*ON_GPU, "cpu"])
def test_the_sums_in_the_comments_are_those_that_are_computed(name: str) -> None:
    """A line before each engine ends with what it takes while it is awake: `# 11.75 weights + ... = 15.51`."""
    said = re.findall(r"^#.* = (\d+\.\d+)$", (PROFILES / f"{name}.toml").read_text(), re.MULTILINE)
    profile = load_profile(name)
    on_one_gpu = [need(engine, profile) for engine in profile.engines]
    others = {wanted.sleep_group: ASLEEP for wanted in on_one_gpu if wanted.sleep_group}
    computed = [(wanted.total + others.get(wanted.sleep_group, 0)) / GIB for wanted in on_one_gpu]
    assert [float(figure) for figure in said] == pytest.approx(computed, abs=0.011)
