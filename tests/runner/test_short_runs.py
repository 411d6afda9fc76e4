"""What short runs leave out because it would change nothing."""

from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from graphengine import Runner
from graphengine.engine.snapshot import Snapshot
from graphengine.kernel.extension import Extension, Follower
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


def test_a_class_says_which_moments_it_overrides() -> None:
    """Also those that it inherits."""

    class Silent(Extension, Follower):
        pass

    class Mixin:
        def checked(self, plan: object, *, is_queued: bool) -> None:
            pass

        def entered(self, frame: object) -> None:
            pass

    class Acts(Mixin, Silent):
        pass

    found = [(each._overridden, each._acts) for each in (Silent, Acts)]  # noqa: SLF001 - no program needs these
    assert found == [(frozenset(), False), (frozenset(("checked",)), True)]
    follower = Acts()
    following = Following([Silent(), follower])
    assert (list(following.entered), list(following.recorded)) == ([follower.entered], [])
