"""Copies of graphs."""

from pydantic import BaseModel

from graphengine import (
    END,
    START,
    Graph,
    Limits,
)


def test_a_copy_of_a_graph_has_another_name_and_result() -> None:
    """Later changes to one do not affect the other."""

    class Two(BaseModel):
        a: str = ""
        b: str = ""

    inner = Graph("inner", Two, result="a")
    inner.add_node("both", lambda: {"a": "x", "b": "y"}, writes=("a", "b"))
    inner.add_path(START, "both", END)
    assert inner.run_sync().output == "x"
    whole = inner.but(name="whole", result=None, limits=Limits(visits=5))
    assert (whole.name, whole.own_limits, inner.name, inner.own_limits) == ("whole", Limits(visits=5), "inner", None)
    outer = Graph("outer", Two)
    outer.add_node("i", whole, writes={"a": "b", "b": "a"})
    outer.add_path(START, "i", END)
    assert outer.run_sync().state == Two(a="y", b="x")
    whole.add_node("more", lambda: "z", writes="a")
    assert [node.name for node in inner.nodes] == ["both"]
    assert inner.run_sync().output == "x"
