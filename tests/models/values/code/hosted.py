from graphengine import Agent, code_execution, web_fetch, web_search
from graphengine.models import BedrockModel, VertexModel
from tests.agents.run_kits import add, one


class Plain:
    name = "plain"

    async def answer(self, request):
        raise NotImplementedError


BEDROCK, VERTEX = BedrockModel("claude-x", region="r"), VertexModel("claude-x", project="p", region="r")


def asks(model, tool):
    """Return a graph with an agent that has this tool."""
    return one(Agent("writer", model=model, prompt="{task}", tools=[tool]))
