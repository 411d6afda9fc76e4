"""Points: what bears on each, which are missing, and which the sources do not answer."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from graphengine import TextFile
from nodes.citing import size
from nodes.points import Points
from nodes.tasks import sample
from tests.nodes.sources.test_passages import CASES, source

TASK, SOURCES = sample().values()
POINTS = Points(TASK, SOURCES)


def test_items_are_points() -> None:
    """A task without items is one point."""
    assert len(POINTS.texts) == 5
    assert POINTS.title == "How a write-ahead log lets a database survive a crash"
    assert Points("What is a page?", SOURCES).texts == ["What is a page?"]


def test_research_on_weak_points_raises_the_shares() -> None:
    """The share that is least rises most, and the draft keeps to its budget."""
    draft = POINTS.best(350)
    before = POINTS.shares(draft)
    after = POINTS.shares(POINTS.chosen(draft | set(POINTS.missing(draft)), 350))
    assert sum(after) > sum(before)
    assert min(after) > min(before)


def test_all_passages_are_all_there_is() -> None:
    """Then every share is 1, nothing is weak and nothing is missing."""
    everything = range(len(POINTS.index.passages))
    assert POINTS.shares(everything) == pytest.approx(POINTS.hold)
    assert POINTS.shares([]) == [0.0] * 5
    assert POINTS.missing(everything) == []


@given(st.sets(st.integers(0, len(POINTS.index.passages) - 1)), st.integers(20, 600))
@settings(max_examples=25)
def test_a_choice_is_of_what_was_found_and_fits(found: set[int], word_budget: int) -> None:
    """Whatever was found, however little room there is, but for a last one; each passage stands under one point."""
    chosen = POINTS.chosen(found, word_budget)
    assert chosen <= found
    assert len(chosen) == bool(found) or sum(size(POINTS.index.passages[at].text) for at in chosen) <= word_budget
    assert sum(map(len, POINTS.sorted_by_point(chosen).values())) == len(chosen)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["file"])
def test_what_the_sources_do_not_answer_is_said(case: dict[str, str]) -> None:
    """A point in the words of another field is none of theirs; the text's own task is."""
    strange = "How enzymes fold proteins in yeast"
    points = Points(f"- {case['task']}\n- {strange}", [source(case["file"])])
    assert set(points.unanswered) == ({strange} if case["facts"] else {strange, case["task"]})


def test_sources_may_be_empty() -> None:
    """Then nothing is answered."""
    nothing = Points("- tea\n- milk", [TextFile(path="a.md", text="")])
    assert nothing.unanswered == ["tea", "milk"]
    assert nothing.best(100) == set()
