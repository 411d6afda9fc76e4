"""Patterns as user code writes them, compiled and run, as proof that the promised designs can be written.

Each pattern is a function that returns a Graph, made of agents that answer by rules and of plain functions.
"""

from collections.abc import Callable, Mapping, Sequence
from difflib import SequenceMatcher
from typing import Annotated, Any, TypeVar

import pytest
from pydantic import AfterValidator, BaseModel

from graphengine import (
    END,
    START,
    Agent,
    Condition,
    Graph,
    Node,
    RunFailed,
    Runnable,
    ScriptedModel,
    choose,
    iterations,
    plateau,
    value,
)
from graphengine.reducers import append

S = TypeVar("S", bound=BaseModel)


def agent(name: str, rule: Callable[..., Any], output: Any = str) -> Agent[Any]:
    """Return an agent that answers by a rule, whose parameters are the fields it reads."""
    return Agent(name, output=output, offline=rule)


# Generate, evaluate, again


class Poem(BaseModel):
    topic: str
    poem: str = ""
    score: int = 0


def evaluator_optimizer(  # noqa: PLR0913 - a pattern has many parts
    state: type[S],
    generate: Runnable,
    evaluate: Runnable,
    *,
    accept: Condition,
    score: str | None = None,
    tries: int = 3,
    result: str | None = None,
) -> Graph[S]:
    """Generate until the evaluation accepts, no longer improves, or was tried often enough."""
    graph = Graph("evaluator_optimizer", state, result=result)
    graph.add_node("generate", generate)
    graph.add_node("evaluate", evaluate)
    graph.add_path(START, "generate", "evaluate")
    graph.add_edge("evaluate", END, when=accept, label="accepted")
    if score:
        graph.add_edge("evaluate", END, when=plateau(score), label="no longer improving")
    graph.add_edge("evaluate", END, when=iterations("evaluate") >= tries, label="out of tries")
    graph.add_edge("evaluate", "generate")
    return graph


def longer(topic: str, poem: str) -> str:
    """Make a poem longer."""
    return f"{poem} {topic}".strip()


def length(poem: str) -> int:
    """Score a poem by its number of letters."""
    return len(poem)


def poems(lengths: Callable[..., int], tries: int) -> Graph[Poem]:
    """Return the pattern over prepared nodes."""
    return evaluator_optimizer(
        Poem,
        Node(agent("poet", longer), writes="poem"),
        Node(lengths, writes="score"),
        accept=value("score") >= 14,
        score="score",
        tries=tries,
        result="poem",
    )


@pytest.mark.parametrize(
    ("rule", "tries", "label", "words"),
    [
        (length, 9, "accepted", 3),
        (lambda poem: min(len(poem), 8), 9, "no longer improving", 3),
        (lambda poem: len(poem) // 9, 2, "out of tries", 2),
    ],
)
async def test_evaluator_optimizer(rule: Callable[[str], int], tries: int, label: str, words: int) -> None:
    """A pattern takes prepared nodes, a condition and a score, and reaches each of its three ends."""
    result = await poems(rule, tries).run(Poem(topic="tide"))
    assert (result.label, result.output) == (label, " ".join(["tide"] * words))


# Roles that talk in rounds


class Room(BaseModel):
    premise: str
    views: dict[str, str] = {}
    before: dict[str, str] = {}
    agreement: float = 0.0
    output: str = ""


def settle(views: dict[str, str], before: dict[str, str]) -> dict[str, object]:
    """Return the share of views that did not change since the last round."""
    same = [SequenceMatcher(None, before.get(who, ""), text).ratio() for who, text in views.items()]
    return {"before": views, "agreement": sum(same) / len(same) if same else 0.0}


def role_based(agents: Sequence[Agent[str]], *, rounds: int = 2, converged: float = 0.95) -> Graph[Room]:
    """Agents state their views in parallel, round after round, until these no longer change."""
    graph = Graph("role_based", Room, result="output")
    for each in agents:
        graph.add_node(each.name, each, inputs={"premise": "premise", "views": "views"}, writes=f"views[{each.name}]")
        graph.add_edge(each.name, "settle")
    graph.add_node("settle", settle, writes=("before", "agreement"))
    graph.add_node("conclude", agents[0].but(prompt="Conclude.\n{premise}\n{views}"), writes="output")
    graph.add_edge(START, "settle")
    graph.add_edge("settle", "conclude", when=value("agreement") >= converged, label="converged")
    graph.add_edge("settle", "conclude", when=iterations("settle") > rounds, label="out of rounds")
    graph.add_fork("settle", [each.name for each in agents], join="settle")
    graph.add_edge("conclude", END)
    return graph


def stubborn(premise: str, views: dict[str, str]) -> str:
    """Return the same view every time."""
    return f"{premise}: yes ({len(views) and 'heard'})"


def wavering(premise: str, views: dict[str, str]) -> str:
    """Return a view that grows with the views it read."""
    return f"{premise}? {views}"


@pytest.mark.parametrize(("rule", "visits"), [(stubborn, 4), (wavering, 4)])
async def test_role_based(rule: Callable[..., str], visits: int) -> None:
    """The join of a fork is the node that forks; the rounds end, and the first agent concludes."""
    graph = role_based([agent("ann", rule), agent("bob", rule)], rounds=3)
    result = await graph.run(Room(premise="tea"))
    assert result.state.views.keys() == {"ann", "bob"}
    assert str(result.output).startswith("tea")
    assert result.steps == visits + 2 * (visits - 1) + 1


# A supervisor who delegates to workers


class Report(BaseModel):
    worker: str
    text: str


class Route(BaseModel):
    next: str
    instruction: str = ""


class Supervised(BaseModel):
    task: str
    route: Route = Route(next="")
    reports: Annotated[list[Report], append] = []
    output: str = ""


def supervisor(
    boss: Agent[Route], workers: Mapping[str, Runnable], finish: Agent[str], *, turns: int = 10
) -> Graph[Supervised]:
    """A boss names the next worker until the work is done."""

    def known(route: Route) -> Route:
        if route.next not in (*workers, "finish"):
            message = f"next must be one of {sorted(workers)} or finish"
            raise ValueError(message)
        return route

    def report(result: str, route: Route) -> Report:
        return Report(worker=route.next, text=result)

    graph = Graph("supervisor", Supervised, result="output")
    graph.add_node("boss", boss.but(output=Annotated[Route, AfterValidator(known)]), writes="route")
    graph.add_node(
        "work",
        choose("route.next", workers),
        inputs={"task": "route.instruction", "reports": "reports"},
        writes={"reports": report},
    )
    graph.add_node("finish", finish, writes="output")
    graph.add_edge(START, "boss")
    graph.add_edge("boss", "finish", when=iterations("boss") >= turns, label="out of turns")
    graph.add_edge("boss", "finish", when=value("route.next") == "finish", label="done")
    graph.add_path("boss", "work", "boss")
    graph.add_edge("finish", END)
    return graph


def lead(task: str, reports: list[Report]) -> Route:
    """Research, then writing, then the end."""
    return Route(next=["research", "write", "finish"][len(reports)], instruction=f"{task} {len(reports)}")


def study(task: str) -> str:
    """A worker that is a plain function."""
    return f"studied {task}"


def summary(reports: list[Report]) -> str:
    """Return all reports."""
    return "; ".join(f"{report.worker}: {report.text}" for report in reports)


def author(task: str, reports: list[Report]) -> str:
    """Write from the reports of the others."""
    return f"wrote {task} after {reports[-1].worker}"


WORKERS: Mapping[str, Runnable] = {"research": study, "write": agent("author", author)}


async def test_supervisor() -> None:
    """Functions and agents are workers alike; a function writes the results."""
    result = await supervisor(agent("boss", lead, Route), WORKERS, agent("closer", summary)).run({"task": "tides"})
    assert result.output == "research: studied tides 0; write: wrote tides 1 after research"


async def test_a_check_refuses_an_answer() -> None:
    """A boss that names no worker fails like any invalid answer."""
    lost = Agent("boss", prompt="{task}", output=Route, model=ScriptedModel([Route(next="nobody")]))
    with pytest.raises(RunFailed, match="next must be one of"):
        await supervisor(lost, WORKERS, agent("closer", summary)).run({"task": "tides"})


# A director, and a team for each part of the work


class Assignment(BaseModel):
    team: str
    task: str


class Company(BaseModel):
    task: str
    assignments: list[Assignment] = []
    reports: dict[str, str] = {}
    output: str = ""


def hierarchical(director: Agent[list[Assignment]], teams: Mapping[str, Runnable], head: Agent[str]) -> Graph[Company]:
    """A director whose assignments go to teams, each of which can be a graph."""
    graph = Graph("hierarchical", Company, result="output")
    graph.add_node("direct", director, writes="assignments")
    graph.add_node(
        "teams",
        choose("item.team", teams),
        each={"item": "assignments"},
        inputs={"task": "item.task"},
        writes="reports[{item.team}]",
    )
    graph.add_node("report", head, writes="output")
    graph.add_path(START, "direct", "teams", "report", END)
    return graph


def reported(reports: dict[str, str]) -> str:
    """Return every report."""
    return "; ".join(f"{team}: {text}" for team, text in reports.items())


async def test_hierarchical() -> None:
    """Teams are agents, functions and graphs; each report is under its team's name, in item order."""
    parts = {"desk": "plan", "panel": "tides", "law": "rights"}
    plan = [Assignment(team=team, task=task) for team, task in parts.items()]
    panel = Node(role_based([agent("ann", stubborn), agent("bob", stubborn)]), inputs={"premise": "item.task"})
    teams: Mapping[str, Runnable] = {"law": study, "desk": agent("clerk", lambda task: f"noted {task}"), "panel": panel}
    graph = hierarchical(agent("director", lambda task: plan, list[Assignment]), teams, agent("head", reported))
    result = await graph.run(Company(task="tides"))
    assert list(result.state.reports) == ["desk", "panel", "law"]
    assert result.output == "desk: noted plan; panel: tides: yes (heard); law: studied rights"


# A plan of steps that depend on each other


class Step(BaseModel):
    id: str
    role: str
    input: str
    needs: list[str] = []


class Job(BaseModel):
    task: str
    plan: list[Step] = []
    batch: list[Step] = []
    results: dict[str, str] = {}
    output: str = ""


def orchestrator_workers(
    planner: Agent[list[Step]],
    workers: Mapping[str, Runnable],
    synthesiser: Agent[str],
    *,
    waves: int = 20,
    concurrency: int = 8,
) -> Graph[Job]:
    """The steps of a plan run wave after wave, each as soon as its dependencies are done."""

    def check(plan: list[Step]) -> list[Step]:
        ids = [step.id for step in plan]
        problems = [f"{s.id}: no worker {s.role}; there are {sorted(workers)}" for s in plan if s.role not in workers]
        problems += [
            f"{s.id}: needs {need}, which is no earlier step"
            for at, s in enumerate(plan)
            for need in s.needs
            if need not in ids[:at]
        ]
        if problems:
            raise ValueError("; ".join(problems))
        return plan

    def schedule(plan: list[Step], results: dict[str, str]) -> list[Step]:
        return [s for s in plan if s.id not in results and all(need in results for need in s.needs)]

    graph = Graph("orchestrator_workers", Job, result="output")
    graph.add_node("make_plan", planner.but(output=Annotated[list[Step], AfterValidator(check)]), writes="plan")
    graph.add_node("schedule", schedule, writes="batch")
    graph.add_node(
        "work",
        choose("step.role", workers),
        each={"step": "batch"},
        inputs={"task": "step.input", "results": "results"},
        writes="results[{step.id}]",
        concurrency=concurrency,
    )
    graph.add_node("synthesise", synthesiser, writes="output")
    graph.add_path(START, "make_plan", "schedule")
    graph.add_edge("schedule", "synthesise", when=value("batch").length() == 0, label="all done")
    graph.add_edge("schedule", "synthesise", when=iterations("schedule") > waves, label="out of waves")
    graph.add_path("schedule", "work", "schedule")
    graph.add_path("synthesise", END)
    return graph


PLAN = [
    Step(id="a", role="read", input="tides"),
    Step(id="b", role="read", input="winds"),
    Step(id="c", role="join", input="both", needs=["a", "b"]),
]


def joined(task: str, results: dict[str, str]) -> str:
    """Join the results of the steps that it depends on."""
    return f"{task}: {', '.join(results.values())}"


def crowd(plan: list[Step]) -> Graph[Job]:
    """Return the pattern over this plan."""
    workers: Mapping[str, Runnable] = {"read": study, "join": agent("joiner", joined)}
    planner = agent("planner", lambda task: plan, list[Step])
    return orchestrator_workers(planner, workers, agent("closer", lambda results: list(results.values())[-1]))


async def test_orchestrator_workers() -> None:
    """Steps with dependencies run in a later wave and read their results."""
    result = await crowd(PLAN).run(Job(task="weather"))
    assert result.state.results == {"a": "studied tides", "b": "studied winds", "c": result.output}
    assert result.output == "both: studied tides, studied winds"


async def test_a_plan_that_cannot_be_done_is_refused() -> None:
    """The check lists every problem of the plan at once."""
    with pytest.raises(RunFailed, match=r"c: needs a, which is no earlier step; c: needs b"):
        await crowd([PLAN[2], *PLAN[:2]]).run(Job(task="weather"))


# Graphs of graphs of graphs


class Article(BaseModel):
    task: str
    draft: str = ""
    vote: str = ""


class Order(BaseModel):
    title: str
    desk: str


class Paper(BaseModel):
    brief: str
    orders: list[Order] = []
    articles: dict[str, str] = {}
    issue: str = ""


class Ballot(BaseModel):
    question: str
    voices: list[str] = ["a", "b", "c"]
    votes: list[str] = []
    decision: str = ""


def voting(voter: Runnable) -> Graph[Ballot]:
    """Every voter votes; the most votes win."""
    graph = Graph("voting", Ballot, result="decision")
    graph.add_node("vote", voter, each={"voice": "voices"}, writes="votes")
    graph.add_node("count", lambda votes: max(sorted(set(votes)), key=votes.count), writes="decision")
    graph.add_path(START, "vote", "count", END)
    return graph


def front_page(articles: dict[str, str]) -> str:
    """Return the titles."""
    return " | ".join(articles)


def newspaper(editor: Agent[list[Order]], roles: list[Agent[str]], vote: Runnable, chief: Agent[str]) -> Graph[Paper]:
    """Articles in parallel, each written by roles in rounds until a vote approves it."""
    write = Node(role_based(roles), inputs={"premise": "task"}, writes="draft")
    judge = Node(vote, inputs={"question": "draft"}, writes="vote")
    article = evaluator_optimizer(Article, write, judge, accept=value("vote") == "publish", result="draft")
    graph = Graph("newspaper", Paper, result="issue")
    graph.add_node("assign", editor, writes="orders")
    graph.add_node(
        "articles",
        article,
        each={"item": "orders"},
        inputs={"task": "item.title"},
        writes="articles[{item.title}]",
        concurrency=4,
    )
    graph.add_node("compose", chief, writes="issue")
    graph.add_path(START, "assign", "articles", "compose", END)
    return graph


@pytest.mark.parametrize("kind", ["graph", "agent"])
async def test_nested(kind: str) -> None:
    """Three graphs deep, under a map; the vote can be a graph or an agent."""

    def decide(question: str) -> str:
        return "publish" if question else "again"

    vote: Runnable = voting(decide) if kind == "graph" else agent("judge", decide)
    orders = [Order(title="Tides", desk="sea"), Order(title="Dunes", desk="land")]
    editor = agent("editor", lambda brief: orders, list[Order])
    chief = agent("chief", front_page)
    graph = newspaper(editor, [agent("ann", stubborn), agent("bob", stubborn)], vote, chief)
    result = await graph.run(Paper(brief="the coast"))
    assert result.output == "Tides | Dunes"
    assert result.state.articles["Tides"].startswith("Tides: yes")
