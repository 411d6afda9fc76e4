"""A router over models; `calls/router.txt` shows which of them is called when."""

from __future__ import annotations

import asyncio

import pytest

from graphengine.models import Closes, KnowsPrices, Request, Response, Router


class Named:
    """A model with connections and prices."""

    def __init__(self, name: str, *, fails_to_close: bool = False) -> None:
        self.name = name
        self.fails_to_close = fails_to_close
        self.closed = 0
        self.knows = True

    async def answer(self, request: Request) -> Response:
        raise NotImplementedError

    async def knows_price(self) -> bool:
        return self.knows

    async def close(self) -> None:
        if self.fails_to_close:
            raise OSError(self.name)
        for _ in range(5):
            await asyncio.sleep(0)
        self.closed += 1


async def test_closing_closes_every_model() -> None:
    """Closing closes every model, also after one that cannot be closed; models without connections need no close."""
    first, second = Named("a:1", fails_to_close=True), Named("b:2")
    router = Router([first, "rules", second])
    assert isinstance(router, Closes)
    with pytest.raises(OSError, match="a:1"):
        await router.close()
    assert (first.closed, second.closed) == (0, 1)


async def test_a_price_is_known_if_every_model_knows_its_own() -> None:
    """A price is known if every model knows its own, since any of them may answer."""
    first, second = Named("a:1"), Named("b:2")
    router = Router([first, second, "rules"])
    assert isinstance(router, KnowsPrices)
    assert await router.knows_price()
    second.knows = False
    assert not await router.knows_price()
