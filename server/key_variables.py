"""The environment variables that hold keys, and which of them a process that we start must not see."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

GATEWAY_KEYS = "BABELVIEW_API_KEYS"
"""The keys that the gateway accepts."""
CLIENT_KEY = "BABELVIEW_API_KEY"
"""The key that clients, and `status`, ask the gateway with."""
TRANSLATOR_KEYS = "BABELVIEW_TRANSLATOR_API_KEY"
"""The keys that the translator accepts, with commas between them."""
SECOND_OPINION_KEY = "BABELVIEW_TRANSLATOR_SECOND_OPINION_KEY"
"""The key of the endpoint that the translator asks about doubtful sentences."""
ENGINE_KEY = "VLLM_API_KEY"
"""The key that vLLM accepts; behind the gateway, which sends none to engines of this machine, it would refuse it."""
CLUSTER_KEY = "BABELVIEW_CLUSTER_ENGINES_KEY"
"""The key of the engines on a cluster, another one for each stack; the supervisor gives it to the gateway."""
HUB_TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The token of the Hugging Face hub, for models that are fetched there."""
KNOWN = frozenset(
    {GATEWAY_KEYS, CLIENT_KEY, "OPENAI_API_KEY", TRANSLATOR_KEYS, SECOND_OPINION_KEY, ENGINE_KEY, *HUB_TOKENS}
)


def hidden_from(*needed: str, others: Iterable[str] = ()) -> frozenset[str]:
    """The variables that a process does not get.

    Args:
        needed: Those that it has a use for.
        others: Further variables that hold keys, beside those known here.
    """
    return (KNOWN | frozenset(others)) - frozenset(needed)
