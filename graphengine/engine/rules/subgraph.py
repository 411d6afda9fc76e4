"""Graphs as nodes: how a subgraph begins in a frame of its own, and what its end does to the frame around it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from graphengine.engine.events import NodeFailed, NodeFinished
from graphengine.engine.failures import attempt_of, fail_with, failure_record
from graphengine.engine.lookup import StaleEvent, plan_of, view_of
from graphengine.engine.provenance import of_graph, read_of_nodes
from graphengine.engine.ready import held_by, settled, sub_limit
from graphengine.engine.rules.run import first_edge
from graphengine.engine.rules.visit import fail_at_once, node_failed, node_finished, step_of
from graphengine.engine.size_limits import size_of
from graphengine.engine.snapshot import Frame
from graphengine.engine.steps import Decided, Entered, Failed, FailureRecord, Node, path_of
from graphengine.errors import InputError, InvalidInputs, SubgraphLimit
from graphengine.graph.conditions import exception_name
from graphengine.graph.options import START
from graphengine.state.ending import Ending
from graphengine.state.field import LONG
from graphengine.state.interrupts import reraise_interrupt
from graphengine.state.recorded_text import to_show
from graphengine.state.update import UNREAD
from graphengine.state.view import View

if TYPE_CHECKING:
    from graphengine.engine.events import LimitMet, NodeEntered, Settled
    from graphengine.engine.lookup import RunState
    from graphengine.engine.plan import Call, NodePlan, Plan
    from graphengine.state.schema import Initial


_LIMIT: Final = [exception_name(kind) for kind in SubgraphLimit.__mro__ if issubclass(kind, BaseException)]


def sub_entered(run: RunState, frame: Frame, event: NodeEntered) -> Decided:
    """Return the step to record when a subgraph begins.

    It contains the subgraph's initial state and its first edge.
    """
    inner = plan_of(run.plan, frame)
    view = view_of(inner, frame)
    view.checks = run.checks
    try:
        call, choice = inner.nodes[event.id.node].pick(view)
        path = path_of(frame.id, event.id.node)
        graph, initial = _begins_with(call, view, path)
        update = [("set", name, value) for name, value in initial.values.items()]
        state_bytes = size_of(run, initial.size_bytes, update, f"node {path}") if initial.size_bytes > LONG else 0
    except BaseException as error:  # noqa: BLE001 - a selector or source of the user's, validators
        reraise_interrupt(error)
        failure = failure_record(error, path_of(frame.id, event.id.node), event.id.attempt)
        return node_failed(run, frame, fail_at_once(event, failure))
    begins = Frame(id=frame.sub_id, kind="sub", up=frame, at=START, values=initial.values, typed=dict(initial.typed))
    # As in the fold. If the subgraph fails at once, the failure then belongs to the attempt of the node around it.
    begins.sub = begins
    facts = Entered(graph=graph.graph, choice=choice, limits=graph.own_limits)
    facts.written = read_of_nodes(call, frame)
    first_edge(run, facts, graph, begins, initial.given)
    typed = [initial.typed.get(op[1], UNREAD) for op in update]
    step = step_of(run.snapshot, event, facts)
    step.update, step.typed, step.state_bytes = update, typed, state_bytes
    return step


def _begins_with(call: Call, view: View, where: str) -> tuple[Plan[Any], Initial]:
    """Return the compiled subgraph that a node runs, and the initial state with which the subgraph begins.

    If a function of the user that computes an input raises an exception, that exception is raised unchanged.

    Raises:
        InvalidInputs: The inputs do not fit the state of the subgraph.
    """
    if call.graph is None:
        raise InvalidInputs(f"{call.body.name} is not a graph", where=where, repair="enter only graphs")
    try:
        return call.graph, call.graph.state.initial(call.values(view), where)
    except InputError as error:
        raise InvalidInputs(error.message, where=error.where, repair=error.repair) from error


def sub_ended(run: RunState, frame: Frame, event: Settled) -> Decided:
    """Return the step to record when the subgraph of a node ended.

    The node gets the subgraph's result or its failure.
    """
    sub = run.snapshot.frames[frame.sub_id]
    if not settled(sub):
        raise StaleEvent(event)
    of = frame.attempt_id
    if sub.failing is not None:
        failed = NodeFailed(of, sub.since, event.now, sub.failing.error, choice=frame.choice, chance=event.chance)
        return node_failed(run, frame, failed)
    inner = plan_of(run.plan, sub)
    view = View(inner.state, sub)
    view.checks = run.checks
    node = plan_of(run.plan, frame).nodes[frame.at]
    result = inner.result.read(view) if inner.result is not None else _read_state(node, inner, view)
    more = Node(inside=sub.ending)
    done = NodeFinished(of, sub.since, event.now, result, choice=frame.choice, chance=event.chance, more=more)
    return node_finished(run, frame, done, sub.ending, given=of_graph(sub))


def _read_state(node: NodePlan, inner: Plan[Any], view: View) -> object:
    """Return the result of a subgraph that does not declare `result=`.

    The result is its whole final state, or only the fields that the node around the subgraph writes.
    """
    keys = node.writer.keys
    if keys is None:
        return view.instance(view.lend)
    return {name: view.get(name) for name in inner.state.fields if name in keys}


def limit_met(run: RunState, frame: Frame, event: LimitMet) -> Decided:
    """Return the step to record when a subgraph fails because it reached one of its own limits."""
    snapshot = run.snapshot
    if settled(frame) or held_by(snapshot, frame)[1] is not frame:
        raise StaleEvent(event)
    reached = sub_limit(snapshot, frame)
    inner = plan_of(run.plan, frame)
    path = path_of(frame.id, "")
    message = f"the inner graph {inner.graph!r} reached its limit: {reached}"
    repair = f"raise the limits of the graph {inner.graph!r}, then resume the run"
    failure = FailureRecord(
        path, "limit", to_show(message), attempt_of(frame), repair=repair, names=_LIMIT, non_retryable=True
    )
    facts = Failed()
    fail_with(facts, failure)
    facts.ending = Ending("limit", why=reached)
    return Decided(snapshot.seq + 1, event.now, facts, frame.id, "", frame.visit, frame.attempt)
