"""A change of a graph is reported at the first step that it decides otherwise; runs that do not reach it pass."""

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, Field, create_model, model_validator

from graphengine import (
    END,
    START,
    Graph,
    Migration,
    Runner,
    ask,
    choose,
    iterations,
    plateau,
    value,
)
from graphengine.engine.steps import Step
from graphengine.errors import GraphChanged, StoreCorrupt
from graphengine.records.export import export_run, import_run, parse, to_json_text
from graphengine.records.replay.replay import replay
from graphengine.reducers import add
from graphengine.testing import FakeClock
from graphengine.testing import replay as check
from tests.kit.facts import resaid, said
from tests.kit.replays import State, counting, first_difference, first_of, more, recorded

# -- outgoing edges


async def test_a_changed_threshold_is_reported_at_the_first_different_edge() -> None:
    """The step has both edges and the explanations of the conditions."""
    run = await recorded(counting())
    found = replay(counting(limit=4), run)
    first = found.first
    assert first is not None
    assert (first.seq, first.path, first.what) == (4, "more", "edge")
    assert first.recorded == {"to": ["END"], "edge": "enough", "why": "n 3 >= 3: yes"}
    assert first.today == {"to": ["more"], "why": "n 3 >= 4: no; otherwise"}
    assert "END [enough] because n 3 >= 3: yes, today more because" in first.message
    assert len(found.differences) == 1
    assert [one.seq for one in found.reasons] == [2, 3]
    assert all(one.what == "reason" for one in found.reasons)


async def test_a_reworded_explanation_is_not_a_difference() -> None:
    """A threshold that leads to the same edge is reported separately, and the replay is the same."""
    run = await recorded(counting(), {"n": 5})
    found = replay(counting(limit=2), run)
    assert found.same
    assert [(one.seq, one.recorded, one.today) for one in found.reasons] == [
        (
            2,
            {"condition": "n >= 3", "why": "n 6 >= 3: yes"},
            {"condition": "n >= 2", "why": "n 6 >= 2: yes"},
        )
    ]
    assert check(counting(limit=2), run).same


def ordered(*, swapped: bool) -> Graph[State]:
    """Return a graph with two edges that can both hold."""
    graph = Graph("ordered", State)
    graph.add_node("more", more, writes="n")
    graph.add_edge(START, "more")
    edges = [("big", value("n") >= 3), ("odd", value("n").is_in([1, 3, 5]))]
    for label, condition in reversed(edges) if swapped else edges:
        graph.add_edge("more", END, when=condition, label=label)
    graph.add_edge("more", "more")
    return graph


async def test_the_order_of_edges_is_reported_by_the_label() -> None:
    """The same target by another edge is another decision."""
    run = await recorded(ordered(swapped=False), {"n": 1})
    assert [said(step).get("edge") for step in run.steps] == [None, None, "big"]
    assert first_difference(replay(ordered(swapped=True), run)) == (3, "edge")


def judging(*, patience: int = 1, delta: float = 0, rounds: int = 9) -> Graph[State]:
    """Return a graph that repeats until a score is no longer better."""
    graph = Graph("judging", State)

    async def judge(scores: list[int]) -> int:
        return [1, 4, 5, 5, 5, 5, 5][len(scores)]

    graph.add_node("judge", judge, writes="scores")
    graph.add_edge(START, "judge")
    graph.add_edge("judge", END, when=plateau("scores[-1]", patience=patience, min_delta=delta), label="flat")
    graph.add_edge("judge", END, when=iterations("judge") >= rounds, label="rounds")
    graph.add_edge("judge", "judge")
    return graph


@pytest.mark.parametrize(
    ("now", "seq"),
    [({"patience": 2}, 5), ({"delta": 2.0}, 4), ({"rounds": 2}, 3)],
    ids=["patience", "min_delta", "iterations"],
)
async def test_conditions_about_the_past_are_decided_with_all_of_it(now: dict[str, Any], seq: int) -> None:
    """A plateau whose marks are not in the log still has the samples of the whole run."""
    assert await first_of(judging, {}, now) == (seq, "edge")


async def test_a_removed_edge_is_reported() -> None:
    """If no outgoing edge is left, the report says so."""

    def graph(*, whole: bool) -> Graph[State]:
        made = Graph("g", State)
        made.add_node("more", more, writes="n")
        made.add_edge(START, "more")
        made.add_edge("more", END, when=value("n") >= 2)
        if whole:
            made.add_edge("more", "more")
        return made

    run = await recorded(graph(whole=True))
    found = replay(graph(whole=False), run)
    assert first_difference(found) == (2, "edge")
    assert "no edge out of more holds" in str(found)


# -- nodes


async def test_a_renamed_node_is_reported_at_the_edge_that_leads_to_it() -> None:
    """First the edge that leads to it differs, then every step of the removed node."""
    run = await recorded(counting())
    found = replay(counting("again"), run)
    assert first_difference(found) == (1, "edge")
    assert [(one.seq, one.what) for one in found.differences[1:]] == [(2, "ready"), (3, "ready"), (4, "ready")]
    assert "no node 'more'; it has again" in found.differences[1].message


async def test_another_kind_of_node_is_reported() -> None:
    """A node that is now a map, a graph or a question does not do what the recorded one did."""
    run = await recorded(counting(state=State))
    asks = Graph("counting", State)
    asks.add_node("more", ask("How many?", int), writes="n")
    inner = Graph("inner", State, result="n")
    inner.add_node("more", more, writes="n")
    inner.add_path(START, "more", END)
    for runnable in (ask("How many?", int), inner):
        found = replay(counting(work=runnable), run)
        assert first_difference(found) == (2, "ready")
    each = counting(work=lambda name, found: name, writes="found", each={"name": "names"})
    assert first_difference(replay(each, run))[0] == 2


class Part(BaseModel):
    """A part to read."""

    topic: str
    other: str


async def read(topic: str) -> str:
    """Read a topic."""
    return topic


def reading(**inputs: Any) -> Graph[State]:
    """Return a graph of a node with these inputs."""
    graph = Graph("reading", State)
    graph.add_node("more", more, writes="n")
    graph.add_node("read", read, writes="style", **inputs)
    graph.add_path(START, "more", "read", END)
    return graph


async def test_other_inputs_are_reported_with_their_values() -> None:
    """The node reads from another place with another value."""
    run = await recorded(reading(), {"topic": "ants", "other": "bees"})
    found = replay(reading(inputs={"topic": "other"}), run)
    assert first_difference(found) == (3, "inputs")
    assert found.first is not None
    assert found.first.recorded == {"topic": "topic = ants"}
    assert found.first.today == {"topic": "other = bees"}


async def test_another_path_with_the_same_value_is_not_a_difference() -> None:
    """Another path with the same value is not a difference."""
    run = await recorded(reading())
    assert replay(reading(inputs={"topic": "other"}), run).same


async def test_an_input_that_is_missing_today_is_reported() -> None:
    """The node could not be run under the current graph."""
    run = await recorded(reading(), {"names": ["a"]})
    found = replay(reading(inputs={"topic": "names[3]"}), run)
    assert first_difference(found) == (3, "inputs")
    assert "topic is None" in str(found)


async def test_inputs_are_compared_only_with_outlines() -> None:
    """Only the log is given: changed inputs pass, if they exist and fit."""
    run = await recorded(reading(), {"topic": "ants", "other": "bees"})
    assert replay(reading(inputs={"topic": "other"}), run.steps).same


def chosen(*, on: str) -> Graph[State]:
    """Return a graph that chooses by a field."""
    graph = Graph("chosen", State)
    graph.add_node(
        "read", choose(on, {"short": read, "ants": more}), writes={"facts": lambda result: {"x": str(result)}}
    )
    graph.add_path(START, "read", END)
    return graph


async def test_another_choice_is_reported() -> None:
    """It is what the current selector picks from its inputs."""
    assert await first_of(chosen, {"on": "style"}, {"on": "topic"}) == (2, "choice")


async def test_a_selector_that_raises_is_reported_and_the_replay_continues() -> None:
    """An error of a user's function is a difference and does not end the replay."""

    def lost(n: int) -> str:
        raise KeyError(n)

    def graph(on: Any) -> Graph[State]:
        made = Graph("chosen", State)
        made.add_node("count", choose(on, {"short": more}), writes="n")
        made.add_edge(START, "count")
        made.add_edge("count", END, when=value("n") >= 2)
        made.add_edge("count", "count")
        return made

    run = await recorded(graph("style"))
    found = replay(graph(lost), run)
    assert [(one.seq, one.what) for one in found.differences] == [(2, "choice"), (3, "choice")]
    assert "KeyError: 0" in str(found)


# -- types and reducers


def narrowed(**fields: Any) -> type[BaseModel]:
    """Return the state with other fields."""
    return create_model("Narrow", __base__=State, **fields)


@pytest.mark.parametrize(
    ("fields", "seq", "what"),
    [
        ({"n": (Annotated[int, Field(le=2)], 0)}, 4, "update"),
        ({"n": (Literal[0, 1, 2], 0)}, 4, "update"),
        ({"topic": (int, 0)}, 1, "state"),
        ({"n": (Annotated[int, Field(ge=1)], 1)}, 1, "state"),
        ({"new": (int, ...)}, 1, "state"),
    ],
    ids=["le", "literal", "type", "ge", "required"],
)
async def test_a_narrowed_type_is_reported_at_its_first_value(fields: dict[str, Any], seq: int, what: str) -> None:
    """It is the first value that does not fit, initial or in an update, or a reducer where there was none."""
    run = await recorded(counting())
    assert first_difference(replay(counting(state=narrowed(**fields)), run)) == (seq, what)


async def test_another_reducer_is_reported_at_its_first_operation() -> None:
    """That is an operation the current field does not have; a value that was set is reported as not checked."""

    def keeping(state: type[BaseModel]) -> Graph[Any]:
        graph = Graph("keeping", state)
        graph.add_node("more", lambda n: n, writes="scores", thread=False)
        graph.add_path(START, "more", END)
        return graph

    run = await recorded(keeping(State))
    assert first_difference(replay(keeping(narrowed(scores=(int, 0))), run))[0] == 1
    found = replay(keeping(narrowed(scores=(list[int], []))), run)
    assert first_difference(found) == (2, "update")
    found = replay(counting(state=narrowed(n=(Annotated[int, add], 0))), await recorded(counting()))
    assert found.same
    assert any("was set where today a reducer combines" in what for what in found.unchecked)


async def test_a_new_field_with_a_default_changes_nothing() -> None:
    """Fields of the current graph exist in the replay with their defaults, and can be tested."""
    run = await recorded(counting())
    graph = counting(state=narrowed(new=(int, 7)))
    assert replay(graph, run).same
    graph.add_node("late", more, writes="n")
    graph.add_edge("late", END)
    again = Graph("counting", narrowed(new=(int, 7)))
    again.add_node("more", more, writes="n")
    again.add_edge(START, "more")
    again.add_edge("more", END, when=(value("n") >= 3) & (value("new") == 7), label="enough")
    again.add_edge("more", "more")
    assert replay(again, run).same


async def test_a_removed_field_is_reported_at_its_first_write() -> None:
    """A field that was never written can be removed."""

    class Small(BaseModel):
        n: int = 0

    class Other(BaseModel):
        topic: str = ""

    run = await recorded(counting())
    assert replay(counting(state=Small), run).same
    other = Graph("counting", Other)
    other.add_node("more", read, writes="topic")
    other.add_path(START, "more", END)
    assert first_difference(replay(other, run)) == (2, "inputs")
    found = replay(other, run.steps)
    assert first_difference(found) == (2, "update")
    assert "today more no longer writes n and writes topic too" in str(found)


async def test_a_validator_of_the_whole_state_is_called() -> None:
    """It refuses a rule over several fields that the recorded run broke."""

    class Ruled(State):
        @model_validator(mode="after")
        def rule(self) -> "Ruled":
            if self.n == 2:
                message = "never two"
                raise ValueError(message)
            return self

    found = replay(counting(state=Ruled), await recorded(counting()))
    assert first_difference(found) == (3, "update")
    assert "never two" in str(found)


async def test_other_writes_are_reported() -> None:
    """A result that is written elsewhere, or also elsewhere, differs."""
    assert await first_of(counting, {}, {"writes": {"n": ".", "scores": "."}}) == (2, "update")


async def test_a_part_that_a_writes_function_extracts_is_not_checked() -> None:
    """The log has what was written, and not the result that the function got."""
    run = await recorded(counting(writes={"n": lambda result: result}))
    found = replay(counting(writes={"n": lambda result: result + 1}), run)
    assert found.same
    assert list(found.unchecked.values()) == [3]
    assert "not checked: a part of a result" in str(found)


# -- the whole replay


async def test_a_migrated_run_is_compared_from_the_migration_on() -> None:
    """What the current version recorded replays; steps before a migration are not for the current graph."""
    old = Graph("desk", State)
    old.add_node("wait", ask("Continue?", bool), writes="ok")
    old.add_path(START, "wait", END)
    new = Graph("desk", State, version=2, migrate={1: Migration(renamed={"wait": "stay"})})
    new.add_node("stay", ask("Continue?", bool), writes="ok")
    new.add_path(START, "stay", END)
    async with Runner(clock=FakeClock()) as runner:
        await runner.start(old, State(), run_id="r").result()
        await runner.answer("r", value=True)
        assert (await runner.resume("r", new).result()).status == "finished"
        run = await export_run(runner.store, "r")
    assert [step.kind for step in run.steps] == ["started", "waiting", "resumed", "node"]
    found = replay(new, run)
    assert found.same
    assert found.unchecked == {"recorded under version 1 of the graph, which a migration replaced since": 2}
    unversioned = Graph("desk", State)
    unversioned.add_node("stay", ask("Continue?", bool), writes="ok")
    unversioned.add_path(START, "stay", END)
    assert [(one.seq, one.what) for one in replay(unversioned, run).differences][:2] == [(1, "edge"), (2, "ready")]


async def test_tags_are_exported() -> None:
    """A run's tags are in the file."""
    run = await recorded(counting())
    async with Runner() as runner:
        await import_run(runner.store, run)
        await runner.store.tag("r", ["gold"])
        tagged = parse(to_json_text(await export_run(runner.store, "r"), "1"), "r.json")
    async with Runner() as runner:
        await import_run(runner.store, tagged)
        assert (await runner.store.info("r")).tags == ("gold",)


async def test_a_run_of_another_graph_is_refused() -> None:
    """A run records the name of its graph."""
    run = await recorded(counting())
    with pytest.raises(GraphChanged, match="of graph 'counting', not 'ordered'"):
        replay(ordered(swapped=False), run)


async def test_a_log_that_does_not_fold_is_refused() -> None:
    """Missing steps are an error, not a difference."""
    run = await recorded(counting())
    with pytest.raises(StoreCorrupt, match="step 4 does not fold"):
        replay(counting(), [*run.steps[:2], run.steps[3]])


async def test_no_node_is_called() -> None:
    """The nodes of the replayed graph would all fail."""
    calls: list[str] = []

    async def noted(n: int) -> int:
        calls.append("node")
        return n + 1

    run = await recorded(counting())
    assert replay(counting(work=noted), run).same
    assert not calls


async def test_the_one_line_test_reports_everything() -> None:
    """graphengine.testing.replay raises AssertionError with the step, both sides and the repair."""
    run = await recorded(counting())
    with pytest.raises(AssertionError) as caught:
        check(counting(limit=4), run)
    for text in ("run r of counting", "step 4 (more), edge", "n 3 >= 4: no", "repair: "):
        assert text in str(caught.value)


async def test_limits_are_reported_as_unknown_only_if_they_differ() -> None:
    """The log does not record whether limits came from the caller or the graph."""
    run = await recorded(counting())
    assert not replay(counting(), run).unchecked
    found = replay(counting(), [_limited(run.steps[0]), *run.steps[1:]])
    assert [what for what in found.unchecked if what.startswith("limits of the run")]


def _limited(step: Step) -> Step:
    return resaid(step, limits={"visits": 7})
