"""walk: the paths of a graph, with stubs for its nodes.

A copy of the graph runs on a real Runner, in memory, with a clock that jumps: edges, forks, joins, reducers, retries,
fallbacks and limits are the engine's. Only the nodes' work is replaced.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from graphengine.agents.model_routing import ALL, by_agent
from graphengine.api.graph import Graph
from graphengine.api.runner import Runner
from graphengine.errors import CompileError, InputError
from graphengine.kernel.extension import RunFailed, compiled
from graphengine.kernel.inside import given_in, without_items
from graphengine.kernel.reader import Failed, Node, RunStatus
from graphengine.models.errors import ModelUnavailable
from graphengine.models.scripted import shorten_middle
from graphengine.records.visits import Visits as Run
from graphengine.testing.clock import FakeClock
from graphengine.testing.coverage import introduce
from graphengine.testing.done import EdgeTaken
from graphengine.testing.stubs import ENDING, with_stubs
from graphengine.testing.trail import Word, text_of, trail, words_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.agents.model_routing import GivenModels
    from graphengine.kernel.extension import Ending, Failure, Limits, Plan, Result
    from graphengine.kernel.reader import Step
    from graphengine.models.base import Request, Response
    from graphengine.records.visit_tree import Visit as Visited
    from graphengine.testing.scripts import Script, Visits

S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Visit:
    """A visit of a node in a walk.

    Attributes:
        path: The node's path.
        visit: The number of the visit, from 1.
        edge: The edge that was taken; None if there was none, as for a map's item or at the end of the run.
        error: The error with which it failed, as `ValueError: no`; "" if it did not.
    """

    path: str
    visit: int
    edge: EdgeTaken | None
    error: str = ""

    def __str__(self) -> str:
        place = f"{self.path}, visit {self.visit}"
        failed = f" failed with {self.error}" if self.error else ""
        if self.edge is None:
            return f"{place}{failed}"
        label = f" {self.edge.label!r}" if self.edge.label else ""
        return f"{place}{failed} -> {', '.join(self.edge.to)}{label}: {self.edge.why}"


@dataclass(frozen=True, slots=True)
class Walked(Generic[S]):
    """The result of a walk.

    Attributes:
        path: The nodes that were visited, in one line; see `walk`.
        status: `finished`, `failed` (as at FAIL), or `stopped` at a limit.
        ending: Why it ended.
        state: The state at the end.
        output: What the graph's `result=` names; the state without one.
        error: The error with which it failed.
        visits: Each visit with the edge that it took and why, in the order in which they ended.
    """

    path: str
    status: RunStatus
    ending: Ending | None
    state: S
    output: object
    error: Failure | None
    visits: Sequence[Visit]
    _words: Sequence[Word] = field(default=(), repr=False)

    @property
    def label(self) -> str:
        """The label of the edge that led to the end; "" if there is none."""
        return self.ending.label if self.ending is not None else ""

    @property
    def why(self) -> Sequence[str]:
        """Return each visit in words, as `review, visit 1 -> write: score 5 >= 7: no; otherwise`."""
        return [str(visit) for visit in self.visits]

    def assert_path(self, expected: str) -> None:
        """Check that the nodes were visited in this order; see `walk` for how a path is written.

        Args:
            expected: The path. Its spacing does not matter.

        Raises:
            AssertionError: They were not; the text shows where the paths diverge, and why that edge was taken.
        """
        __tracebackhide__ = True
        if not isinstance(expected, str):
            raise InputError(f"{expected!r} is not a text", where="assert_path", repair="assert_path('one two END')")
        wanted, walked = words_of(expected), [word.text for word in self._words]
        if wanted == walked:
            return
        common = next((at for at, pair in enumerate(zip(wanted, walked, strict=False)) if pair[0] != pair[1]), None)
        raise AssertionError(self._divergence(wanted, min(len(wanted), len(walked)) if common is None else common))

    def _divergence(self, wanted: Sequence[str], at: int) -> str:
        """Return the report of paths that diverge before a word."""
        here = len(text_of([*wanted[:at], "x"])) - 1
        lines = [
            f"the walk left the expected path {f'after {wanted[at - 1]!r}' if at else 'at once'}",
            f"  expected: {text_of(wanted)}",
            f"  walked:   {self.path}",
            f"            {' ' * here}^ {repr(wanted[at]) if at < len(wanted) else 'nothing more'} was expected",
        ]
        last = next((word.visit for word in reversed(self._words[:at]) if word.visit is not None), None)
        if last is not None:
            lines.append(f"  {_visit_in_walk(last)}")
        if self.error is not None:
            lines.append(f"  it failed at {self.error.path or 'FAIL'}: {self.error.kind}: {self.error.message}")
        elif self.status == "stopped" and self.ending is not None:
            lines.append(f"  it stopped: {self.ending.why}")
        return "\n".join([*lines, f"  state: {shorten_middle(repr(self.state), 600)}"])


async def walk(
    graph: Graph[S],
    nodes: Mapping[str, Visits] | Mapping[str, object],
    state: S | Mapping[str, object] | None = None,
    /,
    *,
    models: GivenModels | None = None,
    limits: Limits | None = None,
    **fields: object,
) -> Walked[S]:
    """Walk a graph's real edges, with stubs for its nodes.

    A node's stub is one of these, for every visit, or a list of them, one for each visit; a list that is too short
    fails the walk with the node and the visit:

    - a mapping of fields (or a model, whose set fields count): the update, as the node would write it. It is handled as
      any update: through the reducer (one item for `append`), validated, recorded;
    - an exception: the visit fails with it. Retries, the fallback and `failed(…)` edges follow, and no time passes;
    - a function of fields, and of `ctx`, that returns any of these;
    - `None`: it writes nothing. The same holds for nodes that are not named, other than graphs;
    - `Ended(label, update)` for a nested graph as a whole. Without it, its own nodes are walked, by their paths
      (`"article/review"`), also for each item of a map;
    - `Items(…)` for a map, item by item. Without it a mapping replaces the whole map.

    A path is written as the names of its nodes in their order. It ends with END, with FAIL, or with STOPPED if a limit
    was reached: `write review write review END`. A fork is written `[facts | counter]`, with its arms in declared order
    and `-` for an empty arm. The visits in a nested graph follow its name, as in `article (write review)`. So do the
    visits of the items of a map, as in `teams (a b | a b)`.

    Args:
        graph: The graph.
        nodes: The stubs for its nodes, by path.
        state: The initial state, or a mapping of its fields.
        models: The models for fallbacks that call one, as in `Runner`; without one such a fallback fails.
        limits: In place of the graph's own.
        fields: Fields of the state by name, over those of `state`.

    Raises:
        InputError: A path names no node, a stub is invalid, a list was too short, or an update or the state does
            not fit.
        CompileError: The graph cannot run.

    Example:
        >>> import asyncio
        >>> from graphengine import END, START, Graph, value
        >>> from pydantic import BaseModel
        >>> class Count(BaseModel):
        ...     n: int = 0
        >>> graph = Graph("count", Count)
        >>> graph.add_node("more", lambda n: n + 1, writes="n")
        >>> graph.add_edge(START, "more")
        >>> graph.add_edge("more", END, when=value("n") >= 3, label="enough")
        >>> graph.add_edge("more", "more")
        >>> walked = asyncio.run(walk(graph, {"more": [{"n": 1}, {"n": 5}]}))
        >>> walked.path, walked.label
        ('more more END', 'enough')
    """
    original = _plan_of(graph)
    introduce(original)
    plan, scripts = with_stubs(original, cast("Mapping[str, Visits]", nodes))  # what is no stub fails the walk
    given = state if not fields else {**given_in(state or {}), **fields}
    async with Runner(clock=FakeClock(), run_again=True, models={ALL: _NoModel(), **by_agent(models)}) as runner:
        run = runner.start(_with_plan(graph, plan), given, limits=limits)
        try:
            result = await run.result()
        except RunFailed as error:
            result = error.result
        steps = await runner.history(run.id)
    _check_stubs(steps, scripts)
    return _walk_of(result, Run.of(steps, specs={plan.fingerprint: plan.graph_spec}))


class _NoModel:
    """The model of a walk that was given none; it raises when it is called."""

    name = "none"

    async def answer(self, request: Request) -> Response:
        """Raise ModelUnavailable."""
        raise ModelUnavailable(
            f"agent {request.agent} called a model in a walk, and there is none",
            where=f"agent {request.agent}",
            repair="a fallback calls it: pass one, walk(…, models=ScriptedModel([…]))",
        )


def _plan_of(graph: Graph[S]) -> Plan[S]:
    """Return the plan of a graph; also of one that only breaks rules, so that a walk can show how.

    Raises:
        CompileError: The graph cannot run for another reason.
    """
    try:
        return compiled(graph)
    except CompileError as error:
        if any(problem.code != "rule_broken" for problem in error.problems if not problem.warning):
            raise
    watched = graph.but()
    watched.rules = [replace(rule, is_checked=False) for rule in graph.rules]
    return compiled(watched)


def _with_plan(graph: Graph[S], plan: Plan[S]) -> Graph[S]:
    """Return a graph with the name and limits of another that has a plan already."""
    copy = Graph(graph.name, graph.state, limits=graph.own_limits)
    copy._keep(plan)  # noqa: SLF001 - as the compiler does
    return copy


def _check_stubs(steps: Sequence[Step], scripts: Sequence[Script]) -> None:
    """Check that all stubs were valid.

    Raises:
        InputError: A list was too short, or an update does not fit.
    """
    for script in scripts:
        if script.error is not None:
            raise script.error
    named = {script.path for script in scripts}
    for step in steps:
        failure = step.data.error
        if failure is not None and failure.kind in ("invalid_update", "not_recordable", "too_large"):
            path = without_items(failure.path).removesuffix(f"/{ENDING}")
            if path in named:
                message = f"the stub for {path}, visit {step.visit}, does not fit: {failure.message}"
                raise InputError(message, where=failure.where or f"walk, node {path}", repair=failure.repair)


def _walk_of(result: Result[S], run: Run) -> Walked[S]:
    status = cast("RunStatus", result.status)  # no queue has it
    words = trail(run, status, {ENDING})
    return Walked(
        path=text_of(words),
        status=status,
        ending=result.ending,
        state=result.state,
        output=result.output,
        error=result.error,
        visits=_visits(run),
        _words=words,
    )


def _visits(run: Run) -> list[Visit]:
    """Return the visits that ended, in that order."""
    ended = dict.fromkeys(entry.visit for entry in run.entries if isinstance(entry.step.data, (Node, Failed)))
    return [_visit_in_walk(visit) for visit in ended if visit is not None and visit.node != ENDING]


def _visit_in_walk(visit: Visited) -> Visit:
    edge, failure = visit.edge, visit.failure
    taken = EdgeTaken(tuple(edge.to), edge.label, edge.why) if edge is not None else None
    return Visit(visit.path, visit.number, taken, f"{failure.kind}: {failure.message}" if failure is not None else "")


__all__ = ["Visit", "Walked", "walk"]
