"""Every page of this folder is true, and the table of the claim holds. `UPDATE_PAGES=1` rewrites the pages."""

from pathlib import Path
from typing import Any, Final, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphengine.engine.claim import (
    TABLE,
    Claim,
    Do,
    Durable,
    Found,
    Idle,
    Input,
    Left,
    Mail,
    Moved,
    Opened,
    Progress,
    Raised,
    Release,
    State,
    Stop,
    Woken,
)
from graphengine.errors import OutOfOrder
from tests.kit import golden
from tests.kit.claim_page import Taken, play, row_of

pytestmark = pytest.mark.usefixtures("broken_orders")
PAGES: Final = sorted(Path(__file__).parent.glob("*.txt"))
STATUSES: Final = ("running", "waiting", "stopped", "failed", "cancelled", "finished")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_claim_does_what_its_page_says(path: Path) -> None:
    """Played input by input, a claim says what its page has."""
    played, _ = play(path.read_text(encoding="utf-8"))
    golden.check(path, played)


def test_a_second_stop_takes_the_messages_of_both() -> None:
    """Else the first would stay in the inbox, and stop the run again when it is resumed."""
    claim = Claim(state="driving")
    for stop in (Stop("one", (1,)), Stop("two", (2,))):
        claim.step(stop)
    assert claim.stop == Stop("two", (1, 2))


def taken_by_pages() -> list[Taken]:
    """Return all rows that the pages take."""
    return [taken for path in PAGES for taken in play(path.read_text(encoding="utf-8"))[1]]


def test_the_pages_take_every_row() -> None:
    """Each input of the table is taken in each of its states, and each state after it is reached, or this lists it."""
    taken = taken_by_pages()
    entered = {(each.row.given, each.before) for each in taken}
    reached = {(each.row.given, each.row.states, each.after) for each in taken}
    open_rows = [
        f"{row.given.__name__} in {state}" for row in TABLE for state in row.states if (row.given, state) not in entered
    ]
    open_rows += [
        f"{row.given.__name__} of {', '.join(row.states)} → {state}"
        for row in TABLE
        for state in row.then or row.states
        if (row.given, row.states, state) not in reached
    ]
    assert not open_rows, "\n  ".join(["rows that no page takes:", *open_rows])


def test_every_input_has_a_row() -> None:
    """Every input does something in some state, and in no state two things."""
    assert {row.given for row in TABLE if not row.why} == set(get_args(Input))
    pairs = [(row.given, state) for row in TABLE for state in row.states]
    assert len(pairs) == len(set(pairs))


def inputs() -> st.SearchStrategy[Input]:
    """Return any input."""
    flags, due, status = st.booleans(), st.sampled_from([None, 60.0]), st.sampled_from(STATUSES)
    made: dict[type[Any], st.SearchStrategy[Any]] = {
        Opened: flags.map(Opened),
        Durable: status.map(Durable),
        Idle: status.map(Idle),
        Woken: status.map(Woken),
        Release: flags.map(Release),
        Left: st.tuples(status, due, flags).map(lambda each: Left(*each)),
        Found: st.tuples(status, due).map(lambda each: Found(*each)),
        Moved: st.tuples(flags, flags).map(lambda each: Moved(*each)),
        Stop: flags.map(lambda now: Stop(now=now)),
    }
    return st.one_of([made[kind] if kind in made else st.just(kind()) for kind in get_args(Input)])


def claims() -> st.SearchStrategy[Claim]:
    """Return a claim at its beginning."""
    flags = ["asked", "waits_out", "of_worker", "follows", "gives_way", "held_back"]
    return st.lists(st.sampled_from(flags), unique=True).map(flagged)


def flagged(names: list[str]) -> Claim:
    """Return a claim with these flags."""
    given: dict[str, Any] = dict.fromkeys(names, True)
    return Claim(**given)


def lived(claim: Claim, given: list[Input]) -> list[tuple[Input, State, Do, State]]:
    """Return what a claim says about those inputs that can come, with the states before and after each."""
    steps = []
    for each in given:
        before = claim.state
        if row_of(before, each) is None:
            continue
        steps.append((each, before, claim.step(each), claim.state))
        assert (claim.may_start, claim.may_record) == (claim.may("start"), claim.may("record"))
    return steps


@given(claims(), st.lists(inputs(), max_size=30))
def test_nothing_is_acted_on_before_it_is_durable(claim: Claim, given: list[Input]) -> None:
    """What is to be appended comes alone; only what is durable is shown and starts tasks, and only while driving."""
    for each, _, do, after in lived(claim, given):
        if do.append:
            assert do == Do(append=do.append)
        if isinstance(each, Progress | Mail):
            assert do in (Do(), Do(append="events"))
        if do.show or do.start:
            assert isinstance(each, Durable | Opened)
        if do.start:
            assert after == "driving"


@given(claims(), st.lists(inputs(), max_size=30))
def test_a_claim_follows_its_table(claim: Claim, given: list[Input]) -> None:
    """After an input, a claim is in a state of its row; a row with a reason does nothing; what is lost stays lost."""
    for each, before, do, after in lived(claim, given):
        row = row_of(before, each)
        assert row is not None
        assert after in (row.then or (before,))
        assert not row.why or (do, row.then) == (Do(), ())
        if before == "lost":
            assert (after, do.append, do.start, do.open) == ("lost", "", False, "")


@given(claims(), st.lists(inputs(), max_size=30), inputs())
def test_an_input_without_a_row_loses_the_claim(claim: Claim, given: list[Input], broken: Input) -> None:
    """Whatever came before, it raises; then nothing may start or be recorded."""
    lived(claim, given)
    if row_of(claim.state, broken) is not None:
        return
    with pytest.raises(OutOfOrder, match=type(broken).__name__):
        claim.step(broken)
    assert (claim.state, claim.may_start, claim.may_record) == ("lost", False, False)
    assert claim.step(Raised()) == Do(cancel=True, outcome="raise")
