"""Additions to the list under one key of a dict: only the additions are written, and no other list grows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

import pytest
from pydantic import BaseModel, Field, field_validator, model_validator

from graphengine import END, START, Graph
from graphengine.engine.fold import fold
from graphengine.engine.plan import Remembered
from graphengine.engine.stored import from_record, to_record
from graphengine.errors import GraphEngineError
from graphengine.graph.runnable import FunctionBody
from graphengine.reducers import merge
from graphengine.state.encoded import opened
from tests.kit.facts import altered, made_step, said
from tests.kit.runs import alone, repeated
from tests.kit.scenario import work
from tests.kit.session import Session, picture, unchanged

WORK: Final = FunctionBody.of(work, thread=False)


@dataclass(frozen=True)
class Speaker:
    """A node function that keeps its messages."""

    messages: str
    message_type: type = int

    def __body__(self) -> Any:
        """Return the body, in place of an agent's."""
        return self

    def __getattr__(self, name: str) -> Any:
        return getattr(WORK, name)


class State(BaseModel):
    """A dict of lists, and a number."""

    memos: dict[str, list[int]] = {}
    n: int = 0


class Merged(State):
    """The same with a reducer."""

    memos: Annotated[dict[str, list[int]], merge] = {}


class Cut(Merged):
    """The same with a rule for the whole state, which changes the dict."""

    @model_validator(mode="after")
    def cut(self) -> Cut:
        """Keep two items of each key."""
        self.memos = {key: items[-2:] for key, items in self.memos.items()}
        return self


def without_old(old: dict[str, list[int]], new: dict[str, list[int]]) -> dict[str, list[int]]:
    """Join two dicts and change the old one: a reducer that changes its input."""
    for items in old.values():
        items.append(-1)
    return {**old, **new}


class Own(State):
    """The same with a custom reducer."""

    memos: Annotated[dict[str, list[int]], without_old] = {}


def remembered(*words: object, value: object = 0) -> Remembered:
    """Return a result with new messages."""
    return Remembered(value, (), words)


def session(state: type[BaseModel] = State, *, writes: Any = "n", key: str = "a") -> Session:
    """Return a run of one node that remembers under a key, without end."""
    graph = repeated(state, Speaker(f"memos[{key}]"), writes, lambda: False, name="growing", node="a")
    return Session(graph, mirror=True)


def memo_ops(run: Session) -> list[object]:
    """Return what the last step did to the dict."""
    return [list(map(opened, op)) for op in run.log[-1].update if op[1] == "memos"]


def test_a_key_of_an_empty_text_is_that_text() -> None:
    """`found[{name}]` is the key "" where the name is "", as it is another key for another name."""

    class Named(BaseModel):
        name: str = ""
        found: dict[str, int] = {}

    assert alone(Named, lambda name: 2 * len(name), "found[{name}]").run_sync().state.found == {"": 0}


# -- the cost of a step


def test_a_step_contains_only_what_is_new() -> None:
    """The bytes of a visit's step are the same after two items and after two thousand."""
    run = session()
    run.start({"memos": {"a": [1, 2], "b": [0] * 500}})
    run.finish(remembered(10_000, 10_001))
    assert memo_ops(run) == [["grow", "memos", "a", [10_000, 10_001]]]
    run.careful = False
    for _ in range(1000):
        run.finish(remembered(10_000, 10_001))
    small, large = len(run.rows[1]), len(run.rows[-1])
    assert large - small <= len("1001") - len("1"), "only the number of the visit grows"


# -- which list grows


def test_the_records_of_a_list_are_unchanged() -> None:
    """A start, an update of a branch, a whole key, several keys: what a step set belongs to the step."""
    run = session(Merged, writes=("n", "memos"))
    run.start({"memos": {"a": [1]}})
    run.finish(remembered(2, value={"n": 1}))
    run.finish(remembered(3, value={"memos": {"a": [7], "b": [8]}}))
    run.finish(remembered(4, value={"n": 2}))
    run.finish(remembered(5, value={"memos": {"b": [9]}}))
    assert opened(run.snapshot.root.values["memos"]) == {"a": [7, 3, 4, 5], "b": [9]}
    child = run.branch(3, {"memos": {"a": [0]}})
    child.finish(remembered(6, value={}))
    child.finish(remembered(7, value={}))
    assert opened(child.snapshot.root.values["memos"]) == {"a": [0, 6, 7], "b": [8]}
    run.check_log()
    child.check_log()


def test_a_key_that_was_written_whole_belongs_to_its_step() -> None:
    """A put between two additions is not extended in place."""
    run = session(writes="memos[a]")
    run.start()
    for number in (1, 2):
        run.finish(remembered(number, value=[0]))
        run.finish(remembered(number, value=[5]))
    assert opened(run.snapshot.root.values["memos"]) == {"a": [5, 2]}
    assert memo_ops(run) == [["put", "memos", "a", [5]], ["grow", "memos", "a", [2]]]
    run.check_log()


def test_a_stored_snapshot_does_not_grow_with_the_run() -> None:
    """A snapshot made from a record owns all its values, and so does its run."""
    run = session()
    run.start({"memos": {"a": [1]}})
    run.finish(remembered(2))
    taken = from_record(to_record(run.snapshot))
    before = picture(taken)
    run.finish(remembered(3))
    unchanged(taken, before)
    here = picture(run.snapshot)
    fold([altered(run.log[-1], seq=run.snapshot.seq)], taken)
    unchanged(run.snapshot, here)


def test_an_arm_grows_a_list_of_its_own() -> None:
    """The state that the fork began with is unchanged, and the other arm does not see the additions."""
    graph = Graph("arms", State)
    for name in ("a", "b"):
        graph.add_node(name, Speaker("memos[k]"), writes=())
        graph.add_edge(name, "c" if name == "a" else "merge")
    graph.add_node("c", Speaker("memos[k]"), writes=())
    graph.add_node("merge")
    graph.add_fork(START, ["a", "b"], join="merge")
    graph.add_path("c", "merge", END)
    run = Session(graph, mirror=True)
    run.start({"memos": {"k": [0]}})
    run.finish(remembered(1, value={}), of="a")
    run.finish(remembered(2, value={}), of="c")
    assert opened(run.snapshot.root.values["memos"]) == {"k": [0]}
    assert run.view("b").get("memos") == {"k": [0]}
    run.finish(remembered(3, value={}), of="b")
    run.join()
    assert opened(run.snapshot.root.values["memos"]) == {"k": [0, 1, 2, 3]}
    run.check_log()


# -- what must see the whole


class Few(BaseModel):
    """A dict with a length limit."""

    memos: Annotated[dict[str, list[int]], Field(max_length=1)] = {}
    n: int = 0


class Short(BaseModel):
    """Lists with a length limit."""

    memos: dict[str, Annotated[list[int], Field(max_length=3)]] = {}
    n: int = 0


class Even(BaseModel):
    """A dict with a validator of all its lists."""

    memos: dict[str, list[int]] = {}
    n: int = 0

    @field_validator("memos")
    @classmethod
    def few(cls, value: dict[str, list[int]]) -> dict[str, list[int]]:
        """Refuse more than three items."""
        if sum(map(len, value.values())) > 3:
            message = "too many"
            raise ValueError(message)
        return value


@pytest.mark.parametrize("state", [Few, Short, Even])
def test_a_rule_for_the_whole_sees_the_whole(state: type[BaseModel]) -> None:
    """The key is then written whole, and one item too many fails the attempt."""
    run = session(state)
    run.start({"memos": {"a": [1]}})
    run.finish(Remembered(0, (1,), (2, 3)))
    assert memo_ops(run) == [["put", "memos", "a", [1, 2, 3]]]
    if state is not Few:
        assert said(run.finish(Remembered(0, (1, 2, 3), (4,))))["error"]["kind"] == "invalid_update"


def test_an_item_that_does_not_fit_fails_the_attempt() -> None:
    """Items are validated one by one, without the existing ones."""
    run = session()
    run.start()
    failed = run.finish(remembered("x"))
    assert said(failed)["error"]["kind"] == "invalid_update"
    assert "memos.a.0" in said(failed)["error"]["message"]


def test_keys_and_values_can_have_other_types() -> None:
    """Keys can be texts in JSON only, and the dict can be None at first."""

    class Numbered(BaseModel):
        memos: dict[int, list[int]] | None = None
        n: int = 0

    run = session(Numbered, key="7")
    run.start()
    run.finish(remembered(1))
    run.finish(remembered(2))
    assert memo_ops(run) == [["grow", "memos", "7", [2]]]
    assert run.view().get("memos") == {7: [1, 2]}


def test_a_rule_for_the_whole_state_sees_the_additions() -> None:
    """A validator of the model sees the dict with the additions, and can refuse or change it."""
    run = session(Cut)
    run.start()
    run.finish(remembered(1))
    assert memo_ops(run) == [["grow", "memos", "a", [1]]]
    run.finish(remembered(2, 3))
    assert run.view().get("memos") == {"a": [2, 3]}
    run.crash()
    run.resume()
    run.finish(remembered(4))
    assert run.view().get("memos") == {"a": [3, 4]}


def test_a_change_by_a_rule_for_the_whole_state_is_joined() -> None:
    """An arm whose update was changed sets the field, and a join repeats that."""
    run = Session(forked(Cut))
    run.start({"memos": {"k": [0, 1]}})
    run.finish(None, of="b")
    run.finish(remembered(2), of="a")
    run.join()
    assert run.view().get("memos") == {"k": [1, 2]}


@pytest.mark.parametrize(
    ("state", "first", "expected"),
    [
        (Merged, "a", {"k": [0, 1, 2, 3], "x": [9]}),
        (Merged, "b", {"k": [0, 1, 2, 3], "x": [9]}),
        (Own, "a", {"k": [0, 1, 2, 3, -1], "x": [9]}),
        (Own, "b", {"k": [0, 1, -1, 2, 3], "x": [9]}),
    ],
)
def test_a_join_repeats_additions_and_writes(state: type[State], first: str, expected: dict[str, list[int]]) -> None:
    """One arm adds to a key, the other writes another one through the field's reducer, in either order."""
    graph = Graph("both", state)
    graph.add_node("a", Speaker("memos[k]"), writes=())
    graph.add_node("b", work, writes="memos")
    graph.add_node("merge")
    graph.add_fork(START, [first, "b" if first == "a" else "a"], join="merge")
    graph.add_edge("a", "merge")
    graph.add_path("b", "merge", END)
    run = Session(graph, mirror=True)
    run.start({"memos": {"k": [0, 1]}})
    run.finish({"x": [9]}, of="b")
    run.finish(remembered(2, 3, value={}), of="a")
    run.join()
    assert run.view().get("memos") == expected


def test_one_step_can_write_a_key_and_add_to_it() -> None:
    """Conditions see both, in the order they were written, before they are recorded."""
    seen: list[object] = []

    def look(memos: dict[str, list[int]]) -> bool:
        seen.append(memos)
        return False

    graph = repeated(State, Speaker("memos[a]"), {"memos[b]": ".", "memos[a]": "."}, look, name="both", node="a")
    run = Session(graph)
    run.start({"memos": {"a": [0], "c": [3]}})
    run.finish(remembered(1, 2, value=[9]))
    assert seen[0] == run.view().get("memos") == {"a": [9, 1, 2], "c": [3], "b": [9]}


@pytest.mark.parametrize("names", [["x", "k"], ["k", "x"]])
def test_items_cannot_add_to_a_key_that_another_writes(names: list[str]) -> None:
    """The order of items must not matter; items that all add to one key are accepted."""

    class Named(State):
        names: list[str] = []

    graph = alone(Named, Speaker("memos[k]"), "memos[{name}]", name="items", node="a", each={"name": "names"})
    for given in (names, ["x", "y"]):
        run = Session(graph, mirror=True)
        run.start({"names": given})
        run.enter()
        for index in (1, 0):
            run.finish(remembered(index, value=[9]), of=f"a[{index}]")
        step = run.collect()
        if given is names:
            assert "both write 'memos[k]'" in said(step)["error"]["message"]
        else:
            assert opened(run.snapshot.root.values["memos"]) == {"x": [9], "y": [9], "k": [0, 1]}


# -- changed graphs, and logs of other versions


def forked(state: type[BaseModel]) -> Graph[Any]:
    """Return a graph with two arms that remember under one key."""
    graph = Graph("forked", state)
    for name in ("a", "b"):
        speaks = name == "a" or state is State
        graph.add_node(name, Speaker("memos[k]") if speaks else work, writes="n" if name == "a" else ())
        graph.add_edge(name, "merge")
    graph.add_node("merge")
    graph.add_fork(START, ["a", "b"], join="merge")
    graph.add_edge("merge", END)
    return graph


def test_a_resume_refuses_additions_of_arms_that_no_longer_fit() -> None:
    """The field is not a dict of lists in the current graph."""

    class Other(BaseModel):
        memos: dict[str, int] = {}
        n: int = 0

    run = Session(forked(State))
    run.start({"memos": {}})
    run.finish(remembered(1), of="a")
    with pytest.raises(GraphEngineError, match="memos"):
        run.resume(graph=forked(Other))


def test_an_operation_of_a_newer_version_is_reported() -> None:
    """It is not skipped, and the message names the probable cause."""
    run = session()
    run.start()
    step = made_step(2, "node", 0.0, node="a", visit=1, attempt=1, update=[("shrink", "memos", "a", 1)])
    with pytest.raises(ValueError, match="unknown operation 'shrink'; a newer version"):
        fold([step], run.snapshot)
