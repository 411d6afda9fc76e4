"""More scenes that can be killed, and all of them by the names of their patterns."""

from collections.abc import Callable
from typing import Any

from graphengine import Agent, Result, Runner
from graphengine.models import Request
from graphengine.patterns import (
    Board,
    Decision,
    Desk,
    Subscriber,
    Turn,
    blackboard,
    human_in_the_loop,
    role_based,
    swarm,
)
from tests.patterns.kits import SCENES as FIRST
from tests.patterns.kits import Scene, clerk, says


async def to_its_end(runner: Runner, scene: Scene, result: Result[Any]) -> Result[Any]:
    """Return the result of a run whose questions are all answered by a person."""
    while result.status == "waiting" and scene.person is not None:
        await runner.answer(result.run_id, scene.person(result.state))
        result = await runner.resume(result.run_id, scene.graph).result()
    return result


def _role_based() -> Scene:
    roles = {name: clerk(name, "{premise} {views}") for name in ("ann", "bob")}

    def view(request: Request) -> str:
        return (
            f"second of {request.agent}"
            if f"first by {request.agent}" in request.prompt
            else f"first by {request.agent}"
        )

    answers = {"ann": view, "bob": view, "end": lambda request: "both" if "second of bob" in request.prompt else "none"}
    return Scene(role_based(roles, clerk("end", "{views}")), {"premise": "rain"}, answers, 5, "both")


class Case(Board):
    """A board."""

    task: str = ""
    clues: str = ""
    theory: str = ""
    report: str = ""


def _blackboard() -> Scene:
    agents = {
        name: Subscriber(clerk(name, f"{{{watches}}}"), watches=[watches], writes=writes)
        for name, watches, writes in (
            ("clerk", "theory", "report"), ("scout", "task", "clues"), ("sage", "clues", "theory"),
        )
    }  # fmt: skip
    answers = {name: says(name) for name in agents}
    return Scene(blackboard(Case, agents, result="report"), {"task": "theft"}, answers, 3, "clerk")


def _swarm() -> Scene:
    agents = {name: Agent(name, prompt="{task} {trail}", output=Turn) for name in ("desk", "law", "tax")}
    turns = {"desk": Turn(text="seen", to="tax"), "tax": Turn(text="paid", to="law"), "law": Turn(text="done")}
    answers = {name: says(turn) for name, turn in turns.items()}
    return Scene(swarm(agents), {"task": "a case"}, answers, 3, "done")


def _human_in_the_loop() -> Scene:
    graph = human_in_the_loop(clerk("propose", "{task} {decisions}"), clerk("act", "{proposal}"))

    def person(desk: Desk) -> Decision:
        return Decision(verdict="approve" if desk.decisions else "revise", note="shorter")

    answers = {
        "propose": lambda request: "plan 2" if "shorter" in request.prompt else "plan 1",
        "act": lambda request: "done as 2" if "plan 2" in request.prompt else "done as 1",
    }
    return Scene(graph, {"task": "move"}, answers, 3, "done as 2", person)


SCENES: dict[str, Callable[[], Scene]] = {
    **FIRST,
    "blackboard": _blackboard,
    "human_in_the_loop": _human_in_the_loop,
    "role_based": _role_based,
    "swarm": _swarm,
}
