"""A profile: what runs on this machine, as plain data in a TOML file, checked into typed dataclasses."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping  # noqa: TC003  # read at run time, to check a profile against the types
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from server.errors import ProfileError
from server.gateway.config import Health, Limits, Timeouts, Turns
from server.supervision.policy import Policy

PROFILES = Path(__file__).parent / "profiles"
DEMO_MODELS = Path(__file__).parent / "demo"
DEMO_PREFIX = "demo:"


@dataclass(frozen=True, kw_only=True)
class GatewayProfile:
    """The one endpoint."""

    host: str = "127.0.0.1"
    """Where it listens. Loopback unless told otherwise."""
    port: int = 8000
    """0 takes a free port."""
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    health: Health = field(default_factory=Health)
    turns: Turns = field(default_factory=Turns)
    keys_file: str | None = None
    """Hashes of API keys; see server/gateway/config.py for this and what follows."""
    allow_anonymous: bool = False
    open_metrics: bool = False
    media_domains: tuple[str, ...] = ()
    json_logs: bool = False

    def __post_init__(self) -> None:
        _check_port(self.port)


@dataclass(frozen=True, kw_only=True)
class TranslatorProfile:
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
    """Further arguments of `python -m translator`."""

    def __post_init__(self) -> None:
        _check_port(self.port)
        if (self.model is None) == (self.url is None):
            raise ValueError("give a model, or the url where one is served")
        if self.url is not None:
            _check_url(self.url)


@dataclass(frozen=True, kw_only=True)
class EngineProfile:
    """One vLLM process and the model it serves."""

    name: str
    """The name that requests ask for."""
    model: str
    """`demo:NAME` (shipped with the project), a local folder, or a model of the Hugging Face hub."""
    aliases: tuple[str, ...] = ()
    """Further names for the same model."""
    max_model_len: int
    """Tokens of prompt and answer together."""
    max_frames: int = 0
    """Frames a video may have; 0: the model takes no video. vLLM cuts further frames silently, we refuse."""
    max_images: int = 0
    """Pictures a request may have; 0: the model takes none."""
    replicas: int = 1
    """Engines of this model on this machine; the gateway spreads requests over them. 0: none, only `urls`."""
    gpus: tuple[str, ...] = ()
    """For each replica the GPUs that it sees, as CUDA_VISIBLE_DEVICES takes them ("0", or "0,1")."""
    card: str | None = None
    """Engines that name the same card take turns on it, all but one asleep (vLLM's sleep mode, level 1: their
    weights wait in main memory). None: always awake."""
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
    """Llama 3.2 Vision: room for outputs of its vision tower, outside `memory_utilization`. None: 0.5."""
    kv_cache_gib: float | None = None
    """Size of the KV cache. None: vLLM fills `memory_utilization` of the device."""
    memory_utilization: float | None = None
    """Share of the device's memory that vLLM may fill. None: vLLM's default."""
    memory_gib: float = 0.0
    """Main memory that one replica needs, for the check before anything starts."""
    memory_limit_gib: float | None = None
    """A replica that takes more main memory is restarted. None: no limit."""
    threads: int | None = None
    """OpenMP threads (CPU). None: vLLM decides and binds cores."""
    fast_start: bool = False
    """Short cuts for small models on a CPU: no compilation and one address space for engine and worker,
    forked from the API server. It needs `threads = 1`: GNU OpenMP's thread pool does not survive a fork."""
    start_timeout_s: float = 600.0
    """How long it may take to become healthy."""
    args: tuple[str, ...] = ()
    """Further arguments of `vllm serve`."""
    env: Mapping[str, str] = field(default_factory=dict)
    """Further environment variables."""

    def __post_init__(self) -> None:
        _check_positive("max_model_len", self.max_model_len)
        for name in ("memory_limit_gib", "max_batched_tokens", "max_requests", "tensor_parallel"):
            if (value := getattr(self, name)) is not None:
                _check_positive(name, value)
        if self.replicas < 0 or self.replicas + len(self.urls) == 0:
            raise ValueError("it needs at least one of replicas and urls")
        if self.gpus and len(self.gpus) != self.replicas:
            raise ValueError(f"gpus names the GPUs of {len(self.gpus)} replicas, but there are {self.replicas}")
        if self.card is not None and self.replicas > 1:
            raise ValueError("engines take turns on a card as one replica each")
        for url in self.urls:
            _check_url(url)
        if self.max_frames < 0 or self.max_images < 0:
            raise ValueError("max_frames and max_images cannot be negative")
        if self.memory_utilization is not None and not 0 < self.memory_utilization <= 1:
            raise ValueError(f"memory_utilization is a share between 0 and 1, not {self.memory_utilization}")
        if self.fast_start and self.threads != 1:
            raise ValueError("fast_start needs threads = 1 (a pool of OpenMP threads does not survive a fork)")

    @property
    def names(self) -> tuple[str, ...]:
        """The served name and its aliases."""
        return (self.name, *self.aliases)

    @property
    def local_model(self) -> Path | None:
        """The model's folder; None for a model of the hub."""
        if self.model.startswith(DEMO_PREFIX):
            return DEMO_MODELS / self.model.removeprefix(DEMO_PREFIX)
        path = Path(self.model).expanduser()
        return path if path.is_absolute() or self.model.startswith((".", "~")) else None


@dataclass(frozen=True, kw_only=True)
class DeviceProfile:
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
        """Whether it is a GPU."""
        return self.kind == "gpu"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """Everything that one `python -m server up` starts."""

    engines: tuple[EngineProfile, ...]
    gateway: GatewayProfile = field(default_factory=GatewayProfile)
    translator: TranslatorProfile | None = None
    """None: no translations."""
    device: DeviceProfile = field(default_factory=DeviceProfile)
    supervisor: Policy = field(default_factory=Policy)

    def __post_init__(self) -> None:
        if not self.engines:
            raise ValueError("a profile needs at least one [[engines]]")
        names = [name for engine in self.engines for name in engine.names]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"engines: served more than once: {', '.join(twice)}")

    def with_settings(
        self, *, host: str | None = None, port: int | None = None, translator_port: int | None = None
    ) -> Profile:
        """The profile with what the command line or the environment says; None leaves it as it is."""
        gateway = self.gateway
        if host is not None:
            gateway = replace(gateway, host=host)
        if port is not None:
            gateway = replace(gateway, port=port)
        translator = self.translator
        if translator is not None and translator_port is not None:
            translator = replace(translator, port=translator_port)
        return replace(self, gateway=gateway, translator=translator)


def available_profiles() -> list[str]:
    """Names of the profiles that come with the project."""
    return sorted(path.stem for path in PROFILES.glob("*.toml"))


def load_profile(name: str) -> Profile:
    """Read a profile by its name, or from a file whose name ends in `.toml`.

    Raises:
        ProfileError: there is no such profile, or it is not right; names file and key.
    """
    path = Path(name) if name.endswith(".toml") else PROFILES / f"{name}.toml"
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        known = ", ".join(available_profiles())
        raise ProfileError(f"no profile {name!r}: choose one of {known}, or name a .toml file") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ProfileError(f"{path}: {error}") from error
    try:
        return _build(Profile, data, "")
    except ValueError as error:
        raise ProfileError(f"{path}: {error}") from error


Built = TypeVar("Built")


def _build(kind: type[Built], data: Mapping[str, Any], where: str) -> Built:
    """Make a dataclass of a TOML table; unknown or missing keys and wrong types are errors naming the key."""
    known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]  # every caller passes a dataclass
    prefix = f"{where}." if where else ""
    if unknown := sorted(data.keys() - known.keys()):
        raise ValueError(f"unknown key {prefix}{unknown[0]} (known: {', '.join(known)})")
    required = [n for n, f in known.items() if f.default is MISSING and f.default_factory is MISSING]
    if missing := [name for name in required if name not in data]:
        raise ValueError(f"missing key {prefix}{missing[0]}")
    hints = get_type_hints(kind)
    values = {key: _convert(hints[key], value, prefix + key) for key, value in data.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise ValueError(f"{where}: {error}" if where else str(error)) from error


def _convert(hint: Any, value: Any, where: str) -> Any:
    """Turn one TOML value into what the dataclass's field holds."""
    if get_origin(hint) is UnionType:  # `X | None`: TOML has no null, so a present key is an X
        hint = next(member for member in get_args(hint) if member is not NoneType)
    origin = get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r}")
        return tuple(_convert(get_args(hint)[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is not None:  # Mapping[str, str]
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be a table, not {value!r}")
        return {key: _convert(str, item, f"{where}.{key}") for key, item in value.items()}
    if hasattr(hint, "__dataclass_fields__"):
        if not isinstance(value, dict):
            raise ValueError(f"{where} must be a table, not {value!r}")
        return _build(hint, value, where)
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is not hint:  # exact: True is no int here
        raise ValueError(f"{where} must be of type {hint.__name__}, not {value!r}")
    return value


def _check_port(port: int) -> None:
    if not 0 <= port <= 65535:
        raise ValueError(f"port must be between 0 and 65535, not {port}")


def _check_url(url: str) -> None:
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"not an http:// or https:// address: {url!r}")


def _check_positive(name: str, value: float) -> None:
    if value <= 0:
        raise ValueError(f"{name} must be positive, not {value}")
