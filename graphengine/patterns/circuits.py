"""Circuit breaker: after several failures in a row a call is skipped for a while, and a fallback answers.

One visit of the graph is one call. What the breaker counts is in its state field `circuit`: a surrounding graph that
calls again passes it in and takes it back, so that it is recorded, resumed and branched like all state. For models,
`Router` does the same for all calls of a process.
"""

from typing import Annotated

from pydantic import BaseModel, PositiveInt
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, START, Context, Failure, Runnable, Seconds, failed, value
from graphengine.patterns.parts import part
from graphengine.reducers import append


class Circuit(BaseModel):
    """What the breaker counts.

    Attributes:
        failures: The number of consecutive failures.
        open_until: Until when calls are skipped, in epoch seconds; None if calls are allowed.
    """

    failures: int = 0
    open_until: float | None = None


class Guarded(BaseModel):
    """The breaker's fields; subclasses add those of the call.

    Attributes:
        circuit: What the breaker counts.
        let_through: Whether this call is allowed.
        errors: The failures of calls.
    """

    circuit: Circuit = Circuit()
    let_through: bool = True
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Guarded)
_OWN = Guarded.model_fields.keys()


def circuit_breaker(  # noqa: PLR0913 - the call, its fallback, and the breaker's two numbers
    state: type[S],
    runnable: Runnable,
    fallback: Runnable,
    *,
    answer: str,
    failures: "PositiveInt" = 3,
    pause_seconds: "Seconds" = 30.0,
) -> Graph[S]:
    """Return a graph that calls something unless it recently failed too often; a fallback answers instead.

    After the pause one call is let through. Its outcome closes the circuit or opens it again.

    Args:
        state: A subclass of Guarded; each runnable reads the fields that it names.
        runnable: What to call.
        fallback: What answers if the call fails or is skipped.
        answer: The field for the answer. The graph's result is its whole state, so that a node that runs it can take
            back the circuit too: `writes={"price": "price", "circuit": "circuit"}`.
        failures: After this many consecutive failures calls are skipped.
        pause_seconds: How long they are skipped.

    Raises:
        DefinitionError: `failures` or `pause_seconds` is out of range.

    Source: Michael Nygard, "Release It!", 2007.

    Example:
        >>> class Offer(Guarded):
        ...     price: float | None = None
        >>> done = circuit_breaker(Offer, lambda: 1 / 0, lambda: 9.5, answer="price").run_sync().state
        >>> done.price, done.circuit.failures
        (9.5, 1)
    """

    def trip(circuit: Circuit, ctx: Context) -> Circuit:
        failed_now = circuit.failures + 1
        return Circuit(failures=failed_now, open_until=ctx.now() + pause_seconds if failed_now >= failures else None)

    graph = Graph("circuit_breaker", state, collect_errors="errors")
    graph.add_node("gate", gate, writes="let_through", thread=False)
    graph.add_node("call", part(runnable, state, _OWN), writes={answer: ".", "circuit": closed})
    graph.add_node("trip", trip, writes="circuit", thread=False)
    graph.add_node("instead", part(fallback, state, _OWN), writes=answer)
    graph.add_edge(START, "gate")
    graph.add_edge("gate", "call", when=value("let_through").is_true(), label="let through")
    graph.add_edge("gate", "instead", label="passed over")
    graph.add_edge("call", "trip", when=failed(Exception), label="failed")
    graph.add_edge("call", END, label="answered")
    graph.add_edge("trip", "instead")
    graph.add_edge("instead", END, label="fallback")
    return graph


def gate(circuit: Circuit, ctx: Context) -> bool:
    """Return whether a call is allowed now."""
    return circuit.open_until is None or ctx.now() >= circuit.open_until


def closed() -> Circuit:
    """Return the circuit after a successful call."""
    return Circuit()


__all__ = ["Circuit", "Guarded", "circuit_breaker"]
