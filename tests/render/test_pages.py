"""Pages with a picture, themes, and what a notebook shows."""

import asyncio
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

import graphengine.render
from graphengine import END, START, Graph, RunFailed, Runner, ask, iterations
from graphengine.engine.graph_spec import EdgeSpec, GraphSpec
from graphengine.render import RenderError, render_graph_spec
from graphengine.render.charts import timeline
from graphengine.render.looks import PAPER, by_night, name_of
from graphengine.runner import StepRecorded
from tests.kit.facts import made_step
from tests.render.nested import graph_spec_of, newsroom
from tests.render.samples import (
    GRAPHS,
    HOSTILE,
    LOOP,
    Article,
    edge,
    graph_spec,
    hostile,
    node,
    read_xml,
    recorded_on,
    review_loop,
)

SVG = {"s": "http://www.w3.org/2000/svg"}


class Reader(HTMLParser):
    """Reads a page: its elements with their attributes, and its texts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)


def drawn(graph_spec: Any, path: Path, **options: Any) -> str:
    """A file with its picture."""
    render_graph_spec(graph_spec, path, **options)
    return path.read_text(encoding="utf-8")


def test_a_page_is_self_contained(tmp_path: Path) -> None:
    """It has no script and no address except names of XML, a policy that forbids both, and the picture once."""
    page = drawn(review_loop(), tmp_path / "a.html")
    read = Reader(page)
    tags = [tag for tag, _ in read.elements]
    assert tags.count("svg") == 1
    assert not {"script", "link", "img", "iframe", "object"} & set(tags)
    assert not [name for _, facts in read.elements for name in facts if name == "src" or name[:2] == "on"]
    assert all(str(facts["href"]).startswith("#") for _, facts in read.elements if "href" in facts)
    assert set(re.findall(r"https?://[^\s\"'<]+", page)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }
    policy = next(facts["content"] for tag, facts in read.elements if facts.get("http-equiv"))
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    assert "<?xml" not in page


def test_a_page_leads_to_each_node(tmp_path: Path) -> None:
    """A list of all names links to the parts of the picture, which the page then frames."""
    read = Reader(drawn(graph_spec_of(newsroom()), tmp_path / "a.html"))
    links = [str(facts["href"]) for tag, facts in read.elements if tag == "a"]
    ids = {facts.get("id") for _, facts in read.elements}
    assert len(links) == 11
    assert {link[1:] for link in links} <= ids
    assert any("g:target" in text for text in read.texts)


def test_several_pictures_can_be_in_one_page(tmp_path: Path) -> None:
    """Each of several pictures in one page, also a chart, has ids and a dark style of its own."""
    first, second = (drawn(made, tmp_path / "a.svg") for made in (graph_spec_of(newsroom()), review_loop()))
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]
    assert all(id_.startswith(read_xml(second).get("id", "-")) for id_ in ids[1])
    rules = re.findall(r"^ +(\S+) \.\S+ \{", second, re.MULTILINE)
    assert set(rules) == {f"#{read_xml(second).get('id')}"}
    charts = [timeline([*LOOP][:count]).element() for count in (3, 6)]
    titles = [re.findall(r'\bid="([^"]+)"', chart) for chart in charts]
    assert len({*titles[0], *titles[1]}) == 4


def test_hostile_texts_stay_text_on_a_page(tmp_path: Path) -> None:
    """Whatever users write, the page has the elements of any other page, and their text is in its texts."""
    plain = Reader(drawn(review_loop(), tmp_path / "a.html"))
    worst = Reader(drawn(hostile(), tmp_path / "b.html"))
    names = {tag for tag, _ in plain.elements}
    assert {tag for tag, _ in worst.elements} - names <= {"ellipse", "polyline"}
    assert {name for _, facts in worst.elements for name in facts} <= {
        name for _, facts in plain.elements for name in facts
    } | {"cx", "cy", "rx", "ry", "stroke-dasharray"}
    assert "".join(worst.texts).count("<script>alert(1)</script>") > 2


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    """Return the names of the elements of a page with harmless text."""
    return {tag for tag, _ in Reader(drawn(review_loop(), tmp_path_factory.mktemp("plain") / "a.html")).elements}


@pytest.mark.parametrize("text", HOSTILE)
def test_texts_of_a_run_stay_texts(text: str, ordinary: set[str], tmp_path: Path) -> None:
    """The id of a run, its stop, its failure, its question and what was measured are only text in every format."""
    graph = asking(text)
    error = {"kind": text, "message": text}
    identity = {"run_id": text, "graph": text, "fingerprint": "f", "limits": {}, "to": ["a"]}
    stop = {"reason": "failed", "label": text, "why": text}
    failed = {"error": error, "status": "failed", "ending": stop}
    begun = made_step(1, "started", 1.0, data=identity)
    wait = {"a": {"id": "1", "kind": "ask", "question": text, "key": "k"}}
    runs = {
        "failed": [begun, made_step(2, "failed", 2.0, "", "a", 1, 1, data=failed)],
        "waiting": [begun, made_step(2, "waiting", 2.0, "", "a", 1, 1, data={"waits": wait})],
        "measured": [
            begun,
            made_step(2, "node", 2.0, "", "a", 1, 1, data={"to": ["a"], "way": 1, "tests": [[1, text]]}),
        ],
    }
    for name, made in runs.items():
        steps = recorded_on(graph, made)
        page = Reader(drawn(graph, tmp_path / f"{name}.html", steps=steps))
        assert {tag for tag, _ in page.elements} <= ordinary | {"polyline"}
        root = read_xml(drawn(graph, tmp_path / f"{name}.svg", steps=steps))
        assert len(root.findall(".//s:g[@class='node']", SVG)) == 3
        assert len(drawn(graph, tmp_path / f"{name}.mmd", steps=steps).splitlines()) == len(
            drawn(asking("x"), tmp_path / "like.mmd", steps=recorded_on(asking("x"), made)).splitlines()
        )


def asking(text: str) -> GraphSpec:
    """Return a graph in which each text is this one."""
    again: EdgeSpec = {"from": "a", "to": "a", "when": {"is": "!=", "of": text, "than": text}}
    edges = [edge("START", "a"), again, edge("a", "END", text, text)]
    return graph_spec([node("a", "ask", question=text, writes=[text])], edges)


def test_an_adaptive_picture_has_a_dark_rule_for_each_colour(tmp_path: Path) -> None:
    """There are rules for each colour in this picture, and for no other; light and dark pictures have no rules."""
    root = read_xml(drawn(GRAPHS["newsroom"](), tmp_path / "a.svg"))
    style = root.findtext("s:style", "", SVG)
    assert style.strip().startswith("@media (prefers-color-scheme: dark)")
    painted = [(name, part.get(name, "none")) for part in root.iter() for name in ("fill", "stroke")]
    used = {(name, name_of(colour), by_night(colour)) for name, colour in painted if colour.startswith("#")}
    ruled = re.findall(r"#g\w+ \.(fill|stroke)-([\w-]+) \{ \1: (#\w{6}); \}", style)
    assert sorted(ruled) == sorted(used)
    classes = {each for part in root.iter() for each in part.get("class", "").split()}
    assert {f"{kind}-{name}" for kind, name, _ in used} <= classes
    assert read_xml(drawn(review_loop(), tmp_path / "b.svg", theme="light")).find("s:style", SVG) is None


def test_a_dark_picture_is_dark_in_every_format(tmp_path: Path) -> None:
    """The paper is, and no colour of the day is left."""
    svg = drawn(review_loop(), tmp_path / "a.svg", theme="dark")
    night = by_night(PAPER)
    assert f'fill="{night}"' in svg
    assert "prefers-color-scheme" not in svg
    assert f'bgcolor="{night}"' in drawn(review_loop(), tmp_path / "a.dot", theme="dark")
    assert f"--paper: {night}" in drawn(review_loop(), tmp_path / "a.html", theme="dark")
    render_graph_spec(review_loop(), tmp_path / "dark.png", theme="dark")
    render_graph_spec(review_loop(), tmp_path / "light.png")
    assert (tmp_path / "dark.png").read_bytes() != (tmp_path / "light.png").read_bytes()


def test_an_unknown_theme_is_refused(tmp_path: Path) -> None:
    """The error names the themes."""
    with pytest.raises(RenderError, match=r"(?s)no theme 'sepia'.*auto, light, dark"):
        render_graph_spec(review_loop(), tmp_path / "a.svg", theme="sepia")  # type: ignore[arg-type]


def test_a_notebook_shows_the_picture() -> None:
    """SVG and plain text are offered; Mermaid is not, since a notebook that supports both would show it instead.

    As HTML the picture has the theme of the notebook, in which each of its colours has one for the day and the night.
    """
    graph = newsroom()
    shown = graph._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/html", "image/svg+xml"}
    assert shown["text/plain"] == repr(graph)
    assert re.search(r"\[data-jp-theme-light=\"false\"\][^{]*#g\w+ \{ color-scheme: dark; \}", shown["text/html"])
    ruled = set(re.findall(r"\.((?:fill|stroke)-[\w-]+) \{ \w+: light-dark\(", shown["text/html"]))
    assert ruled == {
        name for names in re.findall(r' class="((?:fill|stroke)-[^"]*)"', shown["text/html"]) for name in names.split()
    }
    assert read_xml(shown["image/svg+xml"].encode()).get("role") == "img"


def test_a_notebook_shows_the_problems_of_a_graph() -> None:
    """A graph that does not compile raises nothing; each problem is in its plain text."""
    graph = Graph("broken", Article)
    graph.add_node("write", lambda tsak: tsak, writes="draft")
    graph.add_path("START", "write", "END")
    shown = graph._repr_mimebundle_()
    assert set(shown) == {"text/plain"}
    assert "tsak" in shown["text/plain"]


def test_a_notebook_without_a_layouter_shows_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Mermaid is offered, and the plain text names the package to install."""
    monkeypatch.setitem(sys.modules, "graphlay", None)
    shown = newsroom()._repr_mimebundle_()
    assert set(shown) == {"text/plain", "text/vnd.mermaid"}
    assert "pip install graphlay" in shown["text/plain"]


def test_a_notebook_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    """An internal error is shown in the plain text, too."""

    def broken(*_: object) -> None:
        message = "a mistake of ours"
        raise ZeroDivisionError(message)

    monkeypatch.setattr(graphengine.render, "draw_graph", broken)
    shown = newsroom()._repr_mimebundle_()
    assert list(shown) == ["text/plain"]
    assert "It cannot be drawn: ZeroDivisionError: a mistake of ours" in shown["text/plain"]


async def test_a_notebook_shows_a_result_and_a_run_that_ended() -> None:
    """How it ended and why, what it used, and its state, as text only; a run that has not begun shows its repr."""
    graph = Graph("shown", Article)
    graph.add_node("write", lambda task: f"<b>{task}</b>", writes="draft", thread=False)
    graph.add_edge(START, "write")
    graph.add_edge("write", END, when=iterations("write") >= 1, label="done & dusted")
    async with Runner() as runner:
        run = runner.start(graph, Article(task="<script>"))
        assert run._repr_html_() is None
        result = await run.result()
    shown = result._repr_html_()
    assert shown is not None
    assert run._repr_html_() == shown
    assert f"run {result.run_id}: finished" in shown
    assert "done &amp; dusted: iterations of write 1 &gt;= 1: yes" in shown
    assert "&lt;b&gt;&lt;script&gt;&lt;/b&gt;" in shown
    assert "<script" not in shown
    assert "1 visit" in shown


async def test_a_notebook_shows_how_far_a_run_is() -> None:
    """The nodes at work, how far its maps are with their failures, and its state, while it is driven here."""
    gate = asyncio.Event()

    class News(BaseModel):
        topics: list[str] = ["a", "b", "c"]
        found: list[str] = []
        note: str = ""

    async def find(topic: str) -> str:
        if topic == "b":
            raise ValueError("no such topic")
        if topic == "c":
            await gate.wait()
        return topic

    async def write(topics: list[str]) -> str:
        await gate.wait()
        return "<written>"

    graph = Graph("news", News)
    graph.add_node("begin", lambda topics: "<begun>", writes="note", thread=False)
    graph.add_node("find", find, each={"topic": "topics"}, writes="found")
    graph.add_node("write", write, writes="note")
    graph.add_node("join", lambda note: note, writes="note", thread=False)
    graph.add_edge(START, "begin")
    graph.add_fork("begin", ["find", "write"], join="join")
    graph.add_edge("find", "join")
    graph.add_edge("write", "join")
    graph.add_edge("join", END)
    async with Runner() as runner:
        run = runner.start(graph, run_id="r")
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "failed":
                break
        shown = run._repr_html_()
        gate.set()
        with pytest.raises(RunFailed):
            await run.result()
    assert shown is not None
    assert re.search("<caption>run r: running, as of step [0-9]+</caption>", shown)
    assert re.search("at work</th>.*?>write \\(visit 1\\)</div>", shown)
    assert re.search("map \\(find\\)</th>.*?>2 of 3 items done, 1 failed</div>", shown)
    assert "&lt;begun&gt;" in shown
    ended = run._repr_html_()
    assert ended is not None
    assert "run r: failed" in ended


async def test_a_notebook_shows_what_a_run_waits_for() -> None:
    """The name to answer it by, and the question."""
    async with Runner() as runner:
        waiting = Graph("asks", Article)
        waiting.add_node("approve", ask("Publish {task}?", str), writes="draft")
        waiting.add_path(START, "approve", END)
        shown = (await runner.start(waiting, Article(task="it")).result())._repr_html_()
    assert shown is not None
    assert "waiting" in shown
    assert "waits (approve)" in shown
    assert "Publish it?" in shown


def test_one_input_makes_the_same_bytes_in_every_process(tmp_path: Path) -> None:
    """Whatever the order of sets is in a process, no file differs."""
    code = (
        "import sys; from tests.render.samples import hostile, chain\n"
        "from graphengine.render import render_graph_spec\n"
        "for name in ('a.svg', 'a.html', 'a.dot', 'a.mmd', 'a.txt'):\n"
        "    render_graph_spec(hostile(), sys.argv[1] + name)\n"
        "render_graph_spec(chain(60), sys.argv[1] + 'b.svg')"
    )
    made = []
    for seed in ("1", "2"):
        folder = tmp_path / seed
        folder.mkdir()
        command = [sys.executable, "-c", code, f"{folder}/"]
        subprocess.run(command, check=True, env={"PYTHONHASHSEED": seed, "PATH": "", "PYTHONPATH": ":".join(sys.path)})
        made.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert made[0] == made[1]
    assert len(made[0]) == 6
