"""Draw charts of runs: a timeline, and the scores of a run over its iterations.

    steps → timeline   ┬→ Chart → write_chart: .svg, .html, .png, .txt
    steps → scores     ┘

Charts are computed from recorded steps, without the graph's code, and drawn directly as SVG, so that no other drawing
program is needed. Colours follow the reader's light or dark theme, and no meaning is expressed by colour alone. The
inspector's page also shows the scores.
"""

from __future__ import annotations

from graphengine.render.charts.canvas import CHART_ENDINGS, Chart, write_chart
from graphengine.render.charts.scores import scores
from graphengine.render.charts.timeline import timeline
from graphengine.render.files import RenderError

__all__ = [
    "CHART_ENDINGS",
    "Chart",
    "RenderError",
    "scores",
    "timeline",
    "write_chart",
]
