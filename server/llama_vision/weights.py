"""Checkpoint names.

The modules of the model are named as in the published checkpoints (`language_model.model.layers.0...`).
transformers since 4.52 writes `model.language_model.layers.0...`; both are read.
"""

from __future__ import annotations

from vllm.model_executor.models.utils import WeightsMapper

CHECKPOINT_NAMES = WeightsMapper(
    orig_to_new_prefix={
        "model.language_model.": "language_model.model.",
        "model.vision_model.": "vision_model.",
        "model.multi_modal_projector.": "multi_modal_projector.",
        "lm_head.": "language_model.lm_head.",
    }
)

# Only below the text layers: the vision tower has projections of the same names, which stay apart.
FUSED_TEXT_WEIGHTS = WeightsMapper(
    orig_to_new_stacked={
        ".self_attn.q_proj": (".self_attn.qkv_proj", "q"),
        ".self_attn.k_proj": (".self_attn.qkv_proj", "k"),
        ".self_attn.v_proj": (".self_attn.qkv_proj", "v"),
        ".mlp.gate_proj": (".mlp.gate_up_proj", 0),
        ".mlp.up_proj": (".mlp.gate_up_proj", 1),
    }
)
FUSED_MODULES = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "gate_up_proj": ["gate_proj", "up_proj"]}
