"""`babelview check`: what a profile would run, and whether this machine can; starts nothing."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from server.cluster.agent import in_words, needs_of
from server.errors import PreflightError, UnknownSizesError
from server.parts import open_gateway_socket, stack_parts
from server.sizing.arithmetic import arithmetic_note
from server.sizing.counted import CountedModel
from server.sizing.gpus import list_gpus
from server.sizing.machine import GIB
from server.sizing.models import model_sizes
from server.sizing.plan import DEFAULT_BATCHED_TOKENS, plan, readable
from server.sizing.preflight import check_memory, check_models, check_packages, has_vllm, vllm_versions
from server.vllm_versions import is_known, remark

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from server.profile import EngineProfile, Profile
    from server.sizing.gpus import Gpu
    from server.sizing.plan import Device

PLUGIN = "babelview_llama_vision"
BLOCK_TOKENS = {True: 16, False: 128}
"""Of vLLM's KV cache, on a GPU or not."""


_MARKS = {True: "[green]ok[/]     ", False: "[bold red]problem[/]", None: "[yellow]unknown[/]"}


@dataclass(frozen=True)
class Finding:
    """The outcome of one check."""

    what: str
    good: bool | None
    """None: nobody has looked."""
    says: str


def check(
    profile: Profile, console: Console, gpu_memory_gib: float | None = None, *, show_commands: bool = False
) -> bool:
    """Print everything, and tell whether `up` would work.

    Args:
        profile: What would be started.
        console: Where it is printed.
        gpu_memory_gib: Ask for GPUs of this size instead of those of this machine; None: ask for these.
        show_commands: Print the command line of every part, too.
    """
    findings = list(_findings(profile, gpu_memory_gib, console, show_commands=show_commands))
    for finding in findings:
        mark = _MARKS[finding.good]
        console.print(f"{mark} [cyan]{finding.what}[/]: {escape(finding.says)}", highlight=False, soft_wrap=True)
    return all(finding.good is not False for finding in findings)


def _findings(
    profile: Profile, gpu_memory_gib: float | None, console: Console, *, show_commands: bool
) -> Iterator[Finding]:
    yield from _commands(profile, console, shown=show_commands)
    yield _finding_of("packages", "all that this profile needs is installed", lambda: check_packages(profile))
    if has_vllm():
        yield from _versions()
    yield _finding_of("models", "every local folder is there", lambda: check_models(profile))
    if note := arithmetic_note(profile):
        yield Finding("arithmetic", good=True, says=note)
    yield from _on_the_cluster(profile)
    yield _finding_of("main memory", "enough is free", lambda: check_memory(profile))
    try:
        yield from _counted(profile)
        yield from (_holds(engine, profile) for engine in readable(profile) if engine.kv_cache_gib is not None)
        devices = plan(profile)
    except UnknownSizesError as error:
        yield Finding("sizes", good=False, says=str(error))
        return
    if not profile.device.on_gpu:
        console.print(_table(devices, {}))
        return
    gpus = {f"GPU {gpu.index}": gpu for gpu in list_gpus()}
    room = {device.name: _room(profile, gpus.get(device.name), gpu_memory_gib) for device in devices}
    console.print(_table(devices, room))
    for device in devices:
        yield _fits(device, room[device.name])
    if gpu_memory_gib is None:
        wanted = profile.device.count if any(engine.replicas_here for engine in profile.engines) else 0
        found = ", ".join(gpu.name for gpu in gpus.values()) or "none"
        yield Finding("GPUs", good=len(gpus) >= wanted, says=f"{wanted} wanted, nvidia-smi shows {found}")


def _commands(profile: Profile, console: Console, *, shown: bool) -> Iterator[Finding]:
    """Make the command line of every part, for which the ports must be free, and print it if it is to be shown."""
    try:
        with open_gateway_socket(profile.gateway) as listener, TemporaryDirectory() as runtime:
            parts = stack_parts(profile, Path(runtime), listener)
    except PreflightError as error:
        yield Finding("ports", good=False, says=str(error))
        return
    for part in parts if shown else ():
        hidden = [f"-u {name}" for name in sorted(part.hidden & os.environ.keys())]
        variables = ["env", *hidden] if hidden else []
        variables += [f"{name}={shlex.quote(value)}" for name, value in part.env.items()]
        line = " ".join([*variables, shlex.join(part.command)]).replace(runtime, "RUNTIME")
        console.print(f"[cyan]{part.name}[/]  [dim]{escape(line)}[/]", highlight=False, soft_wrap=True)
    yield Finding("ports", good=True, says=f"free; the endpoint would be {parts[0].address}")


def _versions() -> Iterator[Finding]:
    """Which vLLM it is, and whether it finds our plugin."""
    found = vllm_versions()
    known = bool(found) and all(map(is_known, found.values()))
    says = ", ".join(f"{name} {number}" for name, number in found.items()) or "of an unknown version"
    remarks = list(dict.fromkeys(filter(None, map(remark, found.values() or [""]))))
    yield Finding("vLLM", good=known, says=": ".join([says, *remarks]))
    plugins = [entry.name for entry in entry_points(group="vllm.general_plugins")]
    says = "vLLM finds it" if PLUGIN in plugins else "vLLM does not find it: pip install -e . in Babelview's own folder"
    yield Finding("Llama 3.2 Vision plugin", good=PLUGIN in plugins, says=says)


def _on_the_cluster(profile: Profile) -> Iterator[Finding]:
    """What a cluster is asked for; whether it has it only `up` can tell."""
    for engine in profile.engines:
        if engine.ray is not None and engine.replicas:
            needs = in_words(needs_of(engine, engine.ray, on_gpu=profile.device.on_gpu))
            says = f"{engine.replicas} times {needs}, each on one machine of {profile.ray.address}, which has the model"
            yield Finding(f"Ray, for {engine.name}", good=None, says=says)


def _finding_of(what: str, good: str, look: Callable[[], None]) -> Finding:
    try:
        look()
    except PreflightError as error:
        return Finding(what, good=False, says=str(error))
    return Finding(what, good=True, says=good)


def _room(profile: Profile, gpu: Gpu | None, gpu_memory_gib: float | None) -> int:
    """Bytes of a GPU: those asked about, those that are free, or those that the profile was made for."""
    if gpu_memory_gib is not None:
        return int(gpu_memory_gib * GIB)
    return int((gpu.free_gib if gpu else profile.device.memory_gib or 0) * GIB)


def _counted(profile: Profile) -> Iterator[Finding]:
    """Models of which this project has no sums of its own."""
    for engine in readable(profile):
        sizes = model_sizes(engine.model, engine.local_model, engine.number_bytes)
        if isinstance(sizes, CountedModel):
            says = (
                f"{sizes.parameters / 1e9:.2f} billion weights, counted by transformers from its own configuration "
                f"({sizes.kind}); its KV cache and activations are estimates from above"
            )
            yield Finding(f"sizes of {engine.name}", good=True, says=says)


def _holds(engine: EngineProfile, profile: Profile) -> Finding:
    """VLLM starts only if its KV cache holds one request of the full context."""
    requests = model_sizes(engine.model, engine.local_model, engine.number_bytes).kv_capacity(
        int((engine.kv_cache_gib or 0) * GIB),
        max_model_len=engine.max_model_len,
        batched_tokens=engine.max_batched_tokens or DEFAULT_BATCHED_TOKENS,
        block=BLOCK_TOKENS[profile.device.on_gpu],
        tensor_parallel=engine.tensor_parallel,
    )
    says = f"holds {requests:.1f} requests of {engine.max_model_len} tokens at once"
    return Finding(f"KV cache of {engine.name}", good=requests >= 1, says=says)


def _fits(device: Device, room: int) -> Finding:
    left = (room - device.needed) / GIB
    says = f"needs {device.needed / GIB:.2f} of {room / GIB:.2f} GiB, " + (
        f"{left:.2f} GiB stay free" if left >= 0 else f"{-left:.2f} GiB are missing: make kv_cache_gib smaller"
    )
    return Finding(device.name, good=left >= 0, says=says)


def _table(devices: list[Device], room: dict[str, int]) -> Table:
    table = Table(
        title="Memory in GiB (weights and KV cache exact, the rest estimates from above)", title_justify="left"
    )
    table.add_column("device")
    table.add_column("engine")
    for column in ("weights", "KV cache", "encoder cache", "activations", "overhead", "sum", "there is"):
        table.add_column(column, justify="right")
    for device in devices:
        for need in device.needs:
            sizes = (need.weights, need.kv_cache, need.encoder_cache, need.activations, need.overhead, need.total)
            turn = " (in turn)" if need.sleep_group else ""
            table.add_row(device.name, need.engine + turn, *(f"{size / GIB:.2f}" for size in sizes))
        if device.translator:
            table.add_row(device.name, "translator", *[""] * 5, f"{device.translator / GIB:.2f}")
        there = f"{room[device.name] / GIB:.2f}" if device.name in room else ""
        table.add_row(device.name, "[bold]at the worst moment[/]", *[""] * 5, f"{device.needed / GIB:.2f}", there)
        table.add_section()
    return table
