"""Circuit breaker: after several failures in a row a call is skipped for a while, and a fallback answers.

One visit of `guarded` is one call. The field `circuit` holds the breaker's count of failures. The surrounding graph
passes this field in and stores the updated value, so that the count is recorded, resumed and branched like all state.

Source: Michael Nygard, "Release It!" (2007).
"""

from typing import Annotated

from pydantic import BaseModel

from graphengine import END, START, Agent, Context, Graph, failed, iterations, value
from graphengine.reducers import append

MODELS = {"default": {"*": "placeholder"}}
FAILURES = 2  # after this many in a row, calls are skipped
PAUSE_SECONDS = 60.0
CALLS = 4


class Circuit(BaseModel):
    """How many calls in a row have failed, and until when calls are skipped, in epoch seconds (None: never)."""

    failures: int = 0
    open_until: float | None = None


class Offer(BaseModel):
    """The state of one call."""

    item: str
    price: float = 0.0
    circuit: Circuit = Circuit()
    let_through: bool = True


class Errands(BaseModel):
    """The state of the graph that calls again and again."""

    item: str
    circuit: Circuit = Circuit()
    prices: Annotated[list[float], append] = []


def gate(circuit: Circuit, ctx: Context) -> bool:
    """Return whether a call is allowed now."""
    return circuit.open_until is None or ctx.now() >= circuit.open_until


def close() -> Circuit:
    """Return the circuit after a call that succeeded."""
    return Circuit()


def trip(circuit: Circuit, ctx: Context) -> Circuit:
    """Count a failure, and skip calls for a while if there were several in a row."""
    failures = circuit.failures + 1
    return Circuit(failures=failures, open_until=ctx.now() + PAUSE_SECONDS if failures >= FAILURES else None)


async def shop(item: str) -> float:
    """Stand in for a service that is down."""
    message = f"the shop is closed and sells no {item}"
    raise ConnectionError(message)


guess = Agent("guess", prompt="What does this cost?\n{item}", output=float)

guarded = Graph("guarded_call", Offer)
guarded.add_node("gate", gate, writes="let_through")
guarded.add_node("call", shop, writes={"price": ".", "circuit": close})
guarded.add_node("trip", trip, writes="circuit")
guarded.add_node("instead", guess, writes="price")
guarded.add_edge(START, "gate")
guarded.add_edge("gate", "call", when=value("let_through").is_true(), label="let through")
guarded.add_edge("gate", "instead", label="passed over")
guarded.add_edge("call", "trip", when=failed(Exception), label="failed")
guarded.add_edge("call", END, label="answered")
guarded.add_edge("trip", "instead")
guarded.add_edge("instead", END, label="fallback")

graph = Graph("circuit_breaker", Errands, result="prices")
graph.add_node("buy", guarded, writes={"prices": "price", "circuit": "circuit"})
graph.add_edge(START, "buy")
graph.add_edge("buy", END, when=iterations("buy") >= CALLS)
graph.add_edge("buy", "buy")


def example() -> Errands:
    """Return the input of an example run."""
    return Errands(item="tea")
