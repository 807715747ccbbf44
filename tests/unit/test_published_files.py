"""Dry runs of published checkpoints: what is there finds its place, and what is missing or too much is told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from server.profile import DEMO_MODELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from scripts.published_files.manifests import Manifest

TENSORS = {
    "FP8-dynamic": ("neuralmagic/Llama-3.2-11B-Vision-Instruct-FP8-dynamic", 1186),
    "NF4": ("unsloth/Llama-3.2-11B-Vision-Instruct-bnb-4bit", 3506),
    "LLaVA": ("llava-hf/LLaVA-NeXT-Video-7B-hf", 687),
    "NLLB": ("facebook/nllb-200-distilled-600M", 512),
}


@pytest.mark.parametrize("kind", TENSORS)
def test_every_weight_finds_its_place(kind: str) -> None:
    from scripts.published_files.__main__ import look_at  # noqa: PLC0415 - here and below: it loads torch and vLLM
    from scripts.published_files.checkpoints import CHECKPOINTS  # noqa: PLC0415

    name, tensors = TENSORS[kind]
    (checkpoint,) = [one for one in CHECKPOINTS if one.name == name]
    row = look_at(checkpoint)
    assert row["problems"] == []
    assert (row["tensors"], row["unfilled"]) == (tensors, 0)
    assert row["unused"] == (19 if kind == "LLaVA" else 0)


def test_the_picture_model_has_the_names_of_the_published_index() -> None:
    from scripts.published_files.checkpoints import LLAMA_11B  # noqa: PLC0415
    from scripts.published_files.manifests import of_configuration  # noqa: PLC0415
    from server.sizing.models import published_config  # noqa: PLC0415

    config = published_config(LLAMA_11B)
    assert config is not None
    manifest, _ = of_configuration(config)
    self_attention, cross_attention, local_layer, global_layer = 9, 13, 12, 14
    text = 32 * self_attention + 8 * cross_attention + 3
    tower = 32 * local_layer + 8 * global_layer + 13
    assert len(manifest) == text + tower + 2 == 906
    for name in (
        "language_model.lm_head.weight",
        "language_model.model.layers.13.cross_attn_attn_gate",
        "vision_model.gated_positional_embedding.tile_embedding.weight",
        "vision_model.global_transformer.layers.7.gate_ffn",
        "multi_modal_projector.bias",
    ):
        assert name in manifest


def without(name: str) -> Callable[[Manifest], None]:
    return lambda manifest: manifest.__delitem__(name)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            without("language_model.model.layers.0.self_attn.k_proj.weight"),
            "nothing fills language_model.model.layers.0.self_attn.qkv_proj.weight",
        ),
        (without("multi_modal_projector.bias"), "nothing fills multi_modal_projector.bias"),
        (
            lambda manifest: manifest.update({"more.weight": manifest["multi_modal_projector.bias"]}),
            "no module or parameter named 'more'",
        ),
    ],
    ids=["a part of a joined weight", "a bias", "one too many"],
)
def test_what_is_left_over_is_named(change: Callable[[Manifest], None], says: str) -> None:
    from scripts.published_files import loading  # noqa: PLC0415
    from scripts.published_files.__main__ import look_at  # noqa: PLC0415
    from scripts.published_files.checkpoints import Checkpoint  # noqa: PLC0415
    from scripts.published_files.manifests import of_folder  # noqa: PLC0415

    folder = DEMO_MODELS / "llama-3.2-11b-vision-bf16"
    manifest = of_folder(folder)
    change(manifest)
    row = look_at(Checkpoint("demo", "", "", lambda: loading.load(folder, manifest)))
    (problem,) = row["problems"]
    assert says in problem


def test_a_layer_that_the_list_forgets_is_named() -> None:
    from scripts.published_files import loading  # noqa: PLC0415
    from scripts.published_files.checkpoints import LLAMA_11B, fp8  # noqa: PLC0415

    config, manifest = fp8(LLAMA_11B)
    forgotten = "vision_model.transformer.layers.3.mlp.fc1"
    config["quantization_config"]["ignore"].remove(forgotten)
    assert loading.load_derived(config, manifest).unfilled == [f"{forgotten}.weight_scale"]


def test_a_translator_without_a_weight_is_not_converted() -> None:
    from scripts.published_files import translator  # noqa: PLC0415
    from translator.errors import ModelError  # noqa: PLC0415

    config = translator.nllb_config("600M")
    manifest = translator.nllb_manifest(config)
    name = "model.decoder.layers.3.encoder_attn.out_proj.weight"
    entry = manifest.pop(name)
    with pytest.raises(KeyError, match=name):
        translator.convert(config, manifest)
    manifest |= {name: entry, "model.decoder.more": entry}
    assert translator.convert(config, manifest).unused == ["model.decoder.more"]
    for embedding in [name for name in manifest if name.endswith(("shared.weight", "embed_tokens.weight"))]:
        del manifest[embedding]
    del manifest["lm_head.weight"]
    with pytest.raises(ModelError, match="token embeddings"):
        translator.convert(config, manifest)


def test_a_folder_is_read_by_its_headers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from scripts.published_files.__main__ import main  # noqa: PLC0415

    code = main(["--folder", str(DEMO_MODELS / "llava-next-video-7b"), "--json"])
    (row,) = json.loads(capsys.readouterr().out)
    assert (code, row["problems"]) == (0, [])
    assert row["unfilled"] == 0

    def fails(*arguments: str) -> Any:
        with pytest.raises(SystemExit) as left:
            main(arguments)
        assert left.value.code == 2
        return capsys.readouterr().err

    assert f"{tmp_path} has no config.json" in fails("--folder", str(tmp_path))
    assert "no checkpoint has 'GGUF'" in fails("--only", "GGUF")
