"""A byte-level BPE tokenizer of a few hundred tokens, trained on what the demo models read and write."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def train_tokenizer(
    corpus: Iterable[str],
    special: Sequence[str],
    *,
    vocab_size: int,
    bos: str,
    eos: str,
    pad: str,
    single_digits: bool = False,
) -> PreTrainedTokenizerFast:
    """Train the tokenizer; any text can be encoded, for bytes are its alphabet.

    Args:
        corpus: texts that should become few tokens.
        special: special tokens; they get the first ids, in order.
        vocab_size: tokens in all.
        bos: the token that begins a sequence (not added by the tokenizer: chat templates do, where models want it).
        eos: the token that ends an answer.
        pad: the padding token.
        single_digits: numbers are a token a digit, else those of the corpus are one each.
    """
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False)
    digits = pre_tokenizers.Split(Regex(r" ?\d"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, words]) if single_digits else words
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(special),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=bos,
        eos_token=eos,
        pad_token=pad,
        clean_up_tokenization_spaces=False,
        model_max_length=2048,
    )
