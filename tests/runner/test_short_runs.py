"""What short runs leave out because it would change nothing."""

from collections.abc import Sequence
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, RunFailed, Runner, Step
from graphengine.engine.snapshot import Snapshot
from graphengine.kernel.extension import Extension, Follower, OpenRun
from graphengine.runner.followers import Following
from graphengine.runner.runner import lives_of
from graphengine.state.ending import Ending, ended_at
from graphengine.stores.summaries import summary_of
from tests.runner.gates import one

TEXTS = (
    "",
    "a",
    "a b",
    " a",
    "a ",
    "a  b",
    "a\nb",
    "a\tb",
    "a\u00a0b",
    "a\u2028b",
    "n\u0000",
    "é",
    "x" * 201,
    "x " * 400,
)


@pytest.mark.parametrize("text", TEXTS)
def test_a_summary_has_its_reason_on_one_line(text: str) -> None:
    """Also if the text is taken as it is, since nothing in it would change."""
    whole = " ".join(text.split())
    reason = summary_of(Snapshot(status="finished", ending=Ending("end", label=text))).reason
    assert reason == (whole if len(whole) <= 200 else f"{whole[:199].rstrip()}…")


def test_an_ending_is_what_its_class_makes() -> None:
    """However it was filled."""
    made: Any = ended_at("approved", "score >= 3", "score is 4")
    assert (type(made), made) == (Ending, Ending("end", "approved", "score >= 3", "score is 4"))
    with pytest.raises(FrozenInstanceError):
        made.label = "other"


async def test_a_runner_knows_the_plans_of_all_its_graphs(runner: Runner) -> None:
    """Of one, of several, and of one that came before others."""
    plans = [one(f"adds{number}", lambda n: n + 1) for number in range(3)]
    shared = lives_of(runner).shared
    for number, graph in enumerate(plans, 1):
        await runner.start(graph).result()
        assert [shared.plan_by(each.compile().fingerprint) for each in plans] == [
            each.compile() if place < number else None for place, each in enumerate(plans)
        ]
    await runner.start(plans[0]).result()
    assert shared.plan_by(plans[2].compile().fingerprint) is plans[2].compile()
    assert shared.plan_by("other") is None


class Silent(Extension, Follower):
    """Overrides nothing."""


class Mixin:
    """Overrides two moments, for a class that inherits from it first."""

    def checked(self, plan: object, *, is_queued: bool) -> None:
        """Check nothing."""

    def entered(self, frame: object) -> None:
        """Do nothing."""


class Acts(Mixin, Silent):
    """Has the moments of both."""


class Apart:
    """A base that knows nothing of others: it calls no `super().__init_subclass__`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Do nothing."""


class Beside(Apart, Extension, Follower):
    """Overrides a moment of each, after such a base."""

    async def opened(self, run: OpenRun) -> Follower:
        """Follow each run."""
        del run
        return self

    def recorded(self, steps: Sequence[Step]) -> None:
        """Do nothing."""


def test_a_moment_counts_however_its_class_got_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By a base, beside a base that hides that it has subclasses, and set on the class later."""
    silent, follower, beside = Silent(), Acts(), Beside()
    shared = lives_of(Runner(extensions=[silent, follower, beside])).shared
    assert {*shared.checking} & {silent, follower, beside} == {follower}
    assert {*shared.follows} & {silent, follower, beside} == {beside}
    following = Following([silent, follower, beside])
    assert (list(following.entered), list(following.recorded)) == ([follower.entered], [beside.recorded])
    monkeypatch.setattr(Silent, "told", lambda *_: None)
    monkeypatch.setattr(Silent, "recorded", lambda *_: None)
    assert silent in lives_of(Runner(extensions=[silent])).shared._telling  # noqa: SLF001 - who is told of a step
    assert len(Following([Silent()]).recorded) == 1


async def test_a_start_condition_that_changes_its_input_fails_the_run(runner: Runner) -> None:
    """Of the run and of a graph inside it: the failure is recorded, so that a resume can follow a repair."""

    class State(BaseModel):
        xs: list[int] = []

    def route(xs: list[int]) -> bool:
        xs.append(1)
        return True

    inner, outer = Graph("inner", State, result="xs"), Graph("outer", State)
    inner.add_node("add", lambda xs: [*xs, 2], writes="xs")
    inner.add_edge(START, "add", when=route)
    inner.add_edge(START, END)
    inner.add_edge("add", END)
    outer.add_node("inner", inner, writes="xs")
    outer.add_path(START, "inner", END)
    for graph in (inner, outer):
        with pytest.raises(RunFailed, match="route changed its argument 'xs' in place"):
            await runner.start(graph, run_id=graph.name).result()
        assert (await runner.info(graph.name)).status == "failed"
