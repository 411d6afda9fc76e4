"""The functions that an agent is made of: its prompt, its check, its guards, its rules."""

import threading

from graphengine import Agent, Runner, ScriptedModel
from graphengine.agents import guard
from tests.agents.run_kits import one

HERE = threading.get_ident


async def test_what_a_user_wrote_for_an_agent_runs_in_a_thread() -> None:
    """A prompt, a check or a guard that thinks for long keeps nothing else from moving."""
    threads: dict[str, int] = {}

    def ask(task: str) -> str:
        threads["prompt"] = HERE()
        return task

    def check(answer: str) -> None:
        threads["check"] = HERE()

    def look(text: str) -> str:
        threads["output"] = HERE()
        return text

    def look_before(text: str) -> str:
        threads["input"] = HERE()
        return text

    agent = Agent("writer", prompt=ask, check=check, guards=[look, guard(look_before, on="input")])
    async with Runner(models={"writer": ScriptedModel(["moon"])}) as runner:
        assert (await runner.start(one(agent)).result()).state.draft == "moon"
    assert set(threads) == {"prompt", "check", "output", "input"}
    assert HERE() not in threads.values()


async def test_an_async_check_is_awaited_where_the_run_is() -> None:
    """It may wait for others on the event loop."""
    seen: list[int] = []

    async def check(answer: str) -> None:
        seen.append(HERE())
        if len(seen) == 1:
            raise ValueError("shorter")

    async with Runner(models={"writer": ScriptedModel(["moonlight", "moon"])}) as runner:
        result = await runner.start(one(Agent("writer", prompt="{task}", check=check))).result()
    assert (result.state.draft, seen) == ("moon", [HERE()] * 2)
