"""Pictures in files, and the error of drawing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from graphengine.errors import GraphEngineError
from graphengine.output_file import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike


class RenderError(GraphEngineError):
    """A drawing cannot be made or written; on the command line, a usage error (exit code 2)."""

    code = "render_error"


def write_picture(path: str | PathLike[str], endings: Sequence[str], make: Callable[[str], bytes]) -> None:
    """Make a picture and write it to a file; nothing is written if it cannot be made.

    Args:
        path: The file; its ending selects the format.
        endings: The endings that are formats.
        make: Returns the file's content, given its ending.

    Raises:
        RenderError: The ending is unknown, the file cannot be written, or `make` raises it; exceptions that are not the
            package's are reported as stored data that cannot be read.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in endings:
        raise RenderError(
            f"the extension of {target.name!r} is not a format of this picture",
            where=str(target),
            repair=f"use one of {', '.join(endings)}",
        )
    try:
        made = make(ending)
    except GraphEngineError:
        raise
    except Exception as error:
        raise RenderError(
            f"the graph or the run cannot be read: {type(error).__name__}: {error}",
            where=str(target),
            repair="what is stored of it is damaged: `graphengine doctor` has details; draw the graph from its file",
        ) from error
    try:
        write_file(target, made)
    except OSError as error:
        raise RenderError(
            f"the picture cannot be written: {error.strerror or error}",
            where=str(target),
            repair="name a file in a folder that exists and can be written",
        ) from error
