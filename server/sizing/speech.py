"""How much memory a Whisper takes: formulae over the numbers in its config.json, as in `memory.py` for models that see.

Parameters are counted as the checkpoints hold them (transformers' modeling_whisper.py); the head is the embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

CONVOLUTION = 3
"""Steps of the spectrogram that each of the two convolutions looks at."""


@dataclass(frozen=True)
class SpeechModel:
    """A Whisper's sizes; `memory.Model` has the same interface."""

    width: int
    intermediate: int
    encoder_layers: int
    decoder_layers: int
    vocabulary: int
    mel_bins: int
    positions: int
    """Of the encoder, in a window of sound."""
    context: int
    """Tokens of prompt and text."""
    number: int
    """Bytes of a number that is computed with."""

    @classmethod
    def of(cls, config: Mapping[str, Any], number: int) -> SpeechModel:
        """Read a config.json."""
        return cls(
            width=config["d_model"],
            intermediate=config["encoder_ffn_dim"],
            encoder_layers=config["encoder_layers"],
            decoder_layers=config["decoder_layers"],
            vocabulary=config["vocab_size"],
            mel_bins=config["num_mel_bins"],
            positions=config["max_source_positions"],
            context=config["max_target_positions"],
            number=number,
        )

    @property
    def parameters(self) -> int:
        """The number of all weights."""
        width = self.width
        attention = 4 * width * width + 3 * width  # keys have no bias
        mlp = 2 * width * self.intermediate + self.intermediate + width
        norm = 2 * width
        encoder = self.encoder_layers * (attention + mlp + 2 * norm) + norm + self.positions * width
        encoder += CONVOLUTION * width * (self.mel_bins + width) + 2 * width
        decoder = self.decoder_layers * (2 * attention + mlp + 3 * norm) + norm
        return encoder + decoder + (self.vocabulary + self.context) * width

    def weights(self, tensor_parallel: int = 1) -> int:
        """Bytes of weights on one GPU."""
        return ceil(self.parameters * self.number / tensor_parallel)

    @property
    def kv_per_token(self) -> int:
        """Keys and values of a token, or of a position of the sound."""
        return 2 * self.decoder_layers * self.width * self.number

    def kv_capacity(
        self, kv_bytes: int, *, max_model_len: int, batched_tokens: int, block: int, tensor_parallel: int = 1
    ) -> float:
        """Requests of the full context that the KV cache holds, as vLLM's log says it; it starts with 1 or more.

        For the sound vLLM reserves the tokens of a step, a window's or more.
        """
        pool = kv_bytes * tensor_parallel // (self.kv_per_token * block)
        return pool / (ceil(max_model_len / block) + ceil(batched_tokens / block))

    def encoder_cache(self, batched_tokens: int, _: float | None = None) -> int:
        """VLLM's own holds the sound of a step."""
        return batched_tokens * self.width * self.number

    def activations(
        self, *, batched_tokens: int, requests: int, frames: int = 0, pictures: int = 0, tensor_parallel: int = 1
    ) -> int:
        """Peak of one step, an estimate from above: the MLP beside queries, keys and values, or the logits in fp32."""
        del frames, pictures  # it sees none
        windows = ceil(batched_tokens / self.positions)
        spectrogram = windows * 2 * self.positions * (self.mel_bins + self.width) * self.number
        mlp = batched_tokens * (2 * self.intermediate // tensor_parallel + 6 * self.width) * self.number
        return max(mlp, requests * self.vocabulary * 4 * 3) + spectrogram
