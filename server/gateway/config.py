"""What the gateway must know, handed over as a JSON file.

Secrets are not in it: keys come from the environment, or from a file that holds their hashes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

import msgspec

from server.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

OWNER = "babelview"
"""`owned_by` of every model at `/v1/models`: how a client sees that frames may be sent in vLLM's form."""


ANY_ORIGIN = "*"
_DOMAIN = re.compile(r"[\w.-]+(:\d{1,5})?")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,]+")


def check_origin(origin: str) -> str:
    """The origin of web pages, if it is one.

    Raises:
        ValueError: it is none; says what one looks like.
    """
    if origin != ANY_ORIGIN and not _ORIGIN.fullmatch(origin.rstrip("/").lower()):
        raise ValueError(f"not an origin such as https://chat.example.org, and not *: {origin!r}")
    return origin


class Replica(Settings, frozen=True, kw_only=True):
    """One server of a model: a Unix socket of this machine, or a base URL (another machine, `vllm-router`).

    It must know its model under the served name and all aliases: requests go on as they came.
    """

    name: str
    """For health, logs and metrics; no other replica has it."""
    socket: str | None = None
    """Unix socket on this machine."""
    url: str | None = None
    """Base URL, without `/v1`."""
    address_file: str | None = None
    """File that holds the base URL of a server that moves; there is none while the server is nowhere."""
    key_variable: str | None = None
    """The environment variable that holds its API key, if it wants one."""
    sleep_group: str | None = None
    """Replicas of one group share a GPU: all but one sleep (vLLM's sleep mode). None: always awake."""
    poison_log: str | None = None
    """File that gets a line for each of its crashes that one request has caused; the supervisor reads it."""

    def __post_init__(self) -> None:
        if [self.socket, self.url, self.address_file].count(None) != 2:
            raise ValueError(f"replica {self.name}: give a socket, a url or an address_file, one of them")


class ServedModel(Settings, frozen=True, kw_only=True):
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
    fewest_frames: int = 1
    """Frames a video must have: of one with fewer, the last is repeated."""
    max_images: int = 0
    """Pictures a request may have; 0: none. Of earlier turns, the gateway leaves out what is beyond."""
    tools: bool = False
    """Whether it calls tools."""

    def __post_init__(self) -> None:
        if not self.replicas:
            raise ValueError(f"model {self.name}: it needs at least one replica")


class Limits(Settings, frozen=True, kw_only=True):
    """What is taken; more is refused with 400, 413 or 429 and the reason."""

    max_body_bytes: int = 64 << 20
    max_buffered_bytes: int = 1 << 30
    """Bodies, fetched media and unread answers of all requests in flight together: what bounds the gateway's memory."""
    key_buffered_bytes: int = 512 << 20
    """The share of one key in them."""
    max_connections: int = 2048
    """Of clients, idle ones included. One that is idle is closed for a new one, if need be."""
    max_in_flight: int = 1024
    """Requests of everybody together, those that wait in an engine's queue included."""
    key_in_flight: int = 256
    """Requests of one key at a time."""
    key_per_minute: int = 0
    """Requests of one key in a minute, with bursts up to as many; 0: no limit."""
    max_picture_pixels: int = 50_000_000
    """Width x height; a picture's decoded size is three bytes a pixel."""
    max_pixels_decoding: int = 70_000_000
    """Pixels of pictures and frames that one replica gets before it has begun to answer; further requests wait, and one
    that has more is refused. Its server takes up to nine bytes for each, measured."""
    max_frame_pixels: int = 4_000_000
    """A full HD frame has 2.1 million."""
    max_media_bytes: int = 32 << 20
    """One picture, frame or sound, encoded."""
    max_sound_s: float = 600.0
    """Seconds of one sound, counted as it is decoded."""
    max_sound_s_decoding: float = 1800.0
    """Seconds of sound that one replica gets before it has begun to answer; further requests wait. A second takes about
    0.2 MB of its server's memory."""
    sound_processes: int = 2
    """Processes that decode sounds; more are decoded one after the other."""
    max_choices: int = 8
    """`n` of a request."""
    max_parts: int = 1024
    """Parts of all messages of a request together."""
    max_characters_per_token: int = 16
    """Text of a prompt, in characters, for each token that the model holds: also of one that is to be truncated."""
    max_word_characters: int = 8192
    """Characters of `stop`, and of `bad_words`."""
    max_sequences: int = 64
    """Answers of a request: prompts x `n`. An engine computes some 256 at a time, of everybody together."""
    max_prompt_contexts: int = 8
    """Tokens of all prompts of a request together, in full contexts of its model: text counts a token a character, a
    full context at most."""
    max_contexts: int = 32
    """Work of a request, in full contexts of its model: prompts x (tokens of a prompt x (1 + `prompt_logprobs`) +
    `n` x `max_tokens` x (1 + `logprobs`)) / `max_model_len`."""


class Timeouts(Settings, frozen=True, kw_only=True):
    """How long the gateway waits, for servers and for clients."""

    connect_s: float = 5.0
    first_byte_s: float = 900.0
    """Until an engine begins to answer: its queue and, for a plain answer, all of the generation."""
    decoding_s: float = 10.0
    """After which the pictures of a request count as decoded, although its answer has not begun."""
    between_bytes_s: float = 120.0
    """Between two pieces of an answer."""
    header_s: float = 20.0
    """Until a client has sent the headers of its next request: idle connections are closed then too."""
    body_idle_s: float = 20.0
    """Between two pieces of a client's body."""
    body_s: float = 120.0
    """For a client's whole body."""
    body_bytes_per_s: float = 4096.0
    """Which a client's body must come with, on average, after the first `body_idle_s`."""
    read_s: float = 30.0
    """Within which a client must read some of an answer that lies ready, at `body_bytes_per_s` at least."""
    sound_s: float = 60.0
    """For the decoding of a sound; its process is ended then."""
    finish_s: float = 30.0
    """How long requests in flight may go on after SIGTERM."""


class Health(Settings, frozen=True, kw_only=True):
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
    crash_memory_s: float = 3600.0
    """How long a request that was in flight at two crashes is refused."""


class ModelSwap(Settings, frozen=True, kw_only=True):
    """How models of one sleep group take turns on their GPU."""

    least_s: float = 20.0
    """How long a model that is being asked stays awake while another is waited for."""
    idle_s: float = 1.0
    """A model that is not being asked gives the GPU up after so long."""
    longest_drain_s: float = 300.0
    """How long its requests in flight may go on once its turn is over; then they are aborted with 503."""
    switch_timeout_s: float = 180.0
    """How long falling asleep or waking up may take."""


class GatewaySettings(Settings, frozen=True, kw_only=True):
    """What a profile's `[gateway]` sets of the gateway itself."""

    limits: Limits = Limits()
    timeouts: Timeouts = Timeouts()
    health: Health = Health()
    model_swap: ModelSwap = ModelSwap()
    keys_file: str | None = None
    """Hashes of API keys (`python -m server.gateway.keys` makes them). More keys may come from BABELVIEW_API_KEYS."""
    allow_anonymous: bool = False
    """Listen beyond loopback although there is no key at all."""
    open_metrics: bool = False
    """Give metrics to who has no key, although there are keys."""
    media_domains: tuple[str, ...] = ()
    """Domains whose media the gateway fetches for a request, with their subdomains, on ports 80 and 443, or on the one
    that is named (`example.org:8443`); empty: data URLs only."""
    cors: tuple[str, ...] = ()
    """Origins (`https://chat.example.org`) whose pages may ask from a browser; `*`: those of all."""
    json_logs: bool = False
    """A line of JSON per request instead of one for people."""

    def __post_init__(self) -> None:
        for origin in self.cors:
            check_origin(origin)
        for domain in self.media_domains:
            if not _DOMAIN.fullmatch(domain):
                raise ValueError(f"media_domains: not a domain such as example.org or example.org:8443: {domain!r}")


class GatewayConfig(GatewaySettings, frozen=True, kw_only=True):
    """Everything that the gateway's process must know: its settings, and what it serves."""

    models: tuple[ServedModel, ...]
    translator: str | None = None
    """Base URL of the translator."""
    captioner: str | None = None
    """Of the captioner: the path of its Unix socket, or a base URL."""

    def __post_init__(self) -> None:
        super().__post_init__()
        names = [replica.name for model in self.models for replica in model.replicas]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"replicas need names of their own: {', '.join(twice)}")

    def write(self, path: Path) -> None:
        """Write it for `read`."""
        path.write_bytes(msgspec.json.encode(self))

    @classmethod
    def read(cls, path: Path) -> GatewayConfig:
        """Read what `write` wrote.

        Raises:
            msgspec.ValidationError: it is something else.
        """
        return msgspec.json.decode(path.read_bytes(), type=cls)
