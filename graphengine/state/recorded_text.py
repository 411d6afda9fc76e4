"""Texts of records that are only shown to people. No code decides by their content."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:

    class RecordedText:
        """A text of a record that was written for people.

        Code may show it or test whether it is empty, but not parse it.

        Type checkers enforce this: only `show` converts it to a `str`.
        """

        def __bool__(self) -> bool:
            """Return whether the text is not empty."""
            ...

else:
    RecordedText = str


NO_TEXT = cast("RecordedText", "")


def to_show(text: str) -> RecordedText:
    """Mark a text as one that is recorded only to be shown to people."""
    return cast("RecordedText", text)


def show(text: RecordedText | str) -> str:
    """Return a recorded text so that it can be shown to people.

    No code may decide anything by the content of the text.
    """
    return cast("str", text)
