"""Charts in files: SVG, HTML, PNG, or plain text."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError, install_command
from graphengine.render.charts.canvas import INKS, safe
from graphengine.render.errors import RenderError
from graphengine.render.writing import write_picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from graphengine.render.charts.canvas import Chart

CHART_ENDINGS: Final = (".svg", ".html", ".png", ".txt")

_PNG_ZOOM: Final = 2
"""Two dots per pixel, so that text stays sharp on high-resolution screens."""
_SANS: Final = "DejaVu Sans"
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def write_chart(path: str | PathLike[str], draw: Callable[[], Chart]) -> None:
    """Draw a chart into a file.

    Nothing is written if it cannot be drawn. SVG, HTML and text need no other program or library.

    Args:
        path: The file; its ending, one of `CHART_ENDINGS`, selects the format.
        draw: Draws it, as `lambda: timeline(steps)`; called after the ending is checked.

    Raises:
        RenderError: The ending is unknown, PNG cannot be painted here, the file cannot be written, or `draw`
            raises an error; other exceptions of `draw` are reported as a run that cannot be read.
    """
    target = Path(path)
    ending = target.suffix.lower()
    if ending not in CHART_ENDINGS:
        raise RenderError(
            f"the extension of {target.name!r} is not a chart format",
            where=str(target),
            repair=f"use one of {', '.join(CHART_ENDINGS)}; a browser prints a page as PDF",
        )
    try:
        chart = draw()
    except GraphEngineError:
        raise
    except Exception as error:
        raise RenderError(
            f"the run cannot be read: {type(error).__name__}: {error}",
            where=str(target),
            repair="the stored run is damaged; run `graphengine doctor` for details",
        ) from error
    made = _made(chart, ending)
    write_picture(target, made)


def html_page(chart: Chart) -> str:
    """Return the chart as a page that loads no external resources and runs no script."""
    day, night = INKS["paper"]
    style = (
        f"body{{margin:0;background:{day}}}svg{{max-width:100%;height:auto}}"
        f"@media (prefers-color-scheme:dark){{body{{background:{night}}}}}"
    )
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">',
            f"<title>{safe(chart.title)}</title><style>{style}</style></head>",
            f"<body>{chart.element()}</body></html>",
            "",
        ]
    )


def _made(chart: Chart, ending: str) -> bytes:
    if ending == ".png":
        return _png(chart)
    text = {".svg": chart.svg, ".txt": chart.text}.get(ending, lambda: html_page(chart))()
    return text.encode("utf-8", "replace")


def _png(chart: Chart) -> bytes:
    if find_spec("resvg_py") is None:
        raise RenderError(
            "a PNG of a chart needs resvg-py, which is not installed",
            repair=f"{install_command('render')}; an .svg or .html file needs nothing",
        )
    import resvg_py  # noqa: PLC0415 - loaded on first use

    try:
        return bytes(resvg_py.svg_to_bytes(svg_string=chart.svg(), zoom=_PNG_ZOOM, dpi=96, sans_serif_family=_SANS))
    except ValueError as error:
        raise RenderError(
            f"resvg-py could not paint this: {error}", repair="write an .svg or .html file, which needs nothing"
        ) from error
