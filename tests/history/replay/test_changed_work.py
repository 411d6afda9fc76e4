"""A replay reports changes of failures, forks, maps, subgraphs, and questions at their steps."""

from typing import Any, Literal

import pytest

from graphengine import (
    END,
    FAIL,
    START,
    Graph,
    Limits,
    Retry,
    ask,
    ended_with,
    failed,
    value,
)
from graphengine.agents.errors import BadAnswer
from graphengine.records.replay.replay import replay
from tests.kit.facts import resaid, said
from tests.kit.replays import State, counting, first_difference, first_of, more, recorded

# -- failures


async def broken(n: int) -> int:
    """Fail."""
    raise BadAnswer("no", where="broken", repair="never")


def failing(**options: Any) -> Graph[State]:
    """Return a graph of a node that fails."""
    graph = Graph("failing", State, collect_errors="errors")
    graph.add_node("more", broken, writes="n", **options)
    graph.add_path(START, "more")
    graph.add_edge("more", END, when=failed(BadAnswer), label="survived")
    graph.add_edge("more", END)
    return graph


@pytest.mark.parametrize(
    ("then", "now", "what"),
    [
        ({"retry": Retry(attempts=3, initial_seconds=1)}, {"retry": Retry(attempts=1)}, (2, "retry")),
        ({}, {"retry": Retry(attempts=2)}, (2, "retry")),
        (
            {"retry": Retry(attempts=2, initial_seconds=1)},
            {"retry": Retry(attempts=2, initial_seconds=60)},
            (2, "retry"),
        ),
        ({"fallback": 1}, {"fallback": 2}, (2, "update")),
        ({"fallback": 1}, {}, (2, "retry")),
        ({"fallback": lambda n: n}, {"fallback": 5}, (2, "retry")),
        ({"retry": Retry(attempts=2)}, {"retry": Retry(attempts=2, on=(OSError,))}, (2, "retry")),
    ],
    ids=["fewer attempts", "more attempts", "later", "fallback", "no fallback", "value for function", "other errors"],
)
async def test_the_handling_of_a_failure_is_decided_again(then: Any, now: Any, what: tuple[int, str]) -> None:
    """Attempts, their due times, fallbacks, and the errors that are retried are compared."""
    assert await first_of(failing, then, now) == what


async def test_a_jittered_pause_is_computed_again() -> None:
    """The step has the random number that the pause was computed from, so another range differs, and the same not."""
    jittered = Retry(attempts=3, initial_seconds=10, jitter=0.5)
    run = await recorded(failing(retry=jittered))
    assert replay(failing(retry=jittered), run).same
    for other in (Retry(attempts=3, initial_seconds=40, jitter=0.5), Retry(attempts=3, initial_seconds=10, jitter=0.1)):
        assert first_difference(replay(failing(retry=other), run)) == (2, "retry")


async def test_an_exception_that_is_not_loaded_is_matched_by_its_recorded_names() -> None:
    """The step has the names of its base classes, so its class need not exist here."""

    def graph(**options: Any) -> Graph[State]:
        made = Graph("g", State)
        made.add_node("more", broken, writes="n", **options)
        made.add_edge(START, "more")
        made.add_edge("more", END, when=failed(BadAnswer), label="survived")
        made.add_edge("more", END)
        return made

    run = await recorded(graph())
    gone = resaid(run.steps[1], error={**said(run.steps[1])["error"], "kind": "gone.away.Error"})
    steps = [run.steps[0], gone, *run.steps[2:]]
    found = replay(graph(), steps)
    assert found.same
    assert not found.unchecked
    assert first_difference(replay(graph(retry=Retry(attempts=2)), steps)) == (2, "retry")


async def test_a_removed_edge_for_failures_is_reported() -> None:
    """A failure that an edge followed fails the run under the current graph."""

    def graph(*, survives: bool) -> Graph[State]:
        made = Graph("g", State)
        made.add_node("more", broken, writes="n")
        made.add_edge(START, "more")
        if survives:
            made.add_edge("more", END, when=failed(BadAnswer), label="survived")
        made.add_edge("more", END)
        return made

    assert await first_of(graph, {"survives": True}, {"survives": False}) == (2, "edge")
    assert await first_of(graph, {"survives": False}, {"survives": True}) == (2, "edge")


# -- forks, maps, subgraphs


async def name_of(topic: str) -> dict[str, str]:
    """Return a fact."""
    return {"topic": topic}


async def style_of(style: str) -> dict[str, str]:
    """Return another fact."""
    return {"style": style}


def forked(*arms: Any, need: int | None = None) -> Graph[State]:
    """Return a graph with a fork."""
    graph = Graph("forked", State)
    for name, work in (("names", name_of), ("styles", style_of)):
        graph.add_node(name, work, writes="facts")
        graph.add_edge(name, "join")
    graph.add_node("join")
    graph.add_edge("join", END)
    graph.add_fork(START, list(arms or ("names", "styles")), join="join", need=need)
    return graph


async def test_other_arms_are_reported() -> None:
    """An arm with a new condition, or a fork that needs fewer arms, differs."""
    run = await recorded(forked())
    assert replay(forked(), run).same
    assert first_difference(replay(forked("names", ("styles", value("n") > 0)), run)) == (1, "edge")
    assert first_difference(replay(forked("styles", "names"), run)) == (1, "edge")
    assert first_difference(replay(forked(need=1), run)) == (1, "edge")


def mapped(**options: Any) -> Graph[State]:
    """Return a graph with a map."""
    graph = Graph("mapped", State)
    each = options.pop("each", {"name": "names"})

    async def upper(name: str) -> str:
        return name.upper()

    graph.add_node("read", upper, writes=options.pop("writes", "found"), each=each, **options)
    graph.add_path(START, "read", END)
    return graph


def fewer(names: list[str]) -> list[str]:
    """Return all but the first name."""
    return names[1:]


async def test_other_items_are_reported() -> None:
    """A map over other items, or with another concurrency, differs."""
    run = await recorded(mapped())
    assert replay(mapped(), run).same
    assert first_difference(replay(mapped(each={"name": fewer}), run))[0] == 2
    assert first_difference(replay(mapped(concurrency=1), run)) == (2, "map")


def inside(limit: int = 2, **options: Any) -> Graph[State]:
    """Return a graph with another one inside."""
    inner = Graph("inner", State, result="n", limits=options.pop("limits", None))
    inner.add_node("more", more, writes="n")
    inner.add_edge(START, "more")
    inner.add_edge("more", END, when=value("n") >= limit, label="enough")
    inner.add_edge("more", "more")
    graph = Graph("outer", State)
    graph.add_node("count", inner, writes="n", **options)
    graph.add_path(START, "count")
    graph.add_edge("count", END, when=ended_with("enough"))
    graph.add_edge("count", FAIL)
    return graph


async def test_steps_inside_a_graph_are_decided_by_it() -> None:
    """Another threshold inside is reported there; its other inputs and limits where it was entered."""
    run = await recorded(inside(), {"score": 1})
    found = replay(inside(limit=3), run)
    assert found.first is not None
    assert (found.first.seq, found.first.path, found.first.what) == (4, "count/more", "edge")
    assert first_difference(replay(inside(inputs={"n": "score"}), run)) == (2, "inputs")
    assert first_difference(replay(inside(limits=Limits(visits=9)), run)) == (2, "limit")


# -- work and waits


async def test_another_effect_is_reported() -> None:
    """It decides whether the beginning of a node is recorded."""
    assert await first_of(counting, {}, {"effect": "once"}) == (2, "work")
    assert await first_of(counting, {"effect": "once"}, {}) == (2, "work")


def asking(output: Any = bool, **options: Any) -> Graph[State]:
    """Return a graph with a question."""
    graph = Graph("asking", State)
    graph.add_node("ask", ask(options.pop("question", "Publish?"), output, **options), writes="ok")
    graph.add_path(START, "ask", END)
    return graph


async def test_a_question_is_compared_with_the_current_one() -> None:
    """The type of its answer, its time and its default are compared; the answer is read by the current type."""
    run = await recorded(asking(), None, *[True])
    assert [step.kind for step in run.steps] == ["started", "waiting", "resumed", "node"]
    assert replay(asking(), run).same
    found = replay(asking(Literal[True]), run)
    assert first_difference(found) == (2, "wait")
    assert first_difference(replay(asking(timeout_seconds=60), run)) == (2, "wait")
    assert first_difference(replay(asking(question="Print {topic}?"), run)) == (2, "wait")
