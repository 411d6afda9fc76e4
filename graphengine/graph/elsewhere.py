"""What an unknown name gets: the form here, if `graphengine.graph.foreign` knows the name from another library.

Of other unknown names, a keyword gets the nearest of ours, and an attribute Python's own error.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from reprlib import recursive_repr
from typing import Final, NoReturn

from graphengine.errors import DefinitionError, UnknownAttribute
from graphengine.graph.foreign import forms_by_name, repair_for, without_await
from graphengine.state.numbers import is_nan

NODES: Final[Mapping[str, str]] = {"__start__": "START", "__end__": "END"}

RETURNED: Final = frozenset(("Command", "Send", "Interrupt", "Goto", "End", "StopEvent"))
"""The classes of what nodes return in other libraries. `import` of the table has what to write here."""


def repair_of_returned(name: str) -> str:
    """Suggest what to return instead of an object of another graph library, by the name of its class; "" if unknown."""
    return repair_for(name, "import") if name in RETURNED else ""


_ASKS: Final = "graph.add_node('approve', ask('Publish {text}?', bool), writes='is_approved')"
RAISED: Final[Mapping[str, str]] = {
    r"^GraphInterrupt: ": _ASKS,
    r"Called get_config outside of a runnable context$": _ASKS,
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
    """Suggest a repair for an exception of a node that was probably written for another library; "" if unknown."""
    return next((repair for pattern, repair in RAISED.items() if re.search(pattern, f"{kind}: {message}")), "")


def missing(
    owner: object, name: str, *places: str, hints: Mapping[str, str] | None = None, is_sync: bool = False
) -> NoReturn:
    """Raise the error for an attribute that an object does not have.

    If the attribute is a name from another library, the error suggests what to write in graphengine instead.

    Args:
        owner: The object or class that does not have the attribute.
        name: The name of the attribute.
        places: The places of the table of foreign names that are searched, in order.
        hints: More suggestions, by the name of the attribute. They take precedence over the table.
        is_sync: Whether the owner belongs to a `SyncRunner`, whose methods are not awaited.

    Raises:
        UnknownAttribute: There is a suggestion.
        AttributeError: There is no suggestion.
    """
    kind = f"type object {owner.__name__!r}" if isinstance(owner, type) else f"{type(owner).__name__!r} object"
    text = f"{kind} has no attribute {name!r}"
    own = () if name.startswith("_") else [each for each in dir(owner) if not each.startswith("_")]
    repair = (hints or {}).get(name) or repair_for(name, *places, "import", own=own)
    if is_sync:
        repair = without_await(repair)
    if repair:
        shown_owner = _repr_of(owner)
        where = "" if shown_owner.startswith("<") else textwrap.shorten(shown_owner, 80, placeholder=" …")
        raise UnknownAttribute(text, where=where, repair=repair)
    raise AttributeError(text, name=name, obj=owner)


@recursive_repr("<")
def _repr_of(owner: object) -> str:
    """Return the `repr` of an object for an error message.

    If the object is not complete yet, so that its `repr` fails, the result is "<".
    """
    try:
        return repr(owner)
    except AttributeError:
        return "<"


class _Elsewhere:
    """A descriptor for an attribute that graphengine does not have, but that users of other libraries expect.

    Reading the attribute raises the error of `missing`, which suggests what to write instead.
    """

    def __init__(self, name: str, hints: Mapping[str, str]) -> None:
        self._name = name
        self._hints = hints

    def __get__(self, owner: object, kind: type) -> NoReturn:
        if owner is None:
            text = f"type object {kind.__name__!r} has no attribute {self._name!r}"
            raise AttributeError(text, name=self._name, obj=kind)
        missing(owner, self._name, "Graph", hints=self._hints)


def hint_at(kind: type, hints: Mapping[str, str]) -> None:
    """Let a class raise a helpful error for attributes that other libraries have.

    A `__getattr__` would have the same effect, but every access to an existing attribute would then take 300 processor
    instructions instead of 10. For a class that is read as often as `Plan`, this would cost 3 percent of a run.
    """
    foreign = [name for name in (*forms_by_name("Graph"), *hints) if not name.startswith("_")]
    names = frozenset(name for each in foreign for name in (each, f"a{each}") if not hasattr(kind, name))
    for name in names:
        setattr(kind, name, _Elsewhere(name, hints))

    def own_names(self: object) -> list[str]:
        return [name for name in object.__dir__(self) if name not in names]

    setattr(kind, "__dir__", own_names)  # noqa: B010 - type checkers expect a method of `kind`


def name_of(runnable: object) -> str | None:
    """Return the name of a function, an Agent, a Graph, or a Node of one of these; None for a lambda."""
    inner = getattr(runnable, "runnable", runnable)
    name = getattr(inner, "__name__", None) or getattr(inner, "name", None)
    return name if isinstance(name, str) and name != "<lambda>" else None


def shown(given: object) -> str:
    """Return a text for an object in an error message: the name of a function, or a `repr` without a memory address."""
    return re.sub(r"<function (?:\S*\.)?(<lambda>|\w+) at 0x\w+>| at 0x\w+", r"\1", repr(given))


def named_node(given: object, what: str, other: object) -> str:
    """Return the name of a node that the user passed to `add_edge` or a similar method.

    The user can pass the name, or the function, Agent or Graph with which `add_node` was called without a name.

    Raises:
        DefinitionError: The runnable has no name. If a list was given, the error suggests a fork.
    """
    if isinstance(given, str):
        return given
    if other and isinstance(given, (list, tuple, set)):
        names, end = [name_of(each) or str(each) for each in given], name_of(other) or str(other)
        fork = f"add_fork(…, {names}, join={end!r})" if what == "source" else f"add_fork({end!r}, {names}, join=…)"
        repair = f"to run nodes in parallel and continue at one node when all have finished, use {fork}"
        text = f"the {what} of an edge must be one node, not {shown(given)}"
        raise DefinitionError(text, where="add_edge", repair=repair)
    name = name_of(given)
    if name is None:
        text = f"the {what} of an edge must be a node, not {shown(given)}"
        repair = "give the name of a node, such as 'review', or the function that the node runs"
        raise DefinitionError(text, where="add_edge", repair=repair)
    return name


def check_cases(given: object, where: str, target: str) -> None:
    """Check that the cases of a switch or of `choose` are a mapping.

    Raises:
        DefinitionError: They are not a mapping. For a list, the error suggests a mapping with its items as values.
    """
    if isinstance(given, Mapping):
        if any(map(is_nan, given)):
            text = "one of the cases is NaN (not a number), which equals no value, so it would never be selected"
            repair = "select by the result of a function, which returns another value for NaN"
            raise DefinitionError(text, where=where, repair=repair)
        return
    items = given if isinstance(given, (list, tuple)) else ()
    numbered = enumerate(items, 1)
    pairs = [
        f"'value {i}': {name_of(each) or target}" if callable(each) else f"{each!r}: {target}" for i, each in numbered
    ]
    repair = "map each value to what follows: {" + (", ".join(pairs) or f"'value': {target}") + "}"
    text = f"{where.partition('(')[0]}(): the cases must be a mapping, not {shown(given)}"
    raise DefinitionError(text, where=where, repair=repair)


OF_A_GRAPH: Final = ("check", "render", "run", "run_sync", "to_dot", "to_mermaid")

OF_A_RESULT: Final = ("ending", "error", "label", "output", "state", "status", "usage", "waits")
RESULT_OF_RUN: Final = {name: f"(await run.result()).{name}" for name in OF_A_RESULT}
"""What to write for an attribute of a result that is asked of a handle on a run."""
