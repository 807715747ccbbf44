"""Finds the config.json of a model: in its folder, in our table of published ones, or on the hub."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import orjson

from server.errors import UnknownSizesError
from server.sizing.counted import CountedModel, count
from server.sizing.memory import ARCHITECTURES, HALF, Model
from server.sizing.speech import SpeechModel

FORMATS = {"fp8": "float-quantized", "w4a16": "pack-quantized"}
"""Names of schemes in our table, and how compressed-tensors stores them."""
ANY_WIDTH = 448
"""Pixels of a side, for a model that takes pictures of any size."""
HUB_S = 5.0
"""How long an answer of the hub is waited for."""
KNOWN = Path(__file__).with_name("known_models.toml")


def model_sizes(name: str, folder: Path | None, number: int = HALF) -> Model | SpeechModel | CountedModel:
    """The sizes of a model: by our formulae, or as transformers counts them.

    Args:
        name: As the profile writes it.
        folder: Where it lies; None for a model of the hub.
        number: Bytes of the numbers that it computes with.

    Raises:
        UnknownSizesError: no config.json was found, or it is of an architecture whose sizes are not known.
    """
    try:
        config = _config(name, folder)
        if config.get("model_type") == "whisper":
            return SpeechModel.of(config, number)
        return Model.of(config, number) if config.get("model_type") in ARCHITECTURES else _counted(name, folder, number)
    except (ValueError, KeyError) as error:
        raise UnknownSizesError(f"the sizes of {name}: {error}") from error


@cache
def _counted(name: str, folder: Path | None, number: int) -> CountedModel:
    return count(_config(name, folder), number)


def picture_width(name: str, folder: Path | None) -> int:
    """Pixels of a side of what a model's vision tower takes at once: a tile, or a frame.

    Raises:
        UnknownSizesError: no config.json was found, or it says nothing of it.
    """
    try:
        side = _config(name, folder)["vision_config"].get("image_size", ANY_WIDTH)
        return int(side[0] if isinstance(side, list) else side)
    except (ValueError, KeyError) as error:
        raise UnknownSizesError(f"the pictures of {name}: {error}") from error


def _config(name: str, folder: Path | None) -> dict[str, Any]:
    if folder is not None and (path := folder / "config.json").is_file():
        found: dict[str, Any] = orjson.loads(path.read_bytes())
        return found
    if (published := published_config(name)) is not None:
        return published
    if folder is not None:
        raise UnknownSizesError(f"there is no model in {folder}: no config.json")
    return _from_hub(name)


def published_config(name: str) -> dict[str, Any] | None:
    """The sizes in a published config.json, as far as they differ from transformers' defaults; None: not known here."""
    return _known().get(name)


def _from_hub(name: str) -> dict[str, Any]:
    try:
        import huggingface_hub as hub  # noqa: PLC0415  # an extra, and heavy
    except ImportError as error:
        how = "pip install -e '.[translator]' in Babelview's own folder"
        raise UnknownSizesError(f"to ask the hub about {name}: {how}") from error
    try:
        if not isinstance(hub.try_to_load_from_cache(name, "config.json"), str):
            # Whether it answers at all: a download is tried again and again, for half a minute.
            hub.get_hf_file_metadata(hub.hf_hub_url(name, "config.json"), timeout=HUB_S)
        path = hub.hf_hub_download(name, "config.json", etag_timeout=HUB_S)
    except Exception as error:  # of an HTTP library that is another in each of its versions
        reason = str(error).partition("\n")[0]
        raise UnknownSizesError(f"the hub does not tell the sizes of {name} (offline?): {reason}") from error
    found: dict[str, Any] = orjson.loads(Path(path).read_bytes())
    return found


@cache
def _known() -> dict[str, dict[str, Any]]:
    """Published configurations by the name of the checkpoint."""
    known = {}
    for model in tomllib.loads(KNOWN.read_text(encoding="utf-8"))["models"]:
        known.update(dict.fromkeys(model["bf16"], model["config"]))
        for scheme, form in FORMATS.items():
            quantised = {"quantization_config": {"quant_method": "compressed-tensors", "format": form}}
            known.update({name: {**model["config"], **quantised} for name in model.get(scheme, ())})
    return known
