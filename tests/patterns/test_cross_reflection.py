import asyncio

import pytest

from graphengine import Agent, Runnable
from graphengine.errors import DefinitionError
from graphengine.patterns import Critique, CrossReflection, cross_reflection, self_reflection
from tests.patterns.kits import clerk
from tests.patterns.scripted import play

WRITE = clerk("write", "{task} {draft} {critiques}")
AGAIN = Critique(verdict="revise", flaws=["dull"])
GOOD = Critique(verdict="accept")


class Toned(CrossReflection):
    tone: str = "plain"


def critics(*names: str) -> dict[str, Runnable]:
    """Return agents that criticise."""
    return {name: Agent(name, prompt="{draft}", output=Critique) for name in names}


async def test_a_draft_is_revised_until_every_critic_accepts_it() -> None:
    """Each critique reaches the revision by its critic's name."""
    script = {"write": ["one", "two"], "facts": [GOOD, GOOD], "style": [AGAIN, GOOD]}
    played = await play(cross_reflection(WRITE, critics("facts", "style"), rounds=2), {"task": "t"}, script)
    assert (played.output, played.label) == ("two", "accepted")
    assert '"style"' in played.requests[3].prompt


async def test_critics_run_in_parallel() -> None:
    """Each critic waits for the other here."""
    met = asyncio.Barrier(2)

    async def critic(draft: str) -> Critique:
        await met.wait()
        return GOOD

    async with asyncio.timeout(10):
        played = await play(cross_reflection(WRITE, {"a": critic, "b": critic}), {"task": "t"}, {"write": ["one"]})
    assert played.label == "accepted"


async def test_a_critic_that_fails_leaves_the_others() -> None:
    """Its critique of an earlier draft does not count for this one."""
    answers = iter([AGAIN])

    def once(draft: str) -> Critique:
        return next(answers)

    graph = cross_reflection(WRITE, {**critics("style"), "once": once}, rounds=2)
    played = await play(graph, {"task": "t"}, {"write": ["one", "two"], "style": [AGAIN, GOOD]})
    assert (played.label, list(played.state.critiques), played.output) == ("accepted", ["style"], "two")
    assert [error.path for error in played.state.errors] == ["once"]


async def test_if_all_critics_fail_the_draft_is_kept_unreviewed() -> None:
    """No opinion is not an approval."""

    def broken(draft: str) -> Critique:
        raise OSError("no network")

    played = await play(cross_reflection(WRITE, {"a": broken, "b": broken}), {"task": "t"}, {"write": ["one"]})
    assert (played.output, played.label, len(played.state.errors)) == ("one", "unreviewed", 2)


@pytest.mark.parametrize(("names", "rounds"), [(("a",), 1), (("a", "b", "c"), 2)])
async def test_it_costs_the_critics_and_a_revision_a_round(names: tuple[str, ...], rounds: int) -> None:
    """A run costs at most `1 + rounds · (critics + 1)` calls, and at least `1 + critics`."""
    script = {"write": ["x"] * (rounds + 1), **{name: [AGAIN] * rounds for name in names}}
    played = await play(cross_reflection(WRITE, critics(*names), rounds=rounds), {"task": "t"}, script)
    assert (played.calls.total(), played.label) == (1 + rounds * (len(names) + 1), "out of rounds")
    script = {"write": ["x"], **{name: [GOOD] for name in names}}
    played = await play(cross_reflection(WRITE, critics(*names), rounds=rounds), {"task": "t"}, script)
    assert played.calls.total() == 1 + len(names)


async def test_it_nests_in_a_reflection_of_another_kind() -> None:
    """Both keep critiques, each in its own form; the caller's fields reach the inner graph."""
    inner = cross_reflection(clerk("write", "{tone} {task}"), critics("a"), state=Toned)
    graph = self_reflection(inner, Agent("self", prompt="{draft}", output=Critique), revise=clerk("fix", "{draft}"))
    script = {"write": ["one"], "a": [GOOD], "self": [AGAIN, GOOD], "fix": ["two"]}
    played = await play(graph, {"task": "t"}, script)
    assert played.output == "two"


@pytest.mark.parametrize("names", [(), ("write",), ("weigh", "a")])
def test_critics_that_cannot_be_are_refused(names: tuple[str, ...]) -> None:
    """They are refused when the graph is built."""
    with pytest.raises(DefinitionError, match="cross_reflection"):
        cross_reflection(WRITE, critics(*names))
