"""Agents that hear only some of the others."""

import itertools
from collections.abc import Callable
from typing import Literal

import pytest

from graphengine import Graph, RunFailed
from graphengine.errors import DefinitionError
from graphengine.models import Request
from graphengine.patterns import Network, topology
from tests.patterns.scripted import Answers, away, named, play

Kind = Literal["chain", "star", "mesh"]
NAMES = ("ann", "bob", "cid", "dee")


def network(kind: Kind, count: int, rounds: int = 1) -> Graph[Network]:
    """Return a network of this many agents, which read what they hear."""
    return topology(kind, {name: named(name, "{task}\n{heard}") for name in NAMES[:count]}, rounds=rounds)


def counting() -> Answers:
    """Each agent answers with its name and the number of its call."""

    def counter(name: str) -> Callable[[Request], str]:
        numbers = itertools.count(1)
        return lambda request: f"{name}{next(numbers)}"

    return {name: counter(name) for name in NAMES}


@pytest.mark.parametrize("rounds", [1, 2, 3])
@pytest.mark.parametrize("count", [2, 3, 4])
async def test_calls_are_counted_by_a_formula(count: int, rounds: int) -> None:
    """A chain calls each agent once a round; a star and a mesh call the first one once more."""
    calls = {
        kind: (await play(network(kind, count, rounds), {"task": "rain"}, counting())).calls.total()
        for kind in ("chain", "star", "mesh")
    }
    assert calls == {"chain": count * rounds, "star": count * rounds + 1, "mesh": count * rounds + 1}


def heard(prompt: str) -> set[str]:
    """Return the texts of others in a prompt."""
    return {f"{name}{number}" for name in NAMES for number in range(1, 9) if f"{name}{number}" in prompt}


async def test_in_a_chain_each_agent_reads_the_previous_one() -> None:
    """From the second round on the first hears the last, whose text is the output."""
    played = await play(network("chain", 3, 2), {"task": "rain"}, counting())
    assert [heard(asked) for asked in played.asked("ann")] == [set(), {"cid1"}]
    assert [heard(asked) for asked in played.asked("bob")] == [{"ann1"}, {"ann2"}]
    assert played.output == "cid2"


async def test_in_a_star_only_the_hub_reads_all() -> None:
    """It speaks first, and has the last word."""
    played = await play(network("star", 3, 2), {"task": "rain"}, counting())
    assert [heard(asked) for asked in played.asked("ann")] == [set(), {"bob1", "cid1"}, {"bob2", "cid2"}]
    assert [heard(asked) for asked in played.asked("cid")] == [{"ann1"}, {"ann2"}]
    assert played.output == "ann3"


async def test_in_a_mesh_all_agents_read_each_other() -> None:
    """They hear the texts of the previous round; the first one has the last word."""
    played = await play(network("mesh", 3, 2), {"task": "rain"}, counting())
    assert [heard(asked) for asked in played.asked("bob")] == [set(), {"ann1", "cid1"}]
    assert [heard(asked) for asked in played.asked("ann")][-1] == {"bob2", "cid2"}
    assert played.output == "ann3"


@pytest.mark.parametrize("kind", ["star", "mesh"])
async def test_an_agent_that_runs_in_parallel_can_fail(kind: Kind) -> None:
    """The others are heard, and the failure is kept."""
    played = await play(network(kind, 3), {"task": "rain"}, {**counting(), "cid": away})
    assert set(played.state.said) == {"ann", "bob"}
    assert [failure.path for failure in played.state.errors] == ["cid"]


async def test_a_chain_that_breaks_fails() -> None:
    """Later agents have nothing to hear; earlier ones have spoken."""
    with pytest.raises(RunFailed, match="bob is away") as caught:
        await play(network("chain", 3), {"task": "rain"}, {**counting(), "bob": away})
    assert caught.value.result.state.said == {"ann": "ann1"}


@pytest.mark.parametrize("kind", ["chain", "star", "mesh"])
def test_a_network_needs_two_agents(kind: Kind) -> None:
    """It is refused when it is built."""
    with pytest.raises(DefinitionError, match="at least two agents"):
        network(kind, 1)


@pytest.mark.parametrize("kind", ["chain", "star", "mesh"])
async def test_a_network_can_be_nested(kind: Kind) -> None:
    """The inner one gets the task and nothing of the texts around it; its output is its text."""
    inner = topology("chain", {"deep": named("deep", "{task}\n{heard}"), "end": named("end", "{heard}")})
    graph = topology(kind, {"ann": named("ann", "{task}\n{heard}"), "team": inner})
    played = await play(graph, {"task": "rain"}, {**counting(), "deep": ["deep1"], "end": ["end1"]})
    assert played.state.said["team"] == "end1"
    assert heard(played.asked("deep")[0]) == set()
    assert "rain" in played.asked("deep")[0]
