"""Effects in a test's Runner; `sessions/refused_effects.txt` shows them in evaluations and other Runners."""

from __future__ import annotations

from graphengine.testing.open_runner import OpenRunner
from tests.agents.run_kits import Work
from tests.kit.runs import alone


async def test_the_runner_of_a_test_does_not_act(runner: OpenRunner) -> None:
    """As for its models, `use` says otherwise."""
    runner.use(effects={"pay": lambda task: "pretended"})

    def pay(task: str) -> str:
        raise AssertionError

    result = await runner.start(alone(Work, pay, "draft", result="draft", effect="once")).result()
    assert result.output == "pretended"
