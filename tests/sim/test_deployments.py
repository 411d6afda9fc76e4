"""Small programs whose process is lost, and whose code is another one from then on, at each of their writes.

The model judges: what was promised when something began holds, a call that was made is not made again, a person's no
stays one, and every run comes to its end.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from tests.sim import program as p
from tests.sim.program import Program
from tests.sim.runner import Running
from tests.sim.world import Loss

MOST_WRITES = 100
Deployments = Sequence[tuple[p.Change, ...]]


def row(*nodes: p.Node) -> p.Graph:
    """Return a graph of nodes one after another; the last one leads back to the first, once."""
    names = [node.name for node in nodes]
    edges = [p.Edge(one, other) for one, other in zip((p.START, *names), (*names, p.END), strict=True)]
    again = p.Edge(names[-1], names[0], ("count", names[-1], None, "<", 2))
    return p.Graph(nodes, (*edges[:-1], again, edges[-1]))


def one(*does: p.Op) -> p.Graph:
    """Return a graph of one node."""
    return p.Graph((p.Node("n0", does=does),), (p.Edge(p.START, "n0"), p.Edge("n0", p.END)))


PROGRAMS: dict[str, tuple[p.Graph, Deployments]] = {
    "a call that acts once": (one(p.Call("once"), p.Ask()), (("effects",), ("edges",))),
    "a tool that acts once": (
        one(p.Talk((p.Tool("once"), p.Tool("once")))),
        (("effects",), ("words",), ("tools",), ("approvals", "words")),
    ),
    "tools that are called at once": (one(p.Talk((p.Tool(), p.Tool()), at_once=True)), (("words",), ("tools",))),
    "a tool that is approved": (
        one(p.Talk((p.Tool("once", "yes"),))),
        (("effects",), ("words",), ("tools",), ("approvals",), ("approvals", "effects", "tools")),
    ),
    "a tool that is refused": (one(p.Talk((p.Tool("", "no"),))), (("approvals",), ("words", "tools"))),
    "a chat": (
        p.chat((p.Talk((p.Tool("once"),)), p.Talk((p.Tool("once", "no"),)))),
        (("effects", "words"), ("approvals", "tools")),
    ),
    "questions": (one(p.Ask(), p.Call(), p.Ask()), (("questions",), ("questions", "edges"))),
    "rounds": (row(p.Node("n0", does=(p.Ask(),)), p.Node("n1", does=(p.Call("once"),))), (("edges",),)),
}


def wrong(graph: p.Graph, changes: tuple[p.Change, ...]) -> Iterator[str]:
    """Yield what goes wrong: where the code changes while a run rests, and with a loss at each write before that."""
    losses: tuple[Loss, ...] = ("before", "after")
    program = Program(graph, visits=50, resumes=3)
    for loss in (None, *losses):
        for at in range(1, MOST_WRITES, 4 if loss is None else 1):  # code changes where a run rests, some writes apart
            made = replace(program, events=(p.Event(at, "deploy", changes),))
            running = Running(made, losses={} if loss is None else {at: loss})
            try:
                running.play()
            except Exception as error:  # noqa: BLE001 - any failure counts
                yield f"{type(error).__name__}: {error}: {loss} {at}: {p.written(made)}"
            if running.world.writes < at:  # it makes no write of this number
                break


@pytest.mark.parametrize("name", PROGRAMS)
def test_another_deployment_changes_nothing_that_has_happened(name: str) -> None:
    """Whichever write a process makes last, whether it is durable, and also where no process is lost."""
    graph, deployments = PROGRAMS[name]
    assert [found for changes in deployments for found in wrong(graph, changes)] == []
