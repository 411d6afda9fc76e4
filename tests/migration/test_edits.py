"""Edits of programs: what keeps its meaning is found again, what moved or changed acts once, whatever the stop.

`edits.py` plays the programs, and `python -m tests.migration.edits` plays more of them.
"""

import logging
from collections.abc import Iterator

import pytest

from graphengine.engine.phases import UNKNOWN
from graphengine.engine.steps import WaitRecord
from graphengine.errors import EffectUnknown
from graphengine.runner.once_effects import OnceEffects
from graphengine.state.recorded_text import to_show
from tests.migration.edited_programs import Act, Both, Node, Program, Sleep, Talk
from tests.migration.edits import File, Hunt, Memory, Stop, played


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Log nothing: effects break off all the time."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


async def test_an_edit_that_keeps_the_meaning_repeats_nothing_and_asks_nothing() -> None:
    """Each effect happens once, and a person is asked only about effects that were cut off, once for each visit."""
    hunt = Hunt("1", most=4)
    for number in range(24):
        await hunt.play(number)
    assert not hunt.counts.wrong
    assert hunt.counts.stops > 90
    assert hunt.counts.between > 12


async def test_edits_in_a_file() -> None:
    """The same holds for runs in a SQLite file."""
    pytest.importorskip("graphengine.databases")
    hunt = Hunt("2", File, most=2)
    for number in range(6):
        await hunt.play(number)
    assert not hunt.counts.wrong


async def test_a_call_that_moved_or_changed_never_acts_twice() -> None:
    """A person is asked about it, at most once in each visit; a changed effect is never left without a word."""
    kinds = ("helper", "tool", "amount", "moved", "call", "function", "removed", "child", "inner")
    hunt = Hunt("3", kinds=kinds, most=3)
    for number in range(36):
        await hunt.play(number)
    assert not hunt.counts.wrong
    assert hunt.counts.programs > 15
    assert hunt.counts.asked["amount", 1] > 0


async def test_no_tool_begins_in_an_attempt_that_is_ending() -> None:
    """If a wait ends the attempt while an agent in another arm is between two calls, nobody is asked about a call."""
    calls = (Act("r01", "idempotent"), Act("r02", "idempotent")), (Act("r03", "idempotent"), Act("r04", "once"))
    program = Program((Node("code", (Both(((Sleep(0),), (Talk("t01", calls),))),)),))
    for writes in range(1, 12):
        play = await played(program, Memory, (Stop(writes), ()))
        assert play is not None
        assert len(play.unknown) == play.left.total()


async def test_a_runner_that_always_asks_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property fails if changed code asks before each effect that begins."""

    async def ask(effects: OnceEffects, place: str, *_: object) -> None:
        journal = effects._journal  # noqa: SLF001
        if journal.is_recoded and journal.may_wait:
            wait = WaitRecord(kind="unknown", question=to_show("May it begin?"), schema={})
            await journal.wait_at(f"{UNKNOWN}{place}|always", wait, None)

    monkeypatch.setattr(OnceEffects, "take_over", ask)
    hunt = Hunt("1", most=8)
    for number in range(12):
        await hunt.play(number)
    assert any("asked 1 times about 0 effects" in each for each in hunt.counts.wrong)


async def test_a_runner_that_always_refuses_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property fails if changed code may begin no effect."""

    async def refuse(effects: OnceEffects, *args: object) -> None:
        if effects._journal.is_recoded:  # noqa: SLF001
            raise EffectUnknown("the code has changed", where="here", repair="put it back")

    monkeypatch.setattr(OnceEffects, "take_over", refuse)
    hunt = Hunt("1", most=8)
    for number in range(12):
        await hunt.play(number)
    assert any("refused" in each for each in hunt.counts.wrong)


async def test_a_runner_that_never_asks_breaks_the_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    """The property fails if a changed call begins beside the recorded one without a question."""

    async def pass_by(*_: object) -> None:
        return None

    monkeypatch.setattr(OnceEffects, "take_over", pass_by)
    monkeypatch.setattr(OnceEffects, "ask_about_rest", pass_by)
    hunt = Hunt("3", kinds=("tool", "amount", "function"), most=6)
    for number in range(16):
        await hunt.play(number)
    assert any("was done" in each for each in hunt.counts.wrong)
    assert any("nobody was asked" in each for each in hunt.counts.wrong)
