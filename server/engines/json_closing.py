"""Makes vLLM's structured answers end within their tokens: what stands between vLLM 0.32 and `json_end`.

vLLM's engine core asks a grammar for the mask of the tokens that may come next, and tells it what was chosen.
`install` puts an `EndingGrammar` around each grammar of the guidance backend that comes from a JSON schema. Our plugin
calls it in each of vLLM's processes; nothing happens unless the environment asks for it, as `engine.py` does.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from server.engines.json_end import Budget, Closing, Vocabulary

if TYPE_CHECKING:
    import torch

LONGEST_STRING = "BABELVIEW_JSON_STRING_BYTES"
"""Environment variable: bytes after which a string of a structured answer is closed. Unset: grammars are vLLM's own."""
MOST_ITEMS = "BABELVIEW_JSON_ITEMS"
"""Environment variable: items after which an array or object of a structured answer is closed."""


def install() -> None:
    """Put `EndingGrammar` around vLLM's grammars, if the environment asks for it."""
    if LONGEST_STRING not in os.environ:
        return
    from vllm.v1.structured_output import StructuredOutputManager  # noqa: PLC0415 - heavy
    from vllm.v1.structured_output.backend_guidance import GuidanceGrammar  # noqa: PLC0415
    from vllm.v1.structured_output.backend_types import StructuredOutputOptions  # noqa: PLC0415

    plain = StructuredOutputManager._create_grammar  # noqa: SLF001 - vLLM has no other place for it
    if getattr(plain, "_ends", False):
        return
    bounds = int(os.environ[LONGEST_STRING]), int(os.environ[MOST_ITEMS])
    vocabularies: dict[int, Vocabulary] = {}

    def create_grammar(manager: Any, request: Any) -> Any:
        grammar = plain(manager, request)
        kind, text = request.structured_output_request.structured_output_key
        if not isinstance(grammar, GuidanceGrammar) or kind not in (
            StructuredOutputOptions.JSON,
            StructuredOutputOptions.JSON_OBJECT,
        ):
            return grammar
        key = id(grammar.ll_tokenizer)  # the backend keeps one
        if key not in vocabularies:
            vocabularies[key] = Vocabulary.of(grammar.ll_tokenizer)
        schema = json.loads(text) if kind is StructuredOutputOptions.JSON else {}
        vocabulary = vocabularies[key]
        budget = Budget(Closing(vocabulary), vocabulary, request.max_tokens, schema if isinstance(schema, dict) else {})
        return EndingGrammar(grammar, budget, bounds)

    create_grammar._ends = True  # type: ignore[attr-defined]  # noqa: SLF001
    StructuredOutputManager._create_grammar = create_grammar  # noqa: SLF001


class EndingGrammar:
    """A grammar of vLLM's guidance backend (`StructuredOutputGrammar`) whose text ends within its tokens."""

    def __init__(self, grammar: Any, budget: Budget, bounds: tuple[int, int]) -> None:
        """`bounds`: bytes after which a string is closed, items after which an array or object is."""
        self._grammar = grammar
        self._budget = budget
        self._bounds = bounds
        budget.check(grammar.ll_matcher)

    def accept_tokens(self, request_id: str, tokens: list[int]) -> bool:
        """Go on by `tokens`; False if they do not fit, or if it cannot be followed any more: too complex a pattern."""
        accepted: bool = self._grammar.accept_tokens(request_id, tokens)
        if self._grammar.ll_matcher.is_error():
            return False  # by itself it would end the answer here, as if it were whole
        if accepted:
            self._budget.accept(tokens, self._grammar.ll_matcher)
        return accepted

    def validate_tokens(self, tokens: list[int]) -> list[int]:
        """Those of `tokens`, from the first on, that fit."""
        fitting: list[int] = self._grammar.validate_tokens(tokens)
        return fitting

    def rollback(self, num_tokens: int) -> None:
        """Take tokens back."""
        self._grammar.rollback(num_tokens)
        self._budget.roll_back(num_tokens, self._grammar.ll_matcher)

    def fill_bitmask(self, bitmask: torch.Tensor, batch_index: int) -> None:
        """Write the mask of the tokens that may come next, int32 [words], into a row of `bitmask`."""
        self._grammar.fill_bitmask(bitmask, batch_index)
        self._budget.narrow(bitmask[batch_index].numpy(), self._grammar.ll_matcher, *self._bounds)

    def is_terminated(self) -> bool:
        """Whether the answer has ended."""
        ended: bool = self._grammar.is_terminated()
        return ended

    def reset(self) -> None:
        """Begin anew."""
        self._grammar.reset()
        self._budget.reset(self._grammar.ll_matcher)
