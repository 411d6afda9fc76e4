"""Charts of runs: a timeline, scores over iterations, the tree of branches, two runs next to each other.

    steps → spans → timeline   ┐
    steps → samples → scores   ├→ Chart → write_chart: .svg, .html, .png, .txt
    store → family → branches  ┤
    store → pair → comparison  ┘

Each is computed from the record, without the graph's code, and drawn directly as SVG, so that no painter is needed.
Colours follow the reader's light or dark theme, and nothing is expressed by colour alone.
"""

from __future__ import annotations

from graphengine.render.charts.branches import branches
from graphengine.render.charts.canvas import Chart
from graphengine.render.charts.comparison import comparison
from graphengine.render.charts.family import Family, family_of
from graphengine.render.charts.files import CHART_ENDINGS, html_page, write_chart
from graphengine.render.charts.pair import Pair, pair_of
from graphengine.render.charts.scores import scores
from graphengine.render.charts.timeline import timeline
from graphengine.render.errors import RenderError

__all__ = [
    "CHART_ENDINGS",
    "Chart",
    "Family",
    "Pair",
    "RenderError",
    "branches",
    "comparison",
    "family_of",
    "html_page",
    "pair_of",
    "scores",
    "timeline",
    "write_chart",
]
