from typing import TYPE_CHECKING

from graphengine import Agent, Graph, tool
from graphengine.agents import without_tools
from graphengine.agents.chats import turn_of
from graphengine.models import Response, ToolCall, calls
from graphengine.models.errors import AnswerRefused, ModelUnavailable
from tests.agents.run_kits import ADD, Work, add
from tests.kit.runs import alone

if TYPE_CHECKING:
    from tests.kit.given import runner

BILLING = Agent("billing", system="You know all invoices. Be brief.", hand_to=["desk"])
REPAIR = Agent("repair shop", system="You repair lamps.", history=without_tools, messages="messages")
DESK = Agent("desk", system="You greet.", hand_to=[BILLING, REPAIR])
ROUND = Agent("desk", hand_to=[Agent("other", hand_to=["desk"])])


def hands(to, **more):
    return calls((f"hand_to_{to}", {"reason": "an invoice"}), *more.values())


async def path(run_id="ge:chat:a"):
    """Return the nodes and edges of a conversation."""
    steps = [step for step in await runner.history(run_id) if step.kind == "node"]
    return " ".join(f"{step.node} [{step.data.edge}]" if step.data.edge else step.node for step in steps)


def drawn(graph, path):
    """Return the lines of a picture that show hand-overs."""
    graph.render(path)
    return [line.strip() for line in path.read_text().splitlines() if "hands over" in line]


def tools(request):
    return [each.name for each in request.tools]
