"""The outline of an episode: its checks and its page."""

import pytest

from nodes.room.outline import Act, Beat, Credit, Outline, as_page, check_outline

VIEWS = {"boss": "KEEP act 1: she waits", "author": "BEAT act 1: she waits", "editor": "TIME act 1: 8 minutes"}
OUTLINE = Outline(
    title="Low Water",
    episode="Episode 2 of 6",
    throughline="She has to choose.",
    cold_open=Act(minutes=2, beats=[Beat(what="Fog.", by="author")]),
    acts=[
        Act(minutes=9, beats=[Beat(what="She waits.", by="author")], ends_on="Who comes?"),
        Act(minutes=9, beats=[Beat(what="He comes.", by="boss")]),
    ],
    continuity=["It is night."],
    callbacks=["The lamp."],
    open_points=["Which lamp?"],
    credits=[Credit(role="editor", gave="the minutes")],
)


def test_an_outline_that_fits_is_let_through() -> None:
    """A difference of one minute is allowed."""
    for minutes in (19, 20, 21):
        check_outline(OUTLINE, minutes, 2, VIEWS)


@pytest.mark.parametrize(
    ("outline", "minutes", "acts", "fault"),
    [
        (OUTLINE, 42, 2, "add up to 20 minutes, but the episode has 42"),
        (OUTLINE, 20, 4, "there are 2 acts instead of 4"),
        (
            OUTLINE.model_copy(update={"credits": [Credit(role="cook", gave="soup")]}),
            20,
            2,
            "'cook' is not in the room, which has boss, author, editor",
        ),
        (
            OUTLINE.model_copy(update={"cold_open": Act(minutes=2, beats=[Beat(what="Fog.", by="fog")])}),
            20,
            2,
            "'fog' is not in the room",
        ),
    ],
)
def test_a_fault_is_named(outline: Outline, minutes: int, acts: int, fault: str) -> None:
    """The error has the requested values."""
    with pytest.raises(ValueError, match=fault):
        check_outline(outline, minutes, acts, VIEWS)


def test_all_faults_are_reported_at_once() -> None:
    """A model can fix them in one answer."""
    with pytest.raises(ValueError, match=r"2 acts.*20 minutes"):
        check_outline(OUTLINE, 42, 4, VIEWS)


def test_a_page_has_everything() -> None:
    """It has the parts in filming order, then what the script has to observe, then the credits."""
    page = as_page(OUTLINE, "dry")
    assert page.splitlines()[:3] == ["# Episode 2 of 6: Low Water", "", "Cold open and 2 acts, 20 minutes. Tone: dry."]
    wanted = [
        "**Throughline:** She has to choose.",
        "## Cold open (2 min)",
        "- Fog. (author)",
        "## Act 1 (9 min)",
        "- She waits. (author)",
        "- Ends on: Who comes?",
        "## Act 2 (9 min)",
        "- He comes. (boss)",
        "## Continuity",
        "- It is night.",
        "## Callbacks",
        "- The lamp.",
        "## Open points",
        "- Which lamp?",
        "## Who gave what",
        "- editor: the minutes",
    ]
    places = [page.index(text) for text in wanted]
    assert places == sorted(places)
    assert "rules" not in page


def test_a_page_leaves_out_what_there_is_not() -> None:
    """There are no empty headings, no act without an ending question, and no plural for one act."""
    bare = Outline(title="T", throughline="t", cold_open=OUTLINE.cold_open, acts=OUTLINE.acts[1:])
    page = as_page(bare)
    assert page.startswith("# T\n\nCold open and 1 act, 11 minutes.\n")
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        "## Cold open (2 min)",
        "## Act 1 (9 min)",
    ]
    assert "Ends on" not in page


def test_an_outline_without_a_cold_open_goes_back() -> None:
    """Only a plan, which a model does not make, has none."""
    with pytest.raises(ValueError, match="there is no cold open"):
        check_outline(OUTLINE.model_copy(update={"cold_open": None}), 18, 2, VIEWS)
    assert "plan" not in Outline.model_json_schema()["properties"]
