"""The versions of vLLM: the one that is installed, and those that this project knows.

To move to another one: here, `pyproject.toml` and `deploy/Dockerfile`; a test tells which of them was forgotten.
CONTRIBUTING.md says what to look at before.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

PINNED = "0.32.0"
"""What the extras install, and every test runs with."""
READ = frozenset({"0.33.0"})
"""Whose sources were compared with the pinned one's (`python -m scripts.vllm_interfaces`); there is no CPU build."""
ANY = "BABELVIEW_ANY_VLLM"
"""Environment variable: set, a version that is not known is tried."""


def number_of(version: str) -> str:
    """`0.32.0+cpu` is 0.32.0."""
    return version.partition("+")[0]


def is_known(version: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Whether a version may be started with."""
    return number_of(version) in {PINNED, *READ} or bool(environment.get(ANY))


def remark(version: str) -> str | None:
    """What there is to say of a version, for people; None: it is the pinned one."""
    number = number_of(version)
    if number == PINNED:
        return None
    if number in READ:
        return f"read, not run: tests run with {PINNED}"
    return f"this project knows {PINNED}"
