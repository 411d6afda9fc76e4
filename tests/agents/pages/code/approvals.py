from graphengine import Agent, tool
from graphengine.agents import Edit, Refuse
from tests.agents.run_kits import paid

SENT = []


async def add(first: int, second: int) -> int:
    """Add two numbers."""
    return first + second


def send(text: str) -> str:
    """Send."""
    SENT.append(text)
    return f"sent {text}, number {len(SENT)}"


def pay(to: str, amount: int, note: str = "") -> str:
    """Pay someone."""
    return f"paid {amount} to {to}"


def writer(*tools, name="writer"):
    return Agent(
        name, prompt="{task}", tools=[tool(each, approve=True) if each in (send, pay) else each for each in tools]
    )


def sending(text):
    return paid("", ("send", {"text": text}))


PAY = paid("", ("pay", {"to": "Ada", "amount": 50}))
INNER = writer(send, name="inner")


async def consult(text: str) -> str:
    """Ask a colleague."""
    return await INNER.run(task=text)


async def inside(ctx, task):
    return await ctx.call(INNER.run, task=task)
