"""Views as labelled lines."""

import pytest

from nodes.room.notes import Note, Table, places, read_view, write_view


def test_what_was_written_is_read() -> None:
    """Kind, place and text, and the author."""
    notes = [
        Note("THROUGHLINE", "one thing"),
        Note("BEAT", "she waits: still", "act 2"),
        Note("TIME", "3", "cold open"),
    ]
    view = write_view(notes)
    assert view == "THROUGHLINE: one thing\nBEAT act 2: she waits: still\nTIME cold open: 3"
    assert list(read_view(view, "who")) == [Note(note.kind, note.text, note.place, "who") for note in notes]


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("- **BEAT act 2:** she waits", Note("BEAT", "she waits", "act 2")),
        ("3. Beat Act 2 : she waits", Note("BEAT", "she waits", "act 2")),
        ("  * flag: he is dead", Note("FLAG", "he is dead")),
        ("**FACT**: **it rains**", Note("FACT", "it rains")),
    ],
)
def test_models_may_decorate(line: str, note: Note) -> None:
    """List markers, bold type and lower case do no harm."""
    assert list(read_view(line)) == [note]


@pytest.mark.parametrize("line", ["", "She waits.", "BEATS: she waits", "BEAT act 2", "BEAT of the drum: she waits"])
def test_what_is_no_note_is_passed_over(line: str) -> None:
    """Nothing is guessed."""
    assert list(read_view(line)) == []


def test_a_view_has_no_repeated_or_empty_points() -> None:
    """Line breaks within a text become blanks."""
    assert write_view([Note("FACT", "it\nrains"), Note("FACT", "it rains"), Note("TONE", " ")]) == "FACT: it rains"


def test_the_parts_of_an_episode_have_names() -> None:
    """The cold open, then the acts."""
    assert places(2) == ["cold open", "act 1", "act 2"]


def test_a_table_has_the_notes_of_all_and_each_thing_once() -> None:
    """If two roles have the same note, the first counts."""
    table = Table.of({"a": "BEAT act 1: she waits\nFACT: rain", "b": "BEAT act 1: She  waits\nBEAT act 2: he goes"})
    assert [(note.role, note.text) for note in table.of_kind("BEAT")] == [("a", "she waits"), ("b", "he goes")]


def test_a_cut_is_about_the_beat_whose_words_it_repeats() -> None:
    """Nearly the same words are enough, in the same part only; a KEEP overrules a CUT."""
    beat = Note("BEAT", "she compares the charts with the log of the ferry", "act 2")
    for cut, gone in (
        ("CUT act 2: she compares the charts with the ferry's log", True),
        ("CUT act 3: she compares the charts with the log of the ferry", False),
        ("CUT act 2: the second talk with her brother", False),
    ):
        assert Table.of({"editor": cut}).is_cut(beat) is gone
    both = {"editor": "CUT act 2: she compares charts with the log of the ferry", "boss": f"KEEP act 2: {beat.text}"}
    assert not Table.of(both).is_cut(beat)
