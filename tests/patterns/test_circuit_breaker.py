"""A breaker around a runnable."""

from collections.abc import Sequence
from typing import Annotated

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, ScriptedModel, iterations
from graphengine.errors import DefinitionError
from graphengine.patterns import Circuit, Guarded, circuit_breaker
from graphengine.reducers import append
from graphengine.testing import FakeClock
from tests.patterns.scripted import away, named, play


class Offer(Guarded):
    """A price."""

    task: str = ""
    price: str = ""


class Shop(BaseModel):
    """Prices that are requested one after the other."""

    task: str = "tea"
    gaps: list[float] = []
    circuit: Circuit = Circuit()
    prices: Annotated[list[str], append] = []


CALL, INSTEAD = named("call"), named("instead")


def shop(calls: int, failures: int = 2) -> Graph[Shop]:
    """Return a graph with this many calls through one breaker, and a pause before each."""

    async def wait(gaps: list[float], ctx: Context) -> None:
        if ctx.visit <= len(gaps):
            await ctx.sleep(gaps[ctx.visit - 1])

    graph = Graph("shop", Shop, result="prices")
    breaker = circuit_breaker(Offer, CALL, INSTEAD, answer="price", failures=failures, pause_seconds=60)
    graph.add_node("wait", wait, writes=())
    graph.add_node("ask", breaker, writes={"prices": "price", "circuit": "circuit"})
    graph.add_path(START, "wait", "ask")
    graph.add_edge("ask", END, when=iterations("ask") >= calls)
    graph.add_edge("ask", "wait")
    return graph


async def asked(graph: Graph[Shop], script: Sequence[object], gaps: Sequence[float] = ()) -> tuple[Shop, int, int]:
    """Return the result, and the number of calls of the runnable and of the fallback."""
    model = ScriptedModel({"call": script, "instead": lambda _: "old"})
    async with Runner(models={"*": model}, clock=FakeClock(start=0.0)) as runner:
        state = (await runner.start(graph, {"gaps": list(gaps)}).result()).state
    names = [request.agent for request in model.requests]
    return state, names.count("call"), names.count("instead")


@pytest.mark.parametrize("failures", [1, 2, 4])
@pytest.mark.parametrize("calls", [1, 3, 5])
async def test_after_so_many_failures_the_call_is_skipped(calls: int, failures: int) -> None:
    """After so many failures the call is skipped, and the fallback answers every time."""
    state, called, instead = await asked(shop(calls, failures), [away] * 9)
    assert (called, instead) == (min(calls, failures), calls)
    assert state.prices == ["old"] * calls


async def test_an_answer_begins_the_count_anew() -> None:
    """Only consecutive failures open the circuit."""
    state, called, _ = await asked(shop(5), [away, "2", away, "4", "5"])
    assert (state.prices, called) == (["old", "2", "old", "4", "5"], 5)


async def test_after_the_pause_one_call_is_let_through() -> None:
    """An answer closes the circuit; a failure opens it again at once."""
    state, called, _ = await asked(shop(5), [away, away, "3", "4"], [0, 0, 59, 1, 0])
    assert (state.prices, called) == (["old", "old", "old", "3", "4"], 4)
    state, called, _ = await asked(shop(5), [away, away, away, "5"], [0, 0, 60, 59, 1])
    assert (state.prices, called) == (["old", "old", "old", "old", "5"], 4)


async def test_a_resumed_run_keeps_its_circuit() -> None:
    """The circuit is in the state: a resumed run still skips what failed before."""
    graph = shop(3)
    model = ScriptedModel({"call": [away, away], "instead": lambda _: "old"})
    async with Runner(models={"*": model}, clock=FakeClock(start=0.0)) as runner:
        run = runner.start(graph, pause_before=["wait"])
        for _ in range(3):
            assert (await run.result()).status == "waiting"
            await runner.answer(run.id, True)  # noqa: FBT003 - the answer to a pause
            run = runner.resume(run.id, graph)
        result = await run.result()
    assert (result.status, [request.agent for request in model.requests].count("call")) == ("finished", 2)


async def test_the_failures_are_kept() -> None:
    """The failures are kept, and the label says which level answered."""
    played = await play(
        circuit_breaker(Offer, CALL, INSTEAD, answer="price"), {"task": "?"}, {"call": away, "instead": ["old"]}
    )
    assert [failure.path for failure in played.state.errors] == ["call"]
    assert (played.label, played.state.circuit.failures) == ("fallback", 1)


async def test_a_breaker_can_be_nested() -> None:
    """Each counts its own failures: the inner one begins with a closed circuit."""
    inner = circuit_breaker(Offer, CALL, INSTEAD, answer="price", failures=2)
    wrapped = Graph("wrapped", Offer, result="price")
    writes = {"price": lambda result: f"{result.price} after {result.circuit.failures}"}
    wrapped.add_node("inner", inner, writes=writes)
    wrapped.add_path(START, "inner", END)
    outer = circuit_breaker(Offer, wrapped, named("last"), answer="price", failures=9)
    given = {"task": "?", "circuit": Circuit(failures=3)}
    played = await play(outer, given, {"call": away, "instead": ["old"]})
    assert (played.state.price, played.state.circuit) == ("old after 1", Circuit())


@pytest.mark.parametrize("given", [{"failures": 0}, {"pause_seconds": 0}, {"pause_seconds": float("nan")}])
def test_numbers_that_make_no_sense_are_refused(given: dict[str, float]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="give 1 failure or more"):
        circuit_breaker(Offer, CALL, INSTEAD, answer="price", **given)  # type: ignore[arg-type]
