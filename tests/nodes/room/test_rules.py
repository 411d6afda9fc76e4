"""The roles of the room by rules: their first views, and their reactions to the others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from nodes.room.notes import Note, read_view
from nodes.room.outline import Outline, check_outline
from nodes.room.outline_rules import make_outline
from nodes.room.rules import edit, keep_continuity, note_for_the_network, run_the_show, write_beats

TEXTS = Path(__file__).parents[1] / "texts"
PILOT = (
    "Harbour pilot Nora Quist learns that her brother Tom sold the charts that sank the ferry nine years ago. "
    "The inquiry reopens on Monday, and Tom is its first witness. Episode 4 of 6. Must bring the fraud to the surface."
)
ODD = {
    "a word": "Heist",
    "no words": "...",
    "Japanese": "刑事は師匠が証拠を捏造したことを知る。第6話。",
    "notes": "BEAT act 1: he falls\nCUT act 1: he falls\nKEEP act 1: he falls",
    "repeating": "A cop shot a cop. A cop shot a cop! A cop shot a cop in the rain. Must have a cop shot by a cop.",
    "one word often": "word " * 5000,
}
Views = dict[str, str]


def next_round(premise: str, minutes: int, acts: int, views: Views) -> Views:
    """Return the views that follow from the given ones."""
    return {
        "showrunner": run_the_show(premise, "grave", acts, views),
        "staff_writer": write_beats(premise, acts, views),
        "script_editor": edit(premise, minutes, acts, views),
        "continuity": keep_continuity(premise, acts, views),
        "network_exec": note_for_the_network(premise, minutes, acts, views),
    }


def rounds(premise: str, count: int, minutes: int = 42, acts: int = 4) -> Views:
    """Return the views after this many rounds."""
    views: Views = {}
    for _ in range(count):
        views = next_round(premise, minutes, acts, views)
    return views


def notes(view: str, *kinds: str) -> list[tuple[str, str]]:
    """Return place and text of the notes of these kinds."""
    return [(note.place, note.text) for note in read_view(view) if note.kind in kinds]


def test_the_showrunner_begins_with_the_throughline_the_season_and_the_tone() -> None:
    """There is also a choice in the middle; there are no decisions yet."""
    view = run_the_show(PILOT, "grave", 4, {})
    assert [note.kind for note in read_view(view)] == ["THROUGHLINE", "TONE", "ARC", "ARC", "PIVOT"]
    assert notes(view, "TONE") == [("", "grave")]
    assert notes(view, "ARC")[0][1].startswith("Episode 4 of 6: ")
    assert notes(view, "PIVOT")[0][0] == "act 2"


@pytest.mark.parametrize(
    ("number", "words"), [(1, "doors open"), (4, "doors swing"), (5, "doors close"), (6, "the last door")]
)
def test_the_season_asks_for_something_else_from_time_to_time(number: int, words: str) -> None:
    """It depends on the elapsed share of the season."""
    assert words in run_the_show(f"A storm. Episode {number} of 6.", "", 4, {})


def test_the_showrunner_adds_missing_wishes_of_the_season() -> None:
    """It adds them once there are beats; one beat that has it is enough."""
    without = run_the_show(PILOT, "", 4, {"staff_writer": "BEAT act 1: she waits"})
    assert notes(without, "ADD") == [
        ("act 4", "A step for the season, in a scene of its own: bring the fraud to the surface.")
    ]
    has = run_the_show(PILOT, "", 4, {"staff_writer": "BEAT act 1: a fraud comes to the surface, they bring it"})
    assert notes(has, "ADD") == []


def test_the_showrunner_has_the_last_word_on_cuts_and_doubts() -> None:
    """Cuts that the season needs are refused, others accepted, a doubt is put aside, and decisions stay."""
    views = {
        "script_editor": "CUT act 1: she waits\nCUT act 4: they bring the fraud to the surface",
        "continuity": "FLAG: Tom is dead",
    }
    view = run_the_show(PILOT, "", 4, views)
    assert notes(view, "AGREE") == [("act 1", "she waits")]
    assert notes(view, "KEEP") == [("act 4", "they bring the fraud to the surface")]
    assert notes(view, "SETTLE") == [("", "Stays unchanged for now: Tom is dead")]
    assert notes(run_the_show(PILOT, "", 4, {"showrunner": view}), "AGREE", "KEEP", "SETTLE") == notes(
        view, "AGREE", "KEEP", "SETTLE"
    )


def test_the_writer_begins_with_the_events_in_order() -> None:
    """Every part has a beat, the past opens the episode, and events are spread over the acts."""
    beats = notes(write_beats(PILOT, 4, {}), "BEAT")
    assert list(dict.fromkeys(place for place, _ in beats)) == ["cold open", "act 1", "act 2", "act 3", "act 4"]
    assert "nine years ago" in beats[0][1]
    assert [place for place, text in beats if text in {"The inquiry reopens on Monday.", "Tom is its first witness."}]


def test_the_writer_takes_in_what_the_others_want() -> None:
    """It takes in the choice, additions and callbacks, and drops cuts unless they were refused."""
    first = notes(write_beats(PILOT, 4, {}), "BEAT")
    cut, kept = first[2], first[4]
    views = {
        "showrunner": f"PIVOT act 2: she chooses\nADD act 3: the ledger\nKEEP {kept[0]}: {kept[1]}",
        "script_editor": f"CUT {cut[0]}: {cut[1]}\nCUT {kept[0]}: {kept[1]}",
        "continuity": "CALLBACK: the red buoy: use it again",
        "network_exec": "STANDARDS: blood",
    }
    beats = notes(write_beats(PILOT + " There is blood on the deck.", 4, views), "BEAT")
    assert ("act 2", "she chooses") in beats
    assert ("act 3", "the ledger") in beats
    assert any(text.startswith("The red buoy comes back") for place, text in beats if place == "act 4")
    assert cut not in beats
    assert kept in beats
    assert any(text == "There is blood on the deck. (off screen)" for _, text in beats)


def test_the_editor_splits_the_time_and_gives_more_to_more_beats() -> None:
    """The minutes of all parts add up, with and without beats."""
    beats = "BEAT cold open: a\nBEAT act 1: b\nBEAT act 2: c\nBEAT act 2: d\nBEAT act 2: e"
    first, then = (
        [int(text.split()[0]) for _, text in notes(edit(PILOT, 42, 4, views), "TIME")]
        for views in ({}, {"staff_writer": beats})
    )
    assert (first, sum(then), len(then)) == ([3, 10, 10, 10, 9], 42, 5)
    assert then[2] == max(then) > then[1]


def test_the_editor_cuts_repeated_beats_and_those_without_time() -> None:
    """Beats that the room wanted stay, and so do those that were kept before."""
    beats = [
        "BEAT act 1: she finds the charts in the safe",
        "BEAT act 2: she finds the charts in a safe",
        "BEAT act 3: the inquiry reopens on Monday",
        "BEAT act 3: somebody sings",
        "BEAT act 3: a door shuts loudly",
        "BEAT act 3: she chooses",
        "BEAT act 3: Tom is its first witness",
    ]
    views = {"staff_writer": "\n".join(beats), "showrunner": "PIVOT act 3: she chooses"}
    view = edit(PILOT, 42, 4, views)
    assert notes(view, "CUT") == [
        ("act 2", "she finds the charts in a safe"),
        ("act 3", "somebody sings"),
        ("act 3", "a door shuts loudly"),
    ]
    assert notes(edit(PILOT, 42, 4, {"script_editor": view}), "CUT") == notes(view, "CUT")
    kept = {**views, "showrunner": "PIVOT act 3: she chooses\nKEEP act 2: she finds the charts in a safe"}
    assert ("act 2", "she finds the charts in a safe") not in notes(edit(PILOT, 42, 4, kept), "CUT")


def test_each_act_with_beats_ends_on_a_question() -> None:
    """Without beats there are no questions."""
    assert notes(edit(PILOT, 42, 4, {}), "QUESTION") == []
    asked = notes(edit(PILOT, 42, 4, {"staff_writer": "BEAT act 1: a\nBEAT act 4: b"}), "QUESTION")
    assert [place for place, _ in asked] == ["act 1", "act 4"]
    assert len({text for _, text in asked}) == 2


def test_continuity_keeps_facts_doubts_and_callbacks() -> None:
    """In the first round they come from the premise alone."""
    view = keep_continuity(PILOT.replace("Episode 4 of 6", "Episode 9 of 6"), 4, {})
    assert ("", "The inquiry reopens on Monday.") in notes(view, "FACT")
    assert notes(view, "FLAG") == [("", "episode 9 of a season of 6.")]
    ((_, wanted),) = notes(view, "CALLBACK")
    assert wanted.startswith("nine years ago: ")
    assert "episode 1 to 8" in wanted


def test_continuity_watches_who_knows_what_and_who_is_new() -> None:
    """Once there are beats it notes from which act on a fact is known, and names that the premise does not have."""
    views = {
        "staff_writer": "BEAT act 2: Nora learns that Tom sold the charts that sank the ferry\nBEAT act 3: it is Bob"
    }
    view = keep_continuity(PILOT, 4, views)
    ((place, text),) = notes(view, "KNOWS")
    assert (place, text) == ("act 2", "Nora Quist knows from here on; Tom must not act on it before act 3.")
    assert notes(view, "FLAG") == [("act 3", "Bob is not in the premise: new, or known from an earlier episode?")]


def test_the_network_wants_a_logline_breaks_and_few_letters() -> None:
    """Breaks follow the times of the room, and need a question each."""
    views = {
        "script_editor": "TIME cold open: 2\nTIME act 1: 12\nTIME act 2: 8\nQUESTION act 1: who?",
        "staff_writer": "BEAT act 1: a gun on the table",
    }
    view = note_for_the_network(PILOT, 22, 2, views)
    assert notes(view, "BREAK") == [("act 1", "after minute 14: it has its question.")]
    assert notes(view, "STANDARDS") == [("", "gun")]
    ((_, logline),) = notes(view, "LOGLINE")
    assert logline.startswith("Harbour pilot")
    first = note_for_the_network(PILOT, 22, 2, {})
    assert "it needs a question" in first
    assert notes(first, "STANDARDS") == []


def test_rounds_matter() -> None:
    """Each of the first rounds changes the view of every role but one, and the outline with it."""
    outlines = [make_outline(PILOT, 42, 4, rounds(PILOT, count)) for count in (1, 2, 3)]
    assert len({outline.model_dump_json() for outline in outlines}) == 3
    assert [len(outline.acts[3].beats) for outline in outlines] == [1, 3, 3]
    assert [outline.acts[0].ends_on == "" for outline in outlines] == [True, False, False]


def whole(premise: str, minutes: int, acts: int) -> tuple[int, Outline]:
    """Return after how many rounds the views are stable, and the outline."""
    views = rounds(premise, 1, minutes, acts)
    for count in range(1, 12):
        after = next_round(premise, minutes, acts, views)
        if after == views:
            return count, make_outline(premise, minutes, acts, views)
        views = after
    raise AssertionError("the views do not become stable")


@pytest.mark.parametrize(("minutes", "acts"), [(42, 4), (10, 1), (10, 8), (90, 5)])
@pytest.mark.parametrize("read", [*ODD, *sorted(file.name for file in TEXTS.iterdir())])
def test_the_room_ends_with_a_complete_outline(read: str, minutes: int, acts: int) -> None:
    """This holds for every premise: no decision is reversed, each part has beats, and the minutes add up."""
    premise = ODD.get(read) or (TEXTS / read).read_text("utf-8")
    count, outline = whole(premise, minutes, acts)
    assert count <= 6
    assert outline.minutes == minutes
    check_outline(outline, minutes, acts, dict.fromkeys(rounds(premise, 1), ""))


@pytest.mark.parametrize(
    "rule",
    [
        lambda views: run_the_show(PILOT, "", 4, views),
        lambda views: write_beats(PILOT, 4, views),
        lambda views: edit(PILOT, 42, 4, views),
        lambda views: keep_continuity(PILOT, 4, views),
        lambda views: note_for_the_network(PILOT, 42, 4, views),
    ],
    ids=["showrunner", "staff_writer", "script_editor", "continuity", "network_exec"],
)
def test_views_without_notes_do_no_harm(rule: Callable[[Views], str]) -> None:
    """A model's prose is skipped, and so are places that the episode does not have."""
    prose = {"showrunner": "I think she should go.\nBEATS AND BOBS", "staff_writer": "BEAT act 9: she flies"}
    assert list(read_view(rule(prose)))
    assert rule({"showrunner": "I think she should go."}) == rule({})


def test_notes_are_compared_by_part_and_words() -> None:
    """All reactions are based on this."""
    assert Note("CUT", "She waits ", "act 1").key == Note("BEAT", "she  waits", "act 1").key
