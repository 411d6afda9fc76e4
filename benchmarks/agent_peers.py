"""The same request through other libraries, which are installed only for the benchmarks."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from anthropic import AsyncAnthropic
from langchain_anthropic import ChatAnthropic
from langchain_core.messages import HumanMessage, SystemMessage
from pydantic import SecretStr
from pydantic_ai import Agent
from pydantic_ai.models.anthropic import AnthropicModel
from pydantic_ai.providers.anthropic import AnthropicProvider

from benchmarks import agents

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from benchmarks.agents import Call
    from benchmarks.model_server import Served


@asynccontextmanager
async def pydantic_ai(server: Served) -> AsyncIterator[Call]:
    """Yield a function that calls an agent of pydantic-ai."""
    patient = agents.PATIENCE_SECONDS
    async with AsyncAnthropic(api_key=agents.KEY, base_url=server.url, max_retries=0, timeout=patient) as client:
        model = AnthropicModel(agents.MODEL, provider=AnthropicProvider(anthropic_client=client))
        agent = Agent(model, system_prompt=agents.SYSTEM, model_settings={"max_tokens": agents.MAX_TOKENS})

        async def ask(task: str) -> object:
            return (await agent.run(agents.PROMPT.format(task=task))).output

        yield ask


@asynccontextmanager
async def langchain(server: Served) -> AsyncIterator[Call]:
    """Yield a function that calls a model of LangChain."""
    model = ChatAnthropic(
        model_name=agents.MODEL,
        api_key=SecretStr(agents.KEY),
        base_url=server.url,
        max_tokens_to_sample=agents.MAX_TOKENS,
        max_retries=0,
        timeout=agents.PATIENCE_SECONDS,
        stop=None,
    )

    async def ask(task: str) -> object:
        message = await model.ainvoke([SystemMessage(agents.SYSTEM), HumanMessage(agents.PROMPT.format(task=task))])
        return message.content

    yield ask
