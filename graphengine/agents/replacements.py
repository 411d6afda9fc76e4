"""Check the functions that replace effects: `Runner(effects={…})`.

A key that matches nothing in a graph is refused when a run starts. The keys have the same form as the keys of models: a
name, the path of a node, or both; see `graphengine.agents.model_routing`. A name is known if a node's function, a tool,
or anything in the code of the graph has it. If the graph uses the tools of a server or starts child runs, other names
may exist, so no name is refused.
"""

from __future__ import annotations

from contextlib import suppress
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.model_routing import held_by, is_agent, reached, unmatched
from graphengine.errors import InputError
from graphengine.kernel.extension import Extension, did_you_mean, hints_of, signature_of
from graphengine.kernel.inside import KEY_NAME, check_effects, handed_as, replacing, taken_by

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from graphengine.kernel.extension import Call, Effects, Plan

_ACTS: Final = ("idempotent", "once", "transaction")
_WHERE: Final = "Runner(effects=…)"


class Replacements(Extension):
    """Checks the functions that replace effects in the runs of one Runner.

    Args:
        effects: The argument `effects=` of the Runner.
        resources: The names of the Runner's resources.
    """

    def __init__(self, effects: Effects, resources: Collection[str] = ()) -> None:
        effects = check_effects(effects, "Runner")
        self._given = {} if effects == "act" else effects
        self._names = {key.rpartition(":")[2].rpartition("/")[2] for key in self._given}
        self._resources = resources
        # Also the names in graphs that ran before, because one of these graphs may have started this one.
        self._words: set[str] = set()
        self._is_open = False

    def checked(self, plan: Plan[Any], *, is_queued: bool = False) -> None:  # noqa: ARG002
        """Check the keys and functions of `Runner(effects={…})` against a graph.

        Raises:
            InputError: A key matches nothing in the graph, or a function does not accept the arguments of the effect.
        """
        known, resources = set[str](), [*self._resources, *(name for each in plan.nest for name in each.resources)]
        for path, call, acts in _iter_graph_calls(plan) if self._given else ():
            if acts:
                data = [*dict(call.fields), *(each.name for each in call.arguments)]
                self._fits(plan.graph, path, call.body.name, data, call.extras)
                known |= {path, call.body.name}
            for thing in reached(getattr(call.body, "agent", call.body.call)):
                for name, takes, more in _effects_of(thing, resources):
                    self._fits(plan.graph, path, name, takes, more)
                    known.add(name)
                if isinstance(thing, FunctionType):
                    self._words |= {*_iter_code_names(thing.__code__)}
                self._is_open |= is_agent(thing) and any(hasattr(each, "open") for each in thing.tools)
        self._words |= known
        is_open = self._is_open or "start" in self._words  # as in ctx.start
        # The code contains the method `Bank.pay` as `bank.pay`.
        methods = {name for name in self._names if name.rpartition(".")[2] in self._words}
        for key, wanted in () if is_open else unmatched(plan, self._given, self._words | methods):
            text = f"the key {key!r} names no effect of the graph {plan.graph!r}"
            raise InputError(text, where=_WHERE, repair=did_you_mean(wanted, known))

    def _fits(self, graph: str, path: str, name: str, takes: Sequence[str], more: Collection[str] | None) -> None:
        """Check that a function in `Runner(effects={…})` accepts the parameters of the effect that it replaces."""
        replacement = replacing(self._given, graph, path, name)
        if replacement is None or (more is None and name not in self._names):
            return  # a replacement for a whole node only replaces effects
        try:
            signature = signature_of(replacement)
        except (TypeError, ValueError):  # raised for some built-in functions
            return
        if more is None:
            with suppress(TypeError):
                signature.bind(*takes)
                return
        try:
            signature.bind(**dict.fromkeys([*takes, *taken_by(replacement, more or ())]))
        except TypeError as error:
            repair = f"give the replacement the parameters of {name!r}: {', '.join(takes) or 'none'}"
            text = f"the replacement of {name!r} does not accept the arguments of {name!r}: {error}"
            raise InputError(text, where=_WHERE, repair=repair) from error


def _effects_of(thing: object, resources: Sequence[str]) -> Iterator[tuple[str, Sequence[str], Collection[str] | None]]:
    """Yield the effects that an agent's tools or a function may have outside the run.

    Each effect is a tuple of three parts:

    1. The name of the effect, which is the name of a tool or function.
    2. The names of its parameters.
    3. The names of more values that a replacing function may have as parameters, such as `ctx`. This part is None if
       the effect belongs to a function that is called in code with `effect=`. Such a function may be called by
       position, and may turn out not to be an effect.
    """
    if is_agent(thing):
        from graphengine.agents.tools import Tool  # noqa: PLC0415 - an agent has loaded it

        for tool in thing.tools:
            if isinstance(tool, Tool) and tool.effect not in (None, "read"):
                more = ("ctx", KEY_NAME, *resources, *tool.inputs)
                takes = [name for name in tool.parameters if name not in more]
                yield (tool.name, takes, more) if tool.schema is None else (tool.name, ["arguments"], None)
    elif isinstance(thing, FunctionType):
        writes = any(isinstance(each, tuple) and "effect" in each for each in thing.__code__.co_consts)
        for called in held_by(thing) if writes else ():
            if isinstance(called, FunctionType):
                parameters = signature_of(called).parameters.items()
                handed = {name for name, hint in hints_of(called).items() if handed_as(hint)}
                takes = [name for name, each in parameters if each.default is each.empty and name not in handed]
                yield called.__name__, takes, None


def _iter_graph_calls(plan: Plan[Any], below: str = "") -> Iterator[tuple[str, Call, bool]]:
    """Yield each function and agent that a graph or one of its subgraphs calls.

    Each is yielded with the path of its node, and with whether the node declares an effect.
    """
    for name, node in plan.nodes.items():
        for call in node.calls:
            if call.graph is not None:
                yield from _iter_graph_calls(call.graph, f"{below}{name}/")
            else:
                yield f"{below}{name}", call, node.effect in _ACTS
        if node.fallback is not None and node.fallback.call is not None:
            yield f"{below}{name}", node.fallback.call, False


def _iter_code_names(code: CodeType) -> Iterator[str]:
    yield from (code.co_name, *code.co_names)
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield from _iter_code_names(each)


__all__ = ["Replacements"]
