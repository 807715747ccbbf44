"""What engines compute with here: float32 where the CPU only emulates bfloat16, which is several times slower."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from server.errors import UnknownSizesError
from server.sizing.machine import GIB
from server.sizing.plan import need

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.profile import EngineProfile, Profile

CPU_INFO = Path("/proc/cpuinfo")
FLOAT32 = "float32"
_X86 = frozenset({"avx512bw", "avx512dq", "avx512vl"})
"""With these PyTorch gives bfloat16 to oneDNN (`mkldnn_bf16_device_check`), else it converts number by number."""
_ARM = frozenset({"bf16"})
_CAPPED = {
    "ONEDNN_MAX_CPU_ISA": {"SSE41", "AVX", "AVX2", "AVX2_VNNI"},
    "ATEN_CPU_CAPABILITY": {"DEFAULT", "AVX2"},
}
"""What keeps oneDNN and PyTorch from using more: variable -> its values, in capitals."""


def emulates_bf16(cpu_info: Path = CPU_INFO, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the CPU has no instructions for bfloat16, nor for what it is emulated with at little cost (AVX-512).

    Args:
        cpu_info: Linux' description of the CPU; where there is none the answer is no.
        environment: May forbid instructions that there are.
    """
    if any(environment.get(name, "").upper() in values for name, values in _CAPPED.items()):
        return True
    try:
        lines = cpu_info.read_text().splitlines()
    except OSError:
        return False
    for line in lines:
        name, _, words = line.partition(":")
        if name.strip() in {"flags", "Features"}:
            return not (flags := set(words.split())) >= (_X86 if name.strip() == "flags" else _ARM) and bool(flags)
    return False


def cpu_dtype(otherwise: str = "auto") -> str:
    """What is quick on this CPU: float32 where bfloat16 is emulated, else `otherwise`."""
    return FLOAT32 if emulates_bf16() else otherwise


def suit_machine(profile: Profile, *, emulated: bool | None = None) -> Profile:
    """The profile with engines in float32, and the memory that they need then, where the CPU emulates bfloat16.

    Engines whose profile says what they compute with stay as they are, and so does everything on a GPU.

    Args:
        profile: As it was read.
        emulated: None: as this machine has it.
    """
    if profile.device.on_gpu or not (emulates_bf16() if emulated is None else emulated):
        return profile
    engines = tuple(
        _in_float32(engine, profile) if engine.replicas_here and engine.numbers is None else engine
        for engine in profile.engines
    )
    return replace(profile, engines=engines)


def arithmetic_note(profile: Profile) -> str | None:
    """What `suit_machine` did, for people; None: nothing."""
    if profile.device.on_gpu or not emulates_bf16():
        return None
    names = [engine.name for engine in profile.engines if engine.replicas_here and engine.dtype == FLOAT32]
    if not names:
        return None
    return (
        f"float32 for {', '.join(names)}: this CPU only emulates bfloat16, which takes several times as long; "
        'dtype = "bfloat16" under [[engines]] halves the memory of weights and cache instead'
    )


def _in_float32(engine: EngineProfile, profile: Profile) -> EngineProfile:
    changed = replace(engine, dtype=FLOAT32)
    try:
        more_gib = (need(changed, profile).total - need(engine, profile).total) / GIB
    except UnknownSizesError:
        return changed  # nothing is known of its memory anyway
    limit = engine.memory_limit_gib
    return replace(
        changed,
        memory_gib=round(engine.memory_gib + more_gib, 2),
        memory_limit_gib=None if limit is None else round(limit + more_gib, 2),
    )
