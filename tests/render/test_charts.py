"""Charts in files, and the rules of every chart: users' text is drawn and never executed, and is accessible."""

import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from graphengine import value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.render.charts import (
    CHART_ENDINGS,
    Chart,
    RenderError,
    scores,
    timeline,
    write_chart,
)
from graphengine.render.charts.canvas import INKS, fit, measure
from tests.kit.facts import altered
from tests.render.samples import HOSTILE, done, edge, graph_spec, node, read_xml, started
from tests.render.test_looks import contrast

SVG = {"s": "http://www.w3.org/2000/svg"}


def hostile() -> Chart:
    """A timeline with the worst case of every text."""
    steps = [started(HOSTILE[0])]
    for seq, (text, following) in enumerate(zip(HOSTILE, [*HOSTILE[1:], "h0"], strict=True), 2):
        error = {"kind": text, "message": text}
        steps.append(altered(done(seq, text, following, error=error), began=1.0))
    return timeline(steps)


def tags(root: ET.Element) -> set[str]:
    """Return the names of a document's elements."""
    return {element.tag.rpartition("}")[2] for element in root.iter()}


def test_users_text_is_drawn_and_never_executed() -> None:
    """No text produces a script, a handler, a link or an invisible character."""
    root = read_xml(hostile().svg().encode())
    assert tags(root) == {"svg", "title", "desc", "style", "rect", "g", "line", "text", "path"} - {"path"}
    text = "".join(root.itertext())
    assert "<script>alert(1)</script>" in text
    assert "\u202e" not in text
    assert "\x00" not in text
    attributes = {name for element in root.iter() for name in element.attrib}
    assert not any(name.startswith("on") or "href" in name for name in attributes)


def test_labels_paths_ids_and_reasons_are_escaped_in_every_chart() -> None:
    """Labels, paths, ids and reasons are escaped in every chart, also in scores of a graph."""
    edges = [edge("START", "a"), *(edge("a", "END", value("n") >= 3, label=text) for text in HOSTILE)]
    loop: GraphSpec = {**graph_spec([node("a")], edges, HOSTILE[1]), "state": {"n": "int"}}
    step = altered(done(2, "a", "END", edge=HOSTILE[1]), update=[["set", "n", 1]])
    chart = scores(loop, [started("a"), step])
    root = read_xml(chart.svg().encode())
    assert "script" not in tags(root)
    assert "<script>" in "".join(root.itertext())
    assert not set("\u202e\x00") & set(chart.svg() + chart.text())
    assert "<script" not in chart.page()


def test_a_chart_has_a_title_and_a_description() -> None:
    """The picture has a title and a description for screen readers."""
    root = read_xml(timeline([started("a"), done(2, "a", "END")]).svg().encode())
    assert root.get("role") == "img"
    assert root.findtext("s:title", "", SVG) == "Timeline of sample, run r1: finished after 1 visit"
    assert "a: 1 visit" in root.findtext("s:desc", "", SVG)
    assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"


@pytest.mark.parametrize("night", [0, 1])
def test_text_and_lines_are_readable_in_both_themes(night: int) -> None:
    """Text has a contrast of at least 4.5 to the paper, the stripes and the bars under it; lines have 3."""
    colour: dict[str, str] = {name: pair[night] for name, pair in INKS.items()}
    for sheet in ("paper", "stripe"):
        for name in ("ink", "soft", "fell-line", "work-line", "wait-line", "bad-line", "other-line"):
            least = 3.0 if name == "other-line" else 4.5
            assert contrast(colour[name], colour[sheet]) >= least, (name, sheet)
    for name in ("work", "fell", "wait", "bad"):
        assert contrast(colour["ink"], colour[name]) >= 4.5, name


@pytest.mark.parametrize("ending", [".svg", ".html", ".txt"])
def test_the_file_extension_selects_the_format(ending: str, tmp_path: Path) -> None:
    """The file extension selects the format, and each format needs nothing but this package."""
    target = tmp_path / f"a{ending}"
    write_chart(target, lambda: timeline([started("a")]))
    begins = {".svg": "<?xml", ".html": "<!DOCTYPE html>", ".txt": "Timeline of sample, run r1"}
    assert target.read_text(encoding="utf-8").startswith(begins[ending])


def test_a_png_is_rendered_by_resvg(tmp_path: Path) -> None:
    """The painter is resvg-py, of the extra `render`."""
    pytest.importorskip("resvg_py", reason="a painter of the extra `render`")
    write_chart(tmp_path / "a.png", lambda: timeline([started("a")]))
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_without_a_renderer_a_png_is_refused_with_the_repair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra and the formats that need nothing."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(RenderError, match="painted by resvg-py") as caught:
        write_chart(tmp_path / "a.png", lambda: timeline([started("a")]))
    assert "durable-graphengine[render]" in caught.value.repair
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["a.pdf", "a.dot", "a", ".svg"])
def test_an_unknown_extension_is_refused_before_drawing(name: str, tmp_path: Path) -> None:
    """The error names the formats, and no file is left."""

    def never() -> Chart:
        raise AssertionError

    with pytest.raises(RenderError, match="its extension names no supported format") as caught:
        write_chart(tmp_path / name, never)
    assert all(ending in caught.value.repair for ending in CHART_ENDINGS)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_read_or_written_is_an_error(tmp_path: Path) -> None:
    """Damage and a missing folder raise the package's errors, with the repair."""

    def damaged() -> Chart:
        raise TypeError("no number")

    with pytest.raises(RenderError, match="cannot be read: TypeError: no number"):
        write_chart(tmp_path / "a.svg", damaged)
    with pytest.raises(RenderError, match="cannot be written"):
        write_chart(tmp_path / "none" / "a.svg", lambda: timeline([started("a")]))


def test_text_that_is_too_long_ends_with_an_ellipsis() -> None:
    """It never takes more than its room, wide characters included."""
    for text in (*HOSTILE, "日本語" * 30, "W" * 50, "i" * 50):
        for room in (0, 5, 40, 200):
            assert measure(fit(text, room)) <= max(room, 0) or not fit(text, room)
    assert fit("short", 200) == "short"
    assert fit("W" * 50, 100).endswith("…")
