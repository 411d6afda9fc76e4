"""Find out how a question ended: with an answer, with its timeout, or with the end of the visit that asked it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from graphengine.engine.fold import evolve
from graphengine.engine.frame_tree import wait_id as make_wait_id
from graphengine.engine.steps import Answered, AttemptEnded, Continued
from graphengine.errors import RunReplaced, UnknownStep
from graphengine.history.load import load_snapshot

if TYPE_CHECKING:
    from graphengine.engine.snapshot import Frame, Snapshot
    from graphengine.engine.steps import AnswerRecord, Step, WaitRecord
    from graphengine.stores.base import RunStore

_ID: Final = re.compile(r"(.+)@([0-9]{1,15})(?:\.([a-z0-9]{1,20}))?", re.DOTALL)
_AT_ONCE: Final = 256

End: TypeAlias = Literal["answered", "time", "changed", "gone", "removed"]


class EndedQuestion(NamedTuple):
    """How a question that a run asked a person ended.

    Attributes:
        end: `answered`; `time` if the question timed out; `changed` if the graph was changed and asks another question;
            `gone` if the visit that asked has ended or asks another question; `removed` if the steps were removed, so
            that the end is not known.
        facts: The question; None if it is not known.
        answer: The answer; None if the question was not answered.
    """

    end: End
    facts: WaitRecord | None = None
    answer: AnswerRecord | None = None


def name_in(wait_id: str) -> str:
    """Return the name in the id of a question, such as `approve` in `approve@7.k3x9ab`; "" if it is not such an id."""
    found = _ID.fullmatch(wait_id)
    return found[1] if found is not None else ""


def own_id(snapshot: Snapshot, wait_id: str) -> str:
    """Return the full id of a question, if a person typed the id without its random part.

    An id such as `approve@7` names the question `approve` of step 7. The full id also contains the random nonce of the
    run.

    Raises:
        RunReplaced: The id contains the nonce of another run, which had the same run id earlier.
    """
    found = _ID.fullmatch(wait_id)
    if found is None:
        return wait_id
    if found[3] not in (None, snapshot.nonce):
        text = f"run {snapshot.run_id!r} did not ask the question {wait_id!r}: it belongs to an earlier or another run"
        raise RunReplaced(
            text,
            where=f"run {snapshot.run_id}",
            repair="look at the questions that the run asks now, and answer one of them",
        )
    return make_wait_id(found[1], int(found[2]), snapshot.nonce)


def nonce_in(wait_id: str) -> str:
    """Return the random part of a question's id, by which runs that used the same run id are told apart; "" if none."""
    found = _ID.fullmatch(wait_id)
    return "" if found is None else found[3] or ""


async def ended_question(store: RunStore, run_id: str, wait_id: str) -> EndedQuestion | None:
    """Find out how a question of a run ended, or why it is not open; None if the run never asked it.

    The id of the question contains the number of the step that asked it. The log is read from this step to the end of
    the visit that asked.
    """
    name, seq = _place_of(wait_id)
    try:
        snapshot = await load_snapshot(store, run_id, seq)
    except UnknownStep:
        return EndedQuestion("removed") if seq and seq <= (await store.info(run_id)).seq else None
    holder = _holder(snapshot, name, seq)
    if holder is None:
        return None
    ended = EndedQuestion("gone", holder.waits[name])
    while steps := await store.steps(run_id, snapshot.seq, snapshot.seq + _AT_ONCE):
        for step in steps:
            was_open = _holder(snapshot, name, seq) is not None
            evolve(snapshot, step)
            is_open = _holder(snapshot, name, seq) is not None
            ended = _describe_end(ended, name, seq, step, ends=was_open and not is_open)
            if not (is_open or _may_ask_again(snapshot, name, seq)):
                return ended
    return ended


def _place_of(wait_id: str) -> tuple[str, int]:
    """Split the id of a wait into its name and the number of the step that began the wait.

    For example, `approve@7.k3x9ab` becomes ("approve", 7). The random part is ignored, because a branch shares steps
    with its parent run, whose ids have another random part.
    """
    found = _ID.fullmatch(wait_id)
    return (found[1], int(found[2])) if found is not None else ("", 0)


def _holder(snapshot: Snapshot, name: str, seq: int) -> Frame | None:
    return snapshot.open_waits.holder(name, make_wait_id(name, seq, snapshot.nonce))


def _describe_end(before: EndedQuestion, name: str, seq: int, step: Step, *, ends: bool) -> EndedQuestion:
    facts = step.data
    if isinstance(facts, (Answered, AttemptEnded)):
        answer = facts.answer
        if answer is not None and _place_of(answer.id) == (name, seq):
            return before._replace(end="answered", answer=answer)
        is_over = facts.wait == name and facts.by in ("time", "default")
        error = facts.error if isinstance(facts, AttemptEnded) else None
        if ends and (is_over or (error is not None and error.kind == "wait_timeout")):
            return before._replace(end="time", answer=None)
    is_changed = isinstance(facts, Continued) and bool(facts.asks or facts.moved)
    return before._replace(end="changed" if is_changed else "gone", answer=None) if ends else before


def _may_ask_again(snapshot: Snapshot, name: str, seq: int) -> bool:
    wait_id = make_wait_id(name, seq, snapshot.nonce)
    return any(each.id == wait_id for frame in snapshot.frames.values() for each in frame.asks.values())
