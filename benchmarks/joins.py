"""Joins with surprising results: the same small graphs in LangGraph and in graphengine, run, and shown on a page.

`python -m benchmarks.joins` runs every program and prints what happened; `--write docs/explain/joins.md` puts that
between the two marker comments of the page. It needs the packages of the group `bench`; our own programs do not, and
tests/docs/test_joins.py runs them. Each case is a class: its docstring describes the case
and the lesson, its methods are the programs, in the order of the page, and their return types show the library. Both
libraries call their start START, and one file has both sides, so LangGraph's programs use `set_entry_point("a")` for
`add_edge(START, "a")`; they end at nodes without an outgoing edge.
"""

from __future__ import annotations

import argparse
import asyncio
import inspect
import operator
import platform
import re
import textwrap
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, TypedDict

from pydantic import BaseModel

from graphengine import END, START, CompileError, Graph, RunFailed, Runner, __version__, iterations, value
from graphengine.reducers import append

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

if TYPE_CHECKING or find_spec("langgraph"):
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.errors import NodeError
    from langgraph.graph import StateGraph
    from langgraph.types import Command

SLOW_TURNS: Final = (
    1000  # turns of the event loop that a slow node takes: counted, so that the order never depends on a clock
)
FAILING_TURNS: Final = 10  # turns of a node that fails: its quick siblings have ended by then, a slow one has not
ROUNDS: Final = 3  # of the loop
RESUMED: Final = "resumed:"
BEGIN: Final = "<!-- made by python -m benchmarks.joins: begin -->"
FINISH: Final = "<!-- made by python -m benchmarks.joins: end -->"


class Log(BaseModel):
    """The state of graphengine's programs."""

    log: Annotated[list[str], append] = []
    answer: str = ""
    quick: bool = True


class Peer(TypedDict):
    """The state of LangGraph's programs."""

    log: Annotated[list[str], operator.add]
    answer: str
    quick: bool


class Nodes:
    """The nodes of one run, and the order in which they ran.

    Each node notes its start, and then writes its name to `log` or to `answer`. A slow node waits for some turns of the
    event loop, and notes its end or that it was cancelled. A failing node raises an error once.
    """

    join: ClassVar[str]
    durabilities: ClassVar[Sequence[str]] = ("async",)

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.failed = threading.Event()

    def ours(self, names: str, *, slow: str = "", fails: str = "", answer: str = "") -> Graph[Log]:
        """Return a graph of graphengine with a node for each letter of `names`. It has no edges yet."""
        graph = Graph("joins", Log)
        for name in names:
            writes = "answer" if name in answer else "log"
            graph.add_node(name, self.work(name, slow=name in slow, fails=name in fails), writes=writes)
        return graph

    def theirs(self, names: str, *, slow: str = "", fails: str = "", answer: str = "", defer: str = "") -> StateGraph:
        """Return a graph of LangGraph with a node for each letter of `names`. It has no edges yet."""
        graph = StateGraph(Peer)
        for name in names:
            node = self.peer(name, slow=name in slow, fails=name in fails, answer=name in answer)
            graph.add_node(name, node, defer=name in defer)
        return graph

    def work(self, name: str, *, slow: bool = False, fails: bool = False) -> Callable[[], Coroutine[Any, Any, str]]:
        """Return the function of a node, which notes its start and returns its name."""

        async def node() -> str:
            self.happened.append(name)
            try:
                for _ in range(SLOW_TURNS if slow else FAILING_TURNS if fails else 0):
                    await asyncio.sleep(0)
            except asyncio.CancelledError:
                self.happened.append(f"{name} cancelled")
                raise
            if fails:
                self.fail_once(name)
            if slow:
                self.happened.append(f"{name} ends")
            return name

        return node

    def peer(self, name: str, *, answer: bool = False, **how: bool) -> Callable[[Peer], Coroutine[Any, Any, object]]:
        """Return the function of a LangGraph node, which takes the state and returns an update of the state."""
        work = self.work(name, **how)

        async def node(_: Peer) -> object:
            return {"answer": await work()} if answer else {"log": [await work()]}

        return node

    def in_thread(self, name: str, *, slow: bool = False, fails: bool = False) -> Callable[[Peer], object]:
        """Return the function of a LangGraph node as a plain function, which LangGraph runs in a thread."""

        def node(_: Peer) -> object:
            self.happened.append(name)
            if fails:
                self.fail_once(name)
            if slow:
                self.failed.wait()
                time.sleep(0.1)  # by then the run has received the failure
                self.happened.append(f"{name} ends")
            return {"log": [name]}

        return node

    def fail_once(self, name: str) -> None:
        """Raise an error, but only on the first call."""
        if not self.failed.is_set():
            self.failed.set()
            self.happened.append(f"{name} fails")
            message = f"{name} is broken"
            raise ValueError(message)


class Unequal(Nodes):
    """Arms of unequal length: The edges are a → b → c → e and a → d → e.

    In LangGraph, a join of arms with unequal lengths runs once for each arrival, unless a single waiting edge leads to
    it or it is deferred. In graphengine, a fork names its join, which runs once.
    """

    join = "e"

    def plain_edges(self) -> StateGraph:
        """An edge from the end of each arm."""
        graph = self.theirs("abcde")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("b", "c").add_edge("a", "d")
        graph.add_edge("c", "e")
        graph.add_edge("d", "e")
        return graph

    def waiting_edge(self) -> StateGraph:
        """One edge that waits for both, which the documentation advises where every arm runs."""
        graph = self.theirs("abcde")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("b", "c").add_edge("a", "d")
        graph.add_edge(["c", "d"], "e")
        return graph

    def deferred(self) -> StateGraph:
        """Plain edges to a deferred node, which it advises otherwise."""
        graph = self.theirs("abcd")
        graph.add_node("e", self.peer("e"), defer=True)
        graph.set_entry_point("a").add_edge("a", "b").add_edge("b", "c").add_edge("a", "d")
        graph.add_edge("c", "e")
        graph.add_edge("d", "e")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork."""
        graph = self.ours("abcde")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "d"], join="e")
        graph.add_path("b", "c", "e")
        graph.add_path("d", "e", END)
        return graph


class Skipped(Nodes):
    """An arm that is not taken: The edges are a → b → d and a → c → d. `quick` is true in the state, so c is not taken.

    A waiting edge waits for every node that it lists. If one of these nodes is never started, the join never runs, and
    the run ends without an error. A deferred join runs with the results that have arrived. A fork waits for the arms
    that it has started.
    """

    join = "d"

    def waiting_edge(self) -> StateGraph:
        """A waiting edge."""
        graph = self.theirs("abcd")
        graph.set_entry_point("a")
        graph.add_conditional_edges("a", lambda state: ["b"] if state["quick"] else ["b", "c"], ["b", "c"])
        graph.add_edge(["b", "c"], "d")
        return graph

    def deferred(self) -> StateGraph:
        """Plain edges to a deferred node."""
        graph = self.theirs("abcd", defer="d")
        graph.set_entry_point("a")
        graph.add_conditional_edges("a", lambda state: ["b"] if state["quick"] else ["b", "c"], ["b", "c"])
        graph.add_edge("b", "d")
        graph.add_edge("c", "d")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork with a condition."""
        graph = self.ours("abcd")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", ("c", ~value("quick").is_true())], join="d")
        graph.add_path("b", "d")
        graph.add_path("c", "d", END)
        return graph

    def leaving(self) -> Graph[Log]:
        """An arm that would end elsewhere."""
        graph = self.ours("abcd")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="d")
        graph.add_path("b", "d")
        graph.add_edge("c", END, when=value("quick").is_true())
        graph.add_path("c", "d", END)
        return graph


class Nested(Nodes):
    """A fan-out inside an arm: The edges are a → b → (d, e) → f → g and a → c → g.

    With plain edges, the outer join runs twice. It also runs twice if both joins are deferred. It runs once if a
    waiting edge leads to each join. In graphengine, forks can be nested, and each fork has its own join.
    """

    join = "g"

    def plain_edges(self) -> StateGraph:
        """Plain edges."""
        graph = self.theirs("abcdefg")
        graph.set_entry_point("a")
        for source, target in ("ab", "ac", "bd", "be", "df", "ef", "fg", "cg"):
            graph.add_edge(source, target)
        return graph

    def deferred(self) -> StateGraph:
        """Plain edges, both joins deferred."""
        graph = self.theirs("abcdefg", defer="fg")
        graph.set_entry_point("a")
        for source, target in ("ab", "ac", "bd", "be", "df", "ef", "fg", "cg"):
            graph.add_edge(source, target)
        return graph

    def subgraph(self) -> StateGraph:
        """The inner fan-out as a subgraph that shares the state."""
        inner = self.theirs("bdef")
        inner.set_entry_point("b").add_edge("b", "d").add_edge("b", "e")
        inner.add_edge(["d", "e"], "f")
        graph = self.theirs("acg")
        graph.add_node("inner", inner.compile())
        graph.set_entry_point("a").add_edge("a", "inner").add_edge("a", "c")
        graph.add_edge(["inner", "c"], "g")
        return graph

    def waiting_edges(self) -> StateGraph:
        """A waiting edge for each join."""
        graph = self.theirs("abcdefg")
        graph.set_entry_point("a")
        for source, target in ("ab", "ac", "bd", "be"):
            graph.add_edge(source, target)
        graph.add_edge(["d", "e"], "f")
        graph.add_edge(["f", "c"], "g")
        return graph

    def forks(self) -> Graph[Log]:
        """A fork in an arm of a fork."""
        graph = self.ours("abcdefg")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="g")
        graph.add_fork("b", ["d", "e"], join="f")
        graph.add_path("d", "f")
        graph.add_path("e", "f", "g")
        graph.add_path("c", "g", END)
        return graph


class Loop(Nodes):
    """A loop inside an arm: The edges are a → b → e and a → d → e. The node b runs three times.

    A waiting edge counts the first visit of a looping node as the arrival of the arm. To wait for the end of the loop,
    let the edge wait for a node after the loop, or defer the join. In graphengine, an arm of a fork arrives when it
    leaves its loop.
    """

    join = "e"

    def waiting_for_the_loop(self) -> StateGraph:
        """A waiting edge from the looping node."""
        graph = self.theirs("abde")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "d")
        graph.add_conditional_edges("b", lambda state: ["b"] if state["log"].count("b") < ROUNDS else [], ["b"])
        graph.add_edge(["b", "d"], "e")
        return graph

    def waiting_after_the_loop(self) -> StateGraph:
        """A waiting edge from a node c after the loop."""
        graph = self.theirs("abcde")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "d")
        graph.add_conditional_edges("b", lambda state: "b" if state["log"].count("b") < ROUNDS else "c", ["b", "c"])
        graph.add_edge(["c", "d"], "e")
        return graph

    def deferred(self) -> StateGraph:
        """Plain edges to a deferred node."""
        graph = self.theirs("abde", defer="e")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "d")
        graph.add_conditional_edges("b", lambda state: "b" if state["log"].count("b") < ROUNDS else "e", ["b", "e"])
        graph.add_edge("d", "e")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork."""
        graph = self.ours("abde")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "d"], join="e")
        graph.add_edge("b", "e", when=iterations("b") >= ROUNDS)
        graph.add_edge("b", "b")
        graph.add_path("d", "e", END)
        return graph


class Conflict(Nodes):
    """Two arms that write one key without a reducer: b and c run in parallel, and both write `answer`. Then d runs.

    LangGraph reports this as an error if both arms write in the same superstep. If they write in different supersteps,
    the later write replaces the earlier one without an error. graphengine reports the conflict before anything runs.
    """

    join = "d"

    def same_superstep(self) -> StateGraph:
        """Arms of equal length."""
        graph = self.theirs("abcd", answer="bc")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "c")
        graph.add_edge(["b", "c"], "d")
        return graph

    def later_superstep(self) -> StateGraph:
        """A node x before c."""
        graph = self.theirs("abxcd", answer="bc")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "x").add_edge("x", "c")
        graph.add_edge(["b", "c"], "d")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork."""
        graph = self.ours("abcd", answer="bc")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="d")
        graph.add_path("b", "d")
        graph.add_path("c", "d", END)
        return graph


class Failing(Nodes):
    """An arm that fails: The join is d. The node c raises while b is running and q has ended. Then the run is resumed.

    LangGraph cancels a node that still runs beside the failed node, and starts it again on resume. Plain functions
    under `invoke` run on, and are started again only if the durability is `exit`. graphengine lets the other arms run
    on to the join, so that a resume runs only what failed.
    """

    join = "d"
    durabilities = ("async", "sync", "exit")

    def waiting_edge(self) -> StateGraph:
        """Async nodes."""
        graph = self.theirs("abcqd", slow="b", fails="c")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "c").add_edge("a", "q")
        graph.add_edge(["b", "c", "q"], "d")
        return graph

    def in_threads(self) -> StateGraph:
        """Plain functions as nodes, and `invoke`."""
        graph = StateGraph(Peer)
        graph.add_node("b", self.in_thread("b", slow=True))
        graph.add_node("c", self.in_thread("c", fails=True))
        graph.add_node("d", self.in_thread("d"))
        graph.set_entry_point("b").set_entry_point("c")
        graph.add_edge(["b", "c"], "d")
        return graph

    def error_handler(self) -> StateGraph:
        """Async nodes, and a handler that sends the failed arm to the join."""

        async def recover(_: Peer, error: NodeError) -> Command[Literal["d"]]:
            return Command(update={"log": [f"no {error.node}"]}, goto="d")

        graph = self.theirs("abqd", slow="b")
        graph.add_node("c", self.peer("c", fails=True), error_handler=recover)
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "c").add_edge("a", "q")
        graph.add_edge(["b", "c", "q"], "d")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork."""
        graph = self.ours("abcqd", slow="b", fails="c")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c", "q"], join="d")
        graph.add_path("b", "d")
        graph.add_path("c", "d")
        graph.add_path("q", "d", END)
        return graph

    def fallback(self) -> Graph[Log]:
        """A fork, and a fallback that replaces the failed node."""
        graph = self.ours("abqd", slow="b")
        graph.add_node("c", self.work("c", fails=True), writes="log", fallback="no c")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c", "q"], join="d")
        graph.add_path("b", "d")
        graph.add_path("c", "d")
        graph.add_path("q", "d", END)
        return graph


class First(Nodes):
    """The first of several: The node b is quick, and c is slow. The join d needs only the one that ends first.

    In LangGraph, a superstep lasts until its slowest node has ended. To continue with the first result, one node must
    run the alternatives itself and take the first result. In graphengine, a fork with `need=1` continues at the first
    arrival and cancels the other arms.
    """

    join = "d"

    def plain_edges(self) -> StateGraph:
        """Plain edges."""
        graph = self.theirs("abcd", slow="c")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("a", "c").add_edge("b", "d").add_edge("c", "d")
        return graph

    def race_in_a_node(self) -> StateGraph:
        """A node that races two coroutines."""

        async def race(_: Peer) -> object:
            arms = {asyncio.create_task(work()) for work in (self.work("b"), self.work("c", slow=True))}
            done, late = await asyncio.wait(arms, return_when=asyncio.FIRST_COMPLETED)
            for task in late:
                task.cancel()
            return {"log": [task.result() for task in done]}

        graph = self.theirs("ad")
        graph.add_node("race", race)
        graph.set_entry_point("a").add_edge("a", "race").add_edge("race", "d")
        return graph

    def fork(self) -> Graph[Log]:
        """A fork with `need=1`."""
        graph = self.ours("abcd", slow="c")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="d", need=1)
        graph.add_path("b", "d")
        graph.add_path("c", "d", END)
        return graph


class Crossing(Nodes):
    """Joins that do not nest: The edges are a → b → x → d → f, a → c → d and c → e → f. d and f wait for both edges.

    LangGraph's waiting edges can express any such graph. graphengine refuses arms that share a node. If the graph is
    written as two forks in a row instead, e also waits for b and x.
    """

    join = "f"

    def waiting_edges(self) -> StateGraph:
        """Waiting edges."""
        graph = self.theirs("abcdefx")
        graph.set_entry_point("a").add_edge("a", "b").add_edge("b", "x").add_edge("a", "c").add_edge("c", "e")
        graph.add_edge(["x", "c"], "d")
        graph.add_edge(["d", "e"], "f")
        return graph

    def shared_node(self) -> Graph[Log]:
        """Arms that share d."""
        graph = self.ours("abcdefx")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="f")
        graph.add_fork("c", ["d", "e"], join="f")
        graph.add_path("b", "x", "d", "f")
        graph.add_path("e", "f", END)
        return graph

    def two_forks(self) -> Graph[Log]:
        """Two forks in a row, around an empty node."""
        graph = self.ours("abcdefx")
        graph.add_node("both")
        graph.add_edge(START, "a")
        graph.add_fork("a", ["b", "c"], join="both")
        graph.add_fork("both", ["d", "e"], join="f")
        graph.add_path("b", "x", "both")
        graph.add_edge("c", "both")
        graph.add_path("d", "f")
        graph.add_path("e", "f", END)
        return graph


CASES: Final[Sequence[type[Nodes]]] = (Unequal, Skipped, Nested, Loop, Conflict, Failing, First, Crossing)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a program: the order of events, and the last state or the error."""

    happened: Sequence[str]
    end: str

    def joined(self, join: str) -> str:
        """Return in words how often the join ran."""
        return ("never", "once", "twice")[self.happened.count(join)] if self.happened else "refused"


def programs(case: type[Nodes], returned: str) -> list[str]:
    """Return the names of the programs of a case that return this type: `StateGraph` or `Graph[Log]`."""
    members = vars(case).items()
    return [name for name, it in members if inspect.isfunction(it) and it.__annotations__["return"] == returned]


async def run_ours(case: type[Nodes], name: str) -> Outcome:
    """Run a program of graphengine in memory. If the run fails, resume it."""
    nodes = case()
    graph: Graph[Log] = getattr(nodes, name)()
    async with Runner() as runner:
        try:
            result = await runner.start(graph, Log()).result()
        except CompileError as error:
            problems = (f"{problem.message}; {problem.repair}" for problem in error.problems)
            return Outcome((), f"CompileError: {' / '.join(problems)}")
        except RunFailed as error:
            nodes.happened.append(RESUMED)
            result = await runner.resume(error.result.run_id, graph).result()
    return Outcome(nodes.happened, _shown(dict(result.state)))


async def run_theirs(case: type[Nodes], name: str, durability: str) -> Outcome:
    """Run a program of LangGraph with its in-memory saver. If a failing node raised its error, resume the run."""
    nodes = case()
    app = getattr(nodes, name)().compile(checkpointer=InMemorySaver())
    options = {"config": {"configurable": {"thread_id": "1"}}, "durability": durability}
    call = app.invoke if name == "in_threads" else app.ainvoke
    try:
        state = call({"log": [], "quick": True}, **options)
        state = await state if inspect.isawaitable(state) else state
    except Exception as error:  # noqa: BLE001 - the page shows any exception
        if not nodes.failed.is_set():
            return Outcome(nodes.happened, f"{type(error).__name__}: {str(error).splitlines()[0]}")
        nodes.happened.append(RESUMED)
        state = call(None, **options)
        state = await state if inspect.isawaitable(state) else state
    return Outcome(nodes.happened, _shown(state))


async def run_case(case: type[Nodes]) -> Mapping[str, Outcome]:
    """Run all programs of a case. Durabilities with the same outcome share one line."""
    found: dict[str, Outcome] = {}
    for name in programs(case, "StateGraph"):
        alike: dict[str, tuple[Outcome, list[str]]] = {}
        for durability in case.durabilities:
            outcome = await run_theirs(case, name, durability)
            alike.setdefault(str(outcome), (outcome, []))[1].append(durability)
        for outcome, modes in alike.values():
            suffix = f", durability {' or '.join(modes)}" if len(case.durabilities) > 1 else ""
            found[f"LangGraph: `{name}`{suffix}"] = outcome
    return found | {f"graphengine: `{name}`": await run_ours(case, name) for name in programs(case, "Graph[Log]")}


def row(program: str, outcome: Outcome, join: str) -> str:
    """Return the row about a program for the table of its case."""
    happened = ", ".join(outcome.happened).replace(f", {RESUMED}, ", f"; {RESUMED} ") or "nothing"
    end = re.sub(r"^log: [^;]*(; )?", "", outcome.end).partition("; ")[0]  # the starts are listed already; no repairs
    return f"| {program} | {happened} | {'; '.join(filter(None, (outcome.joined(join), end)))} |"


def section(number: int, case: type[Nodes], found: Mapping[str, Outcome]) -> str:
    """Return the section of the page about one case."""
    about, _, lesson = (inspect.getdoc(case) or "").partition("\n\n")
    title, _, shape = about.partition(": ")
    learned = textwrap.fill(f"**{' '.join(lesson.split())}**", 120)
    lines = [f"## {number}. {title}", "", shape, "", learned, ""]
    lines += [f"| program | what happened | {case.join} ran |", "|---|---|---|"]
    lines += [row(program, outcome, case.join) for program, outcome in found.items()]
    return "\n".join(lines) + "\n"


async def made() -> str:
    """Run all cases, and return the generated part of the page."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("langgraph", "langgraph-checkpoint", "pydantic"))
    ran = f"Run with {versions}, graphengine {__version__}, Python {platform.python_version()}.\n"
    sections = [section(number, case, await run_case(case)) for number, case in enumerate(CASES, 1)]
    return "\n".join((ran, *sections))


def placed(page: str, text: str) -> str:
    """Return the page, in which the text between the two markers is replaced.

    Raises:
        ValueError: The page does not contain both markers.
    """
    before, begin, rest = page.partition(BEGIN)
    _, finish, after = rest.partition(FINISH)
    if not (begin and finish):
        raise ValueError(f"the page needs both markers, {BEGIN} and {FINISH}")
    return f"{before}{BEGIN}\n\n{text}\n{FINISH}{after}"


def main() -> None:
    """Run every program and print what happened. With --write, update the generated part of the page too."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.joins", description=main.__doc__)
    parser.add_argument("--write", type=Path, metavar="PATH", help="the page to update, between its two markers")
    path = parser.parse_args().write
    if not find_spec("langgraph"):
        parser.error("LangGraph is not installed; run: make .venv-bench/ready")
    text = asyncio.run(made())
    print("\n".join(line for line in text.splitlines() if line.startswith(("Run", "#", "|"))))
    if path is not None:
        path.write_text(placed(path.read_text(encoding="utf-8"), text), encoding="utf-8")


def _shown(state: Mapping[str, object]) -> str:
    """Describe a state. Empty fields and `quick`, which is the same in every run, are left out."""
    held = {name: " ".join(it) if isinstance(it, list) else it for name, it in state.items() if it and name != "quick"}
    return "; ".join(f"{name}: {it}" for name, it in held.items())


if __name__ == "__main__":
    main()
