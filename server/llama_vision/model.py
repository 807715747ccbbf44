"""Llama 3.2 Vision as vLLM runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from vllm.model_executor.models.interfaces import SupportsMultiModal, SupportsQuant
from vllm.model_executor.models.utils import AutoWeightsLoader, maybe_prefix
from vllm.multimodal import MULTIMODAL_REGISTRY

from server.llama_vision.compat import current_batch, prepare_runner
from server.llama_vision.config import EXTRA_TOKENS, max_tokens_per_picture, pictures_per_prompt
from server.llama_vision.decoder import LanguageModel, PictureLayer
from server.llama_vision.encoder_cache import EncoderCache
from server.llama_vision.geometry import NewPictures, arrange, rows_that_see
from server.llama_vision.nf4 import decode_nf4
from server.llama_vision.processor import DummyInputs, PictureProcessor, ProcessingInfo
from server.llama_vision.vision import encode_picture, make_projector, make_tower, run_largest_picture
from server.llama_vision.weights import CHECKPOINT_NAMES, FUSED_MODULES

if TYPE_CHECKING:
    from collections.abc import Iterable


@MULTIMODAL_REGISTRY.register_processor(PictureProcessor, info=ProcessingInfo, dummy_inputs=DummyInputs)
class MllamaForConditionalGeneration(nn.Module, SupportsMultiModal, SupportsQuant):  # type: ignore[misc]
    """Vision tower, projector and text layers.

    The text layers see pictures through cross-attention alone: a picture takes one token of the prompt, and
    its keys and values lie in a cache of their own, where vLLM keeps those of encoder-decoder models.
    """

    hf_to_vllm_mapper = CHECKPOINT_NAMES
    packed_modules_mapping = FUSED_MODULES

    @classmethod
    def get_placeholder_str(cls, modality: str, i: int) -> str | None:
        """Text that stands for a picture in a prompt."""
        if modality.startswith("image"):
            return "<|image|>"
        raise ValueError(f"Llama 3.2 Vision takes pictures, not {modality}")

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__()
        prepare_runner()
        self.config = vllm_config.model_config.hf_config
        quant_config = vllm_config.quant_config
        with self._mark_tower_model(vllm_config, "image"):  # type: ignore[operator]
            self.vision_model = make_tower(self.config, quant_config, maybe_prefix(prefix, "vision_model"))
            self.multi_modal_projector = make_projector(
                self.config, quant_config, maybe_prefix(prefix, "multi_modal_projector")
            )
        with self._mark_language_model(vllm_config):  # type: ignore[operator]
            self.language_model = LanguageModel(vllm_config, maybe_prefix(prefix, "language_model"))
        self.encoder_cache = EncoderCache.from_environment()
        self.reserved = False
        self.request_bytes = _request_bytes(vllm_config)
        self.cross_attention = next(
            layer.cross_attn.attn.layer_name
            for layer in self.language_model.model.layers
            if isinstance(layer, PictureLayer)
        )

    def embed_multimodal(
        self,
        *,
        pixel_values: torch.Tensor | list[torch.Tensor],
        aspect_ratio_ids: torch.Tensor,
        content_key: torch.Tensor,
        **_: object,
    ) -> list[torch.Tensor]:
        """Run the vision tower on pictures that it has not seen lately.

        One at a time: a picture of four tiles fills a GPU, and memory stays bounded however many come at
        once.

        Args:
            pixel_values: One `[tiles, 3, image_size, image_size]` for each picture.
            aspect_ratio_ids: `[pictures]`, on the host.
            content_key: `[pictures, 2]`, on the host: what tells pictures apart.

        Returns:
            One `[tiles * tokens per tile, text width]` for each picture.
        """
        outputs = []
        for tiles, aspect_ratio_id, key in zip(
            pixel_values, aspect_ratio_ids.flatten().tolist(), map(tuple, content_key.tolist()), strict=True
        ):
            output = self.encoder_cache.get(key)
            if output is None:
                output = encode_picture(
                    self.vision_model, self.multi_modal_projector, self.config, tiles, aspect_ratio_id
                )
                self.encoder_cache.put(key, output)
            outputs.append(output)
        return outputs

    def embed_input_ids(self, input_ids: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        """Look up tokens; pictures do not take part."""
        embedded: torch.Tensor = self.language_model.model.embed_tokens(input_ids)
        return embedded

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        intermediate_tensors: object = None,
        inputs_embeds: torch.Tensor | None = None,
        encoder_outputs: list[torch.Tensor] | None = None,
        **_: object,
    ) -> torch.Tensor:
        """Compute one step of a batch.

        Args:
            input_ids: `[rows]`.
            positions: `[rows]`.
            intermediate_tensors: Not used, there is no pipeline parallelism.
            inputs_embeds: Not used, prompts are tokens.
            encoder_outputs: Outputs of `embed_multimodal` for pictures that are new in this step, in the
                order of the batch.

        Returns:
            `[rows, text width]`.
        """
        batch = current_batch(self.cross_attention)
        if batch is None:
            sees = torch.zeros(input_ids.shape[0], 1, dtype=torch.bool, device=input_ids.device)
            reserved = self._reserve(input_ids.device)
            states = self._text_states(input_ids, positions, sees)
            del reserved
            return states
        token = self.config.image_token_index
        sees = rows_that_see(input_ids, positions, batch, token)
        if not encoder_outputs:
            return self._text_states(input_ids, positions, sees)
        arranged = arrange(input_ids, positions, batch, token, [len(keys) for keys in encoder_outputs])
        states = torch.cat([encoder_outputs[picture] for picture in arranged.order])
        return self._text_states(input_ids, positions, sees, NewPictures(states, arranged.cached, arranged.others))

    def _text_states(self, *inputs: Any) -> torch.Tensor:
        states: torch.Tensor = self.language_model.model(*inputs)
        return states

    def _reserve(self, device: torch.device) -> torch.Tensor | None:
        """Take, once, the memory of what vLLM does not know, while it measures how much is left for its KV cache.

        That is the encoder cache, the states, keys and values of a request with the most pictures, and what the vision
        tower needs beside them, which model runner V1 leaves out.

        Returns:
            To be held while the text layers are measured.
        """
        if device.type == "cpu" or self.reserved:  # on a CPU nothing is measured
            return None
        self.reserved = True
        memory = torch.empty(self.encoder_cache.capacity + self.request_bytes, dtype=torch.uint8, device=device)
        run_largest_picture(self.vision_model, self.multi_modal_projector, self.config)
        return memory

    def forget_pictures(self) -> None:
        """Drop the outputs of the vision tower: before the engine sleeps, or when they may be of other weights."""
        self.encoder_cache.clear()

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor | None:
        """Score the vocabulary: `[rows, width]` -> `[rows, vocabulary and what cannot be written]`."""
        logits: torch.Tensor | None = self.language_model.logits_processor(self.language_model.lm_head, hidden_states)
        return None if logits is None else functional.pad(logits, (0, EXTRA_TOKENS), value=-torch.inf)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load a checkpoint's tensors; returns the names of the parameters that they filled."""
        self.forget_pictures()
        loaded: set[str] = AutoWeightsLoader(self).load_weights(decode_nf4(weights), mapper=CHECKPOINT_NAMES)
        return loaded


def _request_bytes(vllm_config: Any) -> int:
    """What a request's pictures take while they are new, with keys and values of a layer: 600 MiB for 8 of 4 tiles."""
    model = vllm_config.model_config
    text = model.hf_config.text_config
    key_width = text.hidden_size // text.num_attention_heads * text.num_key_value_heads
    keys = pictures_per_prompt(model.multimodal_config) * max_tokens_per_picture(model.hf_config.vision_config)
    return int(keys * (text.hidden_size + 2 * key_width) * model.dtype.itemsize)
