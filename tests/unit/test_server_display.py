"""What `babelview up` prints once all runs."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from server.display import Display


def part(name: str, address: str) -> Any:
    return SimpleNamespace(part=SimpleNamespace(name=name, what="", place=address), pid=7, start_s=1.5)


@pytest.mark.parametrize("captioner", [True, False])
def test_the_studio_is_named_where_there_is_one(captioner: bool) -> None:
    shown = io.StringIO()
    gateway = part("gateway", "http://127.0.0.1:8123/v1")
    others = [part("captioner", "http://127.0.0.1:8123/v1/captions")] if captioner else []
    Display(Console(file=shown, width=200)).running([gateway, *others])
    assert ("the studio: http://127.0.0.1:8123/\n" in shown.getvalue()) is captioner
