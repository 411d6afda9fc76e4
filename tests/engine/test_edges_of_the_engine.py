"""What the engine refuses, and the few rules that no scenario shows."""

from __future__ import annotations

from typing import Annotated, Any, cast

import pytest
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from graphengine import END, START, Graph, Usage, changed, value
from graphengine.engine import steps
from graphengine.engine.events import NodeLeft
from graphengine.engine.fold import evolve, fold
from graphengine.engine.lookup import StaleEvent
from graphengine.engine.ready import limit_reached
from graphengine.engine.reasons import why_of
from graphengine.engine.snapshot import Snapshot
from graphengine.engine.step_json import decode_step, encode_step
from graphengine.engine.steps import Step, outcome_of
from graphengine.engine.stored import from_record, to_record
from graphengine.errors import StoreTooNew
from graphengine.history.usage import usage_from
from graphengine.reducers import maximum
from graphengine.state import amounts
from tests.kit.facts import made_step, said
from tests.kit.scenario import work
from tests.kit.session import Session


class State(BaseModel):
    """A number, and any value."""

    n: int = 0
    best: Annotated[int, maximum] = 0
    thing: Any = None


def looping() -> Graph[State]:
    """Return a graph whose node can run without end."""
    graph = Graph("edges", State)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=value("n") >= 9)
    graph.add_edge("a", "a")
    return graph


def test_a_step_follows_the_one_before_it() -> None:
    """A log with a gap, or with a repeated step, does not fold."""
    session = Session(looping())
    session.start()
    session.finish({"n": 1})
    session.finish({"n": 2})
    for log in (session.log[1:], [session.log[0], session.log[2]], [*session.log, session.log[2]]):
        with pytest.raises(ValueError, match="does not follow"):
            fold(log)
    with pytest.raises(ValueError, match="does not follow"):
        evolve(session.snapshot, session.log[0])


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"kind": 1}', b"null", b'{"kind"'])
def test_a_row_that_is_not_a_step_is_refused(body: bytes) -> None:
    """Reading a row that does not record a step raises ValueError."""
    with pytest.raises(ValueError, match=r"step 3|EOF|expected"):
        decode_step(3, body)


@pytest.mark.parametrize(
    "data",
    [
        b'"kind":"started","data":{"run_id":"r","graph":"g","fingerprint":"f","limits":{"turns":4,"visits":null}}',
        b'"kind":"entered","data":{"graph":"g","limits":{"seconds":1.0,"turns":4,"unknown_cost":1}}',
        b'"kind":"node","data":{"usage":{"images":2,"calls":1,"cost_usd":null,"priced_usd":0.5}}',
        b'"kind":"recorded","data":{"key":"k","name":"n","value":1,"by":{"model":"m","agent":"a","team":"t"}}',
        b'"kind":"recorded","data":{"key":"k","name":"n","value":1,"outputs":{"emitted":[1],"sent":[],"shown":[2]}}',
    ],
)
def test_amounts_and_names_of_another_version_are_kept(data: bytes) -> None:
    """A step with them is read and written byte for byte."""
    body = b'{%b,"at":1.0}' % data
    fields = from_json(body)
    assert encode_step(decode_step(1, body)) == to_json({"kind": fields["kind"], "at": 1.0, "data": fields["data"]})


def test_usage_of_another_version_stays_in_the_snapshot() -> None:
    """It is added up and stored like every amount; a result has only the amounts that this version knows."""
    usage = cast("amounts.Usage", {"images": 2, "calls": 1})
    session = Session(looping())
    session.start()
    session.finish({"n": 1}, usage)
    session.finish({"n": 2}, usage)
    kept = from_record(to_record(session.snapshot))
    assert kept.usage == kept.root.usage == {"images": 4, "calls": 2}
    assert usage_from(kept.usage) == Usage(calls=2)


def test_a_snapshot_of_another_format_is_refused() -> None:
    """No value is guessed from a record of a format that this version does not read."""
    record = to_record(Snapshot())
    for other in (None, 0, record["format"] + 1, str(record["format"])):
        with pytest.raises((ValueError, StoreTooNew), match="this version reads"):
            from_record({**record, "format": other})


def test_an_edge_is_chosen_once() -> None:
    """Leaving a node that does not wait to be left is refused, and so is a frame that does not exist."""
    session = Session(looping())
    session.start()
    for event in (NodeLeft("", 0.0), NodeLeft("elsewhere", 0.0)):
        with pytest.raises(StaleEvent):
            session.send(event)


def test_a_record_leaves_out_what_is_empty() -> None:
    """A row contains only what is set, and reads back as the same step."""
    step = made_step(4, "node", 1.5, "", "a", 1, 2, 0.5, [["set", "n", 1]], {"to": ["b"]})
    assert encode_step(Step(1, 2.0, steps.Begun())) == b'{"kind":"begun","at":2.0,"data":{}}'
    assert decode_step(4, encode_step(step)) == step
    assert said(step) == {"to": ["b"]}


def test_a_comparison_of_the_wrong_type_is_false_and_explained() -> None:
    """Values that cannot be compared at run time make a condition false, as rule 12 says."""
    graph = Graph("types", State)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    for condition in (value("thing") >= 7, value("thing").is_in([1]), value("thing").contains("x")):
        graph.add_edge("a", END, when=condition)
    graph.add_edge("a", "a")
    session = Session(graph)
    session.start()

    def why() -> str:
        return why_of(outcome_of(session.log[-1]), session.plan.graph_spec["ways"])

    session.finish({"thing": {"a": 1}})
    assert "thing {'a': 1} >= 7: no (dict cannot be compared with int)" in why()
    session.finish({"thing": 5})
    assert why().count(": no") == 3
    assert session.task().visit == 3


def test_a_function_in_changed_fails_only_if_it_is_needed() -> None:
    """It can raise earlier, at START and where another edge is taken, and the run continues."""

    def inverse(n: int) -> float:
        return 1 / n

    graph = Graph("changed", State)
    graph.add_node("a", work)
    graph.add_edge(START, "a")
    graph.add_edge("a", "a", when=value("n") == 0)
    graph.add_edge("a", END, when=changed(inverse), label="changed")
    session = Session(graph)
    session.start()
    session.finish({"n": 0})
    assert session.snapshot.status == "running"
    step = session.finish({"n": 2})
    assert said(step)["edge"] == "changed"


def test_a_reached_limit_is_written_without_an_exponent() -> None:
    """Costs far below a cent are decimal numbers."""
    snapshot = Snapshot(limits={"cost_usd": 1e-05}, usage={"calls": 1, "cost_usd": 2.6e-05})
    assert limit_reached(snapshot) == "cost_usd 0.000026 >= 0.00001"
