"""Draw pictures of graphs, and of runs on graphs, as SVG, PNG, PDF, HTML, DOT, Mermaid and plain text.

    graph spec (and steps) → draw_graph → Drawing → layout → svg_of → page_of, png_of
                                  → dot_text → pdf_of
                                  → mermaid_text
                                  → plain_text

`draw_graph` decides the contents of a picture and returns a `Drawing`. The writers (`svg`, `dot`, `mermaid`,
`plain_text`) only print the drawing. A PNG needs resvg-py, and a PDF needs the `dot` program of Graphviz. The other
formats need only this package and its dependencies. Libraries are imported when they are first used.

The modules in the order in which they work:

- `scopes` reads the graph spec: a *scope* is one graph with its nodes and edges, and its *place* is the path of nodes
  around it. A *spot* is a node of the graph at a place. `edges` turns edges into the arrows of a picture.
- `trace` counts what a run did: visits, taken edges, costs and times. A *standing* is the state of a run at a node.
- `drawing` makes the boxes, arrows and clusters, which `parts` defines. A *cluster* is the frame around a nested graph.
- `layout` and `fans` find the place of each part, and `svg` paints them with the colours of `looks`.
- `charts` draws timelines and scores, and `story` writes the story of a run as an HTML file.
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
    """Draw a graph, and optionally a run on it, into a file. The code of the graph is not needed.

    Args:
        graph_spec: The graph's spec, from its plan or from a store.
        path: The file. Its ending, one of `ENDINGS`, selects the format.
        steps: All steps of the run to draw, beginning with the step 1. They are read only once. None draws the graph
            alone.
        specs: Other specs of the graph by fingerprint, if steps were recorded under other versions of the graph.
        fold: The nested graphs to draw as one box each: a depth folds all graphs at this depth or deeper (0: all); a
            list of paths folds these nodes, as in `["articles", "desk/article"]`.
        theme: The colours; see `Theme`.
        detail: `brief` draws only names and labels. `full` also draws kinds, conditions and written fields.
        status: The status of the run from the store, which can say more than the steps: a run that no process drives
            is `interrupted`.

    Raises:
        RenderError: The ending, the theme or a path is unknown; a program or library for the format is not installed;
            the file cannot be written; or the graph spec or the steps cannot be read.
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
    """Draw a graph, optionally with a run on it, as DOT text for Graphviz. See `render_graph_spec` for arguments."""
    return dot_text(draw_graph(graph_spec, steps, specs, fold=fold, detail=detail))


def to_mermaid(
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    *,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
    detail: Detail = "full",
) -> str:
    """Draw a graph, optionally with a run on it, as a Mermaid flowchart.

    See `render_graph_spec` for arguments and errors.
    """
    return mermaid_text(draw_graph(graph_spec, steps, specs, fold=fold, detail=detail))


def to_text(
    graph_spec: GraphSpec,
    steps: Iterable[Step] | None = None,
    *,
    specs: Mapping[str, GraphSpec] | None = None,
    fold: Fold = None,
) -> str:
    """Describe a graph, and optionally a run on it, in words, one line for each box and arrow.

    See `render_graph_spec` for arguments and errors.
    """
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
    content = make[ending]()
    return content if isinstance(content, bytes) else content.encode()


def _render_page(drawing: Drawing, theme: Theme) -> str:
    boxes, clusters = [box for box in drawing.boxes if box.lines], drawing.clusters
    parts = [(part.name, part.id) for part in (*boxes, *clusters)]
    return page_of(svg_of(drawing, theme, is_part=True), drawing.title, plain_text(drawing), theme, parts)


def mimebundle_of(name: str, graph_spec: Callable[[], GraphSpec]) -> dict[str, str]:
    """Return a graph in the forms in which a notebook (Jupyter, for example) can show it, by MIME type.

    The forms are plain text, and a picture if graphlay is installed, or else a Mermaid flowchart. The picture is given
    as HTML, which follows the theme of the notebook, and as SVG for notebooks that show only pictures.

    This function never raises an error. Errors are added to the plain text.

    Args:
        name: The plain text.
        graph_spec: A function that returns the graph spec. If it raises an error, the error is shown.
    """
    shown = {"text/plain": name}
    try:
        drawing = draw_graph(graph_spec())
        shown["text/vnd.mermaid"] = mermaid_text(drawing)
        shown["text/html"] = (
            f'<div style="overflow:auto">{svg_of(drawing, "auto", is_part=True, in_notebook=True)}</div>'
        )
        shown["image/svg+xml"] = svg_of(drawing, "auto")
        # Notebooks that support both prefer Mermaid, whose labels overlap in large graphs.
        del shown["text/vnd.mermaid"]
    except GraphEngineError as error:
        shown["text/plain"] += f"\n{error}"
    except Exception as error:  # noqa: BLE001 - displaying a graph in a notebook must not end in a traceback
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
