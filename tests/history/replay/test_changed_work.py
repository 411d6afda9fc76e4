"""What was changed about failures, forks, maps, graphs inside, recorded work and questions is told at its step."""

from typing import Any, Literal

import pytest

from graphengine import (
    END,
    FAIL,
    START,
    Context,
    Graph,
    Limits,
    Retry,
    ask,
    ended,
    failed,
    value,
)
from graphengine.errors import BadAnswer
from graphengine.history.replay.replay import replay
from tests.kit.facts import resaid, said
from tests.kit.replays import State, counting, first_of, more, recorded, told

# -- failures


async def broken(n: int) -> int:
    """Never works."""
    raise BadAnswer("no", where="broken", repair="never")


def failing(**options: Any) -> Graph[State]:
    """A node that fails."""
    graph = Graph("failing", State, errors="errors")
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
async def test_what_follows_a_failure_is_decided_anew(then: Any, now: Any, what: tuple[int, str]) -> None:
    """Attempts, when the next one is due, fallbacks, and which errors are tried again."""
    assert await first_of(failing, then, now) == what


async def test_a_jittered_pause_is_one_that_today_may_give() -> None:
    """The time of the next attempt is compared within what chance leaves."""
    jittered = Retry(attempts=3, initial_seconds=10, jitter=0.5)
    run = await recorded(failing(retry=jittered))
    assert replay(failing(retry=jittered), run).same
    assert told(replay(failing(retry=Retry(attempts=3, initial_seconds=40, jitter=0.5)), run)) == (2, "retry")


async def test_an_exception_that_is_not_loaded_is_not_judged() -> None:
    """What a class that nobody has loaded is a kind of is not known, and is told as not checked."""
    run = await recorded(failing())
    steps = [
        resaid(step, error={**said(step)["error"], "kind": "gone.away.Error"}) if said(step).get("error") else step
        for step in run.steps
    ]
    found = replay(failing(), steps)
    assert found.same
    assert any("class is not loaded" in what for what in found.unchecked)


async def test_an_edge_for_failures_that_is_gone_is_told() -> None:
    """A failure that an edge took up fails the run today."""

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


# -- forks, maps, graphs inside


async def name_of(topic: str) -> dict[str, str]:
    """A fact."""
    return {"topic": topic}


async def style_of(style: str) -> dict[str, str]:
    """Another fact."""
    return {"style": style}


def forked(*arms: Any, need: int | None = None) -> Graph[State]:
    """A fork."""
    graph = Graph("forked", State)
    for name, work in (("names", name_of), ("styles", style_of)):
        graph.add_node(name, work, writes="facts")
        graph.add_edge(name, "join")
    graph.add_node("join")
    graph.add_edge("join", END)
    graph.add_fork(START, list(arms or ("names", "styles")), join="join", need=need)
    return graph


async def test_other_arms_are_told() -> None:
    """An arm that has a condition today, or a fork that needs fewer."""
    run = await recorded(forked())
    assert replay(forked(), run).same
    assert told(replay(forked("names", ("styles", value("n") > 0)), run)) == (1, "edge")
    assert told(replay(forked("styles", "names"), run)) == (1, "edge")
    assert told(replay(forked(need=1), run)) == (1, "edge")


def mapped(**options: Any) -> Graph[State]:
    """A map."""
    graph = Graph("mapped", State)
    each = options.pop("each", {"name": "names"})

    async def upper(name: str) -> str:
        return name.upper()

    graph.add_node("read", upper, writes=options.pop("writes", "found"), each=each, **options)
    graph.add_path(START, "read", END)
    return graph


def fewer(names: list[str]) -> list[str]:
    """All but the first."""
    return names[1:]


async def test_other_items_are_told() -> None:
    """A map over other items, or over as many at a time as it was not."""
    run = await recorded(mapped())
    assert replay(mapped(), run).same
    assert told(replay(mapped(each={"name": fewer}), run))[0] == 2
    assert told(replay(mapped(concurrency=1), run)) == (2, "map")


def inside(limit: int = 2, **options: Any) -> Graph[State]:
    """A graph inside another one."""
    inner = Graph("inner", State, result="n", limits=options.pop("limits", None))
    inner.add_node("more", more, writes="n")
    inner.add_edge(START, "more")
    inner.add_edge("more", END, when=value("n") >= limit, label="enough")
    inner.add_edge("more", "more")
    graph = Graph("outer", State)
    graph.add_node("count", inner, writes="n", **options)
    graph.add_path(START, "count")
    graph.add_edge("count", END, when=ended("enough"))
    graph.add_edge("count", FAIL)
    return graph


async def test_steps_inside_a_graph_are_decided_by_it() -> None:
    """Another threshold inside is told there; other inputs and limits of it where it was entered."""
    run = await recorded(inside(), {"score": 1})
    found = replay(inside(limit=3), run)
    assert found.first is not None
    assert (found.first.seq, found.first.path, found.first.what) == (4, "count/more", "edge")
    assert told(replay(inside(inputs={"n": "score"}), run)) == (2, "inputs")
    assert told(replay(inside(limits=Limits(steps=9)), run)) == (2, "limit")


# -- work and waits


async def step_by_step(ctx: Context, n: int) -> int:
    """Recorded work."""
    return await ctx.step(more, n)


def no_context(n: int) -> int:
    """A sync node."""
    return n


async def test_work_that_todays_node_could_not_ask_for_is_told() -> None:
    """A node that takes no context, or is not async, records nothing."""
    run = await recorded(counting(work=step_by_step))
    assert [step.kind for step in run.steps][:3] == ["started", "recorded", "node"]
    assert replay(counting(work=step_by_step), run).same
    found = replay(counting(work=more), run)
    assert told(found) == (2, "work")
    assert "takes no ctx" in str(found)
    assert told(replay(counting(work=no_context), run)) == (2, "work")


async def test_on_resume_is_part_of_it() -> None:
    """Whether the start of an attempt is recorded."""
    assert await first_of(counting, {}, {"on_resume": "ask"}) == (2, "work")
    assert await first_of(counting, {"on_resume": "ask"}, {}) == (2, "work")


def asking(output: Any = bool, **options: Any) -> Graph[State]:
    """A question."""
    graph = Graph("asking", State)
    graph.add_node("ask", ask(options.pop("question", "Publish?"), output, **options), writes="ok")
    graph.add_path(START, "ask", END)
    return graph


async def test_a_question_is_held_against_todays() -> None:
    """The type of its answer, its time and its default; and the answer is read by today's type."""
    run = await recorded(asking(), None, *[True])
    assert [step.kind for step in run.steps] == ["started", "waiting", "resumed", "node"]
    assert replay(asking(), run).same
    found = replay(asking(Literal[True]), run)
    assert told(found) == (2, "wait")
    assert told(replay(asking(timeout_seconds=60), run)) == (2, "wait")
    assert told(replay(asking(question="Print {topic}?"), run)) == (2, "inputs")
