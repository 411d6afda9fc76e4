"""What a step must not say of a graph's secrets, and whether they can be read at all.

Records of secret fields are encrypted where they are made. Beside them a step tells of failures, conditions and ends in
words that come from nodes and libraries, which may quote what they were given: there each clear text that the run's
secrets hold is hidden. What a node writes to other fields, records of its work or sends is read again as it is: there a
clear text is refused (`Guard`). Nor does a step carry typed values then, for whoever watches the run. A replay hides
clear texts in what it tells, and compares records that are encrypted alike.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, get_type_hints

import msgspec
from msgspec import defstruct
from msgspec.structs import replace
from pydantic_core import from_json

from graphengine.engine.lookup import plan_of
from graphengine.engine.rebase import shifted
from graphengine.engine.snapshot import Frame
from graphengine.engine.steps import Entered, Shift, Started, Stopped
from graphengine.errors import InvalidUpdate, NoChoice, NotRecordable
from graphengine.state.secret import clear_texts, holds, is_sealed, scrubbed, worth_scrubbing
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import AnyFacts, Step
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.schema import StateType

_LEAST_REFUSED: Final = 8
"""Shorter texts stand in others by chance."""

WITHHELD: Final = "asked; the reason is withheld, since this run has secrets and its graph was not known here"
"""In place of words that might hold a secret which cannot be looked for."""
_WORDS: Final = ("error", "why", "stop", "message", "edge", "marks", "samples", "inside")
"""The facts of a step that are words, and not read again as a value."""


def without_secrets(plan: Plan[Any] | None, snapshot: Snapshot, step: Step) -> Step:
    """The step as it may be recorded and shown."""
    facts = step.data
    if plan is None:  # only a stop is decided without one
        if isinstance(facts, Stopped):
            facts.stop = dataclasses.replace(facts.stop, explanation=words_for(None, snapshot, facts.stop.explanation))
        return step
    said = {name: fact for name in _WORDS if (fact := getattr(facts, name, None))}
    if said:
        kinds = type(step.data)
        clear = hidden(plan, snapshot, step, msgspec.to_builtins(said))
        typed = msgspec.convert(clear, _worded(kinds))
        step.data = replace(step.data, **{name: getattr(typed, name) for name in said})
    step.typed = None
    return step


@cache
def _worded(facts: type[AnyFacts]) -> type[Any]:
    """The facts of a kind of step that are words, each optional."""
    kinds = get_type_hints(facts)
    return defstruct("Worded", [(name, kinds[name] | None, None) for name in _WORDS if name in kinds])


def words_for(plan: Plan[Any] | None, snapshot: Snapshot, words: str) -> str:
    """Return what a caller says about a run as it may be recorded: clear texts of its secrets are hidden.

    Without the plan the secrets cannot be decrypted, so the words of a run that has any are withheld.
    """
    if plan is not None:
        texts = (text for frame, inner in _frames(plan, snapshot) for text in _texts_in(inner.state, frame))
        return str(scrubbed(words, worth_scrubbing(texts))) if plan.secret else words
    has_secrets = any(is_sealed(record) for frame in snapshot.frames.values() for record in frame.values.values())
    return WITHHELD if has_secrets else words


@dataclass(frozen=True, slots=True)
class Guard:
    """Keeps the clear texts of a run's secrets out of what its nodes show and record beside their results."""

    plan: Plan[Any]
    snapshot: Snapshot

    def hide(self, shown: Any) -> Any:  # noqa: ANN401 - whatever a node shows
        """What is shown live, with clear texts hidden in it."""
        return scrubbed(shown, worth_scrubbing(self._texts()))

    def refuse(self, record: JsonValue, what: str, where: str, more: Iterable[str] = ()) -> None:
        """See that what is to be recorded holds no clear text of a secret, of those that the run has and of more.

        Raises:
            NotRecordable: It does.
        """
        texts = [text for text in (*self._texts(), *more) if len(text) >= _LEAST_REFUSED]
        if holds(record, texts):
            raise NotRecordable(
                f"{what} holds the clear text of a secret field, and would be recorded so",
                where=where,
                repair="leave the secret out, or let it go into a secret field: nodes get it from there",
            )

    def refuse_in(self, state: StateType[Any], ops: Sequence[Op], where: str) -> None:
        """The same of what is written to fields; what the secret ones get is encrypted already.

        Raises:
            NotRecordable: One of the others gets a clear text.
        """
        values = {op[1]: op[2] for op in ops if op[0] == "set" and op[1] in state.secrets}
        written = list(_texts_in(state, Frame(values=values)))
        for op in ops:
            if op[1] not in state.secrets:
                self.refuse(op[2:], f"what is written to {op[1]!r}", where, written)

    def _texts(self) -> Iterator[str]:
        for frame, inner in _frames(self.plan, self.snapshot):
            yield from _texts_in(inner.state, frame)


def hidden(plan: Plan[Any], snapshot: Snapshot, step: Step, said: Any) -> Any:  # noqa: ANN401 - records
    """What is said of a step, without the clear texts of the run's secrets and of those that the step writes."""
    return scrubbed(said, worth_scrubbing(_texts(plan, snapshot, step)))


def encrypted_today(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Step:
    """A recorded step with its secrets encrypted as today's graph does it, so that equal ones have equal records.

    Raises:
        SecretKeyWrong: The graph was given another key.
    """
    state = _written_state(plan, snapshot, step)
    if state is None or not any(op[1] in state.secrets for op in step.update):
        return step
    return replace(step, update=[_encrypted(state, op) for op in step.update])


def _encrypted(state: StateType[Any], op: Op) -> Op:
    """An operation; those of secret fields set them as a whole."""
    cipher = state.fields[op[1]].cipher if op[1] in state.secrets else None
    if cipher is None or op[0] != "set":
        return op
    return ("set", op[1], cipher.seal(op[1], cipher.unseal(op[1], op[2])))


def _written_state(plan: Plan[Any], snapshot: Snapshot, step: Step) -> StateType[Any] | None:
    """The state that a step's update is of; None where today's graph has none there."""
    facts = step.data
    if isinstance(facts, Started):
        return plan.state
    there = shifted(snapshot, facts) if isinstance(facts, Shift) else snapshot
    frame = there.frames.get(step.frame)
    try:
        inner = plan_of(plan, frame) if frame is not None else None
        if isinstance(facts, Entered) and inner is not None:
            inner = inner.nodes[step.node].chosen(facts.choice).graph
    except (KeyError, NoChoice):  # the graph was changed; the replay says so
        return None
    return inner.state if inner is not None else None


def check_secrets(plan: Plan[Any], snapshot: Snapshot) -> None:
    """See that every recorded secret can be read.

    Raises:
        SecretKeyWrong: The graph was given another key.
    """
    for frame, inner in _frames(plan, snapshot):
        for name in inner.state.secrets:
            cipher = inner.state.fields[name].cipher
            if name in frame.values and cipher is not None:
                cipher.unseal(name, frame.values[name])


def _frames(plan: Plan[Any], snapshot: Snapshot) -> Iterator[tuple[Frame, Plan[Any]]]:
    for frame in snapshot.frames.values():
        try:
            yield frame, plan_of(plan, frame)
        except (KeyError, NoChoice):  # the graph was changed; who resumes says so
            continue


def _texts(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Iterator[str]:
    """The clear texts of all secrets: those that the run holds, and those that the step writes."""
    for frame, inner in _frames(plan, snapshot):
        yield from _texts_in(inner.state, frame)
    state = _written_state(plan, snapshot, step)
    if state is not None:
        yield from _texts_in(state, Frame(values={op[1]: op[2] for op in step.update if op[0] == "set"}))


def _texts_in(state: StateType[Any], frame: Frame) -> Iterator[str]:
    view = View(state, frame)
    for name in state.secrets:
        if name in frame.values:
            yield from clear_texts(_clear(state, view, name, frame.values[name]))


def _clear(state: StateType[Any], view: View, name: str, record: JsonValue) -> object:
    """The value of a secret field, or, where that is none of its type today, its JSON."""
    try:
        return view.before(name)
    except InvalidUpdate:
        cipher = state.fields[name].cipher
        return record if cipher is None else from_json(cipher.unseal(name, record))
