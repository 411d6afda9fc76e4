"""Walk through a graph along its real edges, with stubs in place of its nodes; see `walk`.

A copy of the graph runs on a real Runner, in memory, with a clock that jumps. The engine itself handles edges, forks,
joins, reducers, retries, fallbacks and limits. Only the work of the nodes is replaced.
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
    """One visit of a node in a walk.

    Attributes:
        path: The node's path.
        visit: The number of the visit, from 1.
        edge: The edge that was taken; None if no edge was taken, as for an item of a map or at the end of the run.
        error: The error with which the visit failed, such as `ValueError: no`; "" if the visit did not fail.
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
    """The path, ending and final state of a walk.

    Attributes:
        path: The visited nodes in one line; see `walk`.
        status: `finished`, `failed` (also if the walk reached FAIL), or `stopped` at a limit.
        ending: The reason for the end of the walk.
        state: The state at the end.
        output: The result that the graph declares with `result=`; the whole state if the graph declares no result.
        error: The error with which the walk failed; None if it did not fail.
        visits: The visits, each with its edge and the reason for the edge, in the order in which the visits ended.
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
        """The label of the edge that led to the end; "" if the edge has no label."""
        return self.ending.label if self.ending is not None else ""

    @property
    def why(self) -> Sequence[str]:
        """Each visit in words, such as `review, visit 1 -> write: score 5 >= 7: no; otherwise`."""
        return [str(visit) for visit in self.visits]

    def assert_path(self, expected: str) -> None:
        """Check that the nodes were visited in this order; see `walk` for how a path is written.

        Args:
            expected: The path. Its spacing does not matter.

        Raises:
            AssertionError: The nodes were visited in another order. The text shows where the paths diverge, and why the
                walk took its edge there.
        """
        __tracebackhide__ = True
        if not isinstance(expected, str):
            repair = "write the names of the nodes in one text: assert_path('one two END')"
            raise InputError(f"the expected path {expected!r} is not a text", where="assert_path", repair=repair)
        wanted, walked = words_of(expected), [word.text for word in self._words]
        if wanted == walked:
            return
        common = next((at for at, pair in enumerate(zip(wanted, walked, strict=False)) if pair[0] != pair[1]), None)
        raise AssertionError(self._divergence(wanted, min(len(wanted), len(walked)) if common is None else common))

    def _divergence(self, wanted: Sequence[str], at: int) -> str:
        """Describe where the path of the walk leaves the expected path: at the word with index `at`."""
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
    """Walk along a graph's real edges, with stubs in place of its nodes.

    A stub stands for what a node does. Give `walk` one stub for each node, which is used for every visit of the node,
    or a list with one stub for each visit. If a list is too short, the walk fails with an error that names the node and
    the visit. A stub is one of the following:

    - A mapping of fields is the update that the node would write. It is handled like any update: it goes through the
      reducer (give a single item for `append`), is validated and is recorded. A pydantic model can be given instead;
      its set fields are the update.
    - An exception makes the visit fail. Retries, the fallback and `failed(…)` edges follow, and no time passes.
    - A function returns any of the other stubs. Its parameters name fields of the state, or `ctx`.
    - `None` means that the node writes nothing. Nodes without a stub also write nothing, except graphs.
    - `Ended(label, update)` replaces a nested graph as a whole. A nested graph without this stub is walked node by
      node; its nodes have paths such as `"article/review"`. This also holds for the items of a map.
    - `Items(…)` gives the stubs of a map item by item. Without `Items`, a mapping replaces the whole map.

    The result of `walk` contains the path as a text with the names of the visited nodes in their order. The text ends
    with END or FAIL, or with STOPPED if a limit was reached. Some examples of such texts:

    - `write review write review END` is a path without forks.
    - `[facts | counter]` is a fork with two arms, in the order in which they were declared. An arm without nodes is
      written `-`.
    - `article (write review)` is a nested graph with the visits in it.
    - `teams (a b | a b)` is a map with the visits of each item.

    Args:
        graph: The graph.
        nodes: The stubs for its nodes, by path.
        state: The initial state, or a mapping of its fields.
        models: The models for fallbacks that call a model, as in `Runner`. Without models, such a fallback fails.
        limits: Limits in place of the graph's own limits.
        fields: Fields of the state by name. They replace fields of the same name in `state`.

    Raises:
        InputError: A path does not name a node, a stub is invalid, a list is too short, or an update or the state does
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
    # Values that are not valid stubs are found later and fail the walk.
    plan, scripts = with_stubs(original, cast("Mapping[str, Visits]", nodes))
    initial = state if not fields else {**given_in(state or {}), **fields}
    async with Runner(clock=FakeClock(), run_again=True, models={ALL: _NoModel(), **by_agent(models)}) as runner:
        run = runner.start(_with_plan(graph, plan), initial, limits=limits)
        try:
            result = await run.result()
        except RunFailed as error:
            result = error.result
        steps = await runner.history(run.id)
    _check_stubs(steps, scripts)
    return _walk_of(result, Run.of(steps, specs={plan.fingerprint: plan.graph_spec}))


class _NoModel:
    """A model that answers no call: any call raises an error which says that `walk` got no models.

    It is used for agents in a fallback, which really run in a walk.
    """

    name = "none"

    async def answer(self, request: Request) -> Response:
        raise ModelUnavailable(
            f"agent {request.agent!r} called a model, but the walk was started without a model",
            where=f"agent {request.agent}",
            repair="pass a model for the fallback that calls the agent: walk(…, models=ScriptedModel([…]))",
        )


def _plan_of(graph: Graph[S]) -> Plan[S]:
    """Compile the graph even if it breaks rules that the user declared, so that a walk can show how they are broken.

    Raises:
        CompileError: The graph has an error other than a broken rule.
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
    """Return a graph object for the Runner that uses this compiled plan instead of being compiled again."""
    copy = Graph(graph.name, graph.state, limits=graph.own_limits)
    copy._keep(plan)  # noqa: SLF001 - as the compiler does
    return copy


def _check_stubs(steps: Sequence[Step], scripts: Sequence[Script]) -> None:
    """Raise the first error in the stubs that the walk found.

    Raises:
        InputError: A list of stubs was too short, or an update does not fit.
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
                message = f"the stub for node {path!r}, visit {step.visit}, is not a valid update: {failure.message}"
                raise InputError(message, where=failure.where or f"walk, node {path}", repair=failure.repair)


def _walk_of(result: Result[S], run: Run) -> Walked[S]:
    status = cast("RunStatus", result.status)  # The run was not in a queue, so its status is not `queued`.
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
    """List the visits in the order in which they ended."""
    ended = dict.fromkeys(entry.visit for entry in run.entries if isinstance(entry.step.data, (Node, Failed)))
    return [_visit_in_walk(visit) for visit in ended if visit is not None and visit.node != ENDING]


def _visit_in_walk(visit: Visited) -> Visit:
    edge, failure = visit.edge, visit.failure
    taken = EdgeTaken(tuple(edge.to), edge.label, edge.why) if edge is not None else None
    return Visit(visit.path, visit.number, taken, f"{failure.kind}: {failure.message}" if failure is not None else "")


__all__ = ["Visit", "Walked", "walk"]
