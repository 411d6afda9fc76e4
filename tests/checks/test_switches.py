"""Switches on functions that say what they return."""

from typing import Literal

from pydantic import BaseModel

from graphengine import END, START, Graph


def test_a_case_for_none_is_missed() -> None:
    """Nothing else would be chosen then."""

    class Judged(BaseModel):
        """A state."""

        is_good: bool = False

    def opinion(state: Judged) -> Literal["good", "bad"] | None:
        return "good" if state.is_good else None

    graph = Graph("judged", Judged)
    graph.add_node("judge", lambda: True, writes="is_good")
    graph.add_edge(START, "judge")
    graph.add_switch("judge", opinion, {"good": END, "bad": END})
    (problem,) = graph.check()
    assert problem.message == "the switch on 'opinion' has no case for None, so such a run would fail with no_way_out"
