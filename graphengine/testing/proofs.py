"""Whether today's code of a node goes through with the state on which a recorded run failed.

    tried = await try_failed_node(graph, "tests/recorded/faults/order-7.json")
    assert tried.verdict == "passes", tried.why

The run is replayed up to the visit that failed, and then the node runs alone on the recorded state. What the visit had
recorded, such as answers of models and results of calls, is taken from the log. No model is called. Effects, the
network, other processes and changes of files are refused, unless the caller lets the node act.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence  # noqa: TC003 - a document is made of these types
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from msgspec import UnsetType, structs
from pydantic_core import from_json, to_json

from graphengine.agents.errors import BadAnswer, GuardFailed
from graphengine.checks.before_waits import find_undeclared_acts
from graphengine.errors import ChildFailed, EffectRefused, GraphEngineError, InputError
from graphengine.kernel.extension import View, compiled
from graphengine.kernel.inside import STARTS, Mismatch, Redactor, WorkKey, node_at, opened, view_of, why, without_items
from graphengine.kernel.reader import Attempt, Snapshot, decode_step, encode_step
from graphengine.kernel.store import DEFAULT_QUEUE
from graphengine.models.errors import ModelError
from graphengine.models.hiding import contains_secrets, hide_secrets
from graphengine.records.base_documents import Document, Part
from graphengine.records.export import Exported, read_file
from graphengine.records.in_common import NO_RESULTS, InCommon, find_failing_step
from graphengine.records.replay.replay import replay
from graphengine.records.states import fold_until
from graphengine.testing.alone import run_node
from graphengine.testing.clock import FakeClock
from graphengine.testing.outside import refuse_outside
from graphengine.testing.stage import NO_ITEM, RUN_ID

if TYPE_CHECKING:
    from collections.abc import Iterator
    from os import PathLike

    from graphengine.api.graph import Graph
    from graphengine.kernel.extension import JsonValue, NodePlan, Plan
    from graphengine.kernel.inside import RecordedResult
    from graphengine.kernel.reader import Frame, Step
    from graphengine.models.base import Request, Response
    from graphengine.testing.done import Done

_Verdict: TypeAlias = Literal["passes", "fails", "unknown"]
_LONGEST: Final = 300


class TriedNode(Part):
    """The result of trying a failed node again: the node runs alone, on the state that was recorded before it failed.

    Attributes:
        run_id: The id of the run that failed.
        node: The path of the node; "" if it is not known.
        verdict: `passes` if the node completes, `fails` if the node fails, `unknown` if the attempt shows neither.
        why: The error of a node that fails, or the reason why the outcome is unknown; "" if the node passes.
        repeats_work: Whether a retry of the run would do work again whose recorded result was used here. A retry can
            then end differently. For example, if the node failed because of an answer of a model, a retry asks the
            model again.
    """

    run_id: str
    node: str
    verdict: _Verdict
    why: str = ""
    repeats_work: bool = False


class ProvenRun(Part):
    """The result of running the failed node of one run with an older version of the code and with today's code.

    Attributes:
        run_id: The run.
        old: The result with the code of the older commit.
        new: The result with the code of the working tree.
    """

    run_id: str
    old: TriedNode
    new: TriedNode


class Proof(Document):
    """Whether a change repairs runs that failed.

    To find out, the failed nodes run twice: with the code of an older commit, and with the code of the working tree.

    Attributes:
        graph: The graph.
        old: The older version, as it was named.
        commit: The full name of its commit.
        shared: What the failed runs have in common.
        runs: The runs with the most frequent failure.
        left: Failed runs that were left out, with the reason.
        retried: The runs that were retried.
        refused: The runs that could not be retried, with the reason.
        kept: The files that were written.
    """

    graph: str
    old: str
    commit: str
    shared: InCommon
    runs: Sequence[ProvenRun]
    left: Mapping[str, str]
    retried: Sequence[str] = []
    refused: Mapping[str, str] = {}
    kept: Sequence[str] = []


def pair_runs(old: Sequence[TriedNode], new: Sequence[TriedNode]) -> Sequence[ProvenRun]:
    return [ProvenRun(before.run_id, before, after) for before, after in zip(old, new, strict=True)]


class _RefusedModel:
    """Takes the place of every model while a failed node is tried, so that no provider is called. Each request fails.

    Attributes:
        asked: How many requests were refused.
    """

    name = "refused"

    def __init__(self) -> None:
        self.asked = 0

    async def answer(self, request: Request) -> Response:
        self.asked += 1
        message = f"the log has no answer for agent {request.agent!r}, and no model may be called during a replay"
        raise ModelError(message)


async def try_failed_node(graph: Graph[Any], run: str | PathLike[str] | Exported, *, act: bool = False) -> TriedNode:
    """Run the node that made a recorded run fail, alone, on the recorded state and with today's code.

    Args:
        graph: Today's graph.
        run: A file that `graphengine export` wrote, or a run that was read.
        act: Whether the node's effects happen, and whether the node may use the network, start processes and change
            files. A node that does such things without declaring them with `effect=` is refused even then.

    Raises:
        CompileError: The graph has an error.
        BadExport: The file is not an exported run.

    Example:
        >>> from graphengine.testing import try_failed_node
        >>> async def test_the_order_is_charged() -> None:
        ...     tried = await try_failed_node(shop, "tests/recorded/faults/order-7.json")
        ...     assert tried.verdict == "passes", tried.why
    """
    exported = run if isinstance(run, Exported) else read_file(Path(run))
    plan: Plan[Any] = compiled(graph)
    step = find_failing_step(exported.steps)
    if step is None:
        return TriedNode(exported.info.id, "", "unknown", "the run did not fail")
    step = _first_of_fallback(exported.steps, step)
    path = without_items(step.path)
    snapshot, repeats_work = Snapshot(), False

    def tell(verdict: _Verdict, text: str = "") -> TriedNode:
        shown = str(Redactor(plan, snapshot).hide(text)) if plan.secret and snapshot.frames else text
        shown = hide_secrets(" ".join(shown.split()))[:_LONGEST]
        return TriedNode(exported.info.id, path, verdict, shown, repeats_work)

    before = [each for each in exported.steps if each.seq < step.seq]
    try:
        first = replay(graph, replace(exported, steps=before)).first
        if first is not None:
            return tell("unknown", f"the graph decides step {first.seq} otherwise, before {path}: {first.message}")
        snapshot = fold_until(before, step.seq)
        frame, inner, node = node_at(plan, snapshot, step)
        undeclared = find_undeclared_acts(node.calls, inner.resources) if node.effect is None else ()
        if undeclared:
            text = f"{path} does not declare what it does outside: {undeclared[0]}; give the node effect="
            return tell("unknown", text)
        node_input = _read_recorded_state(inner, node, frame)
        recorded = dict(_iter_recorded(frame.recorded_results))
        after = fold_until(exported.steps, step.seq).frames.get(step.frame)
        repeats_work = after is not None and not recorded.keys() <= after.recorded_results.keys()
    except (GraphEngineError, Mismatch, ValueError) as error:
        return tell("unknown", f"the recorded state cannot be read: {_describe_raised(error)}")
    options = {"clock": FakeClock(start=step.at), "effects": "act" if act else {}, "recorded": recorded}
    verdict, text = await _run_alone(graph, path, node_input, options, repeats_work=repeats_work)
    return tell(verdict, text)


def _first_of_fallback(steps: Sequence[Step], failed: Step) -> Step:
    """Return the step in which a node itself failed, for a visit that failed in the step `failed`.

    The two steps differ if the node has a fallback that failed too: the failure of the node itself is then an earlier
    step.
    """
    visit = (failed.frame, failed.node, failed.visit)
    own = (each for each in reversed(steps) if (each.frame, each.node, each.visit) == visit and each.seq < failed.seq)
    return next((each for each in own if isinstance(each.data, Attempt) and each.data.then == "fallback"), failed)


def _read_recorded_state(plan: Plan[Any], node: NodePlan, frame: Frame) -> tuple[Mapping[str, object], object]:
    """Return the state that was recorded before the node failed, as the start of another attempt of the node.

    If the node ran for an item of a map, the item is returned too.
    """
    held: set[str] = set()
    around: Frame | None = frame
    while around is not None:
        held |= {*around.values}
        around = around.base
    view = View(plan.state, frame)
    state = {name: view.get(name) for name in plan.state.fields if name in held}
    if frame.kind != "item" or node.each is None:
        return state, NO_ITEM
    names = [name for name, _, _ in node.each.sources]
    items = {name: view_of(plan, frame).get(name) for name in names}
    return state, items if len(names) > 1 else items[names[0]]


async def _run_alone(
    graph: Graph[Any],
    path: str,
    given: tuple[Mapping[str, object], object],
    options: Mapping[str, Any],
    *,
    repeats_work: bool,
) -> tuple[_Verdict, str]:
    """Run the node alone on this state and item, and return whether it passes, fails or cannot be judged, and why."""
    model, act = _RefusedModel(), options["effects"] == "act"
    done: Done[Any] | None = None
    error: Exception | None = None
    state, item = given
    with refuse_outside(is_off=act) as refused:
        try:
            done = await run_node(graph, path, state, item=item, models=model, **options)
        except Exception as raised:  # noqa: BLE001 - the node's own
            error = raised
    unknown = ""
    if model.asked:
        unknown = f"{path} would call a model, since the log has no answer to what it asks"
    elif refused:
        unknown = f"{path} would {refused[0]}, which is refused without --act"
    elif error is not None:
        unknown = _explain_unknown(path, error, repeats_work=repeats_work)
    elif done is not None and done.waits:
        unknown = f"{path} waits: {done.waits[0].question or done.waits[0].kind}"
    elif done is not None and done.no_edge:
        unknown = f"{path} completes, and where the run goes then is not known here: {done.no_edge}"
    if unknown:
        return "unknown", unknown
    return ("passes", "") if error is None else ("fails", _describe_raised(error))


def _explain_unknown(path: str, error: Exception, *, repeats_work: bool) -> str:
    """Return the reason why an error leaves it unknown whether the node is repaired.

    For example, the node may have asked for an effect whose result is not in the log. Returns "" if the error shows
    that the node still fails.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ChildFailed):
        cause = cause.__cause__ or cause.__context__
    if cause is not None:
        return (
            f"{path} fails because a child run failed, which a retry resumes; prove the graph of the child run:"
            f" {cause.message}"
        )
    reasons: dict[type[Exception], str] = {
        EffectRefused: "would perform an effect of which the log has no result",
        InputError: "cannot run alone",
    }
    if repeats_work:
        not_accepted = "does not accept the recorded answer, and a retry asks again"
        reasons |= dict.fromkeys((BadAnswer, GuardFailed, ModelError), not_accepted)
    reason = next((text for kind, text in reasons.items() if isinstance(error, kind)), "")
    return reason and f"{path} {reason}: {_describe_raised(error)}"


def _iter_recorded(results: Mapping[str, RecordedResult]) -> Iterator[tuple[str, JsonValue]]:
    """Yield the results that were recorded during the failed visit, by the keys of the calls.

    The node receives these results instead of making the calls again.
    """
    for key, result in results.items():
        parts = WorkKey.read(key)
        if parts.number and not parts.name.startswith(NO_RESULTS) and not isinstance(result.value, UnsetType):
            value = opened(result.value)
            yield key, value | {"by": RUN_ID} if parts.name == STARTS else value  # else the child counts as another's


def _describe_raised(error: BaseException) -> str:
    if isinstance(error, GraphEngineError):
        return f"{error.code}: {error.message}"
    return f"{type(error).__name__}: {why(error)}"


def scrub(run: Exported) -> Exported:
    """Remove secrets and unneeded data from a recorded run, so that its file can be kept in a repository.

    Secret fields are encrypted already. Other texts can contain keys of providers, and values of environment variables
    whose names suggest secrets: these are replaced. Messages and the fields for searches are removed, because trying
    the failed node does not need them.
    """
    tags = tuple(sorted({*map(hide_secrets, run.info.tags)}))
    info = structs.replace(run.info, tags=tags, summary=None, queue=DEFAULT_QUEUE, tenant=None)
    return replace(run, info=info, steps=[*map(_scrub_step, run.steps)], inbox=(), inbox_keys=(), keys=())


def _scrub_step(step: Step) -> Step:
    body = encode_step(step)
    if not contains_secrets(body.decode()):  # most steps have none
        return step
    return decode_step(step.seq, to_json(hide_secrets(from_json(body))))


__all__ = ["Proof", "ProvenRun", "TriedNode", "pair_runs", "scrub", "try_failed_node"]
