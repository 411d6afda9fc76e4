"""Runs of patterns with scripted models: their results and requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, cast

from pydantic import BaseModel
from typing_extensions import TypeVar

from graphengine import Agent, Graph, Result, Runner, ScriptedModel
from graphengine.models import Request
from graphengine.models.errors import BadRequest
from graphengine.models.scripted import Script

S = TypeVar("S", bound=BaseModel)
T = TypeVar("T", default=str)

Answers = Mapping[str, object]
"""The answers of each agent, as `ScriptedModel` takes them: a list, or a function of the request."""


@dataclass(frozen=True)
class Played(Generic[S]):
    """A finished run."""

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
        """The label of its last edge."""
        return self.result.label

    @property
    def requests(self) -> Sequence[Request]:
        """The requests, in order."""
        return self.model.requests

    @property
    def calls(self) -> Counter[str]:
        """The number of calls of each agent."""
        return Counter(request.agent for request in self.model.requests)

    def asked(self, agent: str) -> list[str]:
        """Return the prompts of an agent, in order."""
        return [request.prompt for request in self.model.requests if request.agent == agent]


async def play(graph: Graph[S], given: Mapping[str, object], answers: Answers) -> Played[S]:
    """Run a graph in memory with scripted agents; check that every answer is used."""
    with ScriptedModel(cast("Mapping[str, Script]", answers)) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(graph, given).result()
    return Played(result, model)


def named(name: str, reads: str = "{task}", output: type[T] = str) -> Agent[T]:  # type: ignore[assignment]
    """Return an agent of this name that reads these paths."""
    return Agent(name, prompt=reads, output=output)


def away(request: Request) -> object:
    """Fail as a model that cannot answer."""
    raise BadRequest(f"{request.agent} is away")
