"""LangGraph's names, each with the graphengine equivalent.

An unknown name found in these tables raises an error with that equivalent. Of other unknown names, a keyword gets the
nearest of ours, and an attribute Python's own error.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Final, NoReturn

from graphengine.errors import DefinitionError
from graphengine.state.numbers import is_nan

NAMES: Final[Mapping[str, str]] = {
    "add_conditional_edges": "add_switch('a', route, {'x': 'b', 'y': END}), or add_edge('a', 'b', when=…) for each",
    "add_sequence": "add_path('a', 'b', 'c')",
    **dict.fromkeys(("set_entry_point", "set_finish_point"), "add_edge(START, 'first') and add_edge('last', END)"),
    "set_conditional_entry_point": "add_switch(START, route, {'x': 'a', 'y': 'b'})",
    "with_config": "limits=Limits(…) of the graph, or of Runner.start",
    "invoke": "result = await graph.run(state), or graph.run_sync(state); Runner('runs.db') records the run",
    "batch": "a node with each={'item': 'items'} runs once for every item",
    **dict.fromkeys(("stream", "astream_events"), "async for event in runner.start(graph, state).events(): …"),
    "get_state": "await runner.state_at(run_id), or runner.state_at(run_id, step.seq)",
    "get_state_history": "await runner.history(run_id), and runner.state_at(run_id, step.seq)",
    "update_state": "runner.branch(run_id, graph, at=step.seq, update={'field': value})",
    **dict.fromkeys(("get_graph", "draw_mermaid"), "graph.render('graph.svg'), graph.to_mermaid() or graph.to_dot()"),
}

KEYWORDS: Final[Mapping[str, str]] = {
    "checkpointer": "the runner records runs: Runner('runs.db').start(graph, state)",
    "interrupt_before": "Runner.start(graph, state, pause_before=['node'])",
    "interrupt_after": "Runner.start(graph, state, pause_before=['next node'])",
    "config": "runner.start(graph, state, run_id='…', limits=Limits(visits=…))",
    "recursion_limit": "limits=Limits(visits=…)",
    "thread_id": "run_id='…'; for the turns of a conversation: runner.run(agent, chat='…')",
    "stream_mode": "async for event in runner.start(graph, state).events(): …",
    "retry_policy": "retry=Retry(attempts=3)",
    "defer": "add_fork(source, arms, join='this node'): a join is visited once, after all arms",
    "input_schema": "inputs={'parameter': 'field'}",
    "destinations": "add_edge(…) for each target",
    "state_schema": "Graph('name', State)",
    "context_schema": "resources={'name': factory} of the graph",
}

_SIMILAR: Final[Mapping[str, str]] = {
    **dict.fromkeys(("instructions", "system_prompt"), "system='…'"),
    **dict.fromkeys(("output_type", "response_format"), "output=…, a type"),
    **dict.fromkeys(("condition", "if_"), "when=…"),
    **dict.fromkeys(("output", "outputs"), "writes='field'"),
    **dict.fromkeys(("options", "choices"), "output=Literal['a', 'b']"),
    **dict.fromkeys(("deps", "deps_type"), "resources={'name': factory} of the graph"),
    "budgets": "extensions=[Budgets(Budget(…))]",
    "db": "store='runs.db'",
    "max_iterations": "turns=… of an Agent, iterations('node') of an edge",
    "default": "otherwise='node'",
    **dict.fromkeys(("delay", "delay_seconds"), "initial_seconds=…"),
    **dict.fromkeys(("memory", "message_history"), "messages='field', or a Memory in resources= of the graph"),
    "limits": "limits=… of the Graph, or of Runner.start",
    "steps": "visits=…",
    "max_steps": "limits=Limits(visits=…)",
    "question": "wait='node'",
}
"""Other keywords that one tries: of the command line, and of other libraries."""
_CALLS: Final[Mapping[str, str]] = {
    "add_edge": "add_edge('a', 'b'), or add_edge('a', 'b', when=value('field') >= 1)",
    "add_fork": "add_fork('a', ['b', 'c'], join='d'): all arms lead to the join",
    "Agent": "Agent('name', model='…', prompt='…')",
}
REPAIRS: Final[Mapping[str, str]] = {**KEYWORDS, **_SIMILAR, **_CALLS}
"""What to write in place of a keyword, and of a call whose arguments do not fit."""

NODES: Final[Mapping[str, str]] = {"__start__": "START", "__end__": "END"}

PARAMETERS: Final[Mapping[str, str]] = {
    "config": "ctx: Context has the run's id; declare other settings as resources of the graph",
    **dict.fromkeys(("runtime", "context"), "ctx: Context, or a resource of the graph"),
    "writer": "ctx: Context, and ctx.emit(…)",
    "store": "a Memory as a resource: Graph(…, resources={'memory': lambda: Memory('runs.db')})",
}

OF_A_CONTEXT: Final[Mapping[str, str]] = {
    "step": "await ctx.call(function, …)",
    "state": "a parameter of the name of each field, or one named state",
    "run": "await ctx.start(graph, …), and await child.result()",
    "memory": "a parameter named memory, of Graph(…, resources={'memory': lambda: Memory('runs.db')})",
    "interrupt": "await ctx.ask('…', bool)",
}

OF_RESULTS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("answer", "data", "final_output", "content"), "result.output, or result.state.field"),
    **dict.fromkeys(("messages", "all_messages"), "the field of the state: result.state.messages"),
    **dict.fromkeys(("cost", "tokens", "cost_usd"), "result.usage"),
    **dict.fromkeys(("id",), "result.run_id"),
    "value": "result.output, or result.state.field",
    "steps": "await runner.history(result.run_id), or result.visits, a number",
    "stop": "result.ending",
}

RESULTS: Final[Mapping[str, str]] = {
    "Command": "return the update alone; edges choose the next node: add_edge(…, when=…) or add_switch(…)",
    "Send": "a node with each={'item': 'items'} runs once for every item",
    "Interrupt": "add_node('approve', ask('…', bool)), or answer = await ctx.ask('…', bool)",
}
"""What nodes return elsewhere, by the name of its class."""


RAISED: Final[Mapping[str, str]] = {
    r"^GraphInterrupt: ": RESULTS["Interrupt"],
    r"Called get_config outside of a runnable context$": f"for interrupt: {RESULTS['Interrupt']}",
    r"^TypeError: '(?!NoneType')[A-Z]\w*' object is not subscriptable$": (
        "a state that is a model has attributes: state.text, or a parameter named text"
    ),
    r"the first argument must be callable$": "ctx.call(function, argument), not ctx.call(function(argument))",
    r"asyncio\.run\(\) cannot be called from a running event loop$": (
        "await the call in place of asyncio.run(…), or make the node a plain function (def), which runs in a thread"
    ),
}
"""What nodes written for elsewhere raise, as patterns of its class and text; not of None or a builtin."""


def repair_of(kind: str, message: str) -> str:
    """Return the repair for what a node raises that was written for elsewhere, else ""."""
    return next((repair for pattern, repair in RAISED.items() if re.search(pattern, f"{kind}: {message}")), "")


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
    if repair := hints.get(name) or hints.get(name.removeprefix("a")):  # also of `ainvoke`
        where = "" if repr(owner).startswith("<") else textwrap.shorten(repr(owner), 80, placeholder=" …")
        raise NotCalledSo(text, where=where, repair=repair)
    raise AttributeError(text, name=name, obj=owner)


class _Elsewhere:
    """A name of another library: as an attribute of an object, it raises what `missing` raises."""

    def __init__(self, name: str, hints: Mapping[str, str]) -> None:
        self._name = name
        self._hints = hints

    def __get__(self, owner: object, kind: type) -> NoReturn:
        if owner is None:
            text = f"type object {kind.__name__!r} has no attribute {self._name!r}"
            raise AttributeError(text, name=self._name, obj=kind)
        missing(owner, self._name, self._hints)


def hint_at(kind: type, hints: Mapping[str, str]) -> None:
    """Let the objects of a class raise what `missing` raises, for the names of some hints.

    A `__getattr__` would do it too, but then each attribute that there is takes some 300 instructions of the processor
    in place of 10: of a class that is read as often as `Plan`, 3 percent of a run.
    """
    names = frozenset(name for each in hints for name in (each, f"a{each}") if not hasattr(kind, name))
    for name in names:
        setattr(kind, name, _Elsewhere(name, hints))

    def own_names(self: object) -> list[str]:
        return [name for name in object.__dir__(self) if name not in names]

    setattr(kind, "__dir__", own_names)  # noqa: B010 - type checkers expect a method of `kind`


def name_of(runnable: object) -> str | None:
    """Return the name of a function, an Agent, a Graph, or a Node of one; None if it has none, as a lambda."""
    inner = getattr(runnable, "runnable", runnable)
    name = getattr(inner, "__name__", None) or getattr(inner, "name", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def shown(given: object) -> str:
    """Return what was given as text: a function by its name, anything else by its repr without an address."""
    return re.sub(r"<function (?:\S*\.)?(<lambda>|\w+) at 0x\w+>| at 0x\w+", r"\1", repr(given))


def named_node(given: object, what: str, other: object) -> str:
    """Return the name of the node at one end of an edge, given by its name or as what `add_node` takes without one.

    Raises:
        DefinitionError: It has no name. For a list, the repair is a fork.
    """
    if isinstance(given, str):
        return given
    if other and isinstance(given, (list, tuple, set)):
        names, end = [name_of(each) or str(each) for each in given], name_of(other) or str(other)
        fork = f"add_fork(…, {names}, join={end!r})" if what == "source" else f"add_fork({end!r}, {names}, join=…)"
        repair = f"{fork}: the arms run in parallel, and the join is visited once"
        raise DefinitionError(f"the {what} of an edge is one node, not {shown(given)}", where="add_edge", repair=repair)
    name = name_of(given)
    if name is None:
        text = f"the {what} of an edge is a node, not {shown(given)}"
        raise DefinitionError(text, where="add_edge", repair="the name of a node, or its function")
    return name


def check_cases(given: object, where: str, target: str) -> None:
    """Check that the cases of a switch or a choice are a mapping.

    Raises:
        DefinitionError: They are not. For a list, the repair has its items as values.
    """
    if isinstance(given, Mapping):
        if any(map(is_nan, given)):
            raise DefinitionError("a case is NaN, which equals nothing", where=where, repair="use a function's result")
        return
    items = given if isinstance(given, (list, tuple)) else ()
    names = [repr(each) for each in items if not callable(each)] or ["value"]
    repair = "a mapping of values to what follows: {" + ", ".join(f"{name}: {target}" for name in names) + "}"
    raise DefinitionError(f"the cases are {shown(given)}, not a mapping", where=where, repair=repair)


OF_A_GRAPH: Final = ("check", "render", "run", "run_sync", "to_dot", "to_mermaid")

OF_A_RESULT: Final = frozenset({"ending", "error", "label", "output", "run_id", "state", "status", "usage", "waits"})
