"""Redaction: keeps the clear texts of a graph's secrets out of steps, and checks that recorded secrets can be read.

The records of secret fields are encrypted when they are made. Two other kinds of data could still contain a clear text:

- Texts about failures, conditions and ends. They come from nodes and libraries, and may quote their input. In these
  texts, the clear text of each secret is hidden.
- Values that a node writes to other fields, records or sends. They are read back later, so nothing in them may be
  replaced. A value that contains a clear text is refused (`Redactor`).

Steps of a graph with secrets also contain no typed values, because watchers of the run would see them. A replay hides
clear texts in its report, and compares records after encrypting both with the same key.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from pydantic_core import from_json

from graphengine.engine.graph_migration import shift_snapshot
from graphengine.engine.lookup import plan_of
from graphengine.engine.snapshot import Frame
from graphengine.engine.steps import Continued, Entered, Node, Outcome, Refused, Shift, Started, Stopped
from graphengine.errors import InvalidUpdate, NoChoice, NotRecordable
from graphengine.state.encoded import opened
from graphengine.state.measured import Leaf, Samples, Shown, Tested
from graphengine.state.secret import (
    LEAST_REFUSED,
    clear_texts,
    concealed,
    holds,
    is_sealed,
    screened,
    scrubbed,
    worth_scrubbing,
)
from graphengine.state.view import View

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from graphengine.engine.plan import Plan
    from graphengine.engine.snapshot import Snapshot
    from graphengine.engine.steps import Decided, Step
    from graphengine.state.json_values import JsonValue, Op
    from graphengine.state.measured import Measured
    from graphengine.state.schema import StateType

F = TypeVar("F")

WITHHELD: Final = "asked; the reason is withheld, because this run has secrets and its graph is not loaded here"
"""Replaces a text that may contain a secret, if the secrets cannot be decrypted to search for them in the text."""


def without_secrets(plan: Plan[Any] | None, snapshot: Snapshot, step: Decided) -> Decided:
    """Return the step as it may be recorded and shown: secrets in its texts are hidden, Python objects are removed."""
    facts = step.data
    if plan is None:  # only a stop is decided without a plan
        if isinstance(facts, Stopped):
            facts.ending = dataclasses.replace(facts.ending, why=words_for(None, snapshot, facts.ending.why))
        return step
    if isinstance(facts, (Outcome, Stopped, Continued, Refused)):
        _hide_texts(facts, worth_scrubbing(_list_clear_texts(plan, snapshot, step)))
    step.typed = None
    return step


def _hide_texts(facts: Outcome | Stopped | Continued | Refused, secrets: Sequence[str]) -> None:
    """Hide secrets in those texts of a step that only people read, such as error messages. Values are not changed."""

    def hide(fact: F) -> F:
        return msgspec.convert(scrubbed(msgspec.to_builtins(fact), secrets), type(fact)) if fact else fact

    if isinstance(facts, Outcome):
        facts.error, facts.ending = hide(facts.error), hide(facts.ending)
        facts.tests, facts.arms = _hide_in_tests(facts.tests, secrets), _hide_in_tests(facts.arms, secrets)
        facts.edge, facts.marks, facts.samples = hide(facts.edge), hide(facts.marks), hide(facts.samples)
        if isinstance(facts, Node):
            facts.inside = hide(facts.inside)
    elif isinstance(facts, Stopped):
        facts.error, facts.ending = hide(facts.error), hide(facts.ending)
    elif isinstance(facts, Continued):
        facts.marks = hide(facts.marks)
    else:
        facts.message = hide(facts.message)


def _hide_in_tests(tests: Sequence[Tested], secrets: Sequence[str]) -> Sequence[Tested]:
    """Hide secrets in the values that a step records to explain which edge was taken.

    When a run leaves a node, the step records what each condition found. For example, for `amount > 100` it records the
    value of `amount`. Such a value can contain a secret, also if it is a number. Digests of values with a secret are
    removed.
    """

    def hide(measured: Measured) -> Measured:
        if measured is None or isinstance(measured, bool):
            return measured
        if isinstance(measured, Samples):
            return Samples(hide_sample(measured.best), hide_sample(measured.last), measured.stale)
        shown = measured if isinstance(measured, Shown) else Shown(str(measured), type(measured).__name__)
        # The marker of a cut text lets the search recognise the beginning of a secret before it.
        cut = "…" if shown.length or shown.items else ""
        text = str(scrubbed(shown.text + cut, secrets)).removesuffix(cut)
        return measured if text == shown.text else Shown(text, shown.type)

    def hide_sample(sample: float | str) -> int | float | str:
        text = str(scrubbed(str(sample), secrets))
        return sample if text == str(sample) else text

    def found(each: Tested) -> Tested:
        if isinstance(each.found, (list, tuple)):
            return Tested(each.place, [Leaf(leaf.held, hide(leaf.measured)) for leaf in each.found])
        return Tested(each.place, hide(each.found))  # type: ignore[arg-type]

    return [found(each) for each in tests] if tests and secrets else tests


def words_for(plan: Plan[Any] | None, snapshot: Snapshot, words: str) -> str:
    """Return a text that a caller gave for a run's log (such as why the run stops), with the run's secrets hidden.

    To find secrets in a text, they must be decrypted with the graph. Without the graph, the whole text is withheld if
    the run has secrets.
    """
    if plan is not None:
        return str(scrubbed(words, worth_scrubbing(_list_held_texts(plan, snapshot)))) if plan.secret else words
    has_secrets = any(is_sealed(record) for frame in snapshot.frames.values() for record in frame.values.values())
    return WITHHELD if has_secrets else words


@dataclass(frozen=True, slots=True)
class Redactor:
    """Hides a run's secrets in the data that its nodes emit, record and send.

    Secrets may be stored only in fields that are declared secret, where they are encrypted.
    """

    plan: Plan[Any]
    snapshot: Snapshot

    def hide(self, shown: Any) -> Any:  # noqa: ANN401 - any data that a node emits
        """Return data that watchers of a run will see, with the run's secrets hidden."""
        return concealed(shown, worth_scrubbing(_list_held_texts(self.plan, self.snapshot)))

    def hide_in_step(self, step: Step, record: Any) -> Any:  # noqa: ANN401 - JSON values
        """Return what is shown about a step with secrets hidden, including secrets that this very step writes."""
        return scrubbed(record, worth_scrubbing(_list_clear_texts(self.plan, self.snapshot, step)))

    def screened(self, text: str) -> tuple[str, str]:
        """Split a streamed text into a part that can be shown now and an end that may be the beginning of a secret.

        The caller holds the end back until more text has arrived. Complete secrets in the first part are hidden.
        """
        return screened(text, worth_scrubbing(_list_held_texts(self.plan, self.snapshot)))

    def refuse(self, record: JsonValue, what: str, where: str, more: Iterable[str] = ()) -> None:
        """Check that a value to be recorded contains no secret of the run, and none of the texts in `more`.

        Raises:
            NotRecordable: The value contains a secret.
        """
        texts = [text for text in (*_list_held_texts(self.plan, self.snapshot), *more) if len(text) >= LEAST_REFUSED]
        if holds(record, texts):
            raise NotRecordable(
                f"{what} contains the clear text of a secret field, which must not be recorded",
                where=where,
                repair="leave the secret out, or write it to a secret field, from which nodes can read it",
            )

    def refuse_in(self, state: StateType[Any], ops: Sequence[Op], where: str) -> None:
        """Check that an update writes no secret to a field that is not declared secret.

        Raises:
            NotRecordable: The update writes a secret to such a field.
        """
        values = {op[1]: op[2] for op in ops if op[0] == "set" and op[1] in state.secrets}
        written = list(_texts_in(state, Frame(values=values)))
        for op in ops:
            if op[1] not in state.secrets:
                self.refuse([opened(part) for part in op[2:]], f"the value written to {op[1]!r}", where, written)


def written_state(plan: Plan[Any], snapshot: Snapshot, step: Step) -> StateType[Any] | None:
    """Return the type of the state that a step changes: the state of the run, or the state of a subgraph.

    Returns None if the graph was changed and no longer contains the place of the step.
    """
    facts = step.data
    if isinstance(facts, Started):
        return plan.state
    there = shift_snapshot(snapshot, facts) if isinstance(facts, Shift) else snapshot
    frame = there.frames.get(step.frame)
    try:
        inner = plan_of(plan, frame) if frame is not None else None
        if isinstance(facts, Entered) and inner is not None:
            inner = inner.nodes[step.node].chosen(facts.choice).graph
    except (KeyError, NoChoice):  # the graph was changed; the replay reports that
        return None
    return inner.state if inner is not None else None


def check_secrets(plan: Plan[Any], snapshot: Snapshot) -> None:
    """Check that every secret that a run recorded can still be decrypted.

    Raises:
        SecretKeyWrong: The graph now has another key than the one with which a secret was encrypted.
    """
    for frame, inner in _frames_with_plans(plan, snapshot):
        for name in inner.state.secrets:
            cipher = inner.state.fields[name].cipher
            if name in frame.values and cipher is not None:
                cipher.unseal(name, frame.values[name])


def _frames_with_plans(plan: Plan[Any], snapshot: Snapshot) -> Iterator[tuple[Frame, Plan[Any]]]:
    for frame in snapshot.frames.values():
        try:
            yield frame, plan_of(plan, frame)
        except (KeyError, NoChoice):  # the graph was changed; a resume reports that
            continue


def _list_clear_texts(plan: Plan[Any], snapshot: Snapshot, step: Step) -> Iterator[str]:
    """Yield the decrypted secrets that a step could reveal: the secrets in the run, and those that the step writes."""
    yield from _list_held_texts(plan, snapshot)
    state = written_state(plan, snapshot, step)
    if state is not None:
        yield from _texts_in(state, Frame(values={op[1]: op[2] for op in step.update if op[0] == "set"}))


def _list_held_texts(plan: Plan[Any], snapshot: Snapshot) -> Iterator[str]:
    for frame, inner in _frames_with_plans(plan, snapshot):
        yield from _texts_in(inner.state, frame)


def _texts_in(state: StateType[Any], frame: Frame) -> Iterator[str]:
    view = View(state, frame)
    for name in state.secrets:
        if name in frame.values:
            yield from clear_texts(_clear(state, view, name, frame.values[name]))


def _clear(state: StateType[Any], view: View, name: str, record: JsonValue) -> object:
    """Return the decrypted value of a secret field.

    If the value no longer fits the type of the field, its JSON is returned instead.
    """
    try:
        return view.before(name)
    except InvalidUpdate:
        cipher = state.fields[name].cipher
        return record if cipher is None else from_json(cipher.unseal(name, record))
