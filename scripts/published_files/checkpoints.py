"""The published checkpoints that are gone through, and what is known of their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from scripts.published_files import loading, translator
from scripts.published_files.manifests import as_fp8, as_nf4, of_configuration
from server.quantization_schemes import FP8_DYNAMIC
from server.quantized_checkpoint import quantization_config
from server.sizing.models import published_config

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from scripts.published_files.loading import Loaded
    from scripts.published_files.manifests import Manifest

LLAMA_11B = "meta-llama/Llama-3.2-11B-Vision-Instruct"
LLAMA_90B = "meta-llama/Llama-3.2-90B-Vision-Instruct"
LLAVA_7B = "llava-hf/LLaVA-NeXT-Video-7B-hf"
LLAVA_34B = "llava-hf/LLaVA-NeXT-Video-34B-hf"
NLLB = {"600M": "facebook/nllb-200-distilled-600M", "1.3B": "facebook/nllb-200-1.3B", "3.3B": "facebook/nllb-200-3.3B"}


@dataclass(frozen=True)
class Checkpoint:
    """One way in which a model is published.

    Attributes:
        name: On the hub.
        layout: How its weights are stored.
        known: How far its names and shapes are known to be those of the published files.
        try_loading: The dry run.
        unused: Beginnings of names that no model needs.
    """

    name: str
    layout: str
    known: str
    try_loading: Callable[[], Loaded]
    unused: tuple[str, ...] = ()


def unused_by(config: Mapping[str, Any]) -> tuple[str, ...]:
    """What a video model does not need of its checkpoint, by how names begin; a picture model needs all.

    The line break between rows of a picture, which videos have none of; CLIP's last layer and the norm behind it, of
    which nothing is looked at.
    """
    if config.get("model_type") != "llava_next_video":
        return ()
    tower, last = "vision_tower.vision_model", config["vision_config"]["num_hidden_layers"] - 1
    return ("image_newline", f"{tower}.encoder.layers.{last}.", f"{tower}.post_layernorm.")


def _config(name: str) -> Mapping[str, Any]:
    config = published_config(name)
    assert config is not None
    return config


def _sixteen_bits(name: str, *, newer_names: bool = False) -> Callable[[], Loaded]:
    def run() -> Loaded:
        manifest, _ = of_configuration(_config(name), newer_names=newer_names)
        return loading.load_derived(_config(name), manifest)

    return run


def fp8(name: str) -> tuple[Mapping[str, Any], Manifest]:
    """FP8-dynamic with an explicit list of the layers that stay in 16 bits, all by name."""
    config = _config(name)
    manifest, linear = of_configuration(config)
    quantised = [layer for layer in linear if layer.startswith("language_model.model.")]
    ignored = [layer for layer in linear if layer not in quantised]
    settings = quantization_config("MllamaForConditionalGeneration", FP8_DYNAMIC) | {"ignore": ignored}
    return {**config, "quantization_config": settings}, as_fp8(manifest, quantised)


def nf4(name: str, *, nested: bool, kept: tuple[str, ...]) -> tuple[Mapping[str, Any], Manifest]:
    """NF4 of all linear layers but those whose names begin so."""
    config = _config(name)
    manifest, linear = of_configuration(config)
    quantised = [layer for layer in linear if not layer.startswith(kept)]
    settings = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
    return {**config, "quantization_config": settings}, as_nf4(manifest, quantised, nested=nested)


def _nllb(size: str) -> Callable[[], Loaded]:
    config = translator.nllb_config(size)
    return lambda: translator.convert(config, translator.nllb_manifest(config))


HEAD, PROJECTOR, TOWER = "language_model.lm_head", "multi_modal_projector", "vision_model"
LISTED = "all 906 names by a public listing of its index, shapes from the configuration"
SCRIPT = "names by the public script that wrote the files, shapes from the configuration"
DERIVED = "derived from the configuration"
CHECKPOINTS = (
    Checkpoint(LLAMA_11B, "16 bits", LISTED, _sixteen_bits(LLAMA_11B)),
    Checkpoint(
        LLAMA_11B, "16 bits, names since transformers 4.52", DERIVED, _sixteen_bits(LLAMA_11B, newer_names=True)
    ),
    Checkpoint(LLAMA_90B, "16 bits", DERIVED, _sixteen_bits(LLAMA_90B)),
    Checkpoint(
        "neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic",
        "FP8-dynamic, explicit ignore list",
        DERIVED,
        lambda: loading.load_derived(*fp8(LLAMA_11B)),
    ),
    Checkpoint(
        "neuralmagic/Llama-3.2-90B-Vision-Instruct-FP8-dynamic",
        "FP8-dynamic, explicit ignore list",
        DERIVED,
        lambda: loading.load_derived(*fp8(LLAMA_90B)),
    ),
    Checkpoint(
        "SeanScripts/Llama-3.2-11B-Vision-Instruct-nf4",
        "NF4, the vision tower too",
        DERIVED,
        lambda: loading.load_derived(*nf4(LLAMA_11B, nested=False, kept=(HEAD, PROJECTOR))),
    ),
    Checkpoint(
        "unsloth/Llama-3.2-11B-Vision-Instruct-bnb-4bit",
        "NF4 with quantised scales, the vision tower too",
        DERIVED,
        lambda: loading.load_derived(*nf4(LLAMA_11B, nested=True, kept=(HEAD, PROJECTOR))),
    ),
    Checkpoint(
        "unsloth/Llama-3.2-11B-Vision-Instruct-unsloth-bnb-4bit",
        "NF4 with quantised scales, the text layers alone",
        DERIVED,
        lambda: loading.load_derived(*nf4(LLAMA_11B, nested=True, kept=(HEAD, PROJECTOR, TOWER))),
    ),
    Checkpoint(LLAVA_7B, "16 bits; DPO likewise", SCRIPT, _sixteen_bits(LLAVA_7B), unused_by(_config(LLAVA_7B))),
    Checkpoint(LLAVA_34B, "16 bits; DPO likewise", SCRIPT, _sixteen_bits(LLAVA_34B), unused_by(_config(LLAVA_34B))),
    Checkpoint(NLLB["600M"], "32 bits", "configuration seen whole, names derived from it", _nllb("600M")),
    Checkpoint(NLLB["1.3B"], "32 bits; distilled likewise", DERIVED, _nllb("1.3B")),
    Checkpoint(NLLB["3.3B"], "32 bits", DERIVED, _nllb("3.3B")),
)
