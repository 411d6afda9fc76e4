"""Opposites of conditions."""

from typing import Annotated, Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, value
from graphengine.reducers import append


class State(BaseModel):
    """What the conditions read."""

    flag: Any = None
    country: str | None = None
    way: Annotated[list[str], append] = []


@pytest.mark.parametrize("flag", [True, False, 0, 1, "", "no", None, [], [0]])
def test_is_false_is_the_opposite_of_is_true(flag: object) -> None:
    """One of both edges is taken for each value."""
    graph = Graph("flags", State)
    graph.add_node("true", lambda: "true", writes="way")
    graph.add_node("false", lambda: "false", writes="way")
    graph.add_edge(START, "true", when=value("flag").is_true())
    graph.add_edge(START, "false", when=value("flag").is_false())
    graph.add_path("true", END)
    graph.add_path("false", END)
    assert graph.run_sync({"flag": flag}).state.way == ["true" if flag else "false"]


@pytest.mark.parametrize(("country", "way"), [("CH", "near"), ("FR", "far"), (None, "far")])
def test_not_in_is_the_opposite_of_is_in(country: str | None, way: str) -> None:
    """A missing value is none of those that are refused."""
    graph = Graph("countries", State)
    graph.add_node("far", lambda: "far", writes="way")
    graph.add_node("near", lambda: "near", writes="way")
    graph.add_edge(START, "far", when=value("country").not_in(["CH", "DE"]))
    graph.add_edge(START, "near")
    graph.add_path("near", END)
    graph.add_path("far", END)
    assert graph.run_sync({"country": country}).state.way == [way]
    assert str(value("country").not_in(["CH"])) == "not (country is in ('CH',))"
