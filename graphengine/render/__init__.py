"""Pictures of graphs and of runs on them: SVG, PNG, PDF, HTML, DOT, Mermaid and plain text.

    graph spec (and steps) → draw_graph → Drawing → layout → svg_of → page_of, png_of
                                  → dot_text → pdf_of
                                  → mermaid_text
                                  → plain_text

The drawing decides what a picture contains; the writers print it. A PNG needs resvg-py, a PDF the `dot` program of
Graphviz, the others only this package and what it depends on; all of that is loaded on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import GraphEngineError
from graphengine.render.dot import dot_text
from graphengine.render.drawing import draw_graph
from graphengine.render.files import RenderError, pdf_of, png_of, write_picture
from graphengine.render.mermaid import mermaid_text
from graphengine.render.page import page_of
from graphengine.render.parts import plain_text
from graphengine.render.svg import svg_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from os import PathLike

    from graphengine.kernel.reader import GraphSpec, Step
    from graphengine.render.looks import Theme
    from graphengine.render.parts import Detail, Drawing
    from graphengine.render.scopes import Fold

ENDINGS = (".svg", ".png", ".pdf", ".html", ".dot", ".mmd", ".txt")
THEMES = ("auto", "light", "dark")
DETAILS = ("brief", "full")


def render_graph_spec(  # noqa: PLR0913 - one for each property of a picture
    graph_spec: GraphSpec,
    path: str | PathLike[str],
    *,
    steps: Iterable[Step] | None = None,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
    theme: Theme = "auto",
    detail: Detail = "full",
    status: str = "",
) -> None:
    """Draw a graph, and optionally a run on it, into a file without the graph's code.

    Args:
        graph_spec: The graph's spec, from its plan or from a store.
        path: The file; its ending, one of `ENDINGS`, selects the format.
        steps: All steps of a run from seq 1 on, which are read once; None draws the graph alone.
        specs: The specs of the graph under which steps were recorded, by fingerprint, where they are not this one.
        fold: The nested graphs to draw as one box each: those at this depth or deeper (0: all), or the nodes with
            these paths, as `["articles", "desk/article"]`.
        theme: The colours; see `Theme`.
        detail: `brief` draws only names and labels; `full` also kinds, conditions and what nodes write.
        status: The run's status, if the store knows more than its steps: a run that no process drives is `interrupted`.

    Raises:
        RenderError: The ending, the theme or a path is unknown, what the format needs is not installed, the file
            cannot be written,
            or the graph spec or the steps cannot be read.
    """
    if theme not in THEMES:
        raise RenderError(f"there is no theme {theme!r}", where="theme=", repair=f"use one of {', '.join(THEMES)}")
    if detail not in DETAILS:
        raise RenderError(f"there is no detail {detail!r}", where="detail=", repair=f"use one of {', '.join(DETAILS)}")

    def made(ending: str) -> bytes:
        return _draw_bytes(draw_graph(graph_spec, steps, specs, fold=fold, detail=detail, status=status), ending, theme)

    write_picture(path, ENDINGS, made)


def to_dot(
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    *,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
    detail: Detail = "full",
) -> str:
    """Return the picture as DOT text; arguments and errors as for `render_graph_spec`."""
    return dot_text(draw_graph(graph_spec, steps, specs, fold=fold, detail=detail))


def to_mermaid(
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    *,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
    detail: Detail = "full",
) -> str:
    """Return the picture as a Mermaid flowchart; arguments and errors as for `render_graph_spec`."""
    return mermaid_text(draw_graph(graph_spec, steps, specs, fold=fold, detail=detail))


def to_text(
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    *,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
) -> str:
    """Return the picture in words, one line for each box and arrow; arguments and errors as for `render_graph_spec`."""
    return plain_text(draw_graph(graph_spec, steps, specs, fold=fold))


def _draw_bytes(drawing: Drawing, ending: str, theme: Theme) -> bytes:
    fixed: Theme = "light" if theme == "auto" else theme
    make: dict[str, Callable[[], str | bytes]] = {
        ".txt": lambda: plain_text(drawing),
        ".dot": lambda: dot_text(drawing, dark=theme == "dark"),
        ".mmd": lambda: mermaid_text(drawing),
        ".svg": lambda: svg_of(drawing, theme),
        ".html": lambda: _render_page(drawing, theme),
        ".png": lambda: png_of(svg_of(drawing, fixed)),
        ".pdf": lambda: pdf_of(dot_text(drawing, dark=theme == "dark")),
    }
    made = make[ending]()
    return made if isinstance(made, bytes) else made.encode()


def _render_page(drawing: Drawing, theme: Theme) -> str:
    boxes, clusters = [box for box in drawing.boxes if box.lines], drawing.clusters
    parts = [(part.name, part.id) for part in (*boxes, *clusters)]
    return page_of(svg_of(drawing, theme, is_part=True), drawing.title, plain_text(drawing), theme, parts)


def mimebundle_of(name: str, graph_spec: Callable[[], GraphSpec]) -> dict[str, str]:
    """Return what a notebook shows of a graph, by MIME type: plain text, and a picture or, without graphlay, Mermaid.

    The picture is HTML, which has the theme of the notebook, and SVG, for where notebooks show only pictures.

    It never raises: errors are in the plain text.

    Args:
        name: Its plain text.
        graph_spec: Returns its graph spec; an error that this raises is shown.
    """
    shown = {"text/plain": name}
    try:
        drawing = draw_graph(graph_spec())
        shown["text/vnd.mermaid"] = mermaid_text(drawing)
        shown["text/html"] = (
            f'<div style="overflow:auto">{svg_of(drawing, "auto", is_part=True, in_notebook=True)}</div>'
        )
        shown["image/svg+xml"] = svg_of(drawing, "auto")
        del shown["text/vnd.mermaid"]  # notebooks that know both prefer Mermaid, whose labels overlap in large graphs
    except GraphEngineError as error:
        shown["text/plain"] += f"\n{error}"
    except Exception as error:  # noqa: BLE001 - displaying a graph must not end in our traceback
        shown["text/plain"] += f"\nIt cannot be drawn: {type(error).__name__}: {error}"
    return shown


__all__ = [
    "DETAILS",
    "ENDINGS",
    "THEMES",
    "RenderError",
    "mimebundle_of",
    "render_graph_spec",
    "to_dot",
    "to_mermaid",
    "to_text",
]
