"""Why steps took their edges, read from a store in any order: in the spec that was in force at each of them."""

from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask, value
from graphengine.engine.graph_spec import GraphSpec
from graphengine.engine.reasons import ways_of, why_of
from graphengine.engine.steps import Continued, Started, outcome_of
from graphengine.history.reasons import StepReasons


class State(BaseModel):
    """A number, and whether to go on."""

    n: int = 0
    more: bool = False


def loop(edges: int) -> Graph[State]:
    """Return a graph that counts and asks, with so many edges before the one that is taken."""
    graph = Graph("loop", State)
    graph.add_node("count", lambda n: n + 1, writes="n", thread=False)
    graph.add_node("check", ask("Go on?", bool), writes="more")
    graph.add_edge(START, "count")
    for least in range(edges):
        graph.add_edge("count", END, when=value("n") > 100 + least)
    graph.add_edge("count", "check", when=value("n") > 0)
    graph.add_edge("check", "count", when=value("more").is_true())
    graph.add_edge("check", END)
    return graph


async def test_a_reader_from_anywhere_says_what_was_measured_under_the_spec_in_force() -> None:
    """Also if the graph is as it was at first again, if steps are left out, and in a branch."""
    first, second = loop(1), loop(3)
    async with Runner() as runner:
        await runner.start(first, run_id="r").result()
        for graph in (second, first):
            await runner.answer("r", value=True)
            await runner.resume("r", graph).result()
        mid = max(step.seq for step in await runner.history("r") if step.node == "count" and step.visit == 2)
        await runner.branch("r", first, mid, run_id="child").result()
        specs = {each.compile().fingerprint: each.compile().graph_spec for each in (first, second)}
        for run_id in ("r", "child"):
            steps = await runner.history(run_id)
            truth, spec = dict[int, str](), GraphSpec()
            for step in steps:
                if isinstance(step.data, (Started, Continued)):
                    spec = specs[step.data.fingerprint]
                outcome = outcome_of(step)
                truth[step.seq] = why_of(outcome, ways_of(spec, step)) if outcome.to else ""
            assert {why.count("n 2 > ") for why in truth.values()} == {0, 4}
            for order in (steps, steps[::-1], steps[::2], steps[1::3]):
                reasons = StepReasons(runner.store, run_id)
                found = {step.seq: await reasons.why(step) for step in order}
                assert found == {step.seq: truth[step.seq] for step in order}
