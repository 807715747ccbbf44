"""How weights are called in the published checkpoints: transformers 5 names some otherwise."""

from __future__ import annotations


def llama_name(name: str) -> str:
    """The published name of a weight of transformers' Llama 3.2 Vision."""
    if name.startswith("model.language_model."):
        return name.replace("model.language_model.", "language_model.model.", 1)
    return f"language_model.{name}" if name.startswith("lm_head.") else name.removeprefix("model.")


def llava_name(name: str) -> str:
    """The published name of a weight of transformers' LLaVA-NeXT-Video."""
    for new, old in (
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.image_newline", "image_newline"),
    ):
        if name.startswith(new):
            return old + name.removeprefix(new).removeprefix("vision_model.")
    return name
