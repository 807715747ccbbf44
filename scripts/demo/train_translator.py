"""Train the demo translation model: a tiny NLLB that knows the sentences of the drawn world.

    python -m scripts.demo.train_translator                      # into translator/demo/nllb-drawn-world
    python -m scripts.demo.train_translator --out /tmp/nllb --seed 7

It is the real architecture (`M2M100ForConditionalGeneration`) with an NLLB tokenizer: FLORES codes as
language tokens, `[eng_Latn] ... </s>` as source, the target language as first token of the answer. It knows
nothing but the sentences of `scripts.demo.world` in the languages of `scripts.demo.world.translations`; all of them
are checked at the end, as the service runs them.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import M2M100Config, M2M100ForConditionalGeneration, NllbTokenizer

from scripts.demo.models.checkpoint import inherit
from scripts.demo.models.training import Piece
from scripts.demo.world import scenes
from scripts.demo.world.translations import LANGUAGES, SOURCE, all_sentences, translate
from translator.model.conversion import convert
from translator.model.engine import Engine
from translator.model.job import Job

if TYPE_CHECKING:
    from collections.abc import Callable

OUT = Path(__file__).resolve().parents[2] / "translator" / "demo" / "nllb-drawn-world"
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]  # in NLLB's order: the ids 0 to 3
PAD, EOS = 1, 2
VOCABULARY = 600
FILM_VOCABULARY = 1000  # with what is said of films, and in them
STEPS = 2600
BATCH = 64
LEARNING_RATE = 3e-3
REQUIRED = 0.999  # share of sentences that must be right


def sentences_of(*, films: bool) -> list[str]:
    """What is taught: all that the world says, or what it says of pictures and clips alone."""
    return all_sentences() if films else scenes.all_sentences()


def make_tokenizer(sentences: list[str], vocab_size: int = VOCABULARY) -> NllbTokenizer:
    """An NLLB tokenizer whose BPE is learnt from `sentences`; all of ASCII is known to it."""
    bpe = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True))  # noqa: S106 (a token of text)
    bpe.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(Regex(" {2,}"), " ")])
    bpe.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always")
    bpe.decoder = decoders.Metaspace(prepend_scheme="always")
    ascii_letters = [chr(c) for c in range(33, 127)]
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=SPECIAL, initial_alphabet=ascii_letters, show_progress=False
    )
    bpe.train_from_iterator(sentences, trainer)
    return NllbTokenizer(
        tokenizer_object=bpe,
        src_lang=SOURCE,
        extra_special_tokens=[SOURCE, *LANGUAGES],
        model_max_length=1024,
    )


def make_model(vocabulary: int) -> M2M100ForConditionalGeneration:
    """The architecture of NLLB-200 at a size that trains in minutes."""
    return M2M100ForConditionalGeneration(
        M2M100Config(
            vocab_size=vocabulary,
            d_model=64,
            encoder_layers=2,
            decoder_layers=2,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=256,
            decoder_ffn_dim=256,
            encoder_layerdrop=0.0,
            decoder_layerdrop=0.0,
            dropout=0.05,
            attention_dropout=0.0,
            activation_function="relu",
            scale_embedding=True,
            max_position_embeddings=1024,
            decoder_start_token_id=EOS,
            pad_token_id=PAD,
            eos_token_id=EOS,
            bos_token_id=0,
            max_length=200,
        )
    )


def pad(rows: list[list[int]], value: int) -> torch.Tensor:
    """Rows of token ids -> one (rows, longest) tensor."""
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])


def train(
    model: M2M100ForConditionalGeneration,
    tokenizer: NllbTokenizer,
    sentences: list[str],
    *,
    seed: int,
    steps: int,
    rate: float,
    progress: Callable[[str], None],
    piece: Piece | None,
) -> bool:
    """Teach every sentence in every language; one in eight comes with a trailing space.

    Returns whether that is done, which it is not if the `piece` ended before.
    """

    def ids(text: str, lang: str) -> list[int]:
        plain = tokenizer.encode(text, add_special_tokens=False)
        return [tokenizer.convert_tokens_to_ids(lang), *plain, EOS]

    pairs = [
        ([ids(english, SOURCE), ids(f"{english} ", SOURCE)], ids(translate(english, lang), lang))
        for english in sentences
        for lang in LANGUAGES
    ]
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    done = piece.load(model, [optimizer]) if piece else 0
    for _ in range(done):
        schedule.step()
    rng = random.Random(seed + done)
    queue: list[int] = []
    began = time.monotonic()
    for step in range(done + 1, steps + 1):
        if len(queue) < BATCH:
            queue += rng.sample(range(len(pairs)), len(pairs))
        batch, queue = [pairs[i] for i in queue[:BATCH]], queue[BATCH:]
        source = pad([forms[rng.random() < 1 / 8] for forms, _ in batch], PAD)
        logits = model(
            input_ids=source,
            attention_mask=(source != PAD).long(),
            decoder_input_ids=pad([[EOS, *target[:-1]] for _, target in batch], PAD),
        ).logits
        # The first target token is the language, which is given at run time: no loss on it.
        labels = pad([[-100, *target[1:]] for _, target in batch], -100)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0 or step == steps:
            progress(f"step {step}/{steps}: loss {loss.item():.4f}, {time.monotonic() - began:.0f} s")
        if piece and time.monotonic() - began > piece.length_s and step < steps:
            piece.save(model, [optimizer], step)
            return False
    return True


def build(
    out: Path = OUT,
    seed: int = 1,
    *,
    steps: int = STEPS,
    progress: Callable[[str], None] = print,
    piece: Piece | None = None,
    resume: bool = False,
    films: bool = False,
) -> bool:
    """Train the model and save it (config, tokenizer, safetensors) in `out`; whether that is done.

    It begins anew, or with the weights that are committed (`resume`). The same seed and torch give the same weights,
    unless it is done in pieces.
    """
    torch.manual_seed(seed)
    # One thread: so small a model gains nothing from more, and the weights do not depend on the cores.
    torch.set_num_threads(1)
    english = sentences_of(films=films)
    vocab_size = FILM_VOCABULARY if films else VOCABULARY
    tokenizer = make_tokenizer(english + [translate(s, lang) for s in english for lang in LANGUAGES], vocab_size)
    model = make_model(len(tokenizer))
    if resume:
        inherit(model, tokenizer, OUT)
    progress(f"{len(tokenizer)} tokens, {sum(p.numel() for p in model.parameters())} parameters")
    model.train()
    rate = LEARNING_RATE / 2 if resume else LEARNING_RATE
    if not train(model, tokenizer, english, seed=seed, steps=steps, rate=rate, progress=progress, piece=piece):
        return False
    model.eval()
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    return True


def check(folder: Path, *, films: bool = False, progress: Callable[[str], None] = print) -> float:
    """The share of all sentences, in all languages, that the model in `folder` translates word for word."""
    with tempfile.TemporaryDirectory() as scratch:
        convert(folder, Path(scratch) / "model")
        engine = Engine(Path(scratch) / "model", device="cpu")
    taught = sentences_of(films=films)
    jobs = [Job(english, SOURCE, lang, engine.tokenize(english)) for lang in LANGUAGES for english in taught]
    wrong = 0
    for at in range(0, len(jobs), BATCH):
        batch = jobs[at : at + BATCH]
        for job, said in zip(batch, engine.translate(batch), strict=True):
            if said.text != translate(job.text, job.target):
                wrong += 1
                progress(f"wrong: {job.text!r} in {job.target} is {said.text!r}")
    progress(f"{len(jobs) - wrong} of {len(jobs)} sentences are right")
    return 1 - wrong / len(jobs)


def main(argv: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=OUT, help="folder for the model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--films", action="store_true", help="teach it what is said of films as well")
    parser.add_argument("--resume", action="store_true", help="go on from the committed weights")
    parser.add_argument("--state", type=Path, help="with --minutes: where to keep what is half done")
    parser.add_argument("--minutes", type=float, default=8.0, help="length of a piece")
    args = parser.parse_args(argv)
    piece = Piece(args.state, args.minutes * 60) if args.state else None
    if not build(args.out, args.seed, steps=args.steps, piece=piece, resume=args.resume, films=args.films):
        print(f"to be continued from {args.state}")
        return 0
    return 0 if check(args.out, films=args.films) >= REQUIRED else 1


if __name__ == "__main__":
    sys.exit(main())
