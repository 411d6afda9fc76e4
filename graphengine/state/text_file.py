"""A text with the name of its file: the value that `--input sources=@notes.md` sets."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class TextFile(BaseModel):
    """A text file as a value of the state.

    Attributes:
        path: The name of the file as the user wrote it; it is only shown, never opened again.
        text: The content of the file.

    >>> TextFile(path="notes.md", text="# Tides").text
    '# Tides'
    """

    model_config = ConfigDict(frozen=True)

    path: str
    text: str
