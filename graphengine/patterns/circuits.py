"""A breaker around anything: what failed several times in a row is passed over for a while, and a fallback answers.

One visit of the graph is one call. What the breaker knows is in its state, in `circuit`: a graph around it that calls
again hands that in and takes it back, so that it is recorded, resumed and branched like all else. Between models
`Router` does the same, for all calls of a process.
"""

from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import failed, value
from graphengine.graph.graph import END, START, Graph, Runnable
from graphengine.graph.options import is_seconds
from graphengine.patterns.parts import part
from graphengine.reducers import append
from graphengine.runner import Context
from graphengine.state.failure import Failure


class Circuit(BaseModel):
    """What a breaker knows.

    Attributes:
        failures: How often the call failed in a row.
        open_until: Until when nothing is called, epoch seconds; None where it may be called.
    """

    failures: int = 0
    open_until: float | None = None


class Guarded(BaseModel):
    """What the state of a call with a breaker has beside the caller's fields.

    Attributes:
        circuit: What the breaker knows.
        let_through: Whether this call may be made.
        errors: Why calls failed.
    """

    circuit: Circuit = Circuit()
    let_through: bool = True
    errors: Annotated[list[Failure], append] = []


S = TypeVar("S", bound=Guarded)
_OWN = Guarded.model_fields.keys()


def circuit_breaker(  # noqa: PLR0913 - what is called, what else, and the two numbers of a breaker
    state: type[S],
    runnable: Runnable,
    fallback: Runnable,
    *,
    answer: str,
    failures: int = 3,
    pause_seconds: float = 30.0,
) -> Graph[S]:
    """Call something unless it failed too often of late, and a fallback where it fails or is passed over.

    After the pause one call is let through. It closes the circuit, or opens it anew.

    Args:
        state: A subclass of Guarded; all read what they want of it.
        runnable: What is called.
        fallback: What answers in its place.
        answer: The field that has the answer. The graph's result is its whole state, so that a node of it can take back
            the circuit too: `writes={"price": "price", "circuit": "circuit"}`.
        failures: After so many in a row it is passed over.
        pause_seconds: For how long.

    Raises:
        DefinitionError: A number makes no sense.

    Source: Michael Nygard, "Release It!", 2007.

    Example:
        >>> class Offer(Guarded):
        ...     price: float | None = None
        >>> done = circuit_breaker(Offer, lambda: 1 / 0, lambda: 9.5, answer="price").run_sync().state
        >>> done.price, done.circuit.failures
        (9.5, 1)
    """
    if failures < 1 or not is_seconds(pause_seconds):
        told = f"circuit_breaker(failures={failures!r}, pause_seconds={pause_seconds!r})"
        raise DefinitionError(told, repair="give 1 failure or more, and seconds above 0")

    def trip(circuit: Circuit, ctx: Context) -> Circuit:
        failed_now = circuit.failures + 1
        return Circuit(failures=failed_now, open_until=ctx.now() + pause_seconds if failed_now >= failures else None)

    graph = Graph("circuit_breaker", state, errors="errors")
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
    """Whether the call may be made now."""
    return circuit.open_until is None or ctx.now() >= circuit.open_until


def closed() -> Circuit:
    """What the breaker knows after a call that went well."""
    return Circuit()


__all__ = ["Circuit", "Guarded", "circuit_breaker"]
