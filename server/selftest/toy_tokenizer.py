"""The tokenizer of the toys: a token a byte, and the published one's special tokens behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

BYTES = 256


def write_tokenizer(path: Path, special: Sequence[str], roles: dict[str, str], chat_template: str = "") -> None:
    """Write it.

    Args:
        path: The model's folder.
        special: Tokens from 256 on.
        roles: Which of them are `bos_token`, `eos_token` and `pad_token`.
        chat_template: How a conversation becomes a prompt.
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    assert len(alphabet) == BYTES
    tokenizer = Tokenizer(models.BPE({char: number for number, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(list(special))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, chat_template=chat_template, **roles)
    fast.save_pretrained(path)
