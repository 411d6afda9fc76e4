"""The gallery shows today's bundled workflows, and stored runs of them.

`UPDATE_PICTURES=1 pytest tests/docs/test_gallery.py` redraws the pictures; inspect the changes.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from graphengine.records.export import read_file
from graphengine.render import render_graph_spec
from graphengine.render.charts import Chart, scores, timeline
from graphengine.render.parts import Detail
from tests.kit.gallery import GALLERY, NAMES, graph_of
from tests.render.timed import paper_run

DOCS = Path(__file__).resolve().parents[2] / "docs"
PICTURES = DOCS / "pictures" / "gallery"
WIDE = frozenset(("blackboard", "content_queue", "event_bus", "orchestrator", "writers_room"))
"""Workflows whose full picture would be too wide for a page; they are drawn in brief."""


def page() -> str:
    """The text of the gallery."""
    return (DOCS / "use" / "gallery.md").read_text(encoding="utf-8")


def kept(name: str, now: Path) -> Path:
    """The picture of the docs, replaced if `UPDATE_PICTURES` is set."""
    picture = PICTURES / f"{name}.svg"
    if os.environ.get("UPDATE_PICTURES"):
        PICTURES.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(now.read_bytes())
    return picture


@pytest.mark.parametrize("name", NAMES)
def test_the_pictures_of_a_workflow_are_up_to_date(name: str, tmp_path: Path) -> None:
    """The graph is today's; the run is the stored one, drawn on the graph that made it."""
    run = read_file(GALLERY / f"{name}.json")
    detail: Detail = "brief" if name in WIDE else "full"
    graph_spec = run.graph_specs[run.info.fingerprint]
    graph_of(name).render(tmp_path / "graph.svg", detail=detail)
    render_graph_spec(graph_spec, tmp_path / "run.svg", steps=run.steps, detail=detail)
    for made, picture in (("graph", name), ("run", f"{name}_run")):
        now = tmp_path / f"{made}.svg"
        assert kept(picture, now).read_bytes() == now.read_bytes()


@pytest.fixture
async def charts() -> Mapping[str, Chart]:
    """The charts of one run, as they would be drawn now."""
    graph, steps = await paper_run()
    return {"timeline": timeline(steps), "scores": scores(graph.compile().graph_spec, steps)}


@pytest.mark.parametrize("name", ["timeline", "scores"])
def test_a_chart_is_the_same_to_the_byte(name: str, charts: Mapping[str, Chart], tmp_path: Path) -> None:
    """It does not depend on fonts or on the painter."""
    now = tmp_path / "now.svg"
    now.write_bytes(charts[name].svg().encode())
    assert kept(name, now).read_bytes() == now.read_bytes()


def test_the_page_shows_every_workflow_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """The page has the line of `graphengine graphs` and both pictures of each; no picture is left over."""
    monkeypatch.chdir(DOCS.parent)
    listed = json.loads(CliRunner().invoke(main, ["graphs", "--json"]).stdout)["graphs"]
    text = " ".join(page().split())
    found = {graph["name"]: graph["about"] for graph in listed}
    assert sorted(found) == sorted(NAMES)
    for name, about in found.items():
        assert about in text, name
        assert f"## {name} " in text
    pictures = re.findall(r"\]\(../pictures/gallery/(\w+)\.svg\)", page())
    wanted = [*NAMES, *(f"{name}_run" for name in NAMES), "timeline", "scores"]
    assert sorted(pictures) == sorted(wanted)
    assert sorted(path.stem for path in PICTURES.iterdir()) == sorted(wanted)
