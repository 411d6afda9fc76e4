"""Supervisor: one agent says, turn by turn, who works next and on what, until it has enough."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypeVar

from graphengine.errors import DefinitionError
from graphengine.graph.conditions import iterations, value
from graphengine.graph.graph import END, FAIL, START, Graph, Runnable
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import checked, part
from graphengine.reducers import append

FINISH = "finish"


class Route(BaseModel):
    """What the supervisor decides.

    Attributes:
        next: The worker's name, exactly, or `finish`.
        instruction: What it is to do; the whole task where this is empty.
    """

    next: str
    instruction: str = ""


class Report(Outcome):
    """What came of a turn."""

    worker: str
    instruction: str


class Supervised(BaseModel):
    """The state of a supervised team."""

    task: str
    route: Route | None = None
    reports: Annotated[list[Report], append] = []
    output: str = ""


S = TypeVar("S", bound=Supervised, default=Supervised)
_OWN = Supervised.model_fields.keys() - {"task"}


def supervisor(
    boss: Runnable,
    workers: Mapping[str, Runnable],
    finish: Runnable,
    *,
    turns: int = 10,
    state: type[S] = Supervised,  # type: ignore[assignment]  # pyright: ignore[reportArgumentType]
) -> Graph[S]:
    """A graph whose boss sends one worker after the other, and a last node that makes the answer of their reports.

    Args:
        boss: Gives a `Route`. It reads `task`, `reports` and `workers` (their names). An agent that names nobody who is
            there is asked again; a function or graph that does fails the run.
        workers: Who there is. Each reads its instruction as `task`, and `reports`. One that fails is told to the boss
            as a report with a `failure`.
        finish: Reads `task` and `reports`, and gives the answer.
        turns: How often the boss is asked at most; after the last time its choice does not count.
        state: `Supervised`, or a subclass with fields that the agents read besides.

    Raises:
        DefinitionError: There is no worker, or one is called `boss` or `finish`.

    Example:
        >>> boss = lambda reports: Route(next="finish" if reports else "clerk", instruction="count")
        >>> graph = supervisor(boss, {"clerk": lambda task: f"{task}: 3"}, lambda reports: reports[-1].text)
        >>> graph.run_sync({"task": "How many?"}).output
        'count: 3'
    """
    if not workers or {"boss", FINISH} & workers.keys():
        told = f"supervisor(workers={sorted(workers)})"
        raise DefinitionError(told, repair="name one at least, and none of them boss or finish")

    def known(route: Route) -> None:
        if route.next not in (*workers, FINISH):
            raise ValueError(f"next is {route.next!r}, and has to be one of {', '.join(workers)}, or {FINISH}")

    def decided(result: object) -> Route:
        route = TypeAdapter(Route).validate_python(result)
        known(route)
        return route

    graph = Graph("supervisor", state, result="output")
    asked = part(checked(boss, known), state, _OWN, {"workers": lambda: list(workers)})
    graph.add_node("boss", asked, writes={"route": decided})
    for name, worker in workers.items():
        doer = surviving(part(worker, state, _OWN, {"task": _instruction}))
        graph.add_node(name, doer, writes={"reports": _report})
        graph.add_edge(name, "boss")
    graph.add_node(FINISH, part(finish, state, _OWN), writes="output")
    graph.add_edge(START, "boss")
    graph.add_edge("boss", FINISH, when=iterations("boss") >= turns, label="out of turns")
    graph.add_edge("boss", FINISH, when=value("route.next") == FINISH, label="done")
    graph.add_switch("boss", "route.next", {name: name for name in workers}, otherwise=FAIL)
    graph.add_edge(FINISH, END)
    return graph


def _instruction(route: Route, task: str) -> str:
    return route.instruction or task


def _report(result: object, route: Route, task: str) -> Report:
    given = outcome(result)
    return Report(worker=route.next, instruction=_instruction(route, task), text=given.text, failure=given.failure)
