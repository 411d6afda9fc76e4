"""A text with the name it came from: what `--input sources=@notes.md` gives to a field."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class TextFile(BaseModel):
    """A text file as a value of the state.

    Args:
        path: The name it was read under, as the user gave it; it is only shown, never opened again.
        text: Its text.

    >>> TextFile(path="notes.md", text="# Tides").text
    '# Tides'
    """

    model_config = ConfigDict(frozen=True)

    path: str
    text: str
