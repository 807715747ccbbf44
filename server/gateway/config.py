"""What the gateway must know, handed over as a JSON file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ServedModel:
    """A model and the engine that serves it."""

    name: str
    aliases: tuple[str, ...] = ()
    socket: str
    """The engine's Unix socket."""
    max_model_len: int
    """Tokens of prompt and answer together."""
    max_frames: int = 0
    """Frames a video may have; 0: no video."""
    max_images: int = 0
    """Pictures a request may have; 0: none."""


@dataclass(frozen=True, kw_only=True)
class GatewayConfig:
    """Everything the gateway serves."""

    models: tuple[ServedModel, ...]
    translator: str | None = None
    """Base URL of the translator."""
    max_body_bytes: int = 64 << 20

    def write(self, path: Path) -> None:
        """Write it for `read`."""
        path.write_bytes(orjson.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> GatewayConfig:
        """Read what `write` wrote."""
        data = orjson.loads(path.read_bytes())
        models = tuple(ServedModel(**{**model, "aliases": tuple(model["aliases"])}) for model in data.pop("models"))
        return cls(models=models, **data)
