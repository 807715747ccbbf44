"""MADLAD-400's architecture, with random weights: converted as transformers computes it, and served."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from transformers import T5Config, T5ForConditionalGeneration

from translator.errors import ModelError
from translator.languages import Languages
from translator.model import conversion
from translator.model.engine import Engine

LANGUAGES = ["en", "fr", "es", "zh", "iw", "no", "sr", "hi"]
LETTERS = "abcdefghijklmnopqrstuvwxyz ABCDEF.,!?0123456789"


def write(folder: Path, *, gated: bool = True, tied: bool = False) -> T5ForConditionalGeneration:
    """A checkpoint as the hub has it: a T5 and its tokenizer."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<2{code}>" for code in LANGUAGES), *LETTERS.replace(" ", "▁"), "▁the", "▁red"]
    tokenizer = Tokenizer(models.Unigram([(piece, -float(n)) for n, piece in enumerate(pieces)], unk_id=0))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens([AddedToken(piece) for piece in pieces[:3]])
    torch.manual_seed(0)
    config = T5Config(
        vocab_size=len(pieces) + 5,
        d_model=32,
        d_kv=16,  # as in the published one: heads times this is not the width
        d_ff=64,
        num_layers=2,
        num_decoder_layers=2,
        num_heads=4,
        feed_forward_proj="gated-gelu" if gated else "relu",
        tie_word_embeddings=tied,
        decoder_start_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
    )
    model = T5ForConditionalGeneration(config).eval()
    with torch.no_grad():  # weights of another size than those that it begins with, or all answers are alike
        for weight in model.parameters():
            weight.mul_(4)
    model.save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    return model


def engine(checkpoint: Path, folder: Path, **more: object) -> Engine:
    conversion.convert(checkpoint, folder, "float32")
    return Engine(folder, device="cpu", threads=1, compute_type="float32", **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("gated", "tied"), [(True, False), (False, True)])
def test_it_computes_what_transformers_does(tmp_path: Path, gated: bool, tied: bool) -> None:
    model = write(tmp_path / "hub", gated=gated, tied=tied)
    ours = engine(tmp_path / "hub", tmp_path / "ours", beam_size=1)
    said: set[str] = set()
    for text in ("the red car stops.", "A b c, 12!", "red"):
        job = ours.job(text, "eng_Latn", "fra_Latn")
        (result,) = ours.translate([job])
        tokens = ours.family.source(job)
        assert tokens[0] == "<2fr>"
        ids = torch.tensor([[ours._tokenizer.token_to_id(token) for token in tokens]])
        with torch.no_grad():
            theirs = model.generate(ids, max_new_tokens=40, do_sample=False, num_beams=1, suppress_tokens=[0])
        expected = ours._tokenizer.decode([int(i) for i in theirs[0][1:]], skip_special_tokens=True)
        assert result.text.startswith(expected.strip()[:20])
        said.add(result.text[:20])
    assert len(said) > 1


def test_its_languages_its_control_tokens_and_eight_bits(tmp_path: Path) -> None:
    write(tmp_path / "hub")
    conversion.convert(tmp_path / "hub", tmp_path / "ours")
    ours = Engine(tmp_path / "ours", device="cpu", threads=1)
    assert ours.family.name == "MADLAD-400"
    languages = Languages(ours.family.codes)
    assert [language.code for language in languages.all] == sorted(
        ["eng_Latn", "fra_Latn", "spa_Latn", "zho_Hans", "heb_Hebr", "nob_Latn", "srp_Cyrl", "hin_Deva"]
    )
    assert not any(token.startswith("<2") for token in ours.tokenize("go <2fr> red <2zh>"))
    jobs = [replace(ours.job("the red car", "eng_Latn", code), hypotheses=3, align=True) for code in ours.family.codes]
    results = ours.translate(jobs)
    assert not any(result.failed for result in results)


def test_what_it_is_not_is_said(tmp_path: Path) -> None:
    write(tmp_path / "hub")
    config = json.loads((tmp_path / "hub" / "config.json").read_text())
    (tmp_path / "hub" / "config.json").write_text(json.dumps(config | {"dense_act_fn": "tanh"}))
    with pytest.raises(ModelError, match="activation 'tanh'"):
        conversion.convert(tmp_path / "hub", tmp_path / "out")
