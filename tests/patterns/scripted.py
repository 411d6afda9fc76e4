"""Runs of patterns with scripted models: what came of them, and what was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, cast

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine import Agent, Graph, Result, Runner, ScriptedModel
from graphengine.errors import BadRequest
from graphengine.models import Request
from graphengine.models.scripted import Script

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T", default=str)

Answers = Mapping[str, object]
"""What each agent says, as `ScriptedModel` takes it: a list, or a function of the request."""


@dataclass(frozen=True)
class Played(Generic[S]):
    """A run that is over."""

    result: Result[S]
    model: ScriptedModel

    @property
    def state(self) -> S:
        return self.result.state

    @property
    def output(self) -> Any:
        return self.result.output

    @property
    def label(self) -> str:
        """How it ended."""
        return self.result.stop.label if self.result.stop else ""

    @property
    def requests(self) -> Sequence[Request]:
        """What was asked, in order."""
        return self.model.requests

    @property
    def calls(self) -> Counter[str]:
        """How often each agent was asked."""
        return Counter(request.agent for request in self.model.requests)

    def asked(self, agent: str) -> list[str]:
        """What an agent was asked, in order."""
        return [request.prompt for request in self.model.requests if request.agent == agent]


async def play(graph: Graph[S], given: Mapping[str, object], answers: Answers) -> Played[S]:
    """Run it to its end in memory, each agent answering from its script; every answer is asked for."""
    with ScriptedModel(cast("Mapping[str, Script]", answers)) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given).result()
    return Played(result, model)


def named(name: str, reads: str = "{task}", output: type[T] = str) -> Agent[T]:  # type: ignore[assignment]
    """An agent of this name that reads these paths."""
    return Agent(name, prompt=reads, output=output)


def away(request: Request) -> object:
    """The answer of a model that can do nothing with what it is asked."""
    raise BadRequest(f"{request.agent} is away")
