from enum import Enum

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, failed, iterations, value
from graphengine.engine.step_json import encode_step
from graphengine.records.export import export_run
from graphengine.testing import EdgeCoverage, FakeClock, replay


class Mood(Enum):
    GOOD = "good"
    BAD = "bad"


class Talk(BaseModel):
    n: int = 0
    ok: bool = False
    mood: Mood = Mood.GOOD


def speak(n):
    """Count, or fail."""
    if n < 0:
        raise ValueError(n)
    return n + 1


def talk(*edges):
    """One node with these outgoing edges."""
    graph = Graph("talk", Talk)
    graph.add_node("speak", speak, writes="n", thread=False)
    graph.add_node("think", thread=False)
    graph.add_edge(START, "speak")
    for target, options in edges:
        graph.add_edge("speak", target, **options)
    graph.add_edge("think", END)
    return graph


def loop():
    """Edges of several kinds."""
    return talk(
        (END, {"when": failed(ValueError), "label": "broken"}),
        (END, {"when": (value("n") >= 3) & value("ok").is_true(), "label": "done"}),
        (END, {"when": iterations("speak") >= 4, "label": "out"}),
        ("think", {"when": value("n") == 99}),
        ("speak", {}),
    )


def edges():
    """A switch, and a fork with conditional arms."""
    graph = Graph("edges", Talk)
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


async def covered(*runs):
    """Return the report of runs: graphs with their inputs."""
    with EdgeCoverage() as coverage:
        for graph, given in runs:
            await graph.run(given)
    return coverage.report()


async def steps(graph):
    """Return the steps of a run."""
    async with Runner(clock=FakeClock(jumps=False)) as runner:
        await runner.start(graph, run_id="r").result()
        return [encode_step(step) for step in await runner.history("r")]
