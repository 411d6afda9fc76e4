"""Texts of records that are only shown to people. No code decides by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:

    class RecordedText:
        """A text of a record. Type checkers let only `show` read it; other code can only test whether it is empty."""

        def __bool__(self) -> bool:
            """Return whether the text is not empty."""
            ...

else:
    RecordedText = str


NO_TEXT = cast("RecordedText", "")


def to_show(text: str) -> RecordedText:
    """Return a text as a text to be recorded."""
    return cast("RecordedText", text)


def show(text: RecordedText | str) -> str:
    """Return a recorded text in order to show it to people. No code may decide anything by the content of the text."""
    return cast("str", text)
