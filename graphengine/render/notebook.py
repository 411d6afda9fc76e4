"""The display of a graph in a notebook, its picture or why it cannot be drawn, and of a run and its result."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Final

from graphengine.errors import GraphEngineError
from graphengine.render.accounts import took
from graphengine.render.charts.units import paid
from graphengine.render.columns import in_columns
from graphengine.render.drawing import drawing_of
from graphengine.render.mermaid import mermaid_text
from graphengine.render.painted import svg_of
from graphengine.render.text import clean, one_line
from graphengine.render.words import counted

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from graphengine.graph.graph import Graph
    from graphengine.runner.result import Result

PLAIN: Final = "text/plain"
SVG: Final = "image/svg+xml"
MERMAID: Final = "text/vnd.mermaid"

_VALUE_CHARACTERS: Final = 400


def mimebundle_of(
    graph: Graph[Any], include: Container[str] | None = None, exclude: Container[str] | None = None
) -> dict[str, str]:
    """Return a graph by MIME type: always plain text, SVG if a painter is installed, else Mermaid.

    It never raises: errors are in the plain text. Notebooks that know both formats prefer Mermaid, whose labels overlap
    in large graphs, so it is omitted if there is an SVG, unless it is requested.

    Args:
        graph: The graph.
        include: The requested types; None or empty for the best one.
        exclude: The types to omit.
    """
    shown = {kind: text for kind, text in _shown(graph).items() if kind not in (exclude or ())}
    if include:
        return {kind: text for kind, text in shown.items() if kind in include}
    if SVG in shown:
        shown.pop(MERMAID, None)
    return shown


def _shown(graph: Graph[Any]) -> dict[str, str]:
    shown = {PLAIN: repr(graph)}
    try:
        drawing = in_columns(drawing_of(graph.compile().outline))
        shown[MERMAID] = mermaid_text(drawing)
        shown[SVG] = svg_of(drawing, "auto").decode()
    except GraphEngineError as error:
        shown[PLAIN] += f"\n{error}"
    except Exception as error:  # noqa: BLE001 - displaying a graph must not end in our traceback
        shown[PLAIN] += f"\nIt cannot be drawn: {type(error).__name__}: {error}"
    return shown


def result_html(result: Result[Any]) -> str:
    """Return a result as a table: how the run ended and why, its cost, what it waits for, and its state.

    Fields of secret types show what their `repr` shows.
    """
    left = 'style="text-align:left"'
    rows = "".join(
        f"<tr><th {left}>{escape(one_line(name))}</th>"
        f'<td {left}><code style="white-space:pre-wrap">{escape(clean(_clipped(text)))}</code></td></tr>'
        for name, text in _facts(result)
    )
    return f"<table><caption>run {escape(one_line(result.run_id))}: {result.status}</caption>{rows}</table>"


def _facts(result: Result[Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows of a result."""
    if result.stop is not None and (result.stop.label or result.stop.explanation):
        yield "because", ": ".join(text for text in (result.stop.label, result.stop.explanation) if text)
    if result.error is not None:
        yield "failure", f"{result.error.path}: {result.error.kind}: {result.error.message}"
    used = [counted(result.steps, "visit"), took(result.elapsed_seconds)]
    usage = result.usage
    spent = {
        "calls": usage.calls,
        "offline_calls": usage.offline_calls,
        "cost_usd": usage.cost_usd,
        "priced_usd": usage.priced_usd,
    }
    yield "used", ", ".join([*used, *filter(None, (paid(spent),))])
    for wait in result.waits:
        yield f"waits ({wait.name})", f"{wait.kind}: {wait.question}"
    for name in type(result.state).model_fields:
        yield f"state.{name}", repr(getattr(result.state, name))


def _clipped(text: str) -> str:
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}…"
