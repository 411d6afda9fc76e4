import itertools
import threading
from typing import TYPE_CHECKING, Any

from graphengine import Agent, ScriptedModel, Settings, Sizes, Window
from graphengine.agents import guard
from graphengine.models import AnthropicModel, Response, calls
from tests.agents.run_kits import ADD, Stuck, add

if TYPE_CHECKING:
    from tests.kit.given import process, runner

DAYS = itertools.count(1)
TURN = calls(ADD)
WRITER = Agent("writer", prompt="{task}", tools=[add])
SETTINGS = Settings(effort="low", headers={"authorization": "Bearer one-two-three"})
SEEN = []
HERE = threading.get_ident()


def asks(task):
    return f"{task} at {next(DAYS)}"


async def shorter(answer):
    SEEN.append(threading.get_ident() == HERE)
    if len(SEEN) == 1:
        raise ValueError("shorter")


def more(items):
    items.append("more")
    return str(items)


def check(draft, items):
    items.append("more")


def by_code(agent):
    async def write(ctx, task):
        return await agent.run(task=task)

    return write


async def cut_off(graph):
    """End the process while the second turn is asked for."""
    stuck = Stuck([TURN], at=2)
    await process(models=stuck)
    runner.start(graph, run_id="r")
    await stuck.reached.wait()


async def asked(agent, *answers):
    """Return the requests of an agent that runs alone."""
    script = ScriptedModel([*answers] or ["ok"])
    await agent.but(model=script).run(task="x")
    return script.requests


async def choices(choice):
    agent = WRITER.but(settings=Settings(tool_choice=choice))
    return [request.settings.tool_choice for request in await asked(agent, TURN, "3")]


async def system(made):
    return (await asked(Agent("a", system=made, prompt="Go, {task}.")))[0].system


DEEP = "a"
for _ in range(195):
    DEEP = [DEEP]
