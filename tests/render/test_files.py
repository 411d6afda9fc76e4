"""Pictures in files: formats, what paints them, and what can go wrong."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from graphengine import CompileError, Graph, GraphEngineError
from graphengine.render import ENDINGS, RenderError, render_graph_spec, to_dot, to_mermaid
from graphengine.render.drawing import draw_graph
from graphengine.render.svg import svg_of
from tests.render.samples import Article, own_id, read_xml, review_loop

SVG = {"s": "http://www.w3.org/2000/svg"}
FAKE = """#!/bin/sh
cat > "{folder}/input"
echo "$@" > "{folder}/arguments"
{does}
"""


@pytest.fixture
def no_dot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without any program."""
    monkeypatch.setenv("PATH", str(tmp_path))


def fake_dot(folder: Path, does: str) -> None:
    """Put a program called dot there."""
    program = folder / "dot"
    program.write_text(FAKE.format(folder=folder, does=does), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("ending", "begins"),
    [
        (".svg", b"<?xml"),
        (".png", b"\x89PNG"),
        (".dot", b"digraph"),
        (".mmd", b"%%{init: "),
        (".txt", b"review_loop\n\nSTART\n"),
        (".html", b"<!DOCTYPE html>"),
        (".SVG", b"<?xml"),
    ],
)
def test_the_file_extension_selects_the_format(ending: str, begins: bytes, tmp_path: Path) -> None:
    """Each ending has its format, without any program, and nothing else is left in the folder."""
    target = tmp_path / f"picture{ending}"
    render_graph_spec(review_loop(), target)
    assert target.read_bytes().startswith(begins)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["picture", "picture.gif", "picture.htm", ".svg"])
def test_an_unknown_extension_is_refused(name: str, tmp_path: Path) -> None:
    """An unknown ending raises an error that lists the known ones, and writes no file."""
    with pytest.raises(RenderError) as caught:
        render_graph_spec(review_loop(), tmp_path / name)
    assert isinstance(caught.value, GraphEngineError)
    assert caught.value.code == "render_error"
    assert all(ending in caught.value.repair for ending in ENDINGS)
    assert not list(tmp_path.iterdir())


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    """A system error for a path becomes one of the package's errors."""
    with pytest.raises(RenderError, match="cannot be written"):
        render_graph_spec(review_loop(), tmp_path / "missing" / "picture.dot")


def test_a_graph_is_drawn_from_its_declaration(tmp_path: Path) -> None:
    """`Graph.render` and the graph spec give one picture."""
    graph = Graph("tiny", Article)
    graph.add_node("write", lambda task: task, writes="draft")
    graph.add_path("START", "write", "END")
    graph.render(tmp_path / "a.mmd")
    assert (tmp_path / "a.mmd").read_text(encoding="utf-8") == to_mermaid(graph.compile().graph_spec)


def test_a_graph_with_problems_is_not_drawn(tmp_path: Path) -> None:
    """A graph that does not compile is not drawn."""
    with pytest.raises(CompileError):
        Graph("empty", Article).render(tmp_path / "a.dot")


@pytest.mark.usefixtures("no_dot")
@pytest.mark.parametrize(
    ("ending", "repair"),
    [
        (".svg", r"\.dot, \.mmd or \.txt"),
        (".png", r"graphengine\[render\].*\.svg"),
        (".pdf", r"install Graphviz.*\.svg"),
    ],
)
def test_a_missing_painter_is_an_error_with_the_repair(
    ending: str, repair: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error names what is missing, how to install it, and formats that need nothing of it."""
    if ending == ".svg":
        monkeypatch.setitem(sys.modules, "graphlay", None)
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(RenderError, match=repair):
        render_graph_spec(review_loop(), tmp_path / f"a{ending}")
    render_graph_spec(review_loop(), tmp_path / "a.dot")


@pytest.mark.skipif(sys.platform == "win32", reason="the fake dot is a shell script")
def test_dot_paints_a_pdf(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The program reads the graph from standard input and leaves no file."""
    fake_dot(tmp_path, "printf painted")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    render_graph_spec(review_loop(), tmp_path / "a.pdf")
    assert (tmp_path / "a.pdf").read_bytes() == b"painted"
    assert (tmp_path / "input").read_text(encoding="utf-8") == to_dot(review_loop())
    assert (tmp_path / "arguments").read_text(encoding="utf-8").split() == ["-Kdot", "-Tpdf"]


@pytest.mark.skipif(sys.platform == "win32", reason="the fake dot is a shell script")
def test_a_failure_of_dot_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The program's complaint is in the error, and not on the user's terminal."""
    fake_dot(tmp_path, "echo 'Format: pdf not recognized' >&2; exit 1")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(RenderError, match="dot could not paint this: Format: pdf not recognized"):
        render_graph_spec(review_loop(), tmp_path / "a.pdf")
    assert capfd.readouterr() == ("", "")


@pytest.mark.usefixtures("no_dot")
def test_svg_is_accessible(tmp_path: Path) -> None:
    """The picture has a title and a description, and each part has a text."""
    render_graph_spec(review_loop(), tmp_path / "a.svg")
    root = read_xml((tmp_path / "a.svg").read_bytes())
    assert root.get("role") == "img"
    assert root[0].text == "review_loop"
    assert root.get("aria-labelledby") == f"{root[0].get('id')} {root[1].get('id')}"
    drawing = draw_graph(review_loop())
    titles = {own_id(group): group.findtext("s:title", "", SVG) for group in root.iterfind(".//s:g", SVG)}
    spoken = {part.id: part.spoken for part in drawing.boxes} | {part.id: part.spoken for part in drawing.arrows}
    assert titles == spoken
    assert "review to END: 1. approved; history[-1].score >= 7; or 2. no longer improving;" in (root[1].text or "")


@pytest.mark.usefixtures("no_dot")
def test_words_are_centred_on_their_box() -> None:
    """Whatever font a browser has, the lines of a box share its middle."""
    root = read_xml(svg_of(draw_graph(review_loop()), "auto").encode())
    for group in root.iterfind(".//s:g[@class='node']", SVG):
        texts = group.findall("s:text", SVG)
        assert texts
        assert {(text.get("text-anchor"), text.get("x")) for text in texts} == {("middle", texts[0].get("x"))}


def test_png_has_two_pixels_per_point(tmp_path: Path) -> None:
    """A PNG has two dots for each point of the SVG."""
    render_graph_spec(review_loop(), tmp_path / "a.png")
    root = read_xml(svg_of(draw_graph(review_loop()), "auto").encode())
    width_points = float((root.get("width") or "").removesuffix("pt"))
    assert int.from_bytes((tmp_path / "a.png").read_bytes()[16:20]) == pytest.approx(2 * width_points, rel=0.02)


def test_layouter_and_painters_load_only_for_pictures() -> None:
    """DOT and Mermaid import none of them."""
    code = (
        "import sys; from graphengine.render import to_dot, to_mermaid; o = {'nodes': []}; to_dot(o); to_mermaid(o); "
        "sys.exit(bool({'graphlay', 'graphviz', 'resvg_py', 'xml.etree.ElementTree'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
