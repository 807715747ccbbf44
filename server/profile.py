"""A profile: what runs on this machine, as plain data in a TOML file, checked against the types here."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # read at run time, to check a profile against the types
from itertools import zip_longest
from pathlib import Path
from typing import Literal

import msgspec
from msgspec.structs import replace

from server.errors import ProfileError
from server.gateway.config import GatewaySettings
from server.policy import Policy
from server.settings import Settings, did_you_mean, read_toml
from server.shipped_profiles import PROFILES, available_profiles

DEMO_MODELS = Path(__file__).parent / "demo"
DEMO_PREFIX = "demo:"


class GatewayProfile(GatewaySettings, frozen=True, kw_only=True):
    """The one endpoint: where it listens, and its settings."""

    host: str = "127.0.0.1"
    """Where it listens. Loopback unless told otherwise."""
    port: int = 8000
    """0 takes a free port."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_port(self.port)


class TranslatorProfile(Settings, frozen=True, kw_only=True):
    """The translation sidecar, on loopback."""

    model: str | None = None
    """As `python -m translator --model` takes it."""
    url: str | None = None
    """Its base URL if it runs elsewhere; nothing is started then."""
    port: int = 8003
    """0 takes a free port."""
    memory_gib: float = 1.0
    """Main memory that it needs, for the check before anything starts."""
    gpu_memory_gib: float = 0.0
    """What it needs of the first GPU; 0 with `--device cpu`."""
    args: tuple[str, ...] = ()
    """Further arguments of `python -m translator`; in a stack it gets no options from the environment."""

    def __post_init__(self) -> None:
        _check_port(self.port)
        if (self.model is None) == (self.url is None):
            raise ValueError("give a model, or the url where one is served")
        if self.url is not None:
            _check_url(self.url)


class CaptionerProfile(Settings, frozen=True, kw_only=True):
    """Captions over HTTP (`/v1/captions`), which the gateway passes on to it."""

    url: str | None = None
    """Its base URL if it runs elsewhere; nothing is started then."""
    folder: str | None = None
    """Where it keeps uploads and jobs. None: a folder beside the logs, named by the gateway's port."""
    memory_gib: float = 3.4
    """Main memory that it needs, for the check before anything starts: 0.4, and `--decoders` times `--decoder-mb`."""
    args: tuple[str, ...] = ()
    """Further arguments of `python -m client.captioner`; in a stack it gets no options from the environment."""

    def __post_init__(self) -> None:
        if self.url is not None:
            _check_url(self.url)


class ClusterProfile(Settings, frozen=True, kw_only=True):
    """The Ray cluster on which engines with a table `ray` run."""

    address: str = "auto"
    """`auto`: the one that runs on this machine; or HOST:PORT of its head."""

    def __post_init__(self) -> None:
        host, _, port = self.address.rpartition(":")
        if self.address != "auto" and ("://" in self.address or not host or not port.isdecimal()):
            raise ValueError(f"address must be auto or HOST:PORT, not {self.address!r}")


class Reservation(Settings, frozen=True, kw_only=True):
    """What Ray keeps free for one replica, on whichever machine of the cluster has it. So is its `memory_gib`."""

    num_gpus: float | None = None
    """Shares of one GPU, or whole ones. None: `tensor_parallel` on GPUs, else 0."""
    num_cpus: float = 1.0
    resources: Mapping[str, float] = msgspec.field(default_factory=dict)
    """Further resources, as the machines of the cluster name them: `{"accelerator_type:H100" = 0.001}`."""

    def __post_init__(self) -> None:
        for name, amount in {"num_gpus": self.num_gpus or 0, "num_cpus": self.num_cpus, **self.resources}.items():
            if amount < 0:
                raise ValueError(f"{name} cannot be negative")
        if self.num_gpus is not None and self.num_gpus > 1 and self.num_gpus % 1:
            raise ValueError(f"num_gpus is a share of one GPU or a number of whole ones, not {self.num_gpus:g}")


class EngineProfile(Settings, frozen=True, kw_only=True):
    """One vLLM process and the model it serves."""

    name: str
    """The name that requests ask for."""
    model: str
    """`demo:NAME` (shipped with the project), a local folder, or a model of the Hugging Face hub."""
    aliases: tuple[str, ...] = ()
    """Further names for the same model."""
    task: Literal["generate", "transcribe"] = "generate"
    """`generate`: chats and completions; `transcribe`: a speech model (Whisper), which says what it hears."""
    max_model_len: int
    """Tokens of prompt and answer together."""
    max_frames: int = 0
    """Frames a video may have; 0: the model takes no video. vLLM cuts further frames silently, we refuse."""
    fewest_frames: int = 1
    """Frames a video must have: of one with fewer, the last is repeated. 2 for Qwen3-VL."""
    max_images: int = 0
    """Pictures a request may have; 0: none. Of earlier turns, the gateway leaves out what is beyond."""
    tool_parser: str | None = None
    """How the model writes calls of tools, as `vllm serve --tool-call-parser` names it: `llama3_json` for Llama 3.2.
    None: it calls none, and requests with tools are refused."""
    longest_json_string: int = 8192
    """Bytes after which a string of a structured answer is closed, whatever its schema allows."""
    most_json_items: int = 1024
    """Items after which an array or object of a structured answer is closed."""
    replicas: int = 1
    """Engines of this model, on this machine or those of `ray`; the gateway spreads requests over them. 0: none, only
    `urls`."""
    ray: Reservation | None = None
    """Run the replicas on a Ray cluster. None: on this machine."""
    gpus: tuple[str, ...] = ()
    """For each replica the GPUs that it sees, as CUDA_VISIBLE_DEVICES takes them ("0", or "0,1")."""
    sleep_group: str | None = None
    """Engines that name the same group share a GPU, all but one asleep (vLLM's sleep mode, level 1: their weights
    wait in main memory). None: always awake."""
    urls: tuple[str, ...] = ()
    """Further replicas that run elsewhere: base URLs without /v1. Nothing is started there."""
    url_key_variable: str | None = None
    """The environment variable that holds the API key of the replicas in `urls`, if they want one."""
    tensor_parallel: int = 1
    """GPUs that one replica is divided among."""
    max_batched_tokens: int | None = None
    """Tokens computed in one step. None: vLLM's default. Llama 3.2 Vision: at least 6404, a picture's."""
    max_requests: int | None = None
    """Requests computed at once by one replica. None: vLLM's default."""
    encoder_cache_gib: float | None = None
    """Llama 3.2 Vision: room for outputs of its vision tower. None: 0.5."""
    kv_cache_gib: float | None = None
    """Size of the KV cache. None: vLLM fills `memory_utilization` of the device."""
    memory_utilization: float | None = None
    """Share of the device's memory that vLLM may fill. None: vLLM's default."""
    memory_gib: float = 0.0
    """Main memory that one replica needs, for the check before anything starts."""
    memory_limit_gib: float | None = None
    """A replica that takes more main memory is restarted. None: no limit."""
    dtype: Literal["bfloat16", "float16", "float32"] | None = None
    """What it computes with. None: as the model says; float32 on a CPU that only emulates bfloat16."""
    threads: int | None = None
    """OpenMP threads (CPU). None: vLLM decides and binds cores."""
    fast_start: bool = False
    """Short cuts for small models on a CPU: no compilation and one address space for engine and worker,
    forked from the API server. It needs `threads = 1`: GNU OpenMP's thread pool does not survive a fork."""
    start_timeout_s: float = 600.0
    """How long it may take to become healthy."""
    args: tuple[str, ...] = ()
    """Further arguments of `vllm serve`."""
    env: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Further environment variables."""

    def __post_init__(self) -> None:
        _check_positive("max_model_len", self.max_model_len)
        for name in (
            "memory_limit_gib",
            "max_batched_tokens",
            "max_requests",
            "tensor_parallel",
            "longest_json_string",
            "most_json_items",
            "fewest_frames",
        ):
            if (value := getattr(self, name)) is not None:
                _check_positive(name, value)
        if self.replicas < 0 or self.replicas + len(self.urls) == 0:
            raise ValueError("it needs at least one of replicas and urls")
        if self.gpus and len(self.gpus) != self.replicas:
            raise ValueError(f"gpus names the GPUs of {len(self.gpus)} replicas, but there are {self.replicas}")
        if self.sleep_group is not None and self.replicas > 1:
            raise ValueError("engines of a sleep_group have one replica each")
        if self.ray is not None and (self.gpus or self.sleep_group is not None):
            raise ValueError("an engine with ray has no gpus and no sleep_group: Ray chooses its GPUs")
        for url in self.urls:
            _check_url(url)
        if self.max_frames < 0 or self.max_images < 0:
            raise ValueError("max_frames and max_images cannot be negative")
        if self.max_frames and self.fewest_frames > self.max_frames:
            raise ValueError(f"fewest_frames is {self.fewest_frames}, more than max_frames, {self.max_frames}")
        if self.memory_utilization is not None and not 0 < self.memory_utilization <= 1:
            raise ValueError(f"memory_utilization is a share between 0 and 1, not {self.memory_utilization}")
        if self.task == "transcribe" and (self.max_frames or self.max_images or self.tool_parser):
            raise ValueError("a model that transcribes takes no max_frames, max_images or tool_parser")
        if self.fast_start and self.threads != 1:
            raise ValueError("fast_start needs threads = 1 (a pool of OpenMP threads does not survive a fork)")

    @property
    def replicas_here(self) -> int:
        """Engines of this model on this machine."""
        return 0 if self.ray is not None else self.replicas

    @property
    def names(self) -> tuple[str, ...]:
        """The served name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def numbers(self) -> str | None:
        """What it is told to compute with, in `dtype` or in its `args`; None: it is not told."""
        told: str | None = self.dtype
        for argument, following in zip_longest(self.args, self.args[1:]):
            if argument == "--dtype":
                told = following
            elif argument.startswith("--dtype="):
                told = argument.removeprefix("--dtype=")
        return told

    @property
    def number_bytes(self) -> int:
        """Bytes of a number that it computes with."""
        return 4 if self.numbers in {"float32", "float"} else 2

    @property
    def local_model(self) -> Path | None:
        """The model's folder; None for a model of the hub."""
        if self.model.startswith(DEMO_PREFIX):
            return DEMO_MODELS / self.model.removeprefix(DEMO_PREFIX)
        path = Path(self.model).expanduser()
        return path if path.is_absolute() or self.model.startswith((".", "~")) else None


class DeviceProfile(Settings, frozen=True, kw_only=True):
    """What the engines compute on."""

    kind: str = "cpu"
    """`cpu` or `gpu`."""
    memory_gib: float | None = None
    """Memory that a program can have of each GPU. None: main memory, whatever the machine has."""
    count: int = 1
    """How many GPUs."""

    def __post_init__(self) -> None:
        if self.kind not in {"cpu", "gpu"}:
            raise ValueError(f"kind is cpu or gpu, not {self.kind!r}")
        if self.on_gpu and self.memory_gib is None:
            raise ValueError("a gpu needs memory_gib")

    @property
    def on_gpu(self) -> bool:
        """Whether engines compute on GPUs."""
        return self.kind == "gpu"


class Profile(Settings, frozen=True, kw_only=True):
    """Everything that one `babelview up` starts."""

    engines: tuple[EngineProfile, ...]
    gateway: GatewayProfile = msgspec.field(default_factory=GatewayProfile)
    translator: TranslatorProfile | None = None
    """None: no translations."""
    captioner: CaptionerProfile | None = None
    """None: no captions over HTTP."""
    device: DeviceProfile = DeviceProfile()
    ray: ClusterProfile = ClusterProfile()
    supervisor: Policy = Policy()

    def __post_init__(self) -> None:
        if not self.engines:
            raise ValueError("a profile needs at least one [[engines]]")
        names = [name for engine in self.engines for name in engine.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"engines: served more than once: {', '.join(twice)}")

    def with_settings(
        self,
        *,
        host: str | None = None,
        port: int | None = None,
        translator_port: int | None = None,
        cors: tuple[str, ...] = (),
    ) -> Profile:
        """The profile with what the command line or the environment says; None leaves it as it is."""
        gateway = self.gateway
        if host is not None:
            gateway = replace(gateway, host=host)
        if port is not None:
            gateway = replace(gateway, port=port)
        if cors:
            gateway = replace(gateway, cors=cors)
        translator = self.translator
        if translator is not None and translator_port is not None:
            translator = replace(translator, port=translator_port)
        return replace(self, gateway=gateway, translator=translator)


def load_profile(name: str) -> Profile:
    """Read a profile by its name, or from a file whose name ends in `.toml`.

    Raises:
        ProfileError: there is no such profile, or it is not right; names file and key.
    """
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        return read_toml(path, Profile)
    except FileNotFoundError:
        known = available_profiles()
        guess = did_you_mean(name, known)
        raise ProfileError(
            f"no profile {name!r}: choose one of {', '.join(known)}, or name a .toml file{guess}"
        ) from None


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be between 0 and 65535, not {port}")


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"not an http:// or https:// address: {url!r}")


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name} must be positive, not {value}")
