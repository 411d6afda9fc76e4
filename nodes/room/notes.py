"""The notes of a writers' room: views as labelled lines, so that models and rules can read each other.

A view is text. Each of its lines begins with a kind, and if it is about a part of the episode, with its place:

    THROUGHLINE: the pilot has to live with what her brother did, or act on it
    BEAT act 2: she compares the charts with the ferry's log
    CUT act 3: the second talk with the inquiry

Language models also read other lines; rules skip them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, cast, get_args

from nodes.text.words import likeness, stems

Kind: TypeAlias = Literal[
    "THROUGHLINE", "ARC", "TONE", "PIVOT", "ADD", "KEEP", "AGREE", "SETTLE",
    "BEAT", "TIME", "CUT", "QUESTION", "FACT", "KNOWS", "CALLBACK", "FLAG", "LOGLINE", "BREAK", "STANDARDS",
]  # fmt: skip

ALIKE: Final = 0.75  # share of common words from which two notes on one part are about the same
COLD_OPEN: Final = "cold open"
_LINE = re.compile(
    rf"^[\s\-*\u2022>#\d.)]*({'|'.join(get_args(Kind))})\b[\s*]*(cold open|act \d{{1,2}})?[\s*]*:[\s*]*(.+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a view.

    Args:
        kind: Its kind.
        text: Its text.
        place: "cold open", "act 1", …; empty if it is about the whole episode.
        role: Its author; empty in a view that is being written.
    """

    kind: Kind
    text: str
    place: str = ""
    role: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """The part and the normalised text: notes with the same key are about the same."""
        return self.place, " ".join(self.text.lower().split())

    def is_about(self, other: "Note") -> bool:
        """Return whether another note on the same part has the same or nearly the same words."""
        if self.place != other.place:
            return False
        return self.key == other.key or likeness(stems(self.text), stems(other.text)) >= ALIKE


def act(number: int) -> str:
    """Return the place of an act."""
    return f"act {number}"


def places(acts: int) -> list[str]:
    """Return the parts of an episode in order."""
    return [COLD_OPEN, *(act(number) for number in range(1, acts + 1))]


def write_view(notes: Iterable[Note]) -> str:
    """Return notes as a view, each once, in order."""
    lines = [
        f"{note.kind}{' ' + note.place if note.place else ''}: {' '.join(note.text.split())}"
        for note in notes
        if note.text.strip()
    ]
    return "\n".join(dict.fromkeys(lines))


def read_view(view: str, role: str = "") -> Iterator[Note]:
    """Yield the notes in a view; lines of another form are skipped."""
    for line in view.splitlines():
        found = _LINE.match(line)
        if found:
            kind = cast("Kind", found[1].upper())
            yield Note(kind, found[3].strip().rstrip("*").strip(), (found[2] or "").lower(), role)


@dataclass(frozen=True, slots=True)
class Table:
    """The notes of all last views, in the order of the roles."""

    notes: tuple[Note, ...]

    @classmethod
    def of(cls, views: Mapping[str, str]) -> "Table":
        """Read the views of a room."""
        return cls(tuple(note for role, view in views.items() for note in read_view(view, role)))

    def of_kind(self, *kinds: Kind) -> list[Note]:
        """Return the notes of these kinds without duplicates."""
        return list({note.key: note for note in reversed(self.notes) if note.kind in kinds}.values())[::-1]

    def has(self, kind: Kind, note: Note) -> bool:
        """Return whether a note of this kind is about the same as a note, as a `CUT` is about a beat."""
        return any(other.kind == kind and other.is_about(note) for other in self.notes)

    def is_cut(self, beat: Note) -> bool:
        """Return whether a beat is cut, and not kept by another note."""
        return self.has("CUT", beat) and not self.has("KEEP", beat)
