import asyncio
import threading
from collections.abc import Mapping
from enum import Enum
from typing import Any

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, failed, iterations, value
from graphengine.engine.step_json import encode_step
from graphengine.records.export import export_run
from graphengine.testing import EdgeCoverage, FakeClock, replay, run_node
from tests.kit.runs import SOON, alone


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Talk(BaseModel):
    n: int = 0
    ok: bool = False
    mood: Mood = Mood.GOOD


async def speak(n: int) -> int:
    """Count, or fail."""
    if n < 0:
        raise ValueError(n)
    return n + 1


def talk(name: str = "talk", *edges: tuple[str, Mapping[str, Any]]) -> Graph[Talk]:
    """One node with these outgoing edges."""
    graph = Graph(name, Talk)
    graph.add_node("speak", speak, writes="n", retry=None)
    graph.add_node("think", thread=False)
    graph.add_edge(START, "speak")
    for target, options in edges:
        graph.add_edge("speak", target, **options)
    graph.add_edge("think", END)
    return graph


def loop() -> Graph[Talk]:
    """Edges of several kinds."""
    return talk(
        "talk",
        (END, {"when": failed(ValueError), "label": "broken"}),
        (END, {"when": (value("n") >= 3) & value("ok").is_true(), "label": "done"}),
        (END, {"when": iterations("speak") >= 4, "label": "out"}),
        ("think", {"when": value("n") == 99}),
        ("speak", {}),
    )


HERE = "tests/testing/test_coverage.py"


async def test_edges_that_were_never_taken_are_reported() -> None:
    """The report has edges that never held, edges that were never checked, and parts of conditions."""
    with EdgeCoverage() as coverage:
        await loop().run({"n": 0})

    file, *lines = coverage.report().splitlines()
    assert file.endswith("test_coverage.py: talk: 6 of 11 seen")
    assert lines == [
        "  speak -> END 'done' (n >= 3 and ok is true): checked 4 times, never held",
        "  speak -> END 'done' (n >= 3 and ok is true): 'ok is true' never held",
        "  speak -> think (n == 99): checked 3 times, never held",
        "  speak -> END 'broken' (failed with ValueError): never checked",
        "  think -> END (otherwise): never taken",
        "edges and conditions seen: 6 of 11, 54.5 %",
    ]


async def test_coverage_is_complete_once_every_edge_was_taken() -> None:
    """Coverage is complete once every edge was taken, over several runs in sequence and nested."""
    coverage = EdgeCoverage()
    with coverage:
        await loop().run({"n": 0})
        await loop().run({"n": -1})
    first = coverage.percent
    with coverage:
        await loop().run({"n": 5, "ok": True})
        await loop().run({"n": 98})
    assert first < coverage.percent == 100.0
    assert coverage.report().splitlines()[1:] == ["edges and conditions seen: 11 of 11, 100.0 %"]
    assert [*coverage.graphs.values()] == [100.0]


def test_runs_count_in_any_context_and_thread() -> None:
    """An event loop that was made before, and a thread of the test's own, see no context variable of the test's."""
    with asyncio.Runner() as loop_before:
        loop_before.get_loop()
        with EdgeCoverage() as coverage:
            loop_before.run(loop().run({"n": -1}))
            thread = threading.Thread(target=lambda: asyncio.run(loop().run({"n": 0})))
            thread.start()
            thread.join()
    lines = coverage.report()
    assert "'broken'" not in lines
    assert "'out'" not in lines


async def test_a_node_alone_in_another_thread_does_not_stop_recording() -> None:
    """A node run alone is not counted; a run in parallel with it is."""
    alone, done = threading.Event(), threading.Event()

    def looked(n: int) -> bool:
        if n == 8:  # the node alone
            alone.set()
            done.wait(SOON)
        return True

    graph = talk("talk", (END, {"when": looked}), ("think", {}))

    def aside() -> None:
        asyncio.run(run_node(graph, "speak", {"n": 7}))

    with EdgeCoverage(graph) as coverage:
        thread = threading.Thread(target=aside)
        thread.start()
        assert alone.wait(SOON)
        assert coverage.percent == 0
        await graph.run()
        done.set()
        thread.join()
    assert coverage.report().splitlines()[0] == f"{HERE}: talk: 2 of 4 seen"


async def test_coverage_does_not_change_what_a_run_records() -> None:
    """Steps and explanations are the same with and without coverage."""

    async def steps(graph: Graph[Talk]) -> list[bytes]:
        async with Runner(clock=FakeClock(jumps=False)) as runner:
            run = runner.start(graph, run_id="r")
            await run.result()
            return [encode_step(step) for step in await runner.history("r")]

    for make in (loop, edges):
        plain = await steps(make())
        with EdgeCoverage():
            assert await steps(make()) == plain


def edges() -> Graph[Talk]:
    """A switch, and a fork with conditional arms."""
    graph = Graph("talk", Talk)
    for name in ("choose", "left", "right", "join"):
        graph.add_node(name, thread=False)
    graph.add_edge(START, "choose")
    graph.add_edge("choose", END, when=~(value("n") < 5), label="many")
    graph.add_switch("choose", "mood", {Mood.GOOD: "join"}, otherwise="join")
    graph.add_fork("join", ["left", ("right", value("ok").is_true())], join=END, when=value("n") < 2, label="both")
    graph.add_edge("join", END)
    graph.add_edge("left", END)
    graph.add_edge("right", END)
    return graph


async def test_cases_and_arms_are_units() -> None:
    """Each case and the otherwise, the fork itself and each arm with a condition are units of coverage."""
    with EdgeCoverage() as coverage:
        await edges().run()
    assert coverage.report().splitlines()[1:-1] == [
        "  choose -> END 'many' (not (n < 5)): checked once, never held",
        "  choose -> join (mood otherwise): never taken",
        "  right -> END (otherwise): never taken",
        "  join -> [left | right] END 'both', arm right (ok is true): checked once, never held",
        "  join -> END (otherwise): never taken",
    ]
    with coverage:
        for state in ({"n": 5}, {"n": 3, "mood": "bad"}, {"ok": True}):
            await edges().run(state)
    assert coverage.percent == 100.0


async def test_failed_with_exception_need_not_be_false() -> None:
    """`failed(Exception)` in a composed condition counts once."""
    graph = talk("talk", (END, {"when": failed(Exception) & (value("n") < 0)}), ("think", {}))
    with EdgeCoverage(graph) as coverage:
        await graph.run({"n": -1})
    assert "'failed with Exception'" not in coverage.report()
    assert "'n < 0' always held" in coverage.report()


async def test_only_named_graphs_count() -> None:
    """Graphs nested in a given graph count too, run or not; a name without a run is reported."""
    inner = loop().but(name="inner")
    outer = alone(Talk, inner, ("n",), name="outer")

    with EdgeCoverage(outer) as whole, EdgeCoverage("inner", "unknown") as named:
        await edges().run()
        assert {name.partition(" ")[0]: share for name, share in whole.graphs.items()} == {"outer": 0.0, "inner": 0.0}
        await outer.run({"n": 98})
    assert [*whole.graphs.values()][1] == 100.0
    assert [*named.graphs] == [name for name in whole.graphs if name.startswith("inner")]
    assert "unknown: never run" in named.report()
    assert "talk:" not in whole.report()


async def test_a_replay_counts() -> None:
    """A recorded run's edges are tested by its replay."""
    async with Runner() as runner:
        run = runner.start(loop(), {"n": -1})
        await run.result()
        exported = await export_run(runner.store, run.id)
    with EdgeCoverage() as coverage:
        replay(loop(), exported)
    assert "'broken'" not in coverage.report()
    assert coverage.percent > 0


async def test_graphs_that_differ_only_in_numbers_count_as_one() -> None:
    """A factory with other thresholds makes the same graph; one with other edges does not."""

    def made(most: int, target: str = END) -> Graph[Talk]:
        return talk(
            "talk", (END, {"when": value("n") >= most}), ("think", {"when": value("ok").is_true()}), (target, {})
        )

    with EdgeCoverage() as coverage:
        await made(1).run()
        await made(100).run({"ok": True})
        await made(100).run()
        assert coverage.percent == 100.0
        await made(5, "think").run()
    assert len(coverage.report().splitlines()) == 1 + 3 + 1
