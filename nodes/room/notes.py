"""The notes of a writers' room: views as lines that say what they are, so that models and rules read each other.

A view is text. Each of its lines begins with a kind, and where it is about a part of the episode with its place:

    THROUGHLINE: the pilot has to live with what her brother did, or act on it
    BEAT act 2: she compares the charts with the ferry's log
    CUT act 3: the second talk with the inquiry

Who writes otherwise is heard by language models, and passed over by rules.
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

ALIKE: Final = 0.75  # of the words of two notes on one part: both are about the same
COLD_OPEN: Final = "cold open"
_LINE = re.compile(
    rf"^[\s\-*\u2022>#\d.)]*({'|'.join(get_args(Kind))})\b[\s*]*(cold open|act \d{{1,2}})?[\s*]*:[\s*]*(.+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Note:
    """One line of a view.

    Args:
        kind: what it is.
        text: what it says.
        place: "cold open", "act 1", …; empty where it is about the whole.
        role: whose it is; empty in a view that is being written.
    """

    kind: Kind
    text: str
    place: str = ""
    role: str = ""

    @property
    def said(self) -> tuple[str, str]:
        """What it says, and of which part: notes that say the same are about the same."""
        return self.place, " ".join(self.text.lower().split())

    def is_about(self, other: "Note") -> bool:
        """Return whether it says what another note says of the same part, in its words or nearly so."""
        if self.place != other.place:
            return False
        return self.said == other.said or likeness(stems(self.text), stems(other.text)) >= ALIKE


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
    """Yield the notes in a view; lines of another form are left out."""
    for line in view.splitlines():
        found = _LINE.match(line)
        if found:
            kind = cast("Kind", found[1].upper())
            yield Note(kind, found[3].strip().rstrip("*").strip(), (found[2] or "").lower(), role)


@dataclass(frozen=True, slots=True)
class Table:
    """What lies on the room's table: the notes of all last views, in the order of the roles."""

    notes: tuple[Note, ...]

    @classmethod
    def of(cls, views: Mapping[str, str]) -> "Table":
        """Read the views of a room."""
        return cls(tuple(note for role, view in views.items() for note in read_view(view, role)))

    def of_kind(self, *kinds: Kind) -> list[Note]:
        """Return the notes of these kinds, each thing that is said once."""
        return list({note.said: note for note in reversed(self.notes) if note.kind in kinds}.values())[::-1]

    def has(self, kind: Kind, note: Note) -> bool:
        """Return whether a note of this kind is about what a note says, as a `CUT` is about a beat."""
        return any(other.kind == kind and other.is_about(note) for other in self.notes)

    def is_cut(self, beat: Note) -> bool:
        """Return whether a beat is to be cut, and nobody who decides wants to keep it."""
        return self.has("CUT", beat) and not self.has("KEEP", beat)
