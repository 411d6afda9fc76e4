from pydantic import BaseModel

from graphengine import END, START, Graph, Limits, ended_with, iterations
from graphengine.models import Response, ToolCall
from graphengine.patterns import with_limits
from tests.patterns.scripted import named


class Search(BaseModel):
    task: str = ""
    found: str = ""


def walk(visits):
    graph = Graph("walk", Search, result="found")
    graph.add_node("look", named("look"), writes="found")
    graph.add_edge(START, "look")
    graph.add_edge("look", END, when=iterations("look") >= visits)
    graph.add_edge("look", "look")
    return graph


def within(limits, instead=named("instead"), visits=5):
    return with_limits(Search, walk(visits), answer="found", limits=limits, **({"instead": instead} if instead else {}))


def paid(request):
    return Response("found it", input_tokens=40, output_tokens=10, cost_usd=0.25)


def look(what: str) -> str:
    """Look."""
    return what


def again(request):
    call = ToolCall(id=f"c{len(request.messages)}", name="look", arguments='{"what": "x"}')
    return Response("", (call,), "tools", input_tokens=40, output_tokens=10, cost_usd=0.25)


INNER = with_limits(Search, walk(5), answer="found", limits=Limits(visits=2), instead=named("instead"))
AROUND = Graph("around", Search)
AROUND.add_node("search", with_limits(Search, INNER, answer="found", limits=Limits(visits=20)), writes="found")
AROUND.add_edge(START, "search")
AROUND.add_edge("search", END, when=ended_with("within limits"), label="well")
AROUND.add_edge("search", END)
