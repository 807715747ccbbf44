"""The names of models, as endpoints list them."""

from __future__ import annotations

import fnmatch


def is_listed_as(model: str, name: str) -> bool:
    """Whether a model of this name is what a list of models names so.

    Lists hold wildcards (`openai/*`, of LiteLLM), tags that need not be given (`llava:latest`, of Ollama), and
    prefixes (`models/gemini-2.0-flash`, of Google).
    """
    longer, shorter = sorted((model, name), key=len, reverse=True)
    return (
        fnmatch.fnmatchcase(model, name)
        or longer.endswith(f"/{shorter}")
        or (longer.startswith(f"{shorter}:") and "/" not in longer.removeprefix(shorter))
    )
