"""The display of a graph in a notebook: its picture, or why it cannot be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.errors import GraphEngineError
from graphengine.render.drawing import drawing_of
from graphengine.render.images import svg_of
from graphengine.render.mermaid import mermaid_text

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from graphengine.engine.outline import Outline

PLAIN: Final = "text/plain"
SVG: Final = "image/svg+xml"
MERMAID: Final = "text/vnd.mermaid"


def mimebundle_of(
    name: str,
    outline: Callable[[], Outline],
    include: Container[str] | None = None,
    exclude: Container[str] | None = None,
) -> dict[str, str]:
    """Return a graph by MIME type: always plain text, SVG if a painter is installed, else Mermaid.

    It never raises: errors are in the plain text. Notebooks that know both formats prefer Mermaid, whose labels overlap
    in large graphs, so it is omitted if there is an SVG, unless it is requested.

    Args:
        name: Its plain text.
        outline: Returns its outline; an error that this raises is shown.
        include: The requested types; None or empty for the best one.
        exclude: The types to omit.
    """
    shown = {kind: text for kind, text in _shown(name, outline).items() if kind not in (exclude or ())}
    if include:
        return {kind: text for kind, text in shown.items() if kind in include}
    if SVG in shown:
        shown.pop(MERMAID, None)
    return shown


def _shown(name: str, outline: Callable[[], Outline]) -> dict[str, str]:
    shown = {PLAIN: name}
    try:
        drawing = drawing_of(outline())
        shown[MERMAID] = mermaid_text(drawing)
        shown[SVG] = svg_of(drawing, "auto").decode()
    except GraphEngineError as error:
        shown[PLAIN] += f"\n{error}"
    except Exception as error:  # noqa: BLE001 - displaying a graph must not end in our traceback
        shown[PLAIN] += f"\nIt cannot be drawn: {type(error).__name__}: {error}"
    return shown
