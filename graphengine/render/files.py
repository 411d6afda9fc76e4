"""Pictures in files, PNG by resvg-py and PDF by Graphviz among them, and the error of drawing."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError
from graphengine.kernel.inside import install_command
from graphengine.output_file import write_file

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from os import PathLike


_ALWAYS: Final = "an .svg or .html file needs nothing more"
_DOTS: Final = 1.5
"""The zoom factor for two dots per point, so that text stays sharp on high-resolution screens.

resvg itself draws 4/3 dots per point.
"""


class RenderError(GraphEngineError):
    """A picture cannot be drawn or written to a file. On the command line, this is a usage error (exit code 2)."""

    code = "render_error"


def write_picture(path: str | PathLike[str], endings: Sequence[str], make: Callable[[str], bytes]) -> None:
    """Create a picture and write it to a file. If the picture cannot be created, no file is written.

    Args:
        path: The file. Its ending selects the format.
        endings: The accepted endings.
        make: A function that returns the contents of the file for an ending.

    Raises:
        RenderError: The ending is unknown, the file cannot be written, or `make` raised this error. Exceptions that do
            not belong to graphengine are reported as stored data that cannot be read.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in endings:
        raise RenderError(
            f"the picture cannot be written as {target.name!r}, because its extension names no supported format",
            where=str(target),
            repair=f"use one of {', '.join(endings)}",
        )
    try:
        content = make(ending)
    except GraphEngineError:
        raise
    except Exception as error:
        raise RenderError(
            f"the graph or the run cannot be read: {type(error).__name__}: {error}",
            where=str(target),
            repair="the record is damaged: see the details with `graphengine doctor`, or draw the graph from its file",
        ) from error
    try:
        write_file(target, content)
    except OSError as error:
        raise RenderError(
            f"the picture cannot be written: {error.strerror or error}",
            where=str(target),
            repair="name a file in an existing folder that you can write to",
        ) from error


def png_of(svg: str, zoom: float = _DOTS) -> bytes:
    """Convert an SVG to PNG.

    Raises:
        RenderError: resvg-py is not installed, or it failed.
    """
    try:
        import resvg_py  # noqa: PLC0415 - loaded on first use
    except ImportError:
        message = "a PNG is painted by resvg-py, which is not installed"
        raise RenderError(message, repair=f"{install_command('render')}; {_ALWAYS}") from None
    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, dpi=96, sans_serif_family="DejaVu Sans"))
    except ValueError as error:
        raise RenderError(f"the package 'resvg-py' could not paint the picture: {error}", repair=_ALWAYS) from error


def pdf_of(dot: str) -> bytes:
    """Convert DOT text to PDF with Graphviz.

    Raises:
        RenderError: The program `dot` is not on PATH, or the program failed.
    """
    import graphviz  # noqa: PLC0415 - loaded on first use

    try:
        painted: bytes = graphviz.pipe("dot", "pdf", dot.encode(), quiet=True)
    except graphviz.ExecutableNotFound as error:
        message = "a PDF is painted by the `dot` program of Graphviz, which is not on PATH"
        raise RenderError(message, repair=f"install Graphviz; {_ALWAYS}") from error
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or b"").decode("utf-8", "replace").strip().splitlines() or [f"exit {error.returncode}"]
        message = f"dot could not paint this: {lines[-1]}"
        raise RenderError(message, repair=f"repair the installation of Graphviz; {_ALWAYS}") from error
    return painted
