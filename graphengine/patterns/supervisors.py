"""Supervisor: one agent decides, turn by turn, which worker is next and what it does, until the reports suffice."""

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine.api.graph import Graph
from graphengine.kernel.extension import END, FAIL, START, Runnable, iterations, value
from graphengine.patterns.outcomes import Outcome, outcome, surviving
from graphengine.patterns.parts import check_names, checked, part, validating
from graphengine.reducers import append

FINISH = "finish"


class Route(BaseModel):
    """The supervisor's decision.

    Attributes:
        next: The worker's name, exactly, or `finish`.
        instruction: What the worker should do; if empty, the whole task.
    """

    next: str
    instruction: str = ""


class Report(Outcome):
    """What a worker of a supervised team reported, or the failure of the worker."""

    worker: str
    instruction: str


class Supervised(BaseModel):
    """The state of a graph that `supervisor` makes: the task, the last decision, all reports and the answer."""

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
    """Make a graph in which a boss sends one worker after the other, and a last node answers from their reports.

    Args:
        boss: Returns a `Route`. It reads `task`, `reports` and `workers` (their names). An agent that names an unknown
            worker has to answer again; a function or graph that does so fails the run.
        workers: The workers by name. Each reads its instruction as `task`, and `reports`. If one fails, the boss reads
            a report with a `failure`.
        finish: Reads `task` and `reports`, and returns the answer.
        turns: How often the boss can decide. The last of these decisions has no effect.
        state: `Supervised`, or a subclass with more fields for the agents to read.

    Raises:
        DefinitionError: There is no worker, or a worker has the name `boss` or `finish`.

    Example:
        >>> boss = lambda reports: Route(next="finish" if reports else "clerk", instruction="count")
        >>> graph = supervisor(boss, {"clerk": lambda task: f"{task}: 3"}, lambda reports: reports[-1].text)
        >>> graph.run_sync({"task": "How many?"}).output
        'count: 3'
    """
    check_names("supervisor(workers", workers, {"boss", FINISH})

    def known(route: Route) -> None:
        if route.next not in (*workers, FINISH):
            raise ValueError(f"next is {route.next!r}, but must be one of {', '.join(workers)}, or {FINISH}")

    graph = Graph("supervisor", state, result="output")
    asked = part(checked(boss, known), state, _OWN, {"workers": lambda: list(workers)})
    graph.add_node("boss", asked, writes={"route": validating(Route, known)})
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
    done = outcome(result)
    return Report(worker=route.next, instruction=_instruction(route, task), text=done.text, failure=done.failure)
