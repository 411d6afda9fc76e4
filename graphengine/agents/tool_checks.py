"""Problems of an agent's tools that can be found before a run: which values are supplied, and which the model fills in.

A parameter of a tool is one of these: `ctx`, the key of a call, a name in `inputs=`, the name of a resource (of the
graph, of a surrounding graph or of the Runner), or else a value that the model fills in. A compiler does not know the
Runner. If neither a model nor the graph can supply a parameter, the compiler therefore only warns. The problem becomes
an error when a Runner without the resource is about to run the graph.
"""

from __future__ import annotations

import difflib
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.agents.arguments import ALWAYS_GIVEN
from graphengine.agents.tools import Tool
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean, signature_of
from graphengine.kernel.inside import KEY_NAME, NO_DEFAULT, Injected, once_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

_ALIKE: Final = 0.8
"""How similar two names must be to count as a misspelling of the same name; 1 for equal names."""


_EFFECTS: Final = frozenset(
    {
        "book",
        "buy",
        "cancel",
        "charge",
        "commit",
        "delete",
        "deploy",
        "email",
        "insert",
        "merge",
        "pay",
        "post",
        "publish",
        "purchase",
        "push",
        "refund",
        "remove",
        "reply",
        "send",
        "ship",
        "submit",
        "transfer",
        "tweet",
        "upload",
        "withdraw",
    }
)
"""First words of tool names that suggest an effect which other people notice."""


class ToolProblem(NamedTuple):
    """A problem that an agent's tools have in a certain graph, with its error code and the text of a repair."""

    code: str
    message: str
    repair: str
    is_warning: bool


class Need(NamedTuple):
    """A parameter of a tool that only a resource can supply, because a model cannot write its value.

    Attributes:
        name: The name of the parameter.
        message: The problem.
        known: The names of the available resources or arguments. The error suggests the most similar of them.
    """

    name: str
    message: str
    known: Collection[str]


def needs(tools: Iterable[object], resources: Collection[str]) -> Iterator[Need]:
    """Yield the parameters of tools that only a resource could supply, if `resources` does not contain their names."""
    for tool in tools:
        if isinstance(tool, Tool):
            for name, reason in tool.not_for_models({*resources, ALWAYS_GIVEN}).items():
                text = f"tool {tool.name!r} is not valid: the type of parameter {name!r} has no JSON Schema: {reason}"
                yield Need(name, text, resources)
            yield from _of_approval(tool, resources)
            yield from _of_reconcile(tool, resources)


def findings(tools: Iterable[object], fields: Collection[str], resources: Collection[str]) -> Iterator[ToolProblem]:
    """Yield the problems that an agent's tools have in a graph, so that they are found before the graph runs.

    Args:
        tools: The tools. Tools of servers and providers are not examined.
        fields: The fields of the graph's state.
        resources: The resources of the graph, and of the graphs around it.
    """
    for tool in tools:
        if isinstance(tool, Tool):
            yield from _of_arguments(tool, fields, resources)
            for need in needs([tool], resources):
                near = did_you_mean(need.name, need.known)
                if near.startswith("did you mean"):
                    yield ToolProblem("bad_tool", need.message, near, is_warning=False)
                else:
                    yield ToolProblem("needs_resource", need.message, given_by(need.name), is_warning=True)
            yield from _of_effect(tool)


def given_by(name: str) -> str:
    """Return the repair of an error about a parameter that only a resource can supply."""
    text = f"give a resource: Runner(resources={{{name!r}: …}}), or Graph.of(agent, resources={{{name!r}: make}}). "
    return text + "If the model shall supply the value, annotate the parameter with a type that JSON can represent"


def _of_arguments(tool: Tool, fields: Collection[str], resources: Collection[str]) -> Iterator[ToolProblem]:
    """Yield the problems of the parameters of a tool that a model has to supply.

    For example, a parameter may have a type that a model cannot write, or a name that is nearly the name of a resource.
    """
    given = {*resources, ALWAYS_GIVEN}
    given.update(tool.not_for_models(given))
    try:
        tool.spec(given)
    except DefinitionError as error:
        yield ToolProblem("bad_tool", error.message, error.repair, is_warning=False)
        return
    asked = [name for name in tool.parameters if name not in {*given, *tool.inputs}]
    yield from _of_description(tool, asked)
    for name in asked:
        text = f"the model supplies the parameter {name!r} of the tool {tool.name!r}, "
        near = difflib.get_close_matches(name, sorted(resources), n=1, cutoff=_ALIKE)
        if near:
            repair = f"did you mean the resource {near[0]!r}? If not, give the parameter another name"
            text += f"although there is a resource of the similar name {near[0]!r}"
            yield ToolProblem("misspelt_resource", text, repair, is_warning=True)
        elif name in fields:
            repair = f"write tool({tool.name}, inputs=[{name!r}]) to read the field. Or give the parameter another name"
            text += "although the state has a field of this name"
            yield ToolProblem("model_fills_field", text, repair, is_warning=True)


def _of_description(tool: Tool, asked: Sequence[str]) -> Iterator[ToolProblem]:
    text, repair = explain_no_description(tool)
    if text:
        yield ToolProblem("tool_without_description", text, repair, is_warning=True)
    parameters = signature_of(tool.function).parameters if tool.schema is None else {}
    bare = [name for name in asked if name in parameters and parameters[name].annotation is parameters[name].empty]
    if bare:
        text = f"the tool {tool.name!r} declares no type of {', '.join(map(repr, bare))}, so a model may send anything"
        yield ToolProblem("untyped_tool", text, f"annotate the parameter, as in {bare[0]}: str", is_warning=True)


def explain_no_description(tool: Tool) -> tuple[str, str]:
    """Return the problem and the repair for a tool without a description; two empty texts if it has one."""
    if tool.description:
        return "", ""
    repair = f"write tool({tool.name}, description='…')"
    if sys.flags.optimize > 1:
        repair += ", or run python without -OO and PYTHONOPTIMIZE=2, which have removed all docstrings"
    elif tool.schema is None:
        repair += ", or give the function a docstring, which python -OO would remove"
    text = f"the tool {tool.name!r} has no description, so a model has to guess from the name what the tool does"
    return text, repair


def _of_approval(tool: Tool, resources: Collection[str]) -> Iterator[Need]:
    """Yield the parameters of the functions in a tool's `approve=` that cannot be filled in.

    A parameter can be filled in if it has the name of an argument of the tool, of an input or of a resource.
    """
    if tool.approval is None:
        return
    properties = tool.spec(resources).schema.get("properties") if tool.schema is not None else None
    arguments = properties if isinstance(properties, dict) else tool.parameters
    known = {*arguments, *tool.inputs, *resources, "ctx"}
    for function in (tool.approval.when, tool.approval.show):
        injected = None if function is None else Injected.of(function)
        for parameter in () if injected is None else injected.parameters:
            if parameter.name not in known and parameter.default is NO_DEFAULT:
                name = "" if injected is None else injected.name
                text = f"{name}, in approve= of the tool {tool.name!r}, has a parameter {parameter.name!r}"
                text += ", which is not an argument of the tool"
                yield Need(parameter.name, text, arguments)


def _of_reconcile(tool: Tool, resources: Collection[str]) -> Iterator[Need]:
    """Yield the parameters of the function in a tool's `Once(reconcile=…)` that cannot be filled in.

    A parameter can be filled in if it has the name of an argument of the tool or of a resource.
    """
    once = once_of(tool.effect)
    lacks = once.lacks({*tool.parameters, *resources, "ctx"}) if once is not None and tool.schema is None else ()
    if once is not None and lacks:
        text = f"{once.name}, in effect=Once(reconcile=…) of the tool {tool.name!r}, has a parameter "
        text += f"{', '.join(map(repr, lacks))}, which is not an argument of the tool"
        yield Need(lacks[0], text, {*tool.parameters, KEY_NAME})


def _of_effect(tool: Tool) -> Iterator[ToolProblem]:
    """Yield problems with the effect that a tool has outside the run.

    The tool may seem to have an effect although it declares none, or its declared effect could happen twice.
    """
    if tool.effect is None:
        if not tool.is_external and tool.name.lower().replace("-", "_").split("_")[0] in _EFFECTS:
            text = f"the tool {tool.name!r} seems to act outside the run, and a crash during a call repeats the call"
            repair = f'write tool({tool.name}, effect="once"), or effect="idempotent" or "read" if calls can repeat'
            yield ToolProblem("unsaid_effect", text, repair, is_warning=True)
        return
    if tool.effect != "read" and tool.schema is None and not {KEY_NAME, "ctx"}.intersection(tool.parameters):
        near = difflib.get_close_matches(KEY_NAME, tool.parameters, n=1, cutoff=_ALIKE)
        if near:
            text = f"the model supplies the parameter {near[0]!r} of the tool {tool.name!r}"
            text += f", although the run would supply {KEY_NAME!r}"
            yield ToolProblem("misspelt_key", text, f"did you mean {KEY_NAME!r}?", is_warning=True)
        else:
            kind = "once" if once_of(tool.effect) is not None else tool.effect
            text = f"the tool {tool.name!r} has effect={kind!r}, but its function has no parameter {KEY_NAME!r}"
            repair = f"add a parameter {KEY_NAME}: by this key, the receiver recognises a call that is repeated"
            yield ToolProblem("no_key", text, repair, is_warning=True)
    from graphengine.checks.waits import wait_in  # noqa: PLC0415 - another wing

    once = once_of(tool.effect)
    what = wait_in(tool.function) if once is not None else ""
    if what:
        text = f'the tool {tool.name!r} has effect="once", but waits ({what}), and each wait begins the call again'
        repair = f"ask before the call: tool({tool.name}, approve=True)"
        yield ToolProblem("waits_in_effect", text, repair, is_warning=False)


__all__ = ["Need", "ToolProblem", "explain_no_description", "findings", "given_by", "needs"]
