"""What engines compute with on a CPU that only emulates bfloat16."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from server.cli import main
from server.engines.engine import engine_arguments
from server.profile import load_profile
from server.sizing.arithmetic import emulates_bf16, suit_machine
from server.sizing.memory import Model
from server.sizing.models import model_sizes
from server.sizing.plan import need

if TYPE_CHECKING:
    from pathlib import Path

AVX2 = "fpu sse4_2 avx avx2 fma"
AVX512 = f"{AVX2} avx512f avx512bw avx512dq avx512vl"


@pytest.mark.parametrize(
    ("line", "emulated"),
    [
        (f"flags\t\t: {AVX2}", True),
        (f"flags\t\t: {AVX512}", False),
        (f"flags\t\t: {AVX512} avx512_bf16 amx_bf16", False),
        ("Features\t: fp asimd bf16", False),
        ("Features\t: fp asimd", True),
        ("model name\t: unknown", False),
    ],
)
def test_it_is_told_by_the_cpu(tmp_path: Path, line: str, emulated: bool) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"processor\t: 0\n{line}\nbogomips\t: 1\n")
    assert emulates_bf16(path, {}) is emulated
    assert emulates_bf16(path, {"ATEN_CPU_CAPABILITY": "avx2"})
    assert emulates_bf16(path, {"ONEDNN_MAX_CPU_ISA": "AVX2"})
    assert emulates_bf16(path, {"ONEDNN_MAX_CPU_ISA": "ALL", "ATEN_CPU_CAPABILITY": "avx512"}) is emulated


def test_where_nothing_is_told_the_model_decides(tmp_path: Path) -> None:
    assert not emulates_bf16(tmp_path / "none", {})


def test_engines_compute_in_float32_and_its_memory_is_counted() -> None:
    profile = load_profile("cpu")
    assert suit_machine(profile, emulated=False) is profile
    suited = suit_machine(profile, emulated=True)
    for before, after in zip(profile.engines, suited.engines, strict=True):
        arguments = engine_arguments(after, ())
        assert arguments[arguments.index("--dtype") + 1] == "float32"
        assert "--dtype" not in engine_arguments(before, ())
        old, new = need(before, profile), need(after, suited)
        assert new.weights == 2 * old.weights
        assert new.kv_cache == old.kv_cache
        assert after.memory_gib - before.memory_gib == pytest.approx((new.total - old.total) / (1 << 30), abs=0.01)
        sizes = [model_sizes(e.model, e.local_model, e.number_bytes) for e in (before, after)]
        room = {"max_model_len": 4096, "batched_tokens": 8192, "block": 128}
        capacities = [size.kv_capacity(8 << 30, **room) for size in sizes]
        assert capacities[1] == pytest.approx(capacities[0] / 2, rel=0.01)
        if isinstance(sizes[0], Model):
            assert sizes[1].request_kv(100, pictures=1) == 2 * sizes[0].request_kv(100, pictures=1)


def test_who_says_what_to_compute_with_gets_it() -> None:
    profile = load_profile("demo")
    told = [replace(profile.engines[0], dtype="bfloat16"), replace(profile.engines[1], args=("--dtype=half",))]
    suited = suit_machine(replace(profile, engines=tuple(told)), emulated=True)
    assert list(suited.engines) == told
    gpu = load_profile("gpu-80gb")
    assert suit_machine(gpu, emulated=True) is gpu


def test_check_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ATEN_CPU_CAPABILITY", "avx2")
    assert main(["check", "--profile", "demo", "--commands", "--port", "0", "--translator-port", "0"]) == 0
    said = capsys.readouterr().out
    assert "float32 for llava-next-video-7b, llama-3.2-11b-vision: this CPU only emulates bfloat16" in said
    assert said.count("--dtype float32") == 3
    assert "holds 32.0 requests of 2048 tokens" in said
