"""A toy Whisper: the published architecture, features and special tokens, about 1.3 million weights.

It hears windows of ten seconds (the published one has thirty) and knows the lines of `scripts/demo/world/lines.py`, a
token for each of their words.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import (
    GenerationConfig,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperProcessor,
    WhisperTokenizer,
)
from transformers.models.whisper.tokenization_whisper import LANGUAGES

from scripts.demo.world.lines import all_lines

if TYPE_CHECKING:
    from pathlib import Path

WINDOW_S = 10
POSITIONS = 50
"""Of the encoder, in a second: each sees two steps of the spectrogram."""
TIMES = 50
"""Timestamp tokens in a second."""
VOCABULARY = 600
"""At most: bytes, and what the words of the lines are merged of."""
END, START, NO_TIMES = "<|endoftext|>", "<|startoftranscript|>", "<|notimestamps|>"
TRANSCRIBE, TRANSLATE = "<|transcribe|>", "<|translate|>"
ENGLISH, PREVIOUS = "<|en|>", "<|startofprev|>"


def build_processor() -> WhisperProcessor:
    """Features of ten seconds, and a tokenizer whose special tokens stand in Whisper's order."""
    words = Tokenizer(models.BPE())
    words.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=alphabet, show_progress=False)
    words.train_from_iterator([f" {line}" for line in all_lines()], trainer)
    learned = json.loads(words.to_str())["model"]
    merges = [tuple(pair) for pair in learned["merges"]]
    vocabulary = {**learned["vocab"], END: len(learned["vocab"])}
    tokenizer = WhisperTokenizer(vocab=vocabulary, merges=merges, pad_token=END)
    languages = [f"<|{code}|>" for code in LANGUAGES]
    specials = [START, *languages, TRANSLATE, TRANSCRIBE, "<|startoflm|>", PREVIOUS, "<|nospeech|>", NO_TIMES]
    tokenizer.add_special_tokens({"extra_special_tokens": specials})
    tokenizer.add_tokens([_time_token(step) for step in range(WINDOW_S * TIMES + 1)], special_tokens=False)
    features = WhisperFeatureExtractor(feature_size=80, chunk_length=WINDOW_S)
    return WhisperProcessor(features, tokenizer)


def _time_token(step: int) -> str:
    return f"<|{step / TIMES:.2f}|>"


def time_token(tokenizer: WhisperTokenizer, at_s: float) -> int:
    """The token of a moment of the window, to a tenth of a second: all that the model is taught."""
    token: int = tokenizer.convert_tokens_to_ids(_time_token(round(at_s * 10) * TIMES // 10))
    return token


def build_model(processor: WhisperProcessor) -> WhisperForConditionalGeneration:
    """The architecture at a size that trains in minutes."""
    tokenizer = processor.tokenizer
    end, start = (tokenizer.convert_tokens_to_ids(token) for token in (END, START))
    config = WhisperConfig(
        vocab_size=len(tokenizer),
        num_mel_bins=80,
        d_model=128,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=512,
        decoder_layers=2,
        decoder_attention_heads=4,
        decoder_ffn_dim=512,
        max_source_positions=WINDOW_S * POSITIONS,
        max_target_positions=448,
        dropout=0.0,
        attention_dropout=0.0,
        activation_dropout=0.0,
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        suppress_tokens=None,
        begin_suppress_tokens=None,
    )
    model = WhisperForConditionalGeneration(config)
    model.generation_config = GenerationConfig(
        bos_token_id=end,
        eos_token_id=end,
        pad_token_id=end,
        decoder_start_token_id=start,
        is_multilingual=True,
        lang_to_id={f"<|{code}|>": tokenizer.convert_tokens_to_ids(f"<|{code}|>") for code in LANGUAGES},
        task_to_id={"transcribe": tokenizer.convert_tokens_to_ids(TRANSCRIBE), "translate": _translate(tokenizer)},
        no_timestamps_token_id=tokenizer.convert_tokens_to_ids(NO_TIMES),
        prev_sot_token_id=tokenizer.convert_tokens_to_ids(PREVIOUS),
        max_initial_timestamp_index=WINDOW_S * TIMES,
        max_length=448,
    )
    return model


def _translate(tokenizer: WhisperTokenizer) -> int:
    token: int = tokenizer.convert_tokens_to_ids(TRANSLATE)
    return token


def hear(model: WhisperForConditionalGeneration, spectrogram: torch.Tensor, begins: torch.Tensor) -> torch.Tensor:
    """What the encoder makes of parts of windows, float32 [batch, positions, width].

    transformers' own forward insists on whole windows; most of them is silence, which takes as long as speech.

    Args:
        model: Its encoder is used.
        spectrogram: Log-mel, float32 [batch, 80, steps].
        begins: The position at which each part begins in its window, int64 [batch].
    """
    encoder = model.model.encoder
    states = torch.nn.functional.gelu(encoder.conv1(spectrogram))
    states = torch.nn.functional.gelu(encoder.conv2(states)).permute(0, 2, 1)
    positions = begins[:, None] + torch.arange(states.shape[1])
    states = states + encoder.embed_positions.weight[positions]
    for layer in encoder.layers:
        states = layer(states, None)
        states = states[0] if isinstance(states, tuple) else states
    heard: torch.Tensor = encoder.layer_norm(states)
    return heard


def save(model: WhisperForConditionalGeneration, processor: WhisperProcessor, folder: Path) -> None:
    """Write the checkpoint, its weights in bfloat16."""
    copy.deepcopy(model).to(torch.bfloat16).save_pretrained(folder)
    processor.save_pretrained(folder)
