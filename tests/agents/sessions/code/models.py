from typing import TYPE_CHECKING, Any

from graphengine import END, START, Agent, Graph, ScriptedModel
from graphengine.agents import Hooks
from graphengine.testing import run_node
from tests.agents.run_kits import Work
from tests.kit.runs import alone

if TYPE_CHECKING:
    from tests.kit.given import process, runner

BARE = Agent("writer", prompt="Write on {task}.")


def upper(task):
    return task.upper()


def graph(agent, name="article"):
    return alone(Work, agent, "draft", name=name, node="write", result="draft")


def outer():
    """Return a graph with an agent that has rules, and two that have no model."""
    made = Graph("outer", Work)
    made.add_node("plan", BARE.but(name="planner", by_rules=upper), writes="draft", fallback=BARE)
    made.add_node("inner", graph(BARE), writes="draft")
    made.add_path(START, "plan", "inner", END)
    return made


def two():
    made = Graph("two", Work)
    made.add_node("shout", upper, writes="draft")
    made.add_node("write", BARE, writes="draft")
    made.add_path(START, "shout", "write", END)
    return made


def three():
    """Return a graph of two agents, and a graph in it with an agent of the first one's name."""
    made = Graph("g", Work)
    made.add_node("first", Agent("writer", prompt="{task}"), writes="draft")
    made.add_node("judge", Agent("critic", prompt="{task}"), writes="other")
    inner = alone(Work, Agent("writer", prompt="{task}"), "draft", name="inner", node="write")
    made.add_node("article", inner, inputs={"task": "task"}, writes={"task": "draft"})
    made.add_path(START, "first", "judge", "article", END)
    return made


async def who(**models):
    """Return which of these models answers which agent."""
    named = {name: ScriptedModel(lambda request, name=name: name) for name in models.values()}
    await process(models={name: named[model] for name, model in models.items()})
    state = (await runner.start(three()).result()).state
    return f"first: {state.draft}, judge: {state.other}, article: {state.task}"


HELPER = Agent("helper", prompt="{task}")


def around():
    """Return a graph in whose node `desk` the agent `desk` calls the agent `helper` before each turn."""
    return alone(Work, Agent("desk", prompt="{task}", hooks=[Judged()]), "draft", name="g", node="desk", result="draft")


async def who_helps(**models):
    """Return which of these models answer in that node."""
    asked = []
    named = {name: ScriptedModel(lambda request, name=name: asked.append(name) or name) for name in models.values()}
    await process(models={name: named[model] for name, model in models.items()})
    desk = (await runner.start(around()).result()).output
    return f"desk: {desk}, helper: {asked[0]}"


async def by_code(task):
    return await HELPER.run(task=task)


class Judged(Hooks):
    async def around_model(self, request, call):
        await HELPER.run(task=request.messages[-1].text)
        return await call(request)


class JudgedBy(Hooks):
    def __init__(self, judge):
        self.judge = judge

    async def around_tool(self, call, make):
        await self.judge.run(task=call.name)
        return await make(call)


class Connected(ScriptedModel):
    closed = 0

    async def close(self):
        self.closed += 1


async def output(made):
    return (await runner.start(made).result()).output
