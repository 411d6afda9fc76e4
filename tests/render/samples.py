"""GraphSpecs and steps that the drawing tests share.

`python -m tests.render.samples` writes golden files and the docs' pictures again; look at what changed.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from xml.etree import ElementTree as ET

from msgspec import structs
from pydantic import BaseModel

from graphengine import END, FAIL, START, Agent, Graph, Retry, choose, failed, iterations, plateau, value
from graphengine.engine.graph_spec import EdgeSpec, GraphSpec, NodeSpec, fingerprint_of
from graphengine.engine.reasons import ways_of
from graphengine.engine.steps import Continued, Started, Step, outcome_of
from graphengine.graph.conditions import Condition
from graphengine.reducers import append
from graphengine.render import render_graph_spec, to_dot, to_mermaid, to_text
from graphengine.render.drawing import draw_graph
from graphengine.render.edges import edges_of
from graphengine.render.svg import svg_of
from tests.kit.facts import altered, made_step
from tests.render.nested import company, graph_spec_of, newsroom, waiting_run

SCALE = 0.82
"""How much smaller the picture of the README is, to fit its column."""
GOLDEN = Path(__file__).parent / "golden"
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"

WRITERS: dict[str, Callable[[GraphSpec], str]] = {"dot": to_dot, "mmd": to_mermaid, "txt": to_text}

HOSTILE = [
    '"]; evil',
    "<script>alert(1)</script>",
    "two\nlines",
    'it\'s "quoted"',
    "back\\slash \\N \\G \\new \\",
    "|{}|[]()<>",
    '%%{init: {"theme":"dark"}}%%',
    "end",
    "#35; &amp; &lt;",
    "`code` **bold** _it_ $$x^2$$",
    "1. one\n- two\n# three",
    "日本語の題、é и 🎉",
    "bidi \u202eevil\u202c nul\x00 lone\ud800",
    "x" * 90,
    " \n ",
    "fa:fa-ban style: #fff;",
    "-->|x| n0",
    "<!-- c --> ]]> <![CDATA[",
]


class Review(BaseModel):
    """A reviewer's verdict."""

    score: int = 1


class Article(BaseModel):
    """A text under review."""

    task: str = ""
    findings: dict[str, str] = {}
    draft: str = ""
    history: Annotated[list[Review], append] = []


class Ticket(BaseModel):
    """A request that is routed."""

    kind: Literal["question", "bug", "praise", "spam"] = "question"
    answer: str = ""


def review_loop() -> GraphSpec:
    """The loop of DESIGN section 2."""
    graph = Graph("review_loop", Article)
    writer = Agent("writer", prompt="{task}\n{findings}\n{history[-1]}")
    critic = Agent("critic", prompt="{task}\n{draft}\n{history}", output=Review)
    graph.add_node("research", _research, writes="findings", retry=Retry(attempts=3), fallback={})
    graph.add_node("write", writer, writes="draft")
    graph.add_node("review", critic, writes="history")
    graph.add_path(START, "research", "write", "review")
    graph.add_edge("review", END, when=failed(Exception), label="accepted unreviewed")
    graph.add_edge("review", END, when=value("history[-1].score") >= 7, label="approved")
    graph.add_edge("review", END, when=plateau("history[-1].score"), label="no longer improving")
    graph.add_edge("review", END, when=iterations("review") >= 3, label="out of iterations")
    graph.add_edge("review", "write")
    return graph.compile().graph_spec


def help_desk() -> GraphSpec:
    """Return a switch with a case that fails, a node that chooses, and one that passes through."""
    graph = Graph("help_desk", Ticket)
    graph.add_node("sort", _sort, writes="kind", title="Sort the request")
    graph.add_node("reply", choose("kind", {"question": _answer, "bug": _answer}), writes="answer")
    graph.add_node("thank")
    graph.add_edge(START, "sort")
    graph.add_switch("sort", "kind", {"question": "reply", "bug": "reply", "spam": FAIL}, otherwise="thank")
    graph.add_path("reply", "thank", END)
    return graph.compile().graph_spec


def hostile() -> GraphSpec:
    """Return a graph with the worst case of every text that a user can supply."""
    kinds = ["function", "agent", "choose", "pass"]
    nodes = [node(f"h{i}", kinds[i % 4], title=text) for i, text in enumerate(HOSTILE)]
    edges = [edge(f"h{i}", f"h{i + 1}", when=text, label=text) for i, text in enumerate(HOSTILE[:-1])]
    last: EdgeSpec = {
        "from": f"h{len(HOSTILE) - 1}",
        "on": 'a"b<c>\\N',
        "cases": dict.fromkeys(HOSTILE[:3], "h0"),
        "otherwise": END,
    }
    inner = graph_spec([node("a", title=text) for text in HOSTILE[1:2]], [edge(START, "a"), edge("a", END)], HOSTILE[0])
    nodes[1] |= {"graphs": {"": inner}, "each": {HOSTILE[1]: HOSTILE[4]}}
    nodes[2] |= {"graphs": dict.fromkeys(HOSTILE[:3], inner), "choices": HOSTILE[:5], "on": HOSTILE[6]}
    nodes[3] |= {"kind": "ask", "question": HOSTILE[1], "each": {HOSTILE[0]: HOSTILE[3]}}
    return graph_spec(nodes, [edge(START, "h0"), *edges, last], name='"]; <evil>\\N\n%%')


def graph_spec(nodes: list[NodeSpec], edges: list[EdgeSpec], name: str = "sample") -> GraphSpec:
    """Return a graph spec as the engine records it."""
    return {"graph": name, "version": 1, "state": {"a": "int", "b": "int"}, "nodes": nodes, "ways": edges}


def read_xml(text: bytes | str) -> ET.Element:
    """Parse XML that the renderer wrote."""
    return ET.fromstring(text)  # noqa: S314 - no stranger wrote it


def own_id(element: ET.Element) -> str:
    """Return the id of an element, without the name of its picture."""
    return (element.get("id") or "").rpartition("-")[2]


def node(name: str, kind: str = "function", **facts: Any) -> NodeSpec:
    """Return a node of a graph spec."""
    more: Any = facts
    made: NodeSpec = more | {"name": name, "kind": kind, "writes": [], **facts}
    return made


def edge(source: str, target: str, when: Condition | str = "", label: str = "", *, failure: bool = False) -> EdgeSpec:
    """Return an edge of a graph spec; a text is the name of a function."""
    facts: EdgeSpec = {"from": source, "to": target}
    if not (isinstance(when, str) and not when):
        facts["when"] = {"is": "function", "of": when} if isinstance(when, str) else when.spec
    if label:
        facts["label"] = label
    if failure:
        facts["failure"] = True
    return facts


def chain(length: int) -> GraphSpec:
    """Return a long graph with loops, forward edges, and many edges to END."""
    nodes = [node(f"s{i}", ("function", "agent", "choose")[i % 3]) for i in range(length)]
    edges = [edge(START, "s0")]
    for i in range(length):
        here, following = f"s{i}", f"s{i + 1}" if i + 1 < length else END
        if i % 5 == 4:
            edges.append(edge(here, f"s{i - 3}", (value(f"value_{i}.score") < 7) & (iterations(here) < 3)))
        if i % 10 == 3:
            edges.append(edge(here, END, failed(Exception), "gave up", failure=True))
        edges.append(edge(here, following))
    return graph_spec(nodes, edges, f"chain_{length}")


def started(to: str) -> Step:
    """Return the first step of a run."""
    return made_step(1, "started", 1.0, data={**_IDENTITY, "to": [to]})


def done(seq: int, name: str, to: str, visit: int = 1, **data: Any) -> Step:
    """Return the step of a completed visit."""
    ended = {END: {"status": "finished", "ending": {"reason": "end", "label": data.get("edge", "")}}}
    return made_step(seq, "node", float(seq), "", name, visit, 1, data={"to": [to], **ended.get(to, {}), **data})


def recorded_on(spec: GraphSpec, steps: Iterable[Step]) -> list[Step]:
    """Return made-up steps as those of this graph, with its fingerprint and the first edge that fits."""
    return [_placed(spec, step) for step in steps]


def _placed(spec: GraphSpec, step: Step) -> Step:
    outcome, source = outcome_of(step), step.node if step.kind not in ("started", "entered") else START
    if isinstance(step.data, (Started, Continued)):
        step = altered(step, data=structs.replace(step.data, fingerprint=fingerprint_of(spec)))
        outcome = outcome_of(step)
    if not outcome.to or outcome.way >= 0 or step.kind == "joined":
        return step
    for place, way in enumerate(ways_of(spec, step)):
        arrows = edges_of({"ways": [way]})
        fits = {arrow.target for arrow in arrows if outcome.edge in arrow.recorded}
        is_failure = any(arrow.failure for arrow in arrows)
        if way["from"] == source and {*outcome.to} <= fits and is_failure == (step.kind == "failed"):
            return altered(step, data=structs.replace(outcome, way=place))
    return step


_IDENTITY = {"run_id": "r1", "graph": "sample", "fingerprint": "f", "limits": {}}

_LOOP = [
    started("research"),
    done(2, "research", "write"),
    done(3, "write", "review"),
    done(4, "review", "write", tests=[[4, 3], [5, {"is": "samples", "best": 3, "last": 3, "stale": 0}], [6, 1]], way=7),
    done(5, "write", "review", 2),
    done(6, "review", END, 2, edge="approved", tests=[[4, 8]], way=4),
]


def _research(task: str) -> dict[str, str]:
    return {"task": task}


def _sort(answer: str) -> Literal["question", "bug", "praise", "spam"]:
    return "praise" if answer else "question"


def _answer(kind: str) -> str:
    return kind


GRAPHS: dict[str, Callable[[], GraphSpec]] = {
    "review_loop": review_loop,
    "help_desk": help_desk,
    "hostile": hostile,
    "newsroom": lambda: graph_spec_of(newsroom()),
    "company": lambda: graph_spec_of(company()),
}


async def draw_docs(folder: Path) -> None:
    """Draw the pictures of the docs into a folder."""
    from graphs.review_loop import graph  # noqa: PLC0415 - only this needs it

    (folder / "review_loop.svg").write_text(wide(graph.compile().graph_spec), encoding="utf-8")
    paper, steps = await waiting_run()
    render_graph_spec(paper.compile().graph_spec, folder / "newsroom.svg")
    render_graph_spec(paper.compile().graph_spec, folder / "newsroom_run.svg", steps=steps)


def wide(graph_spec: GraphSpec) -> str:
    """Return the picture of a README, which is wide and low: from left to right, in brief, without a caption."""
    svg = svg_of(replace(draw_graph(graph_spec, detail="brief"), caption=(), legend=()), "auto", is_wide=True)
    return re.sub(r'(width|height)="([\d.]+)pt"', lambda each: f'{each[1]}="{float(each[2]) * SCALE:.1f}pt"', svg)


def renew() -> None:
    """Write the golden files and the pictures of the docs."""
    for name, make in GRAPHS.items():
        for ending, write in WRITERS.items():
            (GOLDEN / f"{name}.{ending}").write_text(write(make()), encoding="utf-8")
    asyncio.run(draw_docs(PICTURES))


LOOP = recorded_on(review_loop(), _LOOP)
"""A whole run of the review loop."""


if __name__ == "__main__":
    renew()
