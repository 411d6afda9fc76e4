from graphengine import Agent
from tests.agents.run_kits import ADD, paid


async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def writer(*tools, name="writer"):
    return Agent(name, prompt="{task}", tools=tools)


def thrice(request):
    return paid("", ADD) if len(request.messages) < 5 else paid(request.agent)


def items(request):
    return paid("", ADD) if len(request.messages) == 1 else paid("done")


HELPER = writer(add, name="helper")


async def twice(ctx, task):
    first = await ctx.call(HELPER.run, task=task)
    return first + await HELPER.run(task="more")


ASKED = []


def deeper(request):
    ASKED.append(request)
    return paid("", ("ask_again", {"question": f"deeper {len(ASKED)}"})) if len(ASKED) < 4 else paid("done")


async def ask_again(question: str) -> str:
    """Ask the same agent."""
    return await SELF.run(task=question)


SELF = writer(ask_again)
