"""An agent's functions in threads, and with secrets; `sessions/functions.txt` shows what becomes of their results."""

import itertools
import threading
from pathlib import Path

import pytest
from pydantic import BaseModel, SecretStr

from graphengine import Agent, Context, Runner, ScriptedModel
from graphengine.agents import guard
from graphengine.engine.step_json import encode_step
from graphengine.models.scripted import calls
from tests.agents.run_kits import Stuck, add, one, paid, within
from tests.kit.runs import alone

KEY = "0-0123456789-abcdefghijklmnopqrstuvwxyz"
HERE = threading.get_ident


async def test_what_a_user_wrote_for_an_agent_runs_in_a_thread() -> None:
    """A slow prompt, check or guard does not block the event loop."""
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


class Secretive(BaseModel):
    """A state with a secret."""

    token: SecretStr = SecretStr("sesame-open-up")
    draft: str = ""


async def test_a_question_with_a_secret_is_not_recorded(tmp_path: Path) -> None:
    """The records of its answer are found all the same."""
    pytest.importorskip("cryptography")
    numbers = itertools.count(1)

    def ask(word: str) -> str:
        return f"{word} {next(numbers)}"

    agent = Agent("writer", prompt=ask, tools=[add])

    async def write(token: SecretStr, ctx: Context) -> str:
        return await agent.run(word=token.get_secret_value())

    graph = alone(Secretive, write, "draft", name="g", secret_key=KEY)
    stuck = Stuck([calls(("add", {"first": 1, "second": 2}))], at=2)
    async with Runner(tmp_path / "runs.db", models={"writer": stuck}) as runner:
        run = runner.start(graph)
        await stuck.reached.wait()
    model = ScriptedModel([paid("3")])
    async with Runner(tmp_path / "runs.db", models={"writer": model}) as runner:
        await within(runner.resume(run.id, graph))
        log = b"".join(encode_step(step) for step in await runner.history(run.id))
    assert len(model.requests[0].messages) == 3
    assert b"sesame" not in log
