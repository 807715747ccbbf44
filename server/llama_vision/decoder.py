"""The text layers of Llama 3.2 Vision: Llama's own, and cross-attention layers between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional
from vllm.compilation.decorators import support_torch_compile
from vllm.distributed import get_tensor_model_parallel_world_size
from vllm.model_executor.layers.attention import CrossAttention
from vllm.model_executor.layers.layernorm import RMSNorm
from vllm.model_executor.layers.linear import ColumnParallelLinear, RowParallelLinear
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding
from vllm.model_executor.models.llama import LlamaDecoderLayer, LlamaMLP
from vllm.model_executor.models.utils import AutoWeightsLoader

from server.llama_vision.config import EXTRA_TOKENS
from server.llama_vision.weights import FUSED_TEXT_WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.llama_vision.geometry import NewPictures


class PictureAttention(nn.Module):
    """Attention of text rows to the states of their request's pictures."""

    def __init__(self, vllm_config: Any, prefix: str) -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config.text_config
        ranks = get_tensor_model_parallel_world_size()
        heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
        if heads % ranks or kv_heads % ranks:
            raise ValueError(f"tensor parallel size {ranks} must divide {kv_heads}, the model's key-value heads")
        self.heads, self.kv_heads = heads // ranks, kv_heads // ranks
        self.width = config.hidden_size // heads
        quant_config = vllm_config.quant_config

        def projection(name: str, count: int) -> Any:
            return ColumnParallelLinear(
                config.hidden_size,
                count * self.width,
                bias=False,
                quant_config=quant_config,
                prefix=f"{prefix}.{name}",
                return_bias=False,
            )

        self.q_proj = projection("q_proj", heads)
        self.k_proj = projection("k_proj", kv_heads)
        self.v_proj = projection("v_proj", kv_heads)
        self.o_proj = RowParallelLinear(
            heads * self.width,
            config.hidden_size,
            bias=False,
            quant_config=quant_config,
            prefix=f"{prefix}.o_proj",
            return_bias=False,
        )
        self.q_norm = RMSNorm(self.width, eps=config.rms_norm_eps)
        self.k_norm = RMSNorm(self.width, eps=config.rms_norm_eps)
        self.attn = CrossAttention(
            self.heads,
            self.width,
            self.width**-0.5,
            num_kv_heads=self.kv_heads,
            cache_config=vllm_config.cache_config,
            quant_config=quant_config,
            prefix=f"{prefix}.attn",
        )

    def forward(self, hidden_states: torch.Tensor, sees: torch.Tensor, new: NewPictures | None) -> torch.Tensor:
        """Attend.

        Args:
            hidden_states: `[rows, width]`.
            sees: Bool `[rows, 1]`, rows that see a picture.
            new: Pictures that are new in this step. The keys and values of those that later steps see go to
                the cache, from which they read them.

        Returns:
            `[rows, width]`, 0 for rows without a picture.
        """
        query = self._normalised(self.q_norm, self.q_proj(hidden_states))
        if new is None:
            attended = self.attn(query, None, None)
        else:
            key = self._normalised(self.k_norm, self.k_proj(new.states))
            value = self.v_proj(new.states)
            attended = self.attn(query, key[: new.cached], value[: new.cached])
            for part in new.others:
                rows, keys = slice(part.first_row, part.end_row), slice(part.first_key, part.end_key)
                attended[rows] = self._attend_rows(query[rows], key[keys], value[keys])
        # Selected, not multiplied: attention over no keys may give NaN. And before the projection, which may take one
        # scale from all rows.
        output: torch.Tensor = self.o_proj(torch.where(sees, attended, 0))
        return output

    def _normalised(self, norm: nn.Module, states: torch.Tensor) -> torch.Tensor:
        normalised: torch.Tensor = norm(states.reshape(-1, self.width))
        return normalised.view(states.shape)

    def _attend_rows(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        attended = functional.scaled_dot_product_attention(
            query.view(-1, self.heads, self.width).transpose(0, 1),
            key.view(-1, self.kv_heads, self.width).transpose(0, 1),
            value.view(-1, self.kv_heads, self.width).transpose(0, 1),
            enable_gqa=True,
        )
        return attended.transpose(0, 1).flatten(1)


class PictureLayer(nn.Module):
    """A gated cross-attention layer: does nothing to rows that see no picture."""

    def __init__(self, vllm_config: Any, prefix: str) -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config.text_config
        self.cross_attn = PictureAttention(vllm_config, f"{prefix}.cross_attn")
        self.cross_attn_attn_gate = nn.Parameter(torch.zeros(1))
        self.input_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_attention_layernorm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.mlp = LlamaMLP(
            config.hidden_size,
            config.intermediate_size,
            config.hidden_act,
            quant_config=vllm_config.quant_config,
            prefix=f"{prefix}.mlp",
        )
        self.cross_attn_mlp_gate = nn.Parameter(torch.zeros(1))

    def forward(
        self,
        hidden_states: torch.Tensor,
        residual: torch.Tensor | None,
        sees: torch.Tensor,
        new: NewPictures | None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add what the pictures say.

        Args:
            hidden_states: `[rows, width]`.
            residual: `[rows, width]`, to be added to them; None in the first layer.
            sees: Bool `[rows, 1]`, rows that see a picture.
            new: As in `PictureAttention`.

        Returns:
            The same pair.
        """
        if residual is None:
            residual = hidden_states
            hidden_states = self.input_layernorm(hidden_states)
        else:
            hidden_states, residual = self.input_layernorm(hidden_states, residual)
        attended = self.cross_attn_attn_gate.tanh() * self.cross_attn(hidden_states, sees, new)
        hidden_states, residual = self.post_attention_layernorm(attended, residual)
        hidden_states = self.mlp(hidden_states)
        return torch.where(sees, self.cross_attn_mlp_gate.tanh() * hidden_states, 0), residual


@support_torch_compile(  # type: ignore[untyped-decorator, unused-ignore]
    dynamic_arg_dims={"input_ids": 0, "positions": 0, "sees": 0}
)
class TextModel(nn.Module):
    """All text layers.

    vLLM compiles it for steps without new pictures; a step with new pictures runs it as it stands.
    """

    def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config.text_config
        self.embed_tokens = VocabParallelEmbedding(
            config.vocab_size + EXTRA_TOKENS,
            config.hidden_size,
            quant_config=vllm_config.quant_config,
            prefix=f"{prefix}.embed_tokens",
        )
        self.layers = nn.ModuleList(
            PictureLayer(vllm_config, f"{prefix}.layers.{index}")
            if index in config.cross_attention_layers
            else LlamaDecoderLayer(vllm_config, f"{prefix}.layers.{index}", config=config)
            for index in range(config.num_hidden_layers)
        )
        self.norm = RMSNorm(config.hidden_size, eps=config.rms_norm_eps)

    def forward(
        self,
        input_ids: torch.Tensor,
        positions: torch.Tensor,
        sees: torch.Tensor,
        new: NewPictures | None = None,
    ) -> torch.Tensor:
        """Run the layers.

        Args:
            input_ids: `[rows]`.
            positions: `[rows]`.
            sees: Bool `[rows, 1]`, rows that see a picture.
            new: Pictures that are new in this step.

        Returns:
            `[rows, width]`.
        """
        hidden_states = self.embed_tokens(input_ids)
        residual = None
        for layer in self.layers:
            if isinstance(layer, PictureLayer):
                hidden_states, residual = layer(hidden_states, residual, sees, new)
            else:
                hidden_states, residual = layer(positions, hidden_states, residual)
        normalised: torch.Tensor = self.norm(hidden_states, residual)[0]
        return normalised

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        """Load what lies below this module; returns the names of the parameters."""
        loaded: set[str] = AutoWeightsLoader(self).load_weights(weights, mapper=FUSED_TEXT_WEIGHTS)
        return loaded


class LanguageModel(nn.Module):
    """The text layers and the head."""

    def __init__(self, vllm_config: Any, prefix: str) -> None:
        super().__init__()
        config = vllm_config.model_config.hf_config.text_config
        self.model = TextModel(vllm_config=vllm_config, prefix=f"{prefix}.model")
        self.lm_head = ParallelLMHead(
            config.vocab_size,
            config.hidden_size,
            quant_config=vllm_config.quant_config,
            prefix=f"{prefix}.lm_head",
        )
        self.logits_processor = LogitsProcessor(config.vocab_size)
