"""What the service is told to do, as one object; the command line (`translator.cli`) makes it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

DEFAULT_MODEL = "facebook/nllb-200-distilled-600M"
SECOND_OPINION_KEY_VARIABLE = "BABELVIEW_TRANSLATOR_SECOND_OPINION_KEY"
"""The environment variable that holds the key of the endpoint of `second_opinion`."""
KEYS_VARIABLE = "BABELVIEW_TRANSLATOR_API_KEY"
"""The environment variable that holds API keys, with commas between them: a secret is on no command line."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings of the translation service; the defaults are those of the command line."""

    model: str = DEFAULT_MODEL
    """A checkpoint folder, a CTranslate2 folder, a hub name, or "demo"."""
    host: str = "127.0.0.1"
    port: int = 8003
    """0 takes any free one."""
    device: str = "auto"
    """"auto", "cpu" or "cuda"."""
    compute_type: str = "auto"
    """As CTranslate2 names it, such as "int8_float16"; "auto" is the best that the device has."""
    threads: int = 0
    """CPU threads of a batch; 0 stands for up to 4."""
    replicas: int = 0
    """Batches that run at once; 0 stands for as many as suit the device."""
    beam_size: int = 4
    """1 is greedy."""
    keep: Path | None = None
    """A file of terms that stay, or have a set translation (see `translator.glossary`)."""
    second_opinion: str = ""
    """An OpenAI-compatible endpoint that is asked about doubtful sentences; empty for none."""
    second_opinion_model: str = "llama-3.2-11b-vision"
    """The model there."""
    second_opinion_key: str = field(default="", repr=False)
    """The endpoint's API key."""
    scripts: tuple[str, ...] = ("Latn", "Deva")
    """Writing systems, as FLORES codes end, whose tokens alone are searched for translations into them; () for all."""
    batch_tokens: int = 0
    """Source tokens in a batch; 0 stands for what suits the device."""
    queue: int = 20_000
    """Sentences that may wait."""
    cache_mib: int = 16
    """Memory for finished sentences."""
    max_body_mib: int = 4
    """The largest request."""
    max_texts: int = 10_000
    """Texts in a request."""
    max_chars: int = 2_000_000
    """Characters in a request, over all texts."""
    connections: int = 1024
    """Connections that are open at the same time."""
    body_timeout_s: float = 30.0
    """Time for a request's body to arrive."""
    grace_s: float = 900.0
    """Time to finish requests on exit."""
    origins: tuple[str, ...] = ()
    """Origins whose web pages may ask; "*" is every one."""
    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys; none means that everybody may ask."""
    no_key: bool = False
    """Whether to listen beyond loopback without a key."""
    log_level: str = "info"

    @property
    def open_to_strangers(self) -> bool:
        """Whether it listens beyond loopback without a key, and nobody said that it may."""
        return not (self.keys or self.no_key or _is_loopback(self.host))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
