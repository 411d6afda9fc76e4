"""A picture is the same to the byte with whichever fonts a machine has."""

from pathlib import Path
from shutil import which

import pytest

from graphengine.records.export import read_file
from graphengine.render.drawing import drawing_of
from graphengine.render.images import paint, svg_of
from graphengine.render.metrics import text_width
from graphengine.render.parts import Drawing
from tests.kit.gallery import GALLERY
from tests.render.fonts import config, giant, installed
from tests.render.nested import company, graph_spec_of
from tests.render.samples import hostile


def drawings() -> list[Drawing]:
    """A run with graphs inside, graphs in each other, and the worst texts."""
    run = read_file(GALLERY / "event_bus.json")
    event_bus = drawing_of(run.graph_specs[run.info.fingerprint], run.steps)
    return [event_bus, drawing_of(graph_spec_of(company())), drawing_of(hostile())]


@pytest.fixture(params=["pygraphviz", "dot"])
def _painter(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Either painter; with pygraphviz, no dot program is found."""
    if request.param == "pygraphviz":
        monkeypatch.setenv("PATH", str(tmp_path))
    elif which("dot") is None:
        pytest.skip("there is no dot program here")


@pytest.fixture
def no_fonts(tmp_path: Path) -> str:
    """A configuration of fontconfig without any font."""
    (tmp_path / "none").mkdir()
    return str(config(tmp_path / "no_fonts", tmp_path / "none"))


@pytest.fixture(params=["giant", "dejavu", "liberation", "noto"])
def fonts(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A configuration with one family of fonts: one of our own, or, where it is installed, a common one."""
    folder = giant(tmp_path / "giant") if request.param == "giant" else installed(request.param)
    if folder is None:
        pytest.skip(f"the {request.param} fonts are not installed")
    return str(config(tmp_path / "fonts", folder))


@pytest.mark.usefixtures("_painter")
def test_no_font_changes_a_picture(no_fonts: str, fonts: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Boxes, arrows and words are where they are without any font."""
    for drawing in drawings():
        monkeypatch.setenv("FONTCONFIG_FILE", no_fonts)
        without = svg_of(drawing, "auto")
        monkeypatch.setenv("FONTCONFIG_FILE", fonts)
        assert svg_of(drawing, "auto") == without, drawing.title


@pytest.mark.usefixtures("_painter")
def test_graphviz_uses_the_configured_fonts(no_fonts: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison above can fail: a label that Graphviz measures is larger in a larger font."""
    plain = 'digraph { a [fontname="Helvetica,Arial,sans-serif" label="measured by Graphviz"] }'
    monkeypatch.setenv("FONTCONFIG_FILE", no_fonts)
    without = paint(plain, "svg")
    monkeypatch.setenv("FONTCONFIG_FILE", str(config(tmp_path / "fonts", giant(tmp_path / "giant"))))
    assert paint(plain, "svg") != without


@pytest.mark.parametrize(
    ("text", "size", "width"),
    [
        ("score", 10.0, 28.5),
        ("日本", 10.0, 20.0),
        ("e\u0301\u00e9", 10.0, 13.0),
        ("\N{PARTY POPPER}", 10.0, 12.5),
        ("", 10.0, 0.0),
    ],
)
def test_text_is_measured_by_a_table(text: str, size: float, width: float) -> None:
    """Accents take no room, characters of Chinese and Japanese a square, emoji more."""
    assert text_width(text, size) == pytest.approx(width)


def test_bold_text_takes_more_room() -> None:
    """The table has separate widths for bold text."""
    assert text_width("approved", 12, strong=True) > text_width("approved", 12)
