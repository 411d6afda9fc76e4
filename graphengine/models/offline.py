"""The offline model: no language model at all, but each agent's own rule-based stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import ModelUnavailable
from graphengine.models.base import Response

if TYPE_CHECKING:
    from graphengine.models.base import Request


class OfflineModel:
    """Answers with the function an agent was given as `offline=`. It costs nothing and says so."""

    name = "offline"

    async def answer(self, request: Request) -> Response:
        """The stand-in's answer.

        Raises:
            ModelUnavailable: The agent has no stand-in.
        """
        if request.stand_in is None:
            raise ModelUnavailable(
                f"agent {request.agent} has no rule-based stand-in to answer offline",
                where=f"agent {request.agent}",
                repair="give it offline=function, or a model that can be reached: anthropic:MODEL, openai:MODEL, "
                "openai-chat:MODEL@http://HOST:PORT/v1",
            )
        return Response(await request.stand_in(), cost_usd=0.0, offline=True)

    async def knows_price(self) -> bool:
        """It costs nothing, and that is known."""
        return True
