"""Approval: a person decides whether a tool call is made. The person can approve, edit the arguments, or refuse.

The answer of the person is one of these JSON values:

- `true`: the call is made.
- `false`: the call is refused.
- `{"refuse": "the reason"}`: the call is refused, and the model reads the reason.
- `{"arguments": {"amount": 3}}`: the call is made with these arguments changed.

The person sees the call on one line, or a table of its arguments if the call is longer. A tool can show another text
with `show=`, such as the diff of a file.
"""

from __future__ import annotations

import difflib
import functools
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, cast

from msgspec import UNSET
from pydantic import AfterValidator, JsonValue, TypeAdapter, ValidationInfo

from graphengine.agents.arguments import repair_first
from graphengine.agents.errors import as_decision
from graphengine.agents.identity import typed
from graphengine.agents.node_scope import Question, asked_again
from graphengine.agents.prompts import as_text
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean, is_seconds, utf8_text
from graphengine.kernel.inside import NO_DEFAULT, Injected, is_async, none_for_ever
from graphengine.schemas.walking import with_definitions

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from graphengine.agents.runtime import AgentRuntime
    from graphengine.agents.tools import Tool
    from graphengine.kernel.inside import RecordedResult
    from graphengine.models.base import ToolCall

_LINE: Final = 100
"""The largest number of characters of arguments that are shown on one line, as JSON."""
_PREFILLED: Final = 20_000
"""The largest number of characters of arguments that the form of the answer repeats, so that a person can edit them."""
_REFUSED: Final = "A person was asked for leave to make this call, and refused it."
_HOURS, _MINUTES = 3600, 60
BY_MESSAGE: Final = "x-by-message"
"""The keyword in a question's schema with the answer that applies when the next message of a chat arrives instead."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The answer of a person who does not approve a tool call, and gives a reason for the refusal.

    Args:
        refuse: The reason, which the model reads.
    """

    refuse: str


@dataclass(frozen=True, slots=True)
class Edit:
    """The answer of a person who approves a tool call, but with other arguments than the model wrote.

    Args:
        arguments: The changed arguments by name. All other arguments stay as the model wrote them.
    """

    arguments: dict[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Approval:
    """The argument `approve=` of a tool in its long form: which calls a person must approve, and how they are asked.

    Args:
        when: A function that returns whether a call needs approval. Its parameters name arguments of the call, values
            that the tool reads from the state, resources, or `ctx`. Without this function every call needs approval.
        show: A function that returns the text that describes the call to the person. It can read the same values as
            `when`; see `file_diff`.
        timeout_seconds: How long to wait for the answer; None to wait for ever.
        default: Whether the call is made if nobody has answered when the time is over. If False, the call counts as
            refused.
        refused_by_message: Whether the next message of a chat refuses a call that waits for approval. If False, the
            message is answered after the waiting turn.

    Raises:
        DefinitionError: An argument is invalid.

    Example:
        >>> careful = Approval(when=lambda amount: amount > 100, timeout_seconds=86_400)
    """

    when: Callable[..., object] | None = None
    show: Callable[..., object] | None = None
    timeout_seconds: float | None = None
    default: bool = False
    refused_by_message: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "timeout_seconds", none_for_ever(self.timeout_seconds))
        for name in ("when", "show"):
            function = getattr(self, name)
            if function is not None and not callable(function):
                repair = f"give a function whose parameters are arguments of the tool, as in {name}=lambda amount: …"
                text = f"Approval({name}={function!r}): {name} must be a function"
                raise DefinitionError(text, where="approve", repair=repair)
        if self.timeout_seconds is not None and not is_seconds(self.timeout_seconds):
            given = f"Approval(timeout_seconds={self.timeout_seconds!r})"
            text = f"{given}: timeout_seconds must be a number of seconds above 0, or None"
            repair = "write timeout_seconds=86_400 for a day, or None to wait without a limit"
            raise DefinitionError(text, where="approve", repair=repair)


Approve: TypeAlias = "bool | Approval | Callable[..., object]"


def as_approval(approve: object, where: str) -> Approval | None:
    """Convert the argument `approve=` of a tool to an `Approval`; None if calls need no approval.

    Raises:
        DefinitionError: The argument is neither a bool, an `Approval`, a function nor None.
    """
    if isinstance(approve, Approval):
        return approve
    if approve is False or approve is None:
        return None
    if approve is True:
        return Approval()
    if callable(approve):
        return Approval(when=approve)
    repair = "give True to ask before each call, a function of the call's arguments, or Approval(…)"
    raise DefinitionError(
        f"approve={approve!r}: approve must be True, False, a function or Approval(…)", where=where, repair=repair
    )


def file_diff(path: str, text: str) -> str:
    r"""Return the diff between a file and the text that is to replace it, for `Approval(show=file_diff)`.

    Args:
        path: The path of the file. A missing file counts as empty.
        text: The new text of the file.

    Example:
        >>> print(file_diff("missing.txt", "one\ntwo\n"))
        --- missing.txt (does not exist)
        +++ missing.txt
        @@ -0,0 +1,2 @@
        +one
        +two
    """
    before, note = "", ""
    try:
        before = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError:
        note = " (does not exist)"
    except UnicodeDecodeError:
        return f"{path} is not a text; it would be replaced by this text:\n\n{text}"
    except (OSError, ValueError) as error:
        return f"{path} cannot be read ({error}); it would get this text:\n\n{text}"
    was, now = before.splitlines(), text.splitlines()
    lines = difflib.unified_diff(was, now, f"{path}{note}", path, lineterm="")
    same = "only the line ends differ" if before != text else "nothing changes"
    return "\n".join(lines) or f"{path}: {same}"


def question_about(agent: str, call: ToolCall) -> str:
    """Return the text that asks for the approval of one tool call, such as `May clerk call pay({"name": "Ada"})?`.

    A resumed run uses this text to find the recorded answer of the person.
    """
    return f"May {agent} call {call.name}({call.arguments})?"


def call_words(text: str, agent: str, call: ToolCall) -> str:
    """Remove the tool call from the text of an approval question, and return the rest; "" if nothing else remains.

    A user interface that shows the call itself shows only this rest. It states why the question is asked again, or is
    the text that the function in `show=` returned.

    Args:
        text: The text of the question.
        agent: The agent's name.
        call: The tool call that a person is asked to approve.
    """
    head = f"May {agent} call {call.name}"
    for call_text in (f"{head}({call.arguments})?", f"{head}?\n\n{_table_of(call.arguments)}"):
        if text.endswith(call_text):
            return text.removesuffix(call_text).strip()
    return text.replace(f"{head}?\n\n", "", 1)


@dataclass(frozen=True, slots=True)
class ApprovalRequest:
    """Asks a person to approve one call of a tool, if the tool or another reason requires approval.

    Attributes:
        agent: The agent's name.
        tool: The tool.
        call: The call, as the model wrote it.
        given: The values that the run supplies to the tool's function besides the model's arguments, such as resources.
        identity: The text of the question without its reason. A resumed run uses it to find the recorded answer of the
            person; see `question_about`.
        why: The reason to ask a person even if the tool's `approve=` does not require approval; "" if `approve=` alone
            decides.
    """

    agent: str
    tool: Tool
    call: ToolCall
    given: Mapping[str, object]
    identity: str
    why: str = ""

    async def verdict(self, runtime: AgentRuntime, record: tuple[str, str]) -> ToolCall | str:
        """Decide whether a tool call is made, and ask a person first if necessary.

        Returns the call to make, or a text that tells the model why the call is not made. If a person was already asked
        about this call, the person's answer decides, even if the tool or its `approve=` has changed since then. The
        returned call contains the changes that the person made to the arguments.

        Args:
            runtime: The run.
            record: The name and the key under which the result of the call is recorded.
        """
        was_answered = runtime.answered_to(self.identity) is not None
        if self.tool.approval is None and not (self.why or runtime.was_asked(self.identity)):
            return self.call
        await repair_first(self.call.arguments, runtime.blocking)
        if not was_answered and not self._fits(self.call.arguments):
            return self.call  # the model has to correct these arguments first
        answer = await self._answer(runtime, record)
        if answer is None or answer is True:
            return self.call
        if isinstance(answer, Edit):
            return self.call.model_copy(update={"arguments": self._apply_edit(answer)})
        if isinstance(answer, Refuse) and answer.refuse.strip():
            return utf8_text(f"{_REFUSED} The reason: {answer.refuse}")
        return _REFUSED

    async def _answer(self, runtime: AgentRuntime, record: tuple[str, str]) -> bool | Refuse | Edit | None:
        """Ask the person until there is an answer that still holds, and return it; None if the call needs no approval.

        An approval can become invalid before the call begins, for two reasons: the person may lose the right to
        approve, or an argument that the model did not write, such as a default, may get another value than the person
        saw. In these cases the question is asked again as a new question, and the answer to the last question counts.
        An example:

        1. Ada approves a call, and loses the right to do so before a worker takes the run. The question is asked again.
        2. Bob refuses. Meanwhile Ada has regained her right. The call is refused all the same, because Bob's answer is
           the last one.
        """
        first = identity = self.identity
        why = self.why
        for again in itertools.count(1):
            given = runtime.answered_to(identity)
            if self.tool.approval is None and not (why or runtime.was_asked(identity)):
                return None
            question = functools.partial(self._question, runtime, why)
            is_over = runtime.has_begun(record) or not self._fits(self.call.arguments)
            read = functools.partial(self._read, is_over=is_over)
            answer: bool | Refuse | Edit | None = await runtime.approved(identity, record, question, read)
            identity = asked_again(first, again)
            is_approved = answer is True or isinstance(answer, Edit)
            if runtime.answered_to(identity) is None:
                edited = answer.arguments.keys() if isinstance(answer, Edit) else ()
                has_no_effect = given is None or not is_approved or runtime.has_begun(record)
                why = "" if has_no_effect or given is None else await self._objection(runtime, given, edited)
                if not why:
                    return answer
        raise AssertionError  # unreachable

    async def _objection(self, runtime: AgentRuntime, given: RecordedResult, edited: Collection[str]) -> str:
        """Return why the recorded approval of the call no longer holds; "" if it still holds.

        The approval no longer holds if the person has lost the right to approve, or if an argument that the model did
        not write has another value now than the person saw. Arguments in `edited` were set by the person, so they are
        not compared.
        """
        seen, now = given.seen, runtime.hidden(self._find_unwritten())
        for name in sorted(seen.keys() | now.keys() if self._fits(self.call.arguments) else ()):
            if name not in edited and seen.get(name, UNSET) != now.get(name, UNSET):
                was, new = (
                    json.dumps(values[name], ensure_ascii=False) if name in values else "what is written"
                    for values in (seen, now)
                )
                return f"{name} was {was} when it was approved, and is {new} now"
        return "" if self.tool.approval is None else await runtime.objection(given)

    def _find_unwritten(self) -> dict[str, JsonValue]:
        """Return the argument values of the tool call that differ from what the model wrote, by name.

        These are defaults of arguments that the model left out, and values that the tool converts to another form. The
        person who approves the call cannot read them in the call itself.
        """
        if not self._fits(self.call.arguments):
            return {}
        written, filled = self._written, self.tool.filled(self.call.arguments, self.given.keys())
        found = {name: cast("JsonValue", typed(value)) for name, value in filled.items()}
        return {name: each for name, each in found.items() if name not in written or each != typed(written[name])}

    def _fits(self, arguments: str) -> bool:
        return self.tool.mismatch(arguments, self.given) is None

    def _apply_edit(self, edit: Edit) -> str:
        return json.dumps({**self._written, **edit.arguments}, ensure_ascii=False)

    @property
    def _written(self) -> dict[str, JsonValue]:
        return self.tool.written(self.call.arguments)

    async def _question(self, runtime: AgentRuntime, why: str, *, was_asked: bool) -> Question | None:
        """Make the question that asks a person to approve the tool call; None if the call needs no approval.

        If the person was asked about this call before, the question is made again without asking the rule `when=`, even
        if the tool no longer needs approval.

        Args:
            runtime: The run.
            why: Why the question is asked again; "" the first time.
            was_asked: Whether the question was asked before.
        """
        approval = self.tool.approval or Approval()
        values = {**self.given, **self.tool.values(self.call.arguments, self.given.keys())}
        if approval.when is not None and not (was_asked or why):
            found = await self._call_policy(runtime, approval.when, values)
            if not as_decision(found, f"{Injected.of(approval.when).name}, in approve=,", f"tool {self.tool.name}"):
                return None
        shown = None
        if approval.show is not None:
            found = await self._call_policy(runtime, approval.show, values)
            if found is None:
                text = f"the show= function of tool {self.tool.name!r} returned None, so the question would be empty"
                repair = "let the function return the text that the person reads before approving the call"
                raise DefinitionError(text, where=f"tool {self.tool.name}", repair=repair)
            shown = as_text(found)
        default: JsonValue = True
        if not approval.default:
            default = {"refuse": f"no person answered within {_format_waiting_time(approval.timeout_seconds or 0)}"}
        text = f"Asked again: {why}.\n\n{self._text(shown)}" if why else self._text(shown)
        return Question(
            text, self._schema(), self._read, approval.timeout_seconds, default, seen=self._find_unwritten()
        )

    async def _call_policy(
        self, runtime: AgentRuntime, function: Callable[..., object], values: Mapping[str, object]
    ) -> object:
        """Call the function in `when=` or `show=` of an `Approval`.

        Each of its parameters receives the argument of the tool call, or the value of the run, that has the same name.
        """
        injected = Injected.of(function)
        for parameter in injected.parameters:
            if parameter.name not in values and parameter.default is NO_DEFAULT:
                text = f"{injected.name}, in approve=, has a parameter {parameter.name!r}, which the call does not have"
                raise DefinitionError(text, where=f"tool {self.tool.name}", repair=did_you_mean(parameter.name, values))
        call = functools.partial(function, **{name: values[name] for name in injected.names if name in values})
        if is_async(function):
            return await call()  # type: ignore[misc]
        return await runtime.blocking(call)

    def _text(self, shown: str | None) -> str:
        head = f"May {self.agent} call {self.call.name}?"
        if shown is not None:
            return utf8_text(f"{head}\n\n{shown}")
        written = self._written
        if len(self.call.arguments) <= _LINE and not any("\n" in str(value) for value in written.values()):
            return f"{head[:-1]}({self.call.arguments})?"
        return utf8_text(f"{head}\n\n{_format_arguments_table(written)}")

    def _schema(self) -> dict[str, JsonValue]:
        """Return the JSON Schema of the person's answer: approve, refuse with a reason, or change the arguments.

        The form for changed arguments is prefilled with the arguments that the model wrote.
        """
        own: Mapping[str, Any] = self.tool.spec(self.given.keys()).schema
        form: dict[str, Any] = {"type": "object"}
        if isinstance(own.get("properties"), dict):
            prefilled = self._written if len(self.call.arguments) <= _PREFILLED else {}
            form["properties"] = {
                name: {**each, "default": prefilled[name]} if name in prefilled and isinstance(each, dict) else each
                for name, each in own["properties"].items()
            }
            form["additionalProperties"] = own.get("additionalProperties", False)
        refuse = {"type": "string", "examples": ["the reason"]}
        schema: dict[str, Any] = {
            "anyOf": [
                {"type": "boolean", "title": "approve"},
                _build_member_schema("refuse with a reason", "refuse", refuse),
                _build_member_schema("change the arguments", "arguments", form),
            ]
        }
        if self.tool.approval is not None and self.tool.approval.refused_by_message:
            schema[BY_MESSAGE] = {"refuse": "the person wrote another message instead"}
        return with_definitions(schema, own)

    def _read(self, record: object, *, is_over: bool = False) -> bool | Refuse | Edit:
        """Read a person's answer from its JSON form.

        Args:
            record: The answer as JSON.
            is_over: Whether the person cannot correct the answer any more, because the call has begun or its tool now
                has other parameters. Changed arguments are then accepted unchecked.

        Raises:
            ValidationError: The JSON is not an answer, or the changed arguments do not fit the tool.
        """
        return _ANSWER.validate_python(record, context=None if is_over else self._problem)

    def _problem(self, edit: Edit) -> str:
        """Return why arguments that a person changed do not fit the tool; "" if they fit."""
        found = self.tool.mismatch(self._apply_edit(edit), self.given)
        return "" if found is None else found.text


def _check_edit_fits(answer: bool | Refuse | Edit, info: ValidationInfo) -> bool | Refuse | Edit:  # noqa: FBT001 - an answer
    problem = info.context(answer) if isinstance(answer, Edit) and info.context else ""
    if problem:
        raise ValueError(problem)
    return answer


_ANSWER: Final[TypeAdapter[bool | Refuse | Edit]] = TypeAdapter(
    Annotated[bool | Refuse | Edit, AfterValidator(_check_edit_fits)]
)


def _build_member_schema(title: str, name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    members = {"properties": {name: schema}, "required": [name], "additionalProperties": False}
    return {"type": "object", "title": title, **members}


def _table_of(arguments: str) -> str:
    try:
        found = json.loads(arguments)
    except ValueError:
        return arguments
    return _format_arguments_table(found) if isinstance(found, dict) else arguments


def _format_arguments_table(values: Mapping[str, JsonValue]) -> str:
    """Format the arguments of a tool call as a table of names and values, for the person who is asked to approve it.

    Values may have several lines.
    """
    width = max(map(len, values), default=0) + 2
    lines: list[str] = []
    for name, value in values.items():
        first, *others = as_text(value).splitlines() or [""]
        lines += [f"{name:<{width}}{first}", *(f"{'':<{width}}{each}" for each in others)]
    return "\n".join(line.rstrip() for line in lines) or "(no arguments)"


def _format_waiting_time(seconds: float) -> str:
    for size, name in ((_HOURS, "hours"), (_MINUTES, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:g} {name}"
    return f"{seconds:g} seconds"


__all__ = [
    "Approval",
    "ApprovalRequest",
    "Approve",
    "Edit",
    "Refuse",
    "as_approval",
    "file_diff",
    "question_about",
]
