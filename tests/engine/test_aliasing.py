"""A run owns its values: a value kept outside cannot change the state, the log or another field."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Replace, iterations
from graphengine.reducers import append, extend, merge
from graphengine.state.encoded import opened
from tests.kit.scenario import work
from tests.kit.session import Session, picture, unchanged


class Item(BaseModel):
    """A value that can be changed in place."""

    names: list[str] = []


class State(BaseModel):
    """Containers of values that can be changed in place."""

    first: list[Item] = []
    second: list[Item] = []
    log: Annotated[list[Item], append] = []
    many: Annotated[list[list[int]], extend] = []
    table: Annotated[dict[str, list[int]], merge] = {}
    slots: dict[str, list[int]] = {}
    raw: list[int] = []
    union: Annotated[list[int], lambda old, new: new + old] = []


def session(**options: Any) -> Session:
    """Return a run that can continue without end."""
    graph = Graph("aliasing", State)
    graph.add_node("a", work, **options)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=lambda: False)
    graph.add_edge("a", "a")
    return Session(graph, mirror=True)


def test_a_result_changed_afterwards_changes_nothing() -> None:
    """A node can keep using what it returned."""
    run, item, numbers = session(), Item(names=["a"]), [1]
    run.start()
    result: dict[str, Any] = {
        "first": [item],
        "log": item,
        "many": [numbers],
        "table": {"k": numbers},
        "raw": numbers,
        "union": numbers,
    }
    run.finish(result)
    before = picture(run.snapshot)
    item.names.append("b")
    numbers.append(2)
    result["first"].append(item)
    result["table"]["k"].append(3)
    unchanged(run.snapshot, before)
    run.check_log()
    run.check_caches()


def test_an_initial_state_changed_afterwards_changes_nothing() -> None:
    """The caller can keep using the state that the run began with."""
    given = State(first=[Item(names=["a"])], table={"k": [1]}, raw=[1])
    run = session()
    run.start(given)
    before = picture(run.snapshot)
    given.first[0].names.append("b")
    given.raw.append(2)
    given.table["k"].append(3)
    unchanged(run.snapshot, before)
    run.check_log()


def test_one_list_given_to_two_fields_is_two_lists() -> None:
    """Fields that were set to the same object change separately."""
    run, items, one = session(), [Item()], Item(names=["x"])
    run.start()
    run.finish({"first": items, "second": items, "log": Replace(items)})
    run.finish({"log": one})
    run.finish({"log": one})
    values = opened(run.snapshot.root.values)
    assert (len(values["first"]), len(values["second"]), len(values["log"])) == (1, 1, 3)
    view = run.view()
    assert view.get("first") is not view.get("second")
    run.check_log()


def test_appending_after_a_set_leaves_the_recorded_set_unchanged() -> None:
    """Appends in place never reach the step, the result or the default that the list came from."""
    run, replaced, table = session(), [Item(names=["r"])], {"k": [1]}
    run.start({"log": [Item(names=["given"])], "table": table})
    for _ in range(2):
        run.finish({"log": Item(names=["one"]), "many": [[1]], "table": {"n": [2]}})
        run.finish({"log": Replace(replaced), "many": Replace([[9]]), "table": Replace(table)})
        run.finish({"log": Item(names=["two"]), "many": [[2]], "table": {"m": [3]}})
    assert replaced == [Item(names=["r"])]
    assert table == {"k": [1]}
    assert State.model_fields["log"].default == []
    run.check_log()
    run.check_caches()


def test_keys_put_after_a_set_leave_the_recorded_set_unchanged() -> None:
    """The same is true of single keys of a dict."""
    run = session(writes="slots[k]")
    run.start({"slots": {"j": [1]}})
    run.finish([2])
    run.finish([3])
    assert opened(run.snapshot.root.values["slots"]) == {"j": [1], "k": [3]}
    run.check_log()


def test_a_custom_reducer_that_returns_its_argument_shares_nothing() -> None:
    """A reducer can return its own argument."""
    run, numbers = session(), [1]
    run.start()
    run.finish({"union": numbers})
    run.finish({"union": []})
    numbers.append(5)
    assert opened(run.snapshot.root.values["union"]) == [1]
    run.check_log()
    run.check_caches()


def test_a_fallback_value_is_copied_each_time() -> None:
    """One default object that is used twice is two values."""
    stand_in = {"log": Item(names=["fallback"]), "raw": [1]}
    run = session(fallback=stand_in)
    run.start()
    run.fail(ValueError())
    run.fail(ValueError())
    run.finish({"raw": [2], "log": Item(names=["b"])})
    assert stand_in == {"log": Item(names=["fallback"]), "raw": [1]}
    first, second = run.view().get("log")[:2]  # type: ignore[index]
    assert first == second
    assert first is not second
    run.check_log()


def test_two_branches_of_one_step_share_nothing() -> None:
    """They share nothing with each other or with their parent."""
    run = session()
    run.start({"log": [Item()], "table": {"a": [1]}})
    run.finish({"log": Item()})
    one, two = run.branch(2, {"log": Item(names=["one"])}), run.branch(2)
    one.finish({"log": Item(), "table": {"b": [2]}})
    before = picture(two.snapshot), picture(run.snapshot)
    one.finish({"log": Item(), "first": [Item()]})
    unchanged(two.snapshot, before[0])
    unchanged(run.snapshot, before[1])
    run.check_log()


async def test_a_list_that_a_node_received_is_unchanged() -> None:
    """What later visits append goes to the run's list, not to the one that an earlier visit kept."""
    kept: list[list[Item]] = []

    def keep(log: list[Item], table: dict[str, list[int]]) -> dict[str, object]:
        kept.append(log)
        return {"log": Item(), "table": {str(len(table)): [1]}}

    graph = Graph("aliasing", State)
    graph.add_node("a", keep, thread=False)
    graph.add_edge(START, "a")
    graph.add_edge("a", END, when=iterations("a") >= 4)
    graph.add_edge("a", "a")
    result = await graph.run()
    assert [len(log) for log in kept] == [0, 1, 2, 3]
    assert (len(result.state.log), len(result.state.table)) == (4, 4)
