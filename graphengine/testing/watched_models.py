"""Record the requests to models and their responses while a node runs alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from graphengine.agents.model_routing import Models
from graphengine.models.base import KnowsPrices, RulesModel
from graphengine.models.hosted import HOSTS, HostsTools
from graphengine.testing.done import Asked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphengine.agents.budget import AgentPlace
    from graphengine.agents.model_routing import GivenModels
    from graphengine.models.base import Model, Request, Response
    from graphengine.models.hosted import HostedTool


class WatchedModels(Models):
    """Provides the models for a node that runs alone, and collects each request with its response in `asked`."""

    def __init__(self, given: GivenModels | None) -> None:
        super().__init__(given)
        self.asked: list[Asked] = []
        self._watched: dict[int, Model] = {}

    def of(
        self, graph: str, place: AgentPlace, own: Model | str | None, begun: Mapping[str, str] | None = None
    ) -> Model:
        """Return the model for an agent.

        The model is wrapped, so that the requests to it and its responses are recorded.
        """
        found = super().of(graph, place, own, begun)
        if id(found) not in self._watched:
            if isinstance(found, RulesModel):
                self._watched[id(found)] = _WatchedRules(found, self.asked)
            else:
                kind = _WatchedPriced if isinstance(found, KnowsPrices) else _WatchedModel
                self._watched[id(found)] = kind(found, self.asked)
        return self._watched[id(found)]


class _WatchedModel:
    def __init__(self, model: Model, asked: list[Asked]) -> None:
        self._model, self._asked = model, asked
        self.name = model.name
        self.most_tools: int | None = getattr(model, "most_tools", None)

    def lacks_tool(self, tool: HostedTool) -> str:
        return self._model.lacks_tool(tool) if isinstance(self._model, HostsTools) else HOSTS[tool.name]

    async def answer(self, request: Request) -> Response:
        at = len(self._asked)
        self._asked.append(Asked(request, None))
        response = await self._model.answer(request)
        self._asked[at] = Asked(request, response)
        return response


class _WatchedPriced(_WatchedModel):
    async def knows_price(self) -> bool:
        model: Any = self._model
        return bool(await model.knows_price())


class _WatchedRules(_WatchedPriced, RulesModel):
    """Wraps a model that answers by rules instead of a language model, in order to record the requests to it.

    This class inherits from RulesModel, because agents treat such models differently.
    """

    def __init__(self, model: RulesModel, asked: list[Asked]) -> None:
        super().__init__(model, asked)
        self.calls_tools = model.calls_tools


__all__ = ["WatchedModels"]
