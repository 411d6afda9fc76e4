"""Replace the nodes of a plan by stubs, for a walk. A stub writes given updates and does not do the node's work.

A walk follows a copy of the graph's compiled plan. The edges, conditions, retries, fallbacks, reducers and the state
are taken from the graph. The body of a node is replaced by its stub, and the updates of the stub are handled like all
other updates (`graphengine.engine.events.Written`). A nested graph that is replaced as a whole becomes a graph with one
node, which ends with the wanted label.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from pydantic import BaseModel

from graphengine.api.graph import Graph
from graphengine.compile.binding import Binder
from graphengine.engine.plan import Argument, Writer
from graphengine.errors import CompileError, InputError
from graphengine.kernel.extension import END, START, Call, Context, NodePlan, Plan, did_you_mean, value
from graphengine.kernel.inside import FunctionBody, Reading, Written
from graphengine.testing.scripts import Script

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from graphengine.engine.plan import Updates
    from graphengine.kernel.extension import StateType, View
    from graphengine.testing.scripts import Visits

# The plan that a walk follows.


def with_stubs(plan: Plan[Any], given: Mapping[str, Visits]) -> tuple[Plan[Any], Sequence[Script]]:
    """Copy a compiled graph, and put the stubs that a test passed in place of its nodes.

    The stubs of each node that the test named are returned too, as a `Script`.

    Raises:
        InputError: A path does not name a node, or a stub is invalid.
        CompileError: A parameter of a stub that is a function cannot be bound to a field.
    """
    paths = list(plan.paths())
    for path in given:
        if path not in paths:
            repair = did_you_mean(path, paths)
            raise InputError(f"graph {plan.graph!r} has no node {path!r}", where="walk", repair=repair)
    scripts: list[Script] = []
    return _copy(plan, given, "", scripts), scripts


def _copy(plan: Plan[Any], given: Mapping[str, Visits], prefix: str, scripts: list[Script]) -> Plan[Any]:
    nodes: dict[str, NodePlan] = {}
    for name, node in plan.nodes.items():
        path = prefix + name
        if path in given:
            scripts.append(Script(path, given[path], node, plan.state))
            nodes[name] = _stand_in(plan, scripts[-1])
        elif any(call.graph is not None for call in node.calls):
            nodes[name] = _walk_into(plan, node, given, path, scripts)
        else:
            nodes[name] = _stand_in(plan, Script(path, None, node, plan.state))
    fallbacks = [node.fallback.call for node in nodes.values() if node.fallback is not None]
    used = {name for call in fallbacks if call is not None for name in call.extras}
    resources = {name: make for name, make in plan.resources.items() if name in used}
    return replace(plan, nodes=nodes, resources=resources)


def _walk_into(
    plan: Plan[Any], node: NodePlan, given: Mapping[str, Visits], path: str, scripts: list[Script]
) -> NodePlan:
    """Copy a node that runs nested graphs, and replace the nodes inside these graphs by stubs.

    The node itself is kept, because the test passed stubs for nodes inside its graphs.
    """
    nothing = _script_call(plan, Script(path, None, node, plan.state))

    def inside(call: Call) -> Call:
        if call.graph is None:
            return nothing
        return replace(call, graph=_copy(call.graph, given, f"{path}/", scripts))

    choices = {value: inside(call) for value, call in node.choices.items()}
    return replace(node, call=None if node.call is None else inside(node.call), choices=choices)


def _stand_in(plan: Plan[Any], script: Script) -> NodePlan:
    """Copy a node so that the stubs which a test passed run in place of the node's function, agent or graph."""
    node = script.node
    each = node.each if script.each else None
    common: dict[str, Any] = {"selector": None, "choices": {}, "each": each, "effect": None, "once": None}
    if script.is_graph:
        call = replace(_NOTHING, graph=_plan_ending(script))
        return replace(node, call=call, plain=False, writer=_Kept(script=script), **common)
    return replace(node, call=_script_call(plan, script), plain=each is None, **common)


def _script_call(plan: Plan[Any], script: Script) -> Call:
    """Build the function that runs in place of a node in a walk.

    In each visit, the function returns the updates of the stub that the test passed for this visit.
    """
    state = script.node.each.state if script.each and script.node.each is not None else plan.state
    bound = {id(function): _bind_parameters(plan, state, function, script.path) for function in script.functions}

    def stub(ctx: Context, **values: object) -> object:
        chosen = script.now(ctx.idempotency_key)
        if not callable(chosen) or isinstance(chosen, type):
            return Written(script.updates(chosen)[1])
        parameters = bound[id(chosen)]
        returned = chosen(**{name: value for name, value in {**values, "ctx": ctx}.items() if name in parameters})
        if inspect.isawaitable(returned):
            return _await_updates(script, returned)
        return Written(script.updates(returned)[1])

    arguments = {name: argument for read in bound.values() for name, argument in read.items() if argument is not None}
    extras = {name for read in bound.values() for name, argument in read.items() if argument is None}
    return replace(_NOTHING, function=stub, arguments=tuple(arguments.values()), extras=tuple(sorted({*extras, "ctx"})))


async def _await_updates(script: Script, made: Awaitable[object]) -> Written:
    return Written(script.updates(await made)[1])


def _bind_parameters(
    plan: Plan[Any], state: StateType[Any], function: Callable[..., object], path: str
) -> dict[str, Argument | None]:
    """Find the field or the item to pass for each parameter of a stub that is a function.

    The result contains None for `ctx` and for resources, which are not read from the state.

    Raises:
        CompileError: No field or item has the name of a parameter.
    """
    binder = Binder(state, frozenset(), lambda _graph, _where: None)
    call = binder.call(FunctionBody.of(function, thread=False), None, f"stub for {path}")
    wrong = [problem for problem in binder.problems if not problem.warning]
    if wrong:
        raise CompileError(plan.graph, wrong)
    read: dict[str, Argument | None] = {
        name: Argument(name, Reading.of(field), required=False) for name, field in call.fields
    }
    read |= {argument.name: replace(argument, required=False) for argument in call.arguments}
    return read | dict.fromkeys(call.extras)


def _never_called() -> None:
    """Fill the required function of `_NOTHING`. Each copy of `_NOTHING` gets a function or a graph of its own."""


_NOTHING: Final = Call(FunctionBody.of(_never_called, thread=False), _never_called, False, (), (), (), ())  # noqa: FBT003


# Stubs for graphs.


class _Ending(BaseModel):
    """The state of the small graph that replaces a nested graph: the label with which to end, and the visit's key."""

    label: str = ""
    visit: str = ""


ENDING: Final = "stands_in"
"""The name of the only node in a graph that replaces another graph."""


@dataclass(frozen=True, slots=True)
class _Kept(Writer):
    """Writes the updates of a stub for a nested graph to the state, when the small graph in its place has ended."""

    script: Script | None = None

    def updates(self, result: object, view: View, node: str, ending: object = None) -> Updates:  # noqa: ARG002 - a Writer's
        return self.script.kept(result) if self.script is not None else []


def _plan_ending(script: Script) -> Plan[Any]:
    """Build the small graph that runs in place of a nested graph. It has one node, and an edge to END for each label.

    The node picks the stub for the visit, and the label of the stub decides which of the edges is taken.
    """

    def end(ctx: Context) -> dict[str, object]:
        key = ctx.idempotency_key.rpartition("/")[0]
        stub = script.now(key)
        label, updates = script.updates(stub() if callable(stub) and not isinstance(stub, type) else stub)
        script.keep(key, updates)
        return {"label": label, "visit": key}

    graph = Graph("stub", _Ending, result="visit")
    graph.add_node(ENDING, end, thread=False)
    graph.add_edge(START, ENDING)
    for label in script.labels:
        graph.add_edge(ENDING, END, when=value("label") == label, label=label)
    graph.add_edge(ENDING, END)
    return replace(graph.compile(), fingerprint="")


__all__ = ["ENDING", "with_stubs"]
