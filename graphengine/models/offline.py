"""The offline model: no language model, but each agent's own rule-based stand-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphengine.errors import ModelUnavailable
from graphengine.models.base import Response

if TYPE_CHECKING:
    from graphengine.models.base import Request


class OfflineModel:
    """Answers with the function that the agent has as `offline=`, at no cost."""

    name = "offline"

    async def answer(self, request: Request) -> Response:
        """Return the stand-in's answer.

        Raises:
            ModelUnavailable: The agent has no stand-in.
        """
        if request.stand_in is None:
            raise ModelUnavailable(
                f"agent {request.agent} has no rule-based stand-in to answer offline",
                where=f"agent {request.agent}",
                repair="give it offline=function, or use a model that can be called: anthropic:MODEL, openai:MODEL, "
                "openai-chat:MODEL@http://HOST:PORT/v1",
            )
        return Response(await request.stand_in(), cost_usd=0.0, offline=True)

    async def knows_price(self) -> bool:
        """Return True: it costs nothing."""
        return True
