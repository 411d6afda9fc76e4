"""LangGraph's names, each with the graphengine equivalent.

An unknown name found in these tables raises an error with that equivalent. Of other unknown names, a keyword gets the
nearest of ours, and an attribute Python's own error.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

from graphengine.errors import DefinitionError
from graphengine.state.path import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

_RUN: Final = "result = await graph.run(state), or graph.run_sync(state); Runner('runs.db') records the run"
_STREAM: Final = "async for event in runner.start(graph, state).events(): …"
_PATH: Final = "add_edge(START, 'first') and add_edge('last', END)"
_STATE: Final = "await runner.state_at(run_id), or runner.state_at(run_id, step)"
_PICTURE: Final = "graph.render('graph.svg'), graph.to_mermaid() or graph.to_dot()"
_STORE: Final = "the runner records runs: Runner('runs.db').start(graph, state)"

NAMES: Final[Mapping[str, str]] = {
    "add_conditional_edges": "add_switch('a', route, {'x': 'b', 'y': END}), or add_edge('a', 'b', when=…) for each",
    "add_sequence": "add_path('a', 'b', 'c')",
    "set_entry_point": _PATH,
    "set_finish_point": _PATH,
    "set_conditional_entry_point": "add_switch(START, route, {'x': 'a', 'y': 'b'})",
    "invoke": _RUN,
    "ainvoke": _RUN,
    "batch": "a node with each={'item': 'items'} runs once for every item",
    "abatch": "a node with each={'item': 'items'} runs once for every item",
    "stream": _STREAM,
    "astream": _STREAM,
    "astream_events": _STREAM,
    "get_state": _STATE,
    "aget_state": _STATE,
    "get_state_history": "await runner.history(run_id), and runner.state_at(run_id, step)",
    "aget_state_history": "await runner.history(run_id), and runner.state_at(run_id, step)",
    "update_state": "runner.branch(run_id, graph, at=step, update={'field': value})",
    "aupdate_state": "runner.branch(run_id, graph, at=step, update={'field': value})",
    "get_graph": _PICTURE,
    "draw_mermaid": _PICTURE,
    "with_config": "limits=Limits(…) of the graph, or of Runner.start",
}
"""Attributes of graphs elsewhere."""

KEYWORDS: Final[Mapping[str, str]] = {
    "checkpointer": _STORE,
    "interrupt_before": "Runner.start(graph, state, pause_before=['node'])",
    "interrupt_after": "Runner.start(graph, state, pause_before=['next node'])",
    "config": "runner.start(graph, state, run_id='…', limits=Limits(visits=…))",
    "recursion_limit": "limits=Limits(visits=…)",
    "retry_policy": "retry=Retry(attempts=3)",
    "defer": "add_fork(source, arms, join='this node'): a join is visited once, after all arms",
    "input_schema": "inputs={'parameter': 'field'}",
    "destinations": "add_edge(…) for each target",
    "state_schema": "Graph('name', State)",
    "context_schema": "resources={'name': factory} of the graph",
}
"""Keywords of calls elsewhere."""

_SIMILAR: Final[Mapping[str, str]] = {
    "db": "store='runs.db'",
    "instructions": "system='…'",
    "system_prompt": "system='…'",
    "output_type": "output=…, a type",
    "response_format": "output=…, a type",
    "max_turns": "turns=…",
    "max_iterations": "turns=… of an Agent, iterations('node') of an edge",
    "condition": "when=…",
    "default": "otherwise='node'",
    "output": "writes='field'",
    "outputs": "writes='field'",
    "options": "output=Literal['a', 'b']",
    "choices": "output=Literal['a', 'b']",
    "delay": "initial_seconds=…",
    "limits": "limits=… of the Graph, or of Runner.start",
    "steps": "visits=…",
    "max_steps": "limits=Limits(visits=…)",
}
"""Other keywords that one tries: of the command line, and of other libraries."""
_REPAIRS: Final = {**KEYWORDS, **_SIMILAR}

NODES: Final[Mapping[str, str]] = {"__start__": "START", "__end__": "END"}
"""Names of the two ends elsewhere."""

PARAMETERS: Final[Mapping[str, str]] = {
    "config": "ctx: Context has the run's id; declare other settings as resources of the graph",
    "runtime": "ctx: Context, or a resource of the graph",
    "store": "a resource of the graph: Graph(…, resources={'store': factory})",
    "writer": "ctx: Context, and ctx.emit(…)",
    "messages": "a field of the state that is called messages",
}
"""Parameters of nodes elsewhere."""

RESULTS: Final[Mapping[str, str]] = {
    "Command": "return the update alone; edges choose the next node: add_edge(…, when=…) or add_switch(…)",
    "Send": "a node with each={'item': 'items'} runs once for every item",
    "Interrupt": "add_node('approve', ask('…', bool)), or answer = await ctx.ask('…', bool)",
}
"""What nodes return elsewhere, by the name of its class."""

RAISED: Final[Mapping[str, str]] = {
    "GraphInterrupt": RESULTS["Interrupt"],
    "Called get_config outside of a runnable context": f"for interrupt: {RESULTS['Interrupt']}",
    "object is not subscriptable": "a state that is a model has attributes: state.text, or a parameter named text",
}
"""What nodes written for elsewhere raise, by the name of its class or the end of its text."""


def repair_of(kind: str, message: str) -> str:
    """Return the repair for what a node raises that was written for elsewhere, else ""."""
    if message.startswith("'NoneType'"):  # no state
        return ""
    return next((repair for end, repair in RAISED.items() if end == kind or message.endswith(end)), "")


class NotCalledSo(DefinitionError, AttributeError):
    """The attribute has another name here."""

    code = "not_called_so"


def missing(owner: object, name: str, hints: Mapping[str, str] = NAMES) -> NoReturn:
    """Raise the AttributeError for an attribute that an object does not have, with what to write here if it is known.

    Args:
        owner: The object.
        name: The attribute.
        hints: What to write in place of attributes.

    Raises:
        NotCalledSo: There is a hint.
        AttributeError: There is none.
    """
    text = f"{type(owner).__name__!r} object has no attribute {name!r}"
    if name in hints:
        raise NotCalledSo(text, where=textwrap.shorten(repr(owner), 80, placeholder=" …"), repair=hints[name])
    raise AttributeError(text, name=name, obj=owner)


def with_our_keywords(function: F, more: Mapping[str, str] | None = None) -> F:
    """Let a method refuse an unknown keyword with what to write here: our name for it, or the nearest one.

    Args:
        function: The method.
        more: What to write in place of further keywords.
    """
    repairs = {**_REPAIRS, **(more or {})}
    names = list(inspect.signature(function).parameters)
    own = {*names} - {"self"}

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        for name in kwargs.keys() - own if kwargs else ():
            is_made = function.__name__ != "__init__"  # until then an object has no repr
            called = function.__name__ if is_made else type(args[0]).__name__
            where = repr(args[0]) if args and is_made and names[0] in ("self", "graph") else ""
            state = getattr(args[0], "state", None) if where and "state" in own else None
            if name in getattr(state, "model_fields", ()):
                repair = f"the state is one argument: {{{name!r}: …}}"
            else:
                repair = repairs.get(name) or did_you_mean(name, own)
            raise DefinitionError(f"{called} has no option {name!r}", where=where, repair=repair)
        return function(*args, **kwargs)

    return call  # type: ignore[return-value]


def name_of(runnable: object) -> str | None:
    """Return the name of a function, an Agent, a Graph, or a Node of one; None if it has none, as a lambda."""
    inner = getattr(runnable, "runnable", runnable)
    name = getattr(inner, "__name__", None) or getattr(inner, "name", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def named_node(given: object, what: str, other: object) -> str:
    """Return the name of the node at one end of an edge, given by its name or as what `add_node` takes without one.

    Raises:
        DefinitionError: It has no name. For a list, the repair is a fork.
    """
    if isinstance(given, str):
        return given
    if isinstance(given, (list, tuple, set)):
        names, end = [name_of(each) or str(each) for each in given], name_of(other) or str(other)
        fork = f"add_fork(…, {names}, join={end!r})" if what == "source" else f"add_fork({end!r}, {names}, join=…)"
        repair = f"{fork}: the arms run in parallel, and the join is visited once"
        raise DefinitionError(f"the {what} of an edge is one node, not {given!r}", where="add_edge", repair=repair)
    name = name_of(given)
    if name is None:
        text = f"the {what} of an edge is a node, not {given!r}"
        raise DefinitionError(text, where="add_edge", repair="the name of a node, or its function")
    return name


def check_cases(given: object, where: str, target: str) -> None:
    """Check that the cases of a switch or a choice are a mapping.

    Raises:
        DefinitionError: They are not. For a list, the repair has its items as values.
    """
    if isinstance(given, Mapping):
        return
    items = given if isinstance(given, (list, tuple)) else ()
    names = [repr(each) for each in items if not callable(each)] or ["value"]
    repair = "a mapping of values to what follows: {" + ", ".join(f"{name}: {target}" for name in names) + "}"
    raise DefinitionError(f"the cases are {given!r}, not a mapping", where=where, repair=repair)


OF_A_GRAPH: Final = ("check", "render", "run", "run_sync", "to_dot", "to_mermaid")
"""Methods of graphs, which plans do not have."""

OF_A_RESULT: Final = frozenset({"ending", "error", "label", "output", "run_id", "state", "status", "usage", "waits"})
"""Attributes of results, which runs do not have."""
