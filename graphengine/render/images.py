"""Pictures in formats that others make: PNG by resvg-py from an SVG, PDF by Graphviz from DOT."""

from __future__ import annotations

import subprocess
from typing import Final

from graphengine.errors import install_command
from graphengine.render.files import RenderError

_ALWAYS: Final = "an .svg or .html file needs nothing more"
_DOTS: Final = 1.5
"""Two dots per point, since resvg takes a point as 4/3 dots, so that text stays sharp on high-resolution screens."""


def png_of(svg: str, zoom: float = _DOTS) -> bytes:
    """Return an SVG as PNG.

    Raises:
        RenderError: resvg-py is not installed, or it failed.
    """
    try:
        import resvg_py  # noqa: PLC0415 - loaded on first use
    except ImportError as error:
        message = "a PNG is painted by resvg-py, which is not installed"
        raise RenderError(message, repair=f"{install_command('render')}; {_ALWAYS}") from error
    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=zoom, dpi=96, sans_serif_family="DejaVu Sans"))
    except ValueError as error:
        raise RenderError(f"resvg-py could not paint this: {error}", repair=_ALWAYS) from error


def pdf_of(dot: str) -> bytes:
    """Return a graph in DOT as PDF.

    Raises:
        RenderError: There is no `dot` program on PATH, or it failed.
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
        raise RenderError(message, repair=f"fix the installation of Graphviz; {_ALWAYS}") from error
    return painted
