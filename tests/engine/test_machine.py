"""The table of the machine: it is complete, and the scenario pages follow it."""

from typing import get_args

from graphengine.engine.events import Event
from graphengine.engine.machine import AFTER, TABLE
from graphengine.engine.steps import AnyFacts, Continued, Message, Removed, Stopped
from tests.kit.scenario import Scenario, pages, played

UNSEEN = {f"LimitMet in {name}" for name in ("Fallback", "Leaving", "Collecting", "Waiting", "GivenUp", "Ended")}
"""Rows that no page takes yet."""


def test_every_event_has_a_row() -> None:
    """Every event has a row in the table."""
    assert {row.event for row in TABLE} == set(get_args(Event))


def test_every_kind_of_step_comes_from_an_event() -> None:
    """Each kind that moves a frame has a phase after it. A store removes steps, and no event does."""
    kinds = set(get_args(AnyFacts)) - {Removed}
    assert {kind for row in TABLE for kind in row.steps} == kinds
    of_runs = {kind for kind in kinds if issubclass(kind, (Continued, Stopped, Message))}
    assert set(AFTER) == kinds - of_runs


def test_the_pages_take_every_row_and_have_every_kind_of_step() -> None:
    """Each event is taken in each of its phases on some scenario page, or this lists it; `UNSEEN` only gets shorter.

    Every session checks that the steps follow the table.
    """
    sessions = [played(Scenario.read(page), page.stem)[1] for page in pages()]
    assert {type(step.data) for session in sessions for step in session.log} == {*get_args(AnyFacts)} - {Removed}
    taken = {each for session in sessions for each in session.taken}
    rows = [(row.event, phase) for row in TABLE for phase in row.phases]
    unseen = {f"{event.__name__} in {phase.__name__}" for event, phase in rows if (event, phase) not in taken}
    assert unseen == UNSEEN, "\n  ".join(["rows that no page takes:", *sorted(unseen)])
