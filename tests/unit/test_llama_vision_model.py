"""Parts of the model that no answer shows: what is taken while vLLM measures, and what rows without a picture hold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from server.llama_vision.encoder_cache import EncoderCache
from server.llama_vision.geometry import NewPictures, OtherRows

NAN = float("nan")


def model_class() -> type[nn.Module]:
    """The model. It imports most of vLLM, which workers that run other modules need not do to collect this one."""
    from server.llama_vision.model import MllamaForConditionalGeneration  # noqa: PLC0415

    found: type[nn.Module] = MllamaForConditionalGeneration
    return found


def unmade(kind: type[nn.Module], **attributes: object) -> Any:
    """A module with these attributes, made without vLLM's configuration."""
    module = kind.__new__(kind)
    nn.Module.__init__(module)
    for name, value in attributes.items():
        setattr(module, name, value)
    return module


@pytest.mark.parametrize("pictures", [False, True])
def test_rows_without_a_picture_are_zero_before_they_are_projected(pictures: bool) -> None:
    """Attention over no keys may give NaN, and a quantised projection may take its scale from all rows."""
    from server.llama_vision.decoder import PictureAttention  # noqa: PLC0415  # as in `model_class`

    same = nn.Identity()
    attention = unmade(
        PictureAttention,
        **dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj", "q_norm", "k_norm"), same),
        attn=lambda query, *_: torch.full_like(query, NAN).index_fill(0, torch.tensor([1]), 3.0),
        heads=1,
        kv_heads=1,
        width=4,
    )
    new = NewPictures(torch.ones(5, 4), 3, [OtherRows(2, 3, 3, 5)]) if pictures else None
    sees = torch.tensor([[False], [True], [pictures]])
    output = attention(torch.ones(3, 4), sees, new)
    assert output.tolist() == [[0.0] * 4, [3.0] * 4, [1.0 if pictures else 0.0] * 4]


def test_the_first_measured_step_takes_what_serving_will() -> None:
    from transformers.models.mllama.modeling_mllama import MllamaVisionModel  # noqa: PLC0415  # as in `model_class`

    from server.llama_vision.config import MllamaConfig  # noqa: PLC0415
    from server.selftest.llama_toy import tiny_config  # noqa: PLC0415

    published = tiny_config()
    config = MllamaConfig(**published.to_dict())
    device = torch.device("meta")
    with device:
        tower = MllamaVisionModel(config.vision_config)
        projector = nn.Linear(config.vision_config.vision_output_dim, config.text_config.hidden_size)
    runs: list[tuple[int, ...]] = []
    projector.register_forward_hook(lambda _, args, __: runs.append(tuple(args[0].shape)))
    model = unmade(
        model_class(),
        vision_model=tower,
        multi_modal_projector=projector,
        config=config,
        encoder_cache=EncoderCache(1000),
        request_bytes=24,
        reserved=False,
    )
    assert model._reserve(torch.device("cpu")) is None
    assert model._reserve(device).nbytes == 1024
    assert runs == [(4, 17, 96)]
    assert model._reserve(device) is None


def test_what_the_tower_put_out_is_forgotten_when_told_to() -> None:
    model = unmade(model_class(), encoder_cache=EncoderCache(1000))
    model.encoder_cache.put("a", torch.zeros(8))
    model.forget_pictures()
    assert model.encoder_cache.size == 0


def test_what_cannot_be_written_has_no_probability() -> None:
    language = SimpleNamespace(logits_processor=lambda _, states: states, lm_head=None)
    model = unmade(model_class(), language_model=language)
    logits = model.compute_logits(torch.zeros(2, 320))
    assert logits.shape == (2, 328)
    assert logits.isneginf().nonzero().tolist() == [[row, token] for row in range(2) for token in range(320, 328)]
    language.logits_processor = lambda *_: None  # the ranks that do not sample
    assert model.compute_logits(torch.zeros(2, 320)) is None
