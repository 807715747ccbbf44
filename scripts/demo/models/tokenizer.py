"""A byte-level BPE tokenizer of a few hundred tokens, trained on what the demo models read and write."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from scripts.demo.world import lines
from scripts.demo.world.films import LEADS, SAID

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

WORDS = r"'(?:[smtd]|re|ve|ll)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
"""How GPT-2's tokenizer splits text, which is what `ByteLevel` does by itself."""
_SAID = re.compile(rf"(?P<lead>{'|'.join(LEADS)}|) ?(?P<left>\w+)(?: and (?P<right>\w+))?(?P<stop>\.?)")


def parts(token: str) -> tuple[str, ...]:
    """What the text of a token is made of, that other tokens are made of as well.

    Of what is said of a scene, that is the colour of each half, and how it is said; of a number, the tens and the rest
    of it, or the hundreds and the tens where it is a time in notes; of a line that somebody speaks, its form and the
    words in it.
    """
    text = token.strip()
    if (said := _SAID.fullmatch(text)) and re.fullmatch(SAID, text):
        left = said["left"].lower()
        return f"left {left}", f"right {said['right'] or left}", f"{said['lead']}{said['stop']}"
    if text.isdecimal():
        return f"{text[:-1]}*", f"*{text[-1]}"
    if re.fullmatch(r"\d+\.0", text):
        return f"{text[:-4]}**", f"*{text[-4:-2]}"
    return lines.parts_of(text) or (text,)


def train_tokenizer(
    corpus: Iterable[str],
    special: Sequence[str],
    *,
    vocab_size: int,
    bos: str,
    eos: str,
    pad: str,
    whole: str | None = None,
) -> PreTrainedTokenizerFast:
    """Train the tokenizer; any text can be encoded, for bytes are its alphabet.

    Args:
        corpus: texts that should become few tokens.
        special: special tokens; they get the first ids, in order.
        vocab_size: tokens in all.
        bos: the token that begins a sequence (not added by the tokenizer: chat templates do, where models want it).
        eos: the token that ends an answer.
        pad: the padding token.
        whole: pattern of what is one token, if it stands in the corpus, though it holds several words.
    """
    tokenizer = Tokenizer(models.BPE())
    words = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=whole is None)
    split = pre_tokenizers.Split(Regex(f"{whole}|{WORDS}"), "isolated")
    tokenizer.pre_tokenizer = words if whole is None else pre_tokenizers.Sequence([split, words])
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
