"""What recorded runs would have come to with another model, other instructions, other values or another graph.

Each recorded run is branched where the change first matters, and the branch runs to its end. The originals are not
touched. The branches are recorded: the same call with the same name resumes those that an interruption cut off.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from math import inf, sqrt
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET

from graphengine.agents.model_routing import Models, by_agent
from graphengine.api.graph import Graph
from graphengine.api.runner import Runner
from graphengine.errors import GraphEngineError, UnknownRun
from graphengine.graph.definition import END, START, Limits
from graphengine.history.load import graph_spec_of, load_snapshot, waits_of
from graphengine.models.names import as_model
from graphengine.records.run_diff import diff
from graphengine.records.step_document import Document, Part, plain
from graphengine.runner import RunFailed
from graphengine.state.amounts import allows_unknown_cost
from graphengine.stores.base import status_of
from graphengine.testing.evaluation.cases import Case
from graphengine.testing.evaluation.earlier import Answered, FromLogs, Tools, first_matter, first_of_visit
from graphengine.testing.evaluation.evaluating import begin
from graphengine.testing.evaluation.graph import EvaluationState, evaluation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike

    from graphengine.agents.model_routing import GivenModels
    from graphengine.graph.definition import GraphDefinition, Runnable
    from graphengine.models.base import Model
    from graphengine.records.run_diff import Side
    from graphengine.runner.result import Result
    from graphengine.runner.run import Run
    from graphengine.stores.base import Store

_LEAST_PAIRS: Final = 5
"""The least number of pairs from which an interval says anything."""
_LONGEST: Final = 150  # characters of a run's id
_OVER: Final = ("finished", "failed", "stopped")


class RunEnd(Part):
    """What became of a run after the step that both runs share.

    Attributes:
        status: `finished`, `failed`, `stopped`, or `waiting` if nothing recorded could answer it.
        label: The label that it ended with.
        why: Why it ended: the edge's reason, the failure, or the question.
        cost_usd: US dollars from there on; null if unknown.
        seconds: Driven time from there on.
        visits: Completed visits from there on.
        result: The graph's result as JSON; null without one.
        scores: The judgements by scorer; null where a scorer does not apply or failed.
    """

    status: str
    label: str
    why: str
    cost_usd: float | None
    seconds: float
    visits: int
    result: Any
    scores: dict[str, float | None]


class BranchedRun(Part):
    """One recorded run, and what became of its branch.

    Attributes:
        run_id: The recorded run.
        branch: Its branch.
        at: The last step that both share.
        node: The node at which the change first matters; "" if it is the whole run.
        before: What the recorded run came to.
        after: What the branch came to.
    """

    run_id: str
    branch: str
    at: int
    node: str
    before: RunEnd
    after: RunEnd


class LeftOut(Part):
    """A recorded run that was not compared.

    Attributes:
        run_id: The run.
        why: Why not.
    """

    run_id: str
    why: str


class PairedDifference(Part):
    """How one figure differs, after minus before, over the runs in which both have it.

    Attributes:
        mean: The mean of the differences.
        low: The lower end of the 95 % interval of that mean (Student's t); null for fewer than 5 pairs.
        high: The upper end.
        more: In how many pairs it rose.
        less: In how many it fell.
        equal: In how many it stayed.
    """

    mean: float
    low: float | None
    high: float | None
    more: int
    less: int
    equal: int


class EndingChange(Part):
    """How many runs ended one way before, and another way, or the same, after.

    Attributes:
        before: How they had ended, with the label.
        after: How their branches ended.
        runs: How many.
    """

    before: str
    after: str
    runs: int


class WhatIf(Document):
    """What a change would have made of recorded runs.

    Attributes:
        name: The name of this comparison; its branches have the tag `whatif:NAME`.
        graph: The graph.
        change: How the branches were run otherwise, a line each: values, instructions, declarations, and
            models that answered.
        runs: The runs that were branched, with what became of both.
        untouched: The runs that the change cannot have changed, as far as their logs tell.
        left: The runs that were not compared, and why.
        endings: How many runs ended how before and after, the most frequent first.
        differences: `cost_usd`, `seconds`, `visits` and each scorer; null where no pair has both figures.
        spent_usd: What the branches cost; null if unknown.
    """

    name: str
    graph: str
    change: list[str]
    runs: list[BranchedRun]
    untouched: list[str]
    left: list[LeftOut]
    endings: list[EndingChange]
    differences: dict[str, PairedDifference | None]
    spent_usd: float | None


async def what_if(  # noqa: PLR0913 - runs, a change, and how to repeat them
    graph: Graph[Any],
    runs: Iterable[str],
    store: str | PathLike[str] | Store,
    *,
    name: str,
    models: GivenModels | None = None,
    instructions: Mapping[str, str] | None = None,
    update: Mapping[str, object] | None = None,
    at: tuple[str, int] | None = None,
    tools: Tools = "recorded",
    scorers: Mapping[str, Runnable] | Sequence[Runnable] | None = None,
    judges: GivenModels | None = None,
    budget_usd: float | None = None,
    concurrency: int = 8,
    executors: Mapping[str, Executor | Callable[[], Executor]] | None = None,
) -> WhatIf:
    """Branch recorded runs where a change first matters, run the branches, and compare what both came to.

    Args:
        graph: Today's graph: the change may be in it.
        runs: The ids of recorded runs that have ended.
        store: The database that has them, which also gets the branches.
        name: The name of the comparison. Branches that exist under it are resumed, not made again.
        models: Models, as for a Runner. A change matters where another model answered.
        instructions: Instructions that are the change, by an agent's name or path.
        update: Fields of the state that are the change: written before the visit `at`, else at the beginning.
        at: A node's path and a visit: branch before it, instead of where the log shows that the change matters.
        tools: Where the results of tools and of `ctx.call` come from: `"recorded"`, from the log if it has a call with
            the same arguments; `"live"`; or `"refuse"`, from the log alone. Effects never act; see `Runner(effects=)`.
        scorers: Functions and agents that score both final states, as for `evaluate`.
        judges: Models of scorers that are agents.
        budget_usd: No further branch begins once they have cost this, and none takes more than what is left.
        concurrency: How many branches run at a time.
        executors: Where heavy nodes run, as in `Runner`.

    Raises:
        InputError: A name is unknown.
        CompileError, StoreError.
    """
    chosen = {who: as_model(model) for who, model in by_agent(models).items()}
    Models(None).check_names(graph.compile(), {**chosen, **(instructions or {})}, "what_if(…)")
    effects = FromLogs(tools)
    async with Runner(store, models=chosen, effects=effects, executors=executors) as runner:
        job = _Job(runner, graph, name, effects, chosen, dict(instructions or {}), dict(update or {}), at, budget_usd)
        gate = asyncio.Semaphore(concurrency)

        async def one(run_id: str) -> BranchedRun | LeftOut | str:
            async with gate:
                return await job.compared(run_id)

        found = await asyncio.gather(*map(one, dict.fromkeys(runs)))
    compared = [each for each in found if isinstance(each, BranchedRun)]
    if scorers and compared:
        async with Runner(store, models=judges, effects={}) as runner:
            await _score(runner, graph, name, compared, scorers)
    change = [f"{field} = {value!r}" for field, value in job.update.items()]
    change += [f"{line} ({count} of {len(compared)} runs)" for line, count in job.setup.items()]
    return _report(
        name,
        graph.name,
        change,
        compared,
        [each for each in found if isinstance(each, str)],
        [each for each in found if isinstance(each, LeftOut)],
    )


class _Job:
    """One comparison: what is changed, and what its branches have cost so far."""

    def __init__(  # noqa: PLR0913 - see `what_if`
        self,
        runner: Runner,
        graph: Graph[Any],
        name: str,
        effects: FromLogs,
        models: Mapping[str, Model],
        instructions: dict[str, str],
        update: dict[str, object],
        at: tuple[str, int] | None,
        budget_usd: float | None,
    ) -> None:
        self._runner, self._graph, self._name, self._effects = runner, graph, name, effects
        self._models, self._instructions, self.update = models, instructions, update
        self.setup: Counter[str] = Counter()
        self._at = at
        self._budget, self._spent = budget_usd, 0.0

    async def compared(self, run_id: str) -> BranchedRun | LeftOut | str:
        """Return what became of a run and its branch; why it was left; or its id, if the change cannot matter."""
        try:
            return await self._compared(run_id)
        except GraphEngineError as error:
            return LeftOut(run_id, f"{error.code}: {error.message}")

    async def _compared(self, run_id: str) -> BranchedRun | LeftOut | str:
        store = self._runner.store
        info = await store.info(run_id)
        if info.graph != self._graph.name:
            return LeftOut(run_id, f"it is a run of {info.graph}")
        if info.status not in _OVER:
            return LeftOut(run_id, f"it has not ended: {status_of(info)}")
        steps = await store.steps(run_id)
        where = await self._where(info.fingerprint, steps)
        if where is None:
            return run_id if self._at is None else LeftOut(run_id, f"it has no visit {self._at[1]} of {self._at[0]}")
        if self._budget is not None and self._spent >= self._budget:
            return LeftOut(run_id, "the budget is spent")
        seq = max(1, where - 1)
        branch = await self._branch(run_id, seq, steps)
        found = await diff(store, run_id, branch)
        self.setup.update(found.setup)
        node = steps[where - 1].path if where > 1 else ""
        return BranchedRun(run_id, branch, seq, node, self._outcome(found.first), self._outcome(found.second))

    async def _where(self, fingerprint: str, steps: Sequence[Any]) -> int | None:
        """Return the first step that the change can have made different."""
        if self._at is not None:
            return first_of_visit(steps, *self._at)
        if self.update:
            return 1
        spec = await graph_spec_of(self._runner.store, fingerprint)
        return first_matter(self._graph, steps, spec, self._models, self._instructions)

    async def _branch(self, run_id: str, seq: int, steps: Sequence[Any]) -> str:
        """Run the branch of a run to its end, with the recorded answers of people; return its id."""
        runner, graph = self._runner, self._graph
        branch = branch_id(self._name, run_id)
        log = self._effects.runs[branch] = Answered(steps, seq)
        limits = await self._limits(run_id, seq)
        try:
            log.skip(Answered(await runner.store.steps(branch, seq)))
            run = runner.resume(branch, graph, limits=limits, wait_out=False)
        except UnknownRun:
            tag = f"whatif:{self._name}"
            run = runner.branch(
                run_id,
                graph,
                seq,
                update=self.update,
                path="" if self.update else None,
                run_id=branch,
                limits=limits,
                tags=(tag,),
                instructions=self._instructions,
            )
        await self._ended(run, log)
        del self._effects.runs[branch]
        return branch

    async def _limits(self, run_id: str, seq: int) -> Limits | None:
        """Return the limits of a branch: those of its run, and what is left of the budget."""
        if self._budget is None:
            return None
        store = self._runner.store
        own = (await load_snapshot(store, run_id, None)).limits
        had = (await load_snapshot(store, run_id, seq)).usage.get("cost_usd") or 0.0
        limit = own.get("cost_usd")
        most = min(inf if limit is None else limit, had + self._budget - self._spent)
        return Limits(
            own.get("visits"), own.get("tokens"), most, own.get("seconds"), unknown_cost=allows_unknown_cost(own)
        )

    async def _ended(self, run: Run[Any], log: Answered) -> None:
        """Return when the branch has ended, or waits for what the log does not have."""
        while (result := await _result(run)).status == "waiting":
            found = [(wait, log.answer(wait.name, wait.question)) for wait in result.waits if wait.answerable]
            known = [(wait, answer) for wait, answer in found if answer is not UNSET]
            for wait, answer in known:
                await self._runner.answer(run.id, answer, question=wait.name, by="the log")
            if not known:
                break
            run = self._runner.resume(run.id, self._graph, wait_out=False)
        spent, had = result.usage.cost_usd, result.inherited.cost_usd
        self._spent += (spent or 0.0) - (had or 0.0)

    def _outcome(self, side: Side) -> RunEnd:
        snapshot, ending = side.snapshot, side.snapshot.ending
        why = ending.why if ending is not None else ""
        if snapshot.failure is not None:
            why = f"{snapshot.failure.kind}: {snapshot.failure.message}"
        if snapshot.status == "waiting":
            why = "the log does not answer: " + "; ".join(wait.question or wait.kind for wait in waits_of(snapshot))
        name = self._graph.result
        values = snapshot.root.values
        return RunEnd(
            status=snapshot.status,
            label="" if ending is None else ending.label,
            why=why,
            cost_usd=side.spent.get("cost_usd", 0.0),
            seconds=side.seconds,
            visits=side.steps,
            result=plain(values.get(name)) if isinstance(name, str) else None,
            scores={},
        )


async def _result(run: Run[Any]) -> Result[Any]:
    """Return the result of a run, also of one that failed."""
    try:
        return await run.result()
    except RunFailed as failed:
        return failed.result


def branch_id(name: str, run_id: str) -> str:
    """Return the id of the branch of a run in a comparison of this name."""
    whole = f"{name}.{run_id}"
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[: _LONGEST - 17]}-{hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()}"


async def _score(
    runner: Runner,
    graph: GraphDefinition[Any],
    name: str,
    compared: Sequence[BranchedRun],
    scorers: Mapping[str, Runnable] | Sequence[Runnable],
) -> None:
    """Score both final states of each pair, in one evaluation of states as they are."""
    as_is = Graph(f"{graph.name}_ended", graph.state, result=graph.result, secret_key=graph.secret_key)
    as_is.add_node("ended", _nothing, thread=False)
    as_is.add_path(START, "ended", END)
    cases: list[Case] = []
    places: list[tuple[RunEnd, str]] = []
    for pair in compared:
        for outcome, run_id in ((pair.before, pair.run_id), (pair.after, pair.branch)):
            if outcome.status == "finished":
                cases.append(Case(name=run_id, input=plain(dict(await runner.state_at(run_id)))))
                places.append((outcome, run_id))
    if not cases:
        return
    whole = evaluation(as_is, scorers)
    run = await begin(runner, whole, EvaluationState(cases=cases, versions=[name]), f"{name}.scores")
    for (outcome, _), trial in zip(places, (await run.result()).state.trials, strict=True):
        outcome.scores |= {scorer: score.value for scorer, score in trial.scores.items()}


def _nothing() -> None:
    """Change nothing."""


# --- the report ---


def _report(  # noqa: PLR0913 - its parts
    name: str, graph: str, change: list[str], runs: list[BranchedRun], untouched: list[str], left: list[LeftOut]
) -> WhatIf:
    endings: dict[tuple[str, str], int] = {}
    for each in runs:
        pair = _ending(each.before), _ending(each.after)
        endings[pair] = endings.get(pair, 0) + 1
    scorers = list(dict.fromkeys(scorer for each in runs for scorer in (*each.before.scores, *each.after.scores)))
    figures: dict[str, list[tuple[float | None, float | None]]] = {
        "cost_usd": [(each.before.cost_usd, each.after.cost_usd) for each in runs],
        "seconds": [(each.before.seconds, each.after.seconds) for each in runs],
        "visits": [(each.before.visits, each.after.visits) for each in runs],
    }
    figures |= {
        scorer: [(each.before.scores.get(scorer), each.after.scores.get(scorer)) for each in runs] for scorer in scorers
    }
    costs = [each.after.cost_usd for each in runs]
    key = scorers[0] if scorers else "cost_usd"
    ordered = sorted(runs, key=lambda each: _rise(each, key), reverse=bool(scorers))
    return WhatIf(
        name=name,
        graph=graph,
        change=change,
        runs=ordered,
        untouched=untouched,
        left=left,
        endings=[EndingChange(*pair, count) for pair, count in sorted(endings.items(), key=lambda item: -item[1])],
        differences={figure: difference_of(pairs) for figure, pairs in figures.items()},
        spent_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


def _ending(outcome: RunEnd) -> str:
    return f"{outcome.status} [{outcome.label}]" if outcome.label else outcome.status


def _rise(pair: BranchedRun, figure: str) -> float:
    """Return by how much a figure rose; 0 where it is not known."""
    sides = (pair.before, pair.after)
    one, other = (side.cost_usd if figure == "cost_usd" else side.scores.get(figure) for side in sides)
    return 0.0 if one is None or other is None else other - one


def difference_of(pairs: Iterable[tuple[float | None, float | None]]) -> PairedDifference | None:
    """Return how a figure differs over the pairs that have it on both sides; None if there is none."""
    changes = [after - before for before, after in pairs if before is not None and after is not None]
    if not changes:
        return None
    count = len(changes)
    mean = sum(changes) / count
    low = high = None
    if count >= _LEAST_PAIRS:
        error = sqrt(sum((change - mean) ** 2 for change in changes) / (count - 1) / count)
        reach = student_t(count - 1) * error
        low, high = mean - reach, mean + reach
    signs = [(change > 0) - (change < 0) for change in changes]
    return PairedDifference(mean, low, high, signs.count(1), signs.count(-1), signs.count(0))


def student_t(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t, to within 0.01 from 4 degrees of freedom on (Cornish and Fisher)."""
    z = 1.959964
    first = (z**3 + z) / 4 / freedom
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96 / freedom**2
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384 / freedom**3
    return z + first + second + third


__all__ = [
    "BranchedRun",
    "EndingChange",
    "LeftOut",
    "PairedDifference",
    "RunEnd",
    "WhatIf",
    "branch_id",
    "difference_of",
    "what_if",
]
