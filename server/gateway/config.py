"""What the gateway must know, handed over as a JSON file.

Secrets are not in it: keys come from the environment, or from a file that holds their hashes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "babelview"
"""`owned_by` of every model at `/v1/models`: how a client sees that frames may be sent in vLLM's form."""


@dataclass(frozen=True, kw_only=True)
class Replica:
    """One server of a model: a Unix socket of this machine, or a base URL (another machine, `vllm-router`).

    It must know its model under the served name and all aliases: requests go on as they came.
    """

    name: str
    """For health, logs and metrics; no other replica has it."""
    socket: str | None = None
    """Its Unix socket."""
    url: str | None = None
    """Its base URL, without `/v1`."""
    key_variable: str | None = None
    """The environment variable that holds its API key, if it wants one."""
    card: str | None = None
    """Replicas with the same card take turns on it: all but one sleep (vLLM's sleep mode). None: always awake."""

    def __post_init__(self) -> None:
        if (self.socket is None) == (self.url is None):
            raise ValueError(f"replica {self.name}: give a socket or a url, one of them")


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model, and the engines that serve it."""

    name: str
    aliases: tuple[str, ...] = ()
    replicas: tuple[Replica, ...]
    task: Literal["generate", "transcribe"] = "generate"
    """`generate`: chat and completions; `transcribe`: audio transcriptions and translations."""
    max_model_len: int
    """Tokens of prompt and answer together."""
    max_frames: int = 0
    """Frames a video may have; 0: no video."""
    max_images: int = 0
    """Pictures a request may have; 0: none."""

    def __post_init__(self) -> None:
        if not self.replicas:
            raise ValueError(f"model {self.name}: it needs at least one replica")


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What is taken; more is refused with 400, 413 or 429 and the reason."""

    max_body_bytes: int = 64 << 20
    max_buffered_bytes: int = 2 << 30
    """Bodies of all requests in flight together: what keeps the gateway's memory bounded."""
    max_in_flight: int = 1024
    """Requests of everybody together, those that wait in an engine's queue included."""
    key_in_flight: int = 256
    """Requests of one key at a time."""
    key_per_minute: int = 0
    """Requests of one key in a minute, with bursts up to as many; 0: no limit."""
    max_picture_pixels: int = 50_000_000
    """Width x height; a picture's decoded size is three bytes a pixel."""
    max_frame_pixels: int = 4_000_000
    """A full HD frame has 2.1 million."""
    max_media_bytes: int = 32 << 20
    """One picture, frame or sound, encoded."""
    max_choices: int = 8
    """`n` of a request."""


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Seconds."""

    connect_s: float = 5.0
    first_byte_s: float = 900.0
    """Until an engine begins to answer: its queue and, for a plain answer, all of the generation."""
    between_bytes_s: float = 120.0
    """Between two pieces of an answer."""
    header_s: float = 20.0
    """Until a client has sent the headers of its next request: idle connections are closed then too."""
    body_idle_s: float = 20.0
    """Between two pieces of a client's body."""
    body_s: float = 120.0
    """For a client's whole body."""
    finish_s: float = 30.0
    """How long requests in flight may go on after SIGTERM."""


@dataclass(frozen=True, kw_only=True)
class Health:
    """When a replica is left out, and used again."""

    probe_every_s: float = 1.0
    probe_timeout_s: float = 1.0
    misses: int = 2
    """Silent probes in a row after which others are preferred and what waits there moves to them."""
    dead_misses: int = 15
    """Silent probes in a row after which it is not asked at all, even if there is no other."""
    failures: int = 3
    """Requests in a row that broke off although probes succeed: the circuit opens."""
    open_s: float = 2.0
    """How long the circuit stays open the first time; doubles up to `longest_open_s`."""
    longest_open_s: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Turns:
    """How models take turns on a card."""

    least_s: float = 20.0
    """How long a model that is being asked keeps the card while another waits."""
    idle_s: float = 1.0
    """A model that is not being asked gives the card up after so long."""
    longest_drain_s: float = 300.0
    """How long its requests in flight may go on once its turn is over; then they are aborted with 503."""
    switch_timeout_s: float = 180.0
    """How long falling asleep or waking up may take."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """Everything the gateway serves."""

    models: tuple[ServedModel, ...]
    translator: str | None = None
    """Base URL of the translator."""
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = field(default_factory=Timeouts)
    health: Health = field(default_factory=Health)
    turns: Turns = field(default_factory=Turns)
    keys_file: str | None = None
    """Hashes of API keys (`python -m server.gateway.keys` makes them). More keys may come from BABELVIEW_API_KEYS."""
    allow_anonymous: bool = False
    """Listen beyond loopback although there is no key at all."""
    open_metrics: bool = False
    """Give metrics to who has no key, although there are keys."""
    media_domains: tuple[str, ...] = ()
    """Domains whose media the gateway fetches for a request, with their subdomains; empty: data URLs only."""
    json_logs: bool = False
    """A line of JSON per request instead of one for people."""

    def __post_init__(self) -> None:
        names = [replica.name for model in self.models for replica in model.replicas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"replicas need names of their own: {', '.join(twice)}")

    def write(self, path: Path) -> None:
        """Write it for `read`."""
        path.write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> GatewayConfig:
        """Read what `write` wrote."""
        data = orjson.loads(path.read_bytes())
        parts = {"limits": Limits, "timeouts": Timeouts, "health": Health, "turns": Turns}
        built = {name: kind(**data.pop(name)) for name, kind in parts.items()}
        models = tuple(_model(model) for model in data.pop("models"))
        return cls(models=models, media_domains=tuple(data.pop("media_domains")), **built, **data)


def _model(data: dict[str, Any]) -> ServedModel:
    replicas = tuple(Replica(**replica) for replica in data.pop("replicas"))
    return ServedModel(aliases=tuple(data.pop("aliases")), replicas=replicas, **data)
