"""The state that the handlers share: the model once it is loaded, the limits, and who may ask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from aiohttp import web

from translator.errors import ApiError
from translator.http.metrics import Metrics

if TYPE_CHECKING:
    from translator.detect import Detector
    from translator.languages import Languages
    from translator.second_opinion import SecondOpinion
    from translator.text_translator import TextTranslator


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that one request may be; one beyond it is refused with the reason."""

    body_bytes: int = 4 << 20
    """Size of a request's body."""
    texts: int = 10_000
    """Texts in a request."""
    characters: int = 2_000_000
    """Characters in a request, over all texts."""
    body_timeout_s: float = 30.0
    """Time for a body to arrive."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model that is loaded, with what answering needs."""

    translator: TextTranslator
    languages: Languages
    detector: Detector


@dataclass
class State:
    """What all handlers share; `translator.loading` fills in `loaded`."""

    model: str
    limits: Limits = field(default_factory=Limits)
    keys: tuple[str, ...] = field(default=(), repr=False)
    """API keys; none means that everybody may ask."""
    origins: tuple[str, ...] = ()
    """Web pages' origins that may ask from a browser; "*" is every one."""
    loaded: Loaded | None = None
    second_opinion: SecondOpinion | None = None
    """Asked about doubtful sentences."""
    closing: bool = False
    """Whether new requests are refused; those that were accepted before are finished."""
    metrics: Metrics = field(default_factory=Metrics)

    def ready(self) -> Loaded:
        """The loaded model.

        Raises:
            ApiError: 503, it is still being loaded.
        """
        if self.loaded is None:
            raise ApiError(503, f"{self.model} is still being loaded", code="loading", retry_after_s=2)
        return self.loaded


STATE = web.AppKey("state", State)
SUMMARY = web.RequestKey("summary", str)
"""What the log says about a request, besides method, path and status; never a text."""
