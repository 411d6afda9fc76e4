"""More scenes that can be killed, and all of them by the names of their patterns."""

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Agent, Graph, Limits, Node, Result, Runner, iterations, value
from graphengine.models import Request
from graphengine.patterns import (
    Attempt,
    Board,
    Circuit,
    Decision,
    Desk,
    Guarded,
    Reply,
    Subscriber,
    Thought,
    Turn,
    advisor,
    blackboard,
    circuit_breaker,
    escalation,
    human_in_the_loop,
    layered,
    react,
    role_based,
    swarm,
    talker_reasoner,
    topology,
    with_limits,
)
from graphengine.reducers import append
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


def _layered() -> Scene:
    layers = [{f"{place}": clerk(f"l{number}{place}", "{task} {below}") for place in "ab"} for number in (1, 2)]
    names = ("l1a", "l1b", "l2a", "l2b", "end")
    answers = {name: says(f"said by {name}") for name in names}
    return Scene(layered(layers, clerk("end", "{below}")), {"task": "tides"}, answers, 5, "said by end")


def _topology() -> Scene:
    agents = {name: clerk(name, "{task} {heard}") for name in ("ann", "bob", "cid")}
    answers = {name: says(name) for name in agents}
    return Scene(topology("star", agents, rounds=2), {"task": "tides"}, answers, 7, "ann")


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


def _talker_reasoner() -> Scene:
    talker = Agent("talker", prompt="{message} {belief}", output=Reply)

    def reply(request: Request) -> Reply:
        return Reply(text="42") if "so it is" in request.prompt else Reply(text="wait", think=True)

    answers = {"talker": reply, "reasoner": says("so it is")}
    return Scene(talker_reasoner(talker, clerk("reasoner", "{message}")), {"message": "?"}, answers, 3, "42")


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


def _react() -> Scene:
    think = Agent("think", prompt="{task} {trail}", output=Thought)

    def thought(request: Request) -> Thought:
        seen = request.prompt.count('"result"')
        return Thought(answer="42") if seen == 2 else Thought(tool="look", task=f"page {seen}")

    answers = {"think": thought, "look": says("seen")}
    return Scene(react(think, {"look": clerk("look")}), {"task": "?"}, answers, 5, "42")


class Question(BaseModel):
    """A question."""

    task: str = ""
    answer: str = ""
    good: bool = False


def _escalation() -> Scene:
    judge = Node(Agent("judge", prompt="{answer}", output=bool), writes="good")
    levels = {"small": clerk("small"), "large": clerk("large")}
    graph = escalation(Question, levels, judge, answer="answer", accept=value("good").is_true())
    answers = {"small": says("small"), "large": says("large"), "judge": lambda request: "large" in request.prompt}
    return Scene(graph, {"task": "?"}, answers, 4, "large")


def _with_limits() -> Scene:
    walk = Graph("walk", Question, result="answer")
    walk.add_node("look", clerk("look"), writes="answer")
    walk.add_edge(START, "look")
    walk.add_edge("look", END, when=iterations("look") >= 9)
    walk.add_edge("look", "look")
    graph = with_limits(Question, walk, answer="answer", limits=Limits(visits=3), instead=clerk("instead"))
    return Scene(graph, {"task": "?"}, {"look": says("x"), "instead": says("nothing")}, 4, "nothing")


class Offer(Guarded):
    """A price."""

    price: str = ""


class Shop(BaseModel):
    """Prices that are requested one after the other."""

    circuit: Circuit = Circuit()
    prices: Annotated[list[str], append] = []


def _circuit_breaker() -> Scene:
    def call(circuit: Circuit) -> str:
        if circuit.failures < 2:
            raise OSError(circuit.failures)
        return "called though the circuit is open"

    breaker = circuit_breaker(Offer, call, clerk("instead", "A price?"), answer="price", failures=2, pause_seconds=9e9)
    graph = Graph("shop", Shop, result="prices")
    graph.add_node("ask", breaker, writes={"prices": "price", "circuit": "circuit"})
    graph.add_edge(START, "ask")
    graph.add_edge("ask", END, when=iterations("ask") >= 4)
    graph.add_edge("ask", "ask")
    return Scene(graph, {}, {"instead": says("old")}, 4, ["old"] * 4)


def _advisor() -> Scene:
    worker = Agent("worker", prompt="{task} {advice}", output=Attempt)

    def attempt(request: Request) -> Attempt:
        return Attempt(answer="42") if "slowly" in request.prompt else Attempt(question="How?")

    answers = {"worker": attempt, "expert": says("slowly")}
    return Scene(advisor(worker, clerk("expert", "{question}")), {"task": "?"}, answers, 3, "42")


SCENES: dict[str, Callable[[], Scene]] = {
    **FIRST,
    "advisor": _advisor,
    "blackboard": _blackboard,
    "with_limits": _with_limits,
    "circuit_breaker": _circuit_breaker,
    "escalation": _escalation,
    "human_in_the_loop": _human_in_the_loop,
    "layered": _layered,
    "react": _react,
    "role_based": _role_based,
    "swarm": _swarm,
    "talker_reasoner": _talker_reasoner,
    "topology": _topology,
}
