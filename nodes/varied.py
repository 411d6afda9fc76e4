"""How varied the answers of a role are, where its model takes a temperature; many models that think refuse one."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from graphengine.agents import Hooks
from graphengine.models import BadRequest, Request, Response


class Varied(Hooks):
    """Sends a temperature, from 0 to 2, until a model refuses it; then the call is made without, as are later ones."""

    __slots__ = ("_is_refused", "temperature")

    def __init__(self, temperature: float) -> None:
        self.temperature, self._is_refused = temperature, False

    async def around_model(self, request: Request, call: Callable[[Request], Awaitable[Response]]) -> Response:
        """Call the model, with the temperature if it takes one and the agent has none of its own."""
        if self._is_refused or request.settings.temperature is not None:
            return await call(request)
        try:
            return await call(replace(request, settings=request.settings.but(temperature=self.temperature)))
        except BadRequest as error:
            if "temperature" not in error.message:
                raise
            self._is_refused = True
            return await call(request)
