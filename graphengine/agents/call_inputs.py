"""Validate the inputs of a call of an agent. Every way to call an agent uses this module, with and without a Runner.

A name that the agent does not read is refused. If the name is an option of another library, such as pydantic-ai's
`message_history=`, the error shows the code that has the same meaning in graphengine.
"""

from __future__ import annotations

import keyword
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from graphengine.agents.arguments import ALWAYS_GIVEN
from graphengine.errors import InputError
from graphengine.kernel.inside import NO_DEFAULT, is_state, nearest, parse, values_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from graphengine.kernel.extension import StateType
    from graphengine.kernel.inside import Parameter

QUESTION: Final = "question"
"""The name of the input of an agent without a prompt."""

ANSWER: Final = "answer"
"""The field of a run of an agent that holds the answer."""

_CONVERSATION: Final = (
    "await runner.run({agent}, {first}, chat='ada')",
    "await {agent}.but(messages='messages').run({first}, messages=[Message(role='user', text='Hello')])",
)
_RESOURCE: Final = ("Runner(resources={{{name!r}: {name}}})",)
_OF_TOOLS: Final = frozenset({"context", "deps", "session"})
"""Options of other libraries that are also likely names of parameters of tools."""

_FORMS: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys(("model", "tools"), ("{agent}.but({name}={value})",)),
    **dict.fromkeys(("system", "system_prompt", "instructions"), ("{agent}.but(system={value})",)),
    **dict.fromkeys(("output_type", "result_type"), ("{agent}.but(output={value})",)),
    "max_turns": ("{agent}.but(turns={value})",),
    **dict.fromkeys(
        ("temperature", "top_p", "max_tokens", "seed", "tool_choice", "parallel_tool_calls"),
        ("{agent}.but(settings=Settings({name}={value}))",),
    ),
    "model_settings": ("{agent}.but(settings=Settings(temperature=0.2))",),
    **dict.fromkeys(("message_history", "messages", "history", "session"), _CONVERSATION),
    **dict.fromkeys(("deps", "context"), _RESOURCE),
    "usage_limits": ("await runner.run({agent}, {first}, limits=Limits(tokens=20_000))",),
    **dict.fromkeys(
        ("run_id", "limits", "after", "chat", "idempotency_key", "tags"),
        ("await runner.run({agent}, {first}, {name}={value})",),
    ),
}
"""By the name of an option of another library or of `Runner.run`: code that sets the same option for an agent.

The code runs as it is shown in the error."""

_LONGEST: Final = 60
"""Values with more characters than this are not shown in errors."""


@dataclass(frozen=True, slots=True)
class CallInputs:
    """The inputs that a caller may pass to one agent.

    Attributes:
        agent: The name of the agent.
        declared: The type in the agent's `inputs=`, split into fields; None if the agent has no `inputs=`.
        reads: The inputs that the agent's prompt, functions and tools read, without the conversation.
        has_prompt: Whether the agent has a prompt.
        messages: The name of the field with the conversation; "" if the agent has no such field.
        tools: The names of the parameters of the agent's tools. Tools of MCP servers are missing before the servers are
            opened.
    """

    agent: str
    declared: StateType[Any] | None
    reads: Sequence[Parameter]
    has_prompt: bool
    messages: str
    tools: Collection[str]

    def read(  # noqa: PLR0913 - what the ways to call an agent differ in
        self,
        first: object,
        more: Mapping[str, object],
        *,
        also: Collection[str] = (),
        has_servers: bool = False,
        resources: Collection[str] = (),
        options: Collection[str] | None = None,
    ) -> dict[str, object]:
        """Check the inputs that a caller passed to the agent, and return them by name.

        If the agent has `inputs=`, its values are validated, and missing ones get their defaults. In a call that is
        recorded as a run, the graph of the run validates the values instead.

        Args:
            first: A text, a mapping or an instance of `inputs=`; None if all inputs are given by name.
            more: The inputs that are given by name.
            also: Further names that the call may give, such as the parameters of tools.
            has_servers: Whether tools may have further parameters, whose names are known only once a server is opened.
            resources: The names of the inputs that the run provides, so that the call need not give them.
            options: The options of the run that records the call. Such a call accepts only names that the agent
                declares. None if the call is not a run of its own.

        Raises:
            InputError: An input is missing or has the wrong type, or the agent does not read it. The error lists all
                problems.
        """
        given, problems = self._name_first(first, more, resources)
        own = {} if self.declared is None else self.declared.fields
        reads = self._list_reads(own, resources, is_recorded=options is not None)
        known = {*own, *reads, *filter(None, [self.messages])}
        named: Collection[str] = given
        if self.is_free and options is None:
            named = () if first is None else more  # names without a text or a mapping before them are the question
        unread = {*named} - known.union(also)
        if has_servers:
            unread &= _FORMS.keys() - _OF_TOOLS
        unread |= {ANSWER}.intersection(given) - known.union(also)  # the answer of the agent is never a question
        extra = sorted(unread if self.declared is None else unread & {*_FORMS, *self.tools})
        missing = [] if problems else self._list_missing(reads, given, options)
        if extra:
            problems.append((f"has {', '.join(f'no input {name!r}' for name in extra)}", ""))
        problems += self._list_clashes(given, options or ())
        if missing:
            problems.append((f"was not given {', '.join(map(repr, missing))}", ""))
        if self.declared is not None and (options is None or problems or unread):
            typed = self._validate(self.declared, given, {*own, *unread.difference(extra)}, problems)
            given = typed if options is None else given
        if problems:
            repairs = [repair for _, repair in problems if repair]
            if extra or missing:
                repairs += self._repairs(extra, known, given, first)
            text = f"agent {self.agent!r} {'; '.join(problem for problem, _ in problems)}"
            raise InputError(text, where=f"agent {self.agent}", repair="; ".join(repairs))
        return given

    def _list_missing(
        self, reads: Mapping[str, bool], given: Mapping[str, object], options: Collection[str] | None
    ) -> list[str]:
        """List the inputs that the agent needs but that the caller did not pass.

        The list is empty if the call continues an earlier run, which already has its inputs. It is also empty if the
        graph of the run validates the inputs.
        """
        if options is not None and (self.declared is not None or (not given and {"run_id", "chat"} & {*options})):
            return []
        return sorted(name for name, is_needed in reads.items() if is_needed and name not in {*given, *(options or ())})

    def _list_clashes(self, given: Mapping[str, object], options: Collection[str]) -> list[tuple[str, str]]:
        """List a problem and a repair for each input whose name is also an option of `Runner.run`.

        The caller's argument was taken as the option, so the agent did not receive the input.
        """
        names = sorted({parse(each.name).root for each in self.reads}.intersection(options) - given.keys())
        repair = f"give the inputs of the agent as one mapping: runner.run({self._variable}, {{%r: …}})"
        return [(f"reads {name!r}, which is also the name of an option of the run", repair % name) for name in names]

    def _validate(
        self,
        declared: StateType[Any],
        given: dict[str, object],
        names: Collection[str],
        problems: list[tuple[str, str]],
    ) -> dict[str, object]:
        """Validate the inputs in `names`, and return all inputs, completed by defaults.

        If other problems were found before, a validation error is added to `problems` instead of being raised, so that
        the caller reads all problems at once. The inputs are then returned unchanged.

        Raises:
            InputError: A value has the wrong type, and no other problem is known.
        """
        values = {name: value for name, value in given.items() if name in names}
        try:
            typed = declared.read_initial(declared.initial(values, f"agent {self.agent}"))
        except InputError as error:
            if not problems:
                raise
            problems.append((error.message, error.repair))
            return given
        others = {name: value for name, value in given.items() if name not in names}
        return {**dict.fromkeys(declared.fields), **typed, **others}

    def _list_reads(self, own: Collection[str], resources: Collection[str], *, is_recorded: bool) -> dict[str, bool]:
        """Return the names of the inputs that a caller has to give or may give, in addition to the fields of `inputs=`.

        Each name is mapped to True if the caller must give the input, and to False if the input has a default.
        """
        reads = {QUESTION: is_recorded} if self.is_free else {}
        for each in self.reads:
            root = parse(each.name).root
            is_provided = is_recorded and not each.shown and root in {*resources, ALWAYS_GIVEN}
            if root not in own and not is_provided:
                reads[root] = each.default is NO_DEFAULT
        return reads

    def _name_first(
        self, first: object, more: Mapping[str, object], resources: Collection[str]
    ) -> tuple[dict[str, object], list[tuple[str, str]]]:
        """Combine the first argument of a call with the inputs that are given by name, and return all inputs by name.

        If the first argument is a text, it becomes the value of the agent's only input that was not given by name. If
        there is no such input, or there are several, the second part of the result contains the problem and its repair.
        Otherwise the second part is empty.

        Raises:
            InputError: The first argument is neither a text, nor a mapping, nor an instance of the type in `inputs=`.
        """
        if isinstance(first, str):
            name, problem, repair = self._only_name({*more, *resources, ALWAYS_GIVEN, self.messages})
            return ({name: first, **more}, []) if name else ({**more}, [(problem, repair)])
        if first is None or isinstance(first, Mapping):
            return {**(first or {}), **more}, []
        if self.declared is not None and is_state(self.declared.model, first):
            return {**values_of(first), **more}, []
        wanted = "a mapping with the inputs" if self.declared is None else f"{self.declared.declared.__name__}(…)"
        what = (
            f"the class {first.__name__} itself"
            if isinstance(first, type)
            else f"a value of type {type(first).__name__}"
        )
        text = f"the input of agent {self.agent!r} is {what}, which the agent cannot read"
        raise InputError(text, where=f"agent {self.agent}", repair=f"give {wanted}")

    def _only_name(self, others: Collection[str]) -> tuple[str, str, str]:
        """Decide which input of the agent a text belongs to that the caller passed without a name.

        This is the only input that is missing in `others`, the inputs that were passed by name. If several inputs are
        missing, it is the only one of them without a default.

        Returns:
            The name of the input, followed by two empty texts. If there is no such input, an empty name, followed by
            the problem and its repair.
        """
        if self.declared is None:
            read = {each.name: each.default is NO_DEFAULT for each in self.reads}
            read = read if self.has_prompt else {QUESTION: True, **read}
        else:
            read = {name: each.info.is_required() for name, each in self.declared.fields.items()}
        known = {name: needed for name, needed in read.items() if parse(name).root not in others}
        names = [name for name, needed in known.items() if needed] or [*known]
        if len(names) == 1 and not parse(names[0]).parts:
            return names[0], "", ""
        is_taken = any(parse(name).root in others for name in read)
        what = f"the inputs {', '.join(map(repr, names))}" if names else f"no {'other ' * is_taken}input"
        repair = f"give each input by its name: {parse(names[0]).root}=…" if names else "leave the text out"
        return "", f"was given a text without the name of an input, and the agent has {what}", repair

    @property
    def is_free(self) -> bool:
        """Whether the agent shows its model every input of a call, as it declares neither inputs nor a prompt."""
        return not self.has_prompt and self.declared is None

    @property
    def _variable(self) -> str:
        """The name under which code in an error message refers to the agent."""
        return self.agent if self.agent.isidentifier() and not keyword.iskeyword(self.agent) else "agent"

    def _repairs(
        self, extra: Sequence[str], known: Collection[str], given: Mapping[str, object], first: object
    ) -> list[str]:
        """List the repairs of an error about inputs that the agent does not read.

        The repairs show the code to write for each of these names, and end with the names that the agent reads.
        """
        shown = repr(first) if isinstance(first, str) and len(first) <= _LONGEST else "inputs"
        unread = {*known} - given.keys()
        meant = {name: near for name in extra if (near := nearest(name, unread))}
        repairs = [f"write {', '.join(f'{near}= for {name}=' for name, near in meant.items())}"] if meant else []
        undeclared: list[str] = []
        for name in extra:
            if name in meant:
                continue
            if forms := _RESOURCE if name in self.tools else _FORMS.get(name):
                words = {"agent": self._variable, "first": shown, "name": name, "value": _as_code(name, given[name])}
                repairs.append(f"for {name}=, write {' or '.join(form.format_map(words) for form in forms)}")
            elif name == ANSWER:
                repairs.append(f"leave {name}= out, because {name!r} is the answer that the agent returns")
            else:
                undeclared.append(name)
        if undeclared:
            repairs.append(f"declare {', '.join(undeclared)} in inputs=, or in the prompt, as {{{undeclared[0]}}}")
        return [*repairs, f"the agent's inputs are {', '.join(sorted(known))}" if known else "the agent has no inputs"]


def _as_code(name: str, value: object) -> str:
    """Write the value of an input as Python code, so that an error can show a corrected call.

    A long or complex value is represented by the name of its variable.
    """
    if isinstance(value, type):
        return value.__name__
    is_literal = value is None or isinstance(value, (str, int, float))
    return repr(value) if is_literal and len(repr(value)) <= _LONGEST else name


__all__ = ["ANSWER", "QUESTION", "CallInputs"]
