"""What is written, greedily: by the reference, and how it is compared."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch

from server.selftest.parity import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from transformers import GenerationMixin


def answer_of(logits: torch.Tensor, written: list[int], ends: Sequence[int]) -> Answer:
    """Read an answer.

    Args:
        logits: `[tokens, vocabulary]`, those in the place of each token.
        written: The tokens.
        ends: Tokens that end an answer: they are left out, for an answer has as many tokens as are asked for.
    """
    logprobs = logits.float().log_softmax(-1)
    top = logprobs.index_fill(1, torch.tensor(ends), -torch.inf).topk(2)
    return Answer(
        top.indices[:, 0].tolist(),
        logprobs.gather(1, torch.tensor(written)[:, None])[:, 0].tolist(),
        (top.values[:, 0] - top.values[:, 1]).tolist(),
    )


def generated(model: GenerationMixin, inputs: dict[str, Any], tokens: int, end: int) -> Answer:
    """Have a model in transformers write so many tokens, each after its own; `end` is never written."""
    with one_thread():
        output = model.generate(
            **inputs,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            return_dict_in_generate=True,
            output_logits=True,
        )
    chosen = output.sequences[0, inputs["input_ids"].shape[1] :].tolist()
    # Of two that are alike, its own.
    return replace(answer_of(torch.cat(output.logits), chosen, [end]), tokens=chosen)


@contextmanager
def one_thread() -> Iterator[None]:
    """Without gradients. The models are tiny: threads would spend their time waiting for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(threads)
