from graphengine import failed, iterations, value
from graphengine.render.drawing import draw_graph
from graphengine.render.edges import bounds_of, edges_of, find_closing_edges
from graphengine.render.words import short
from tests.render.samples import edge, graph_spec, node
from tests.render.shown import shown


def drawn(nodes, *edges):
    return shown(draw_graph(graph_spec([node(name) for name in nodes], [edge("START", "a"), *edges])))


def box(**facts):
    return " | ".join(line.text for line in draw_graph(graph_spec([node("n", **facts)], [])).boxes[0].lines)


def bounds(*edges):
    return bounds_of(edges_of(graph_spec([node(name) for name in "abc"], [edge("START", "a"), edge("a", "b"), *edges])))


def closing(ends, declared):
    """Return the edges that close a loop; S is START."""
    edges = edges_of(graph_spec([], [edge("START" if each[0] == "S" else each[0], each[1]) for each in ends.split()]))
    return [edges[index].source + edges[index].target for index in sorted(find_closing_edges(edges, declared))]
