"""Run one evaluation with a Runner of its own; see `evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.agents.model_routing import ALL, by_agent
from graphengine.api.runner import Runner
from graphengine.errors import InputError, UnknownRun
from graphengine.testing.evaluation.cases import check_cases
from graphengine.testing.evaluation.graph import AGAINST, CONCURRENCY, RUN, SUBJECT, EvaluationState, evaluation
from graphengine.testing.evaluation.report import report_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike

    from graphengine.agents.model_routing import GivenModels
    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import Effects, Limits, Run, Runnable
    from graphengine.kernel.store import Store
    from graphengine.models.base import Model
    from graphengine.testing.evaluation.cases import Case
    from graphengine.testing.evaluation.report import Report


async def evaluate(  # noqa: PLR0913 - a graph, its cases, what it is compared with, and where it is recorded
    graph: Graph[Any],
    cases: Sequence[Case],
    scorers: Mapping[str, Runnable] | Sequence[Runnable],
    *,
    against: Graph[Any] | Mapping[str, Model | str] | None = None,
    models: GivenModels | None = None,
    judges: Mapping[str, Model | str] | None = None,
    store: str | PathLike[str] | Store | None = None,
    run_id: str | None = None,
    concurrency: int = CONCURRENCY,
    executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
    effects: Effects | None = None,
) -> Report:
    """Run a graph on every case, score the results, and return the report.

    Args:
        graph: The graph under test.
        cases: The cases, as `read_cases` reads them from a file.
        scorers: Functions and agents; see `evaluation`.
        against: Another version of the graph, or other models for the same graph, to compare with.
        models: Models of the graph's agents, by an agent's name or `*`. They also apply to the other version, if
            `against` is a graph.
        judges: Models of scorers that are agents.
        store: The path of a SQLite database, or a Store; in memory if not given.
        run_id: The id of the evaluation's run. If an evaluation with this id is recorded, it is resumed, and finished
            cases do not run again.
        concurrency: How many cases of a version run at a time.
        executors: The executors of heavy nodes of the graph, as in `Runner`.
        effects: Replacements for functions, tools and nodes that act outside the run, by the keys of
            `Runner(effects=…)`: names of functions and tools, and paths of nodes. With `"act"`, effects are carried
            out. By default effects are refused.

    Raises:
        InputError: A case does not fit, or the run was recorded with other cases.
        DefinitionError: No scorer is given, or a scorer has no valid name.
        RunFailed: A model cannot be called, or the run failed for another reason. The run can be resumed.

    Example:
        >>> from graphengine.testing.evaluation import Case
        >>> class Words(BaseModel):
        ...     text: str
        >>> graph = Graph("shout", Words, result="text")
        >>> graph.add_node("shout", lambda text: text.upper(), writes="text")
        >>> graph.add_path(START, "shout", END)
        >>> def exact(output: str, expected: str) -> bool:
        ...     return output == expected
        >>> case = Case(name="ho", input={"text": "ho"}, expected="HO")
        >>> asyncio.run(evaluate(graph, [case], [exact])).subject.means["exact"]
        1.0
    """
    other = None if against is None else _make_version(graph, against)
    whole = evaluation(graph, scorers, against=other, concurrency=concurrency)
    for version in (graph, other):
        if version is not None:
            check_cases(version, cases)
    own = by_agent(models)
    routed = routes(SUBJECT, own) | dict(judges or {})
    if other is not None:
        routed |= routes(AGAINST, own if other is against else {**own, **_models(against)})
    async with Runner(store, models=routed, executors=executors, effects=effects or {}) as runner:
        names = [graph.name] if against is None else [graph.name, _name_version(against)]
        run = await begin(runner, whole, EvaluationState(cases=list(cases), versions=names), run_id)
        result = await run.result()
        return report_of(result, await runner.history(run.id))


def routes(version: str, models: Mapping[str, Model | str]) -> dict[str, Model | str]:
    """Change the keys of a set of models, so that the models apply only to the agents of one version of the graph."""
    return {f"{version}/{RUN}/{name}": model for name, model in models.items()}


async def begin(  # noqa: PLR0913 - what a run begins with
    runner: Runner,
    graph: Graph[EvaluationState],
    state: EvaluationState,
    run_id: str | None,
    *,
    limits: Limits | None = None,
    tags: Sequence[str] = (),
) -> Run[EvaluationState]:
    """Start an evaluation. If an evaluation with this id is already recorded, resume that evaluation.

    Raises:
        InputError: The recorded evaluation has other cases.
    """
    try:
        recorded = None if run_id is None else await runner.state_at(run_id)
    except UnknownRun:
        recorded = None
    if run_id is None or recorded is None:
        return runner.start(graph, state, run_id=run_id, limits=limits, tags=tags)
    if EvaluationState.model_validate({"cases": recorded.get("cases", [])}).cases != state.cases:
        message = f"run {run_id!r} exists already, and was started with other cases"
        raise InputError(message, where=f"run {run_id}", repair="give the same cases, or another run id")
    return runner.resume(run_id, graph, limits=limits)


def _make_version(graph: Graph[Any], against: Graph[Any] | Mapping[str, Model | str]) -> Graph[Any]:
    return graph.but() if _models(against) else against  # type: ignore[return-value]


def _name_version(against: Graph[Any] | Mapping[str, Model | str]) -> str:
    """Return the name of the other version for the report: its models, or the name of its graph."""
    named = [str(model) if who == ALL else f"{who}={model}" for who, model in _models(against).items()]
    return ", ".join(named) or str(getattr(against, "name", AGAINST))


def _models(against: object) -> Mapping[str, Model | str]:
    from collections.abc import Mapping as AnyMapping  # noqa: PLC0415 - at run time

    return against if isinstance(against, AnyMapping) else {}


__all__ = ["begin", "evaluate", "routes"]
