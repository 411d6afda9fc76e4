"""Writing a picture to a file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.output_file import write_file
from graphengine.render.errors import RenderError

if TYPE_CHECKING:
    from pathlib import Path


def write_picture(target: Path, made: bytes) -> None:
    """Write a painted picture.

    Raises:
        RenderError: The file cannot be written.
    """
    try:
        write_file(target, made)
    except OSError as error:
        raise RenderError(
            f"the picture cannot be written: {error.strerror or error}",
            where=str(target),
            repair="name a file in a folder that exists and can be written",
        ) from error
