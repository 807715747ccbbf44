"""`with` and `async with`: a program that mixes them up is told the right form where it does."""

from __future__ import annotations

import pytest

from client import Babelview, UsageError

CALLS = {
    "caption": ("a.png",),
    "batch": ("ads",),
    "translate": (["A car."], ["fra_Latn"]),
    "ask": ("a.png", "What?"),
    "chat": ("a.png",),
    "live": ("a.mp4",),
}


@pytest.mark.parametrize("method", CALLS)
def test_within_with_the_methods_are_those_of_what_it_gives(method: str) -> None:
    bv = Babelview()
    with (
        bv,
        pytest.raises(UsageError, match=rf"with bv as waiting: waiting\.{method}\(\.\.\.\)`; or, .*`async with bv:`"),
    ):
        getattr(bv, method)(*CALLS[method])


@pytest.mark.parametrize("method", ["caption", "batch", "translate"])
def test_one_that_is_not_open_says_so_at_the_call(method: str) -> None:
    with pytest.raises(UsageError, match="is not open: use it within `async with`, or `with`"):
        getattr(Babelview(), method)(*CALLS[method])


def test_what_with_gave_is_closed_after_it() -> None:
    with Babelview() as bv:
        pass
    with pytest.raises(UsageError, match="is closed: use it within `with`"):
        bv.caption("a.png")


async def test_with_asyncio_the_same_object_is_taken() -> None:
    bv = Babelview()
    async with bv:
        with pytest.raises(UsageError, match="no such file"):
            await bv.caption("none.png")
    with bv as waiting, pytest.raises(UsageError, match="no such file"):
        waiting.caption("none.png")
