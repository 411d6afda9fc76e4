import asyncio
from typing import TYPE_CHECKING

from graphengine import END, START, Agent, Context, Graph, Limits, Retry, ScriptedModel, tool
from graphengine.agents.tools import Tool, ToolsUnavailable
from graphengine.models.errors import ModelTransient
from graphengine.records.export import export_run, import_run
from graphengine.records.replay.replay import replay
from tests.agents.run_kits import ADD, Work, add, paid
from tests.kit.facts import said

if TYPE_CHECKING:
    from tests.kit.given import runner

TURN = paid("", ADD)
LATER = ModelTransient("later")
NEVER = Retry(attempts=1)
ONCE_MORE = Retry(attempts=2, initial_seconds=0)
WRITER = Agent("writer", prompt="{task}", tools=[add])
TRIES, MADE = [], []


async def replayed(graph):
    """Return whether a replay of the run goes as the run went."""
    found = replay(graph, await export_run(runner.store, "r"))
    return "the replay is the same" if found.same else str(found)


def tell(text: str, ctx: Context) -> str:
    """Tell a colleague."""
    MADE.append(text)
    ctx.send("news", text)
    ctx.emit({"told": text}, record=True)
    return "told"


TELL = paid("", ("tell", {"text": "x"}))
TELLER = Agent("writer", prompt="{task}", tools=[tell])
CAREFUL = Agent("writer", prompt="{task}", tools=[tool(tell, approve=True)])


async def by_code(task):
    return await CAREFUL.run(task=task)


async def fail():
    if not TRIES:
        TRIES.append(1)
        raise ModelTransient("slow down")


async def by_tool(ctx, task):
    await TELLER.run(task=task)
    await ctx.call(fail, key="fail")
    return "done"


async def by_step(ctx, task):
    await ctx.call(tell, "x", ctx, key="tell")
    await ctx.call(fail, key="fail")
    return "done"


async def nested(ctx, task):
    await ctx.call(TELLER.run, task=task)
    await ctx.call(fail, key="fail")
    return "done"


async def hear(ctx):
    return await ctx.receive("news", str)


def heard(work):
    """Return a graph with a node that sends, and one that hears it."""
    graph = Graph("g", Work)
    graph.add_node("work", work, writes="draft", retry=ONCE_MORE)
    graph.add_node("hear", hear, writes="other")
    graph.add_path(START, "work", "hear", END)
    return graph


class Unpriced(ScriptedModel):
    async def knows_price(self):
        return False


class Source:
    """A source of tools that is not there at its second opening."""

    name, opened = "server", 0

    async def open(self):
        self.opened += 1
        if self.opened == 2:
            raise ToolsUnavailable("server is not there")
        return [Tool(add)]

    async def close(self):
        pass


REACHED = asyncio.Event()


async def two_agents(request):
    """Answer two agents, of which the quick one fails once, and the slow one never comes back."""
    if request.agent == "slow" and len(request.messages) > 1:
        REACHED.set()
        await asyncio.Event().wait()
    if request.agent == "quick":
        await REACHED.wait()
        if not TRIES:
            TRIES.append(1)
            raise ModelTransient("slow down")
    return TURN if len(request.messages) == 1 else paid("done")


async def facts(kind, *names):
    """Return these facts of the steps of a kind."""
    return [{name: said(step).get(name) for name in names} for step in await runner.history("r") if step.kind == kind]
