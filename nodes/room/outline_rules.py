"""The outline of an episode by rules: a room's notes in order, with its decisions applied.

It takes the beats, minutes, questions and callbacks that the views name, leaves out what was cut, adds what was still
missing, and credits the author of each note. A part without a beat gets one from the premise.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from nodes.room.notes import Note, Table, places
from nodes.room.outline import Act, Beat, Credit, Outline
from nodes.room.premise import read_premise
from nodes.room.rules import coming_back, first_beats
from nodes.text.timing import in_shares, split_minutes
from nodes.text.words import share_within, stems

ADDED = 0.8  # a beat with this share of an addition's words contains it


def make_outline(premise: str, minutes: int, acts: int, views: Mapping[str, str]) -> Outline:
    """Make an outline from the views.

    Args:
        premise: The premise of the episode.
        minutes: Its length; at least the number of its parts.
        acts: The number of acts after the cold open.
        views: The last view of each role.
    """
    read, table = read_premise(premise), Table.of(views)
    order = places(acts)
    beats = _beats(table)
    beats += [
        Note("BEAT", text, place, next(iter(views), ""))
        for place, text in first_beats(read, acts)
        if place not in {beat.place for beat in beats}
    ]
    spans = _spans(table, order, minutes, [sum(beat.place == place for beat in beats) for place in order])
    questions = {note.place: note.text for note in table.of_kind("QUESTION")}
    cold_open, *parts = [
        Act(
            minutes=span,
            beats=[Beat(what=beat.text, by=beat.role) for beat in beats if beat.place == place],
            ends_on=questions.get(place, ""),
        )
        for place, span in zip(order, spans, strict=True)
    ]
    throughline = next((note.text for note in table.of_kind("THROUGHLINE")), f"{read.lead}: {read.central}.")
    return Outline(
        title=read.title,
        episode=read.episode,
        throughline=throughline,
        cold_open=cold_open,
        acts=parts,
        continuity=[*_texts(table.of_kind("ARC", "FACT")), *_placed(table.of_kind("KNOWS"))],
        callbacks=_texts(table.of_kind("CALLBACK")),
        open_points=_open_points(table, views),
        credits=_credits(table, views),
        made_by_rules=True,
    )


def _beats(table: Table) -> list[Note]:
    """Return the beats that stay, and the additions that none of them contains."""
    beats = [beat for beat in table.of_kind("BEAT") if not table.is_cut(beat)]
    for added in table.of_kind("ADD"):
        have = [beat for beat in beats if beat.place == added.place]
        if not any(share_within(stems(added.text), stems(beat.text)) >= ADDED for beat in have):
            beats.insert(beats.index(have[-1]) if have else len(beats), added)  # before the last beat of its part
    return [replace(beat, role=_whose(beat, table)) for beat in beats]


def _whose(beat: Note, table: Table) -> str:
    """Return the role whose idea a beat was: the one that asked for it, or else the one that wrote it."""
    wanted = [note for note in table.of_kind("ADD", "PIVOT") if note.is_about(beat)]
    wanted += [note for note in table.of_kind("CALLBACK") if coming_back(note) == beat.text]
    return wanted[0].role if wanted else beat.role


def _spans(table: Table, order: Sequence[str], minutes: int, counts: Sequence[int]) -> list[int]:
    """Return the minutes of each part in the views, scaled to the total; by beats if some part has none."""
    timed = {note.place: re.match(r"\d+", note.text) for note in table.of_kind("TIME")}
    spans = [int(found[0]) if (found := timed.get(place)) else 0 for place in order]
    if not all(spans):
        return split_minutes(minutes, counts)
    return spans if sum(spans) == minutes else in_shares(minutes, spans)


def _open_points(table: Table, views: Mapping[str, str]) -> list[str]:
    points = [f"{note.place}: {note.text}" if note.place else note.text for note in table.of_kind("FLAG")]
    points += [f"standards will ask about: {note.text}" for note in table.of_kind("STANDARDS")]
    heard = {note.role for note in table.notes}
    return points + [f"the view of {role} has no notes that rules can read" for role in views if role not in heard]


_GAVE = {
    "THROUGHLINE": "the throughline", "ARC": "the place in the season", "PIVOT": "the choice in the middle",
    "ADD": "steps for the season", "KEEP": "cuts refused", "AGREE": "cuts agreed to", "SETTLE": "doubts put aside",
    "BEAT": "beats", "TIME": "the minutes", "CUT": "cuts", "QUESTION": "questions at the ends of acts",
    "FACT": "facts", "KNOWS": "who knows what", "CALLBACK": "callbacks", "FLAG": "doubts",
    "LOGLINE": "the logline", "BREAK": "breaks", "STANDARDS": "words for standards", "TONE": "the tone",
}  # fmt: skip


def _credits(table: Table, views: Mapping[str, str]) -> list[Credit]:
    """Return the contributions of each role, counted by kind."""
    given: list[Credit] = []
    for role in views:
        kinds = [note.kind for note in table.notes if note.role == role]
        counts = {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)}
        gave = [f"{_GAVE[kind]} ({count})" if count > 1 else _GAVE[kind] for kind, count in counts.items()]
        if gave:
            given.append(Credit(role=role, gave=", ".join(gave)))
    return given


def _texts(notes: Sequence[Note]) -> list[str]:
    return [note.text for note in notes]


def _placed(notes: Sequence[Note]) -> list[str]:
    return [f"{note.place[:1].upper()}{note.place[1:]}: {note.text}" for note in notes]
