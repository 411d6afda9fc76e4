"""`run_node` with one item of a map: the update that it would write."""

from typing import Annotated

import pytest
from pydantic import BaseModel, Field

from graphengine.reducers import Replace, add, append, merge
from graphengine.testing import run_node
from tests.kit.runs import alone


class Part(BaseModel):
    n: int = Field(ge=0)


class Parts(BaseModel):
    numbers: list[int] = []
    plain: list[Part] = []
    added: Annotated[list[Part], append] = []
    by_number: dict[int, Part] = {}
    lists: dict[str, list[Part]] = {}
    merged: Annotated[dict[str, Part], merge] = {}
    total: Annotated[int, add] = 0


@pytest.mark.parametrize(
    ("writes", "made", "update"),
    [
        ("plain", Part(n=3), {"plain": Part(n=3)}),
        ("added", Part(n=3), {"added": Part(n=3)}),
        ("added", Replace([Part(n=3)]), {"added": [Part(n=3)]}),
        ("by_number[{number}]", Part(n=3), {"by_number": {3: Part(n=3)}}),
        ("lists[{number}]", [Part(n=3)], {"lists": {"3": [Part(n=3)]}}),
        ("merged", {"k": Part(n=3)}, {"merged": {"k": Part(n=3)}}),
        ("total", 3, {"total": 3}),
    ],
)
async def test_an_items_update_has_the_types_of_the_state(writes: str, made: object, update: dict[str, object]) -> None:
    """An item's update has the types of the state, however it is reduced with the other items."""
    graph = alone(Parts, lambda: made, writes, each={"number": "numbers"}, thread=False, name="parts", node="make")
    assert (await run_node(graph, "make", item=3)).update == update


async def test_updates_of_items_that_are_reduced_one_by_one_are_listed() -> None:
    """Each item's update is listed, under `add` and a user's function; the state has the reduced value."""

    class Sums(BaseModel):
        xs: list[int] = []
        added: Annotated[int, add] = 0
        mine: Annotated[int, lambda old, new: old + new] = 0

    def both(x: int) -> dict[str, int]:
        return {"added": x, "mine": x * 10}

    graph = alone(Sums, both, ("added", "mine"), each={"x": "xs"}, thread=False, name="sums", node="both")
    done = await run_node(graph, "both", {"xs": [1, 2]})
    assert done.update == {"added": [1, 2], "mine": [10, 20]}
    assert (done.state.added, done.state.mine) == (3, 30)
    assert (await run_node(graph, "both", {"xs": [7]})).update == {"added": [7], "mine": [70]}
