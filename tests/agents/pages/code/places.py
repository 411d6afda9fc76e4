from dataclasses import field

from graphengine import END, START, Agent, Graph, Limits, Retry, choose
from graphengine.models import calls
from graphengine.models.errors import ModelTransient, NotAuthenticated, PriceUnknown, QuotaExceeded
from tests.agents.run_kits import Work

CHEAP, STRONG, SPARE, BROKEN = (Agent(name, prompt="{task}") for name in ("cheap", "strong", "spare", "broken"))
INNER = Graph("inner", Work, limits=Limits(cost_usd=1))
INNER.add_node("write", CHEAP, writes="draft")
INNER.add_path(START, "write", END)
ALL = Graph("g", Work)
ALL.add_node("pick", choose(lambda task: "strong", {"cheap": CHEAP, "strong": STRONG}), writes="draft")
ALL.add_node("fall", BROKEN, writes="other", fallback=SPARE, retry=Retry(attempts=1))
ALL.add_node("graph", INNER, writes={"task": "draft"}, inputs={"task": "task"})
ALL.add_node("each", STRONG, writes="drafts", each={"item": "items"}, concurrency=1)
ALL.add_path(START, "pick", "fall", "graph", "each", END)


def remembers(name, prompt="{task}"):
    return Agent(name, prompt=prompt, messages="messages")


ARMS = Graph("g", Work)
ARMS.add_node("first", remembers("first"), writes="task")
for name, field in (("left", "draft"), ("right", "other")):
    ARMS.add_node(name, remembers(name), writes=field)
    ARMS.add_edge(name, "last")
ARMS.add_edge(START, "first")
ARMS.add_fork("first", ["left", "right"], join="last")
ARMS.add_node("last", remembers("last"), writes="other")
ARMS.add_edge("last", END)

ROW = Graph("g", Work)
ROW.add_node("one", remembers("writer"), writes="draft")
ROW.add_node("two", remembers("writer"), writes="other")
ROW.add_path(START, "one", "two", END)

INSIDE = Agent("inside", prompt="{text}")


async def consult(text: str) -> str:
    """Ask a colleague."""
    return await INSIDE.run(text=text)


async def consult_all(text: str) -> str:
    """Ask all colleagues."""
    try:
        return await INSIDE.run(text=text)
    except ModelTransient as error:
        raise ExceptionGroup("colleagues", [error])


OUTER = Agent("outer", prompt="{task}", tools=[consult, consult_all])


def question(error, tool="consult"):
    return {"outer": [calls((tool, {"text": "?"})), "so"], "inside": [error, "yes"]}
