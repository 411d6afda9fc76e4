"""Find out how recorded runs would have ended with another model, other instructions, other values or another graph.

Each recorded run is branched at the step where the change first matters, and the branch runs to its end. The original
runs are not changed. The branches are recorded. If the comparison is interrupted, the same call with the same name
resumes the unfinished branches.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET
from pydantic_core import to_json

from graphengine.agents.model_routing import AsBegun, Models, by_agent
from graphengine.api.graph import Graph
from graphengine.api.runner import Runner
from graphengine.errors import GraphEngineError, InputError, UnknownRun
from graphengine.kernel.extension import END, START, Limits, RunFailed, spent_since
from graphengine.kernel.inside import allows_unknown_cost, is_secret, priced
from graphengine.kernel.reader import graph_spec_of, load_snapshot, status_of, waits_of
from graphengine.models.hiding import MARK
from graphengine.models.names import as_model
from graphengine.records.base_documents import Document, Part, plain
from graphengine.records.run_diff import diff
from graphengine.records.selection import COMPARED
from graphengine.records.spending import sum_of
from graphengine.testing.evaluation.cases import Case
from graphengine.testing.evaluation.earlier import Answered, FromLogs, Tools, first_matter, first_of_visit
from graphengine.testing.evaluation.evaluating import begin
from graphengine.testing.evaluation.graph import EvaluationState, evaluation
from graphengine.testing.evaluation.report import PairedDifference, difference_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor
    from os import PathLike

    from graphengine.agents.model_routing import GivenModels
    from graphengine.kernel.extension import GraphDefinition, Result, Run, Runnable
    from graphengine.kernel.store import Store
    from graphengine.models.base import Model
    from graphengine.records.run_diff import Side

_LONGEST_NAME: Final = 80
_LONGEST: Final = 150  # characters of a run's id
_OVER: Final = ("finished", "failed", "stopped", "cancelled")


class RunEnd(Part):
    """How one run of a comparison ended: the recorded run, or its branch with the change.

    Both runs share the steps before the change. The figures, such as the cost, are counted after the last shared step.

    Attributes:
        status: `finished`, `failed`, `stopped`, or `waiting` if the log contains no answer to a question.
        label: The label with which the run ended.
        why: The reason for the end: the reason for the last edge, the failure, or the open question.
        cost_usd: The cost in US dollars after the shared step; null if the cost is unknown.
        seconds: The driven time after the shared step.
        visits: The completed visits after the shared step.
        result: The graph's result as JSON; null if the graph declares no result.
        scores: The scores by scorer; null if a scorer does not apply or failed.
    """

    status: str
    label: str
    why: str
    cost_usd: float | None
    seconds: float
    visits: int
    result: Any
    scores: dict[str, float | None]

    @property
    def ending(self) -> str:
        """The status and the label with which the run ended, such as `finished [approved]`."""
        return f"{self.status} [{self.label}]" if self.label else self.status

    def figure(self, name: str) -> float | None:
        """Return a score or another figure by its name; None if the figure is not known."""
        value: float | None = self.scores[name] if name in self.scores else getattr(self, name, None)
        return value


class BranchedRun(Part):
    """A recorded run together with its branch, which repeats the run from some step on with the change.

    Attributes:
        run_id: The id of the recorded run.
        branch: The id of the branch.
        at: The last step that both runs share.
        node: The node at which the change first matters; "" if the change affects the whole run.
        before: The end of the recorded run.
        after: The end of the branch.
    """

    run_id: str
    branch: str
    at: int
    node: str
    before: RunEnd
    after: RunEnd

    @property
    def ends(self) -> tuple[RunEnd, RunEnd]:
        """How the recorded run ended, and how its branch ended."""
        return self.before, self.after


class WhatIf(Document):
    """The result of comparing recorded runs with branches that contain a change.

    Attributes:
        name: The name of this comparison. Its branches have the tag `whatif:NAME`.
        graph: The name of the graph.
        change: The differences between the branches and the recorded runs, one line each: values, instructions,
            declarations, and models that answered.
        runs: The runs that were branched, each with the end of the run and the end of its branch.
        untouched: The runs that the change cannot have affected, as far as their logs show.
        left: The reasons why other runs were not compared, by the id of the run.
        endings: The number of runs by their ending before and after the change, such as `failed → finished [sent]`, the
            most frequent first.
        differences: The differences of `cost_usd`, `seconds`, `visits` and each scorer; null if no pair of runs has
            both figures.
        spent_usd: The cost of the branches in US dollars; null if the cost is unknown.
    """

    name: str
    graph: str
    change: list[str]
    runs: list[BranchedRun]
    untouched: list[str]
    left: dict[str, str]
    endings: dict[str, int]
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
    """Branch recorded runs at the step where a change first matters, run the branches, and compare both ends.

    Args:
        graph: Today's graph. The change may be a change of the graph.
        runs: The ids of recorded runs that have ended.
        store: The database of the runs. The branches are recorded there too.
        name: The name of the comparison. Branches that exist under this name are resumed and not made again.
        models: Models, as for a Runner. Such a change matters at the first answer that another model gave.
        instructions: Changed instructions, by an agent's name or path.
        update: Changed fields of the state. They are written before the visit `at`, or at the beginning of the run.
        at: A node's path and a visit number. The branch begins before this visit, and not at the step where the log
            shows that the change matters.
        tools: Where the results of tools and of `ctx.call` come from. `"recorded"` uses the log if it contains a call
            with the same arguments, and makes other calls. `"live"` makes all calls. `"refuse"` uses only the log.
            Effects are never carried out; see `Runner(effects=)`.
        scorers: Functions and agents that score both final states, as for `evaluate`.
        judges: Models of scorers that are agents.
        budget_usd: The budget of all branches together. After it is spent, no further branch begins, and a branch may
            cost at most the rest of the budget.
        concurrency: How many branches run at a time.
        executors: The executors of heavy nodes, as in `Runner`.

    Raises:
        InputError: The name of the comparison is too long, or a key of `models` or `instructions` is unknown.
        CompileError: The graph has a problem.
        StoreError: The database cannot be used.
    """
    if len(name) > _LONGEST_NAME:
        text = f"the name of the comparison has {len(name)} characters, but at most {_LONGEST_NAME} are allowed"
        raise InputError(text, where="what_if", repair="give a shorter name")
    chosen = {who: as_model(model) for who, model in by_agent(models).items()}
    where = "the models and instructions of the comparison"
    Models(None).check_names(graph.compile(), {**chosen, **(instructions or {})}, where)
    scoring = _build_scoring(graph, scorers) if scorers else None
    effects = FromLogs(tools)
    replaced = models._replace(given=chosen) if isinstance(models, AsBegun) else chosen
    async with Runner(store, models=replaced, effects=effects, executors=executors) as runner:
        job = _Comparison(
            runner, graph, name, effects, chosen, dict(instructions or {}), dict(update or {}), at, budget_usd
        )
        gate = asyncio.Semaphore(concurrency)

        async def one(run_id: str) -> BranchedRun | str | None:
            async with gate:
                return await job.compared(run_id)

        ids = list(dict.fromkeys(runs))
        found = dict(zip(ids, await asyncio.gather(*map(one, ids)), strict=True))
    compared = [each for each in found.values() if isinstance(each, BranchedRun)]
    if scoring is not None and compared:
        async with Runner(store, models=judges, effects={}) as runner:
            await _score_pairs(runner, scoring, name, compared)
    scored = list(dict.fromkeys(scorer for each in compared for end in each.ends for scorer in end.scores))
    worth = scored[0] if scored else "cost_usd"
    endings = Counter(" → ".join(end.ending for end in each.ends) for each in compared)
    return WhatIf(
        name=name,
        graph=graph.name,
        change=[
            *_describe_update(graph, job.update),
            *(f"{how} ({n} of {len(compared)} runs)" for how, n in job.setup.items()),
        ],
        runs=sorted(compared, key=lambda each: _rise(each, worth), reverse=bool(scored)),
        untouched=[run_id for run_id, each in found.items() if each is None],
        left={run_id: each for run_id, each in found.items() if isinstance(each, str)},
        endings=dict(endings.most_common()),
        differences={
            figure: difference_of(tuple(end.figure(figure) for end in each.ends) for each in compared)
            for figure in ("cost_usd", "seconds", "visits", *scored)
        },
        spent_usd=sum_of(each.after.cost_usd for each in compared),
    )


def _describe_update(graph: Graph[Any], update: Mapping[str, object]) -> Iterator[str]:
    """Describe each field of the state that a comparison changes in its branches, with its new value.

    Secret values are hidden.
    """
    for name, value in update.items():
        field = graph.state.model_fields.get(name)
        if field is not None:
            yield f"{name} = {MARK if is_secret(field.annotation, field.metadata) else repr(value)}"


def _rise(pair: BranchedRun, figure: str) -> float:
    """Return by how much a figure is higher in the branch; 0 if it is not known for both runs."""
    before, after = (end.figure(figure) for end in pair.ends)
    return 0.0 if before is None or after is None else after - before


@dataclass(slots=True)
class _Comparison:
    """The change that one call of `what_if` tries, and what its branches share, such as the money spent so far."""

    runner: Runner
    graph: Graph[Any]
    name: str
    effects: FromLogs
    models: Mapping[str, Model]
    instructions: dict[str, str]
    update: dict[str, object]
    at: tuple[str, int] | None
    budget_usd: float | None
    spent_usd: float = 0.0
    setup: Counter[str] = field(default_factory=Counter)

    async def compared(self, run_id: str) -> BranchedRun | str | None:
        """Branch one run with the change, and compare how the run and its branch end.

        Returns:
            The run with its branch; or a text with the reason why the run was not compared; or None if the change
                cannot matter to the run.
        """
        try:
            return await self._branch_and_compare(run_id)
        except GraphEngineError as error:
            return f"{error.code}: {error.message}"

    async def _branch_and_compare(self, run_id: str) -> BranchedRun | str | None:
        store = self.runner.store
        info = await store.info(run_id)
        if info.graph != self.graph.name:
            return f"it is a run of another graph, {info.graph!r}"
        if info.status not in _OVER:
            status = status_of(info)
            repair = "answer or stop it first" if status == "waiting" else "compare it when it has ended"
            return f"it has not ended: {status}; {repair}"
        steps = await store.steps(run_id)
        where = await self._where(info.fingerprint, steps)
        if where is None:
            return None if self.at is None else f"it has no visit {self.at[1]} of {self.at[0]}"
        if self.budget_usd is not None and self.spent_usd >= self.budget_usd:
            return "the budget is spent"
        seq = max(1, where - 1)
        branch = await self._branch(run_id, seq, steps)
        found = await diff(store, run_id, branch)
        self.setup.update(found.setup)
        node = steps[where - 1].path if where > 1 else ""
        return BranchedRun(run_id, branch, seq, node, self._outcome(found.first), self._outcome(found.second))

    async def _where(self, fingerprint: str, steps: Sequence[Any]) -> int | None:
        """Return the number of the step at which the branch of a run has to begin, because the change matters there.

        Returns None if the change cannot matter to the run.
        """
        if self.at is not None:
            return first_of_visit(steps, *self.at)
        if self.update:
            return 1
        spec = await graph_spec_of(self.runner.store, fingerprint)
        return first_matter(self.graph, steps, spec, self.models, self.instructions)

    async def _branch(self, run_id: str, seq: int, steps: Sequence[Any]) -> str:
        """Branch a run with the change, or resume its branch, and wait until the branch ends.

        Returns the id of the branch.
        """
        runner, graph = self.runner, self.graph
        branch = branch_id(self.name, run_id)
        log = self.effects.runs[branch] = Answered(steps, seq)
        limits = await self._limits(run_id, seq)
        change = f"change:{self._digest(seq)}"
        try:
            if change not in (await runner.store.info(branch)).tags:
                raise InputError(
                    f"the name {self.name!r} belongs to an earlier comparison with another change",
                    where=f"run {branch}",
                    repair="give this comparison another name",
                )
            log.skip(Answered(await runner.store.steps(branch, seq)))
            run = runner.resume(branch, graph, limits=limits, wait_out=False)
        except UnknownRun:
            run = runner.branch(
                run_id,
                graph,
                seq,
                update=self.update,
                path="" if self.update else None,
                run_id=branch,
                limits=limits,
                tags=(f"{COMPARED}{self.name}", change),
                instructions=self.instructions,
            )
        await self._await_branch(run, log)
        del self.effects.runs[branch]
        return branch

    def _digest(self, seq: int) -> str:
        """Return a digest of the change, by which a later call recognises that a branch belongs to the same change."""
        models = {who: model.name for who, model in sorted(self.models.items())}
        whole = [seq, models, self.instructions, self.update, self.graph.compile().fingerprint]
        return hashlib.blake2b(to_json(whole, fallback=repr), digest_size=8).hexdigest()

    async def _limits(self, run_id: str, seq: int) -> Limits | None:
        """Return the limits with which a branch runs: those of the recorded run, and at most the rest of the budget.

        The budget is the amount that the whole comparison may cost. Without a budget, the result is None, so that the
        limits of the recorded run apply.
        """
        if self.budget_usd is None:
            return None
        store = self.runner.store
        own = (await load_snapshot(store, run_id, None)).limits
        had = priced((await load_snapshot(store, run_id, seq)).usage)
        limit = own.get("cost_usd")
        most = min(inf if limit is None else limit, had + self.budget_usd - self.spent_usd)
        return Limits(
            own.get("visits"), own.get("tokens"), most, own.get("seconds"), unknown_cost=allows_unknown_cost(own)
        )

    async def _await_branch(self, run: Run[Any], log: Answered) -> None:
        """Wait until the branch of a run has ended, and answer its questions with the answers in the run's log.

        If the log contains no answer to a question, the branch is left waiting.
        """
        while (result := await _await_result(run)).status == "waiting":
            found = [(wait, log.answer(wait.name, wait.question)) for wait in result.waits if wait.answerable]
            answered = [(wait, answer) for wait, answer in found if answer is not UNSET]
            for wait, answer in answered:
                await self.runner.answer(run.id, answer, wait=wait, by="the log", through="what-if")
            if not answered:
                break
            run = self.runner.resume(run.id, self.graph, wait_out=False)
        end = await load_snapshot(self.runner.store, run.id, None)
        self.spent_usd += priced(spent_since(end.inherited, end.usage))

    def _outcome(self, side: Side) -> RunEnd:
        snapshot, ending = side.snapshot, side.snapshot.ending
        why = ending.why if ending is not None else ""
        if snapshot.failure is not None:
            why = f"{snapshot.failure.kind}: {snapshot.failure.message}"
        if snapshot.status == "waiting":
            why = "the log does not answer: " + "; ".join(wait.question or wait.kind for wait in waits_of(snapshot))
        name = self.graph.result
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


async def _await_result(run: Run[Any]) -> Result[Any]:
    try:
        return await run.result()
    except RunFailed as failed:
        return failed.result


def branch_id(name: str, run_id: str) -> str:
    """Return the id of the branch that a comparison makes of a run.

    The id consists of the name of the comparison and the id of the run. Long ids are shortened, and end in a digest.
    """
    whole = f"{name}.{run_id}"
    if len(whole) <= _LONGEST:
        return whole
    return f"{whole[: _LONGEST - 17]}-{hashlib.blake2b(whole.encode(), digest_size=8).hexdigest()}"


def _build_scoring(
    graph: GraphDefinition[Any], scorers: Mapping[str, Runnable] | Sequence[Runnable]
) -> Graph[EvaluationState]:
    """Build an evaluation that scores final states of runs that have already ended, without running the graph again.

    The evaluation is compiled at once, so that an error in a scorer is found before a branch costs money.
    """
    as_is = Graph(f"{graph.name}_ended", graph.state, result=graph.result, secret_key=graph.secret_key)
    as_is.add_node("ended", _change_nothing, thread=False)
    as_is.add_path(START, "ended", END)
    whole = evaluation(as_is, scorers)
    whole.compile()
    return whole


async def _score_pairs(
    runner: Runner, scoring: Graph[EvaluationState], name: str, compared: Sequence[BranchedRun]
) -> None:
    """Score the final states of the compared runs and of their branches, in one evaluation.

    The id of the evaluation depends on the states and the scorers. A comparison of the same name can therefore be
    continued with more runs or with other scorers.
    """
    cases: list[Case] = []
    places: list[RunEnd] = []
    for pair in compared:
        for outcome, run_id in zip(pair.ends, (pair.run_id, pair.branch), strict=True):
            if outcome.status == "finished":
                cases.append(Case(name=run_id, input=plain(dict(await runner.state_at(run_id)))))
                places.append(outcome)
    if not cases:
        return
    key = to_json([scoring.compile().fingerprint, [case.model_dump() for case in cases]], fallback=str)
    run_id = branch_id(name, f"scores-{hashlib.blake2b(key, digest_size=8).hexdigest()}")
    run = await begin(runner, scoring, EvaluationState(cases=cases, versions=[name]), run_id)
    for outcome, trial in zip(places, (await run.result()).state.trials, strict=True):
        outcome.scores |= {scorer: score.value for scorer, score in trial.scores.items()}


def _change_nothing() -> None:
    """Do nothing: the scorers read the recorded final state unchanged."""


__all__ = [
    "BranchedRun",
    "RunEnd",
    "WhatIf",
    "branch_id",
    "what_if",
]
