"""Texts of records: what a run said when it was driven, to be shown and for nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:

    class RecordedText:
        """A text of a record: type checkers let nobody read it but `show`, and see only whether there is one."""

        def __bool__(self) -> bool:
            """Return whether it says anything."""
            ...

else:
    RecordedText = str


NO_TEXT = cast("RecordedText", "")


def to_show(text: str) -> RecordedText:
    """Return a text as one to be recorded."""
    return cast("RecordedText", text)


def show(text: RecordedText | str) -> str:
    """Return a recorded text, to be shown to people: nothing decides by what it says."""
    return cast("str", text)
