"""What the engines of a profile take of each device, and whether it fits."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.sizing.machine import GIB
from server.sizing.models import model_sizes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.profile import EngineProfile, Profile

GPU_OVERHEAD = int(0.75 * GIB)
"""CUDA context, workspaces and captured graphs of one engine. An estimate, not yet held against a GPU."""
CPU_OVERHEAD = int(1.6 * GIB)
"""API server and engine core with torch and vLLM imported: two processes of 0.8 GiB, measured."""
ASLEEP = int(0.75 * GIB)
"""What an engine that sleeps keeps on its GPU: its context. An estimate."""
DEFAULT_BATCHED_TOKENS = 2048
"""vLLM 0.32 on a CPU; profiles for GPUs say it."""
DEFAULT_REQUESTS = 256


@dataclass(frozen=True)
class Need:
    """Bytes that one replica takes of one device."""

    engine: str
    weights: int
    kv_cache: int
    encoder_cache: int
    activations: int
    overhead: int
    sleep_group: str | None = None
    """Sleeps while another engine of this group is awake."""

    @property
    def total(self) -> int:
        """The sum, while the engine is awake."""
        return self.weights + self.kv_cache + self.encoder_cache + self.activations + self.overhead


@dataclass
class Device:
    """A GPU, or the main memory of a machine without one."""

    name: str
    needs: list[Need] = field(default_factory=list)
    translator: int = 0

    @property
    def needed(self) -> int:
        """Bytes at the worst moment."""
        groups: dict[str, list[Need]] = defaultdict(list)
        for need in self.needs:
            if need.sleep_group is not None:
                groups[need.sleep_group].append(need)
        always = sum(need.total for need in self.needs if need.sleep_group is None)
        in_turn = sum(max(need.total for need in shared) + ASLEEP * (len(shared) - 1) for shared in groups.values())
        return always + in_turn + self.translator


def plan(profile: Profile) -> list[Device]:
    """What a profile takes of each device; of a cluster's machines, what one replica takes of its own.

    Raises:
        UnknownSizesError: the sizes of a model are not known.
    """
    devices: dict[str, Device] = {}
    for engine in readable(profile):
        if engine.ray is not None and engine.replicas:
            name = f"of the cluster, for {engine.name}"
            devices[name] = Device(name, [need(engine, profile)])
        for replica in range(engine.replicas_here):
            for name in _devices(engine, replica, on_gpu=profile.device.on_gpu):
                devices.setdefault(name, Device(name)).needs.append(need(engine, profile))
    if profile.translator and profile.translator.model:
        name = "GPU 0" if profile.device.on_gpu else MAIN
        first = devices.setdefault(name, Device(name))
        taken = profile.translator.gpu_memory_gib if profile.device.on_gpu else profile.translator.memory_gib
        first.translator = int(taken * GIB)
    return [devices[name] for name in sorted(devices)]


def readable(profile: Profile) -> Iterator[EngineProfile]:
    """The engines whose model can be looked at here: that of a cluster's may lie on its machines alone."""
    for engine in profile.engines:
        folder = engine.local_model
        if engine.ray is None or folder is None or (folder / "config.json").is_file():
            yield engine


MAIN = "main memory"


def _devices(engine: EngineProfile, replica: int, *, on_gpu: bool) -> list[str]:
    if not on_gpu:
        return [MAIN]
    seen = engine.gpus[replica].split(",") if engine.gpus else map(str, range(engine.tensor_parallel))
    return [f"GPU {number.strip()}" for number in seen]


def need(engine: EngineProfile, profile: Profile) -> Need:
    """What one replica takes of each of its devices."""
    model = model_sizes(engine.model, engine.local_model, engine.number_bytes)
    batched = engine.max_batched_tokens or DEFAULT_BATCHED_TOKENS
    weights = model.weights(engine.tensor_parallel)
    activations = model.activations(
        batched_tokens=batched,
        requests=engine.max_requests or DEFAULT_REQUESTS,
        frames=engine.max_frames,
        pictures=engine.max_images,
        tensor_parallel=engine.tensor_parallel,
    )
    encoder_cache = model.encoder_cache(batched, engine.encoder_cache_gib)
    overhead = GPU_OVERHEAD if profile.device.on_gpu else CPU_OVERHEAD
    if engine.kv_cache_gib is not None:
        kv_cache = int(engine.kv_cache_gib * GIB)
    else:  # vLLM fills up its share of the device
        share = (engine.memory_utilization or 0.92) * (profile.device.memory_gib or 0) * GIB
        kv_cache = max(int(share) - weights - encoder_cache - activations - overhead, 0)
    return Need(
        engine=engine.name,
        weights=weights,
        kv_cache=kv_cache,
        encoder_cache=encoder_cache,
        activations=activations,
        overhead=overhead,
        sleep_group=engine.sleep_group,
    )
