"""A model that answers from a script, for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel

from graphengine.errors import ModelUnavailable
from graphengine.models.base import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphengine.models.base import Request


class ScriptedModel:
    """Gives prepared answers one after the other, and keeps the requests it got.

    Args:
        answers: Texts, JSON values, pydantic instances; an exception is raised when its turn comes; a `Response` is
            given as it is.

    Example:
        >>> model = ScriptedModel(["a draft"])
        >>> model.requests
        []
    """

    name = "scripted"

    def __init__(self, answers: Iterable[object]) -> None:
        self._answers = list(answers)
        self.requests: list[Request] = []

    async def answer(self, request: Request) -> Response:
        """The next answer.

        Raises:
            ModelUnavailable: The script is at its end.
        """
        self.requests.append(request)
        if not self._answers:
            raise ModelUnavailable(
                f"the script has no answer number {len(self.requests)}, for agent {request.agent}",
                repair="add one to ScriptedModel([...])",
            )
        content = self._answers.pop(0)
        if isinstance(content, BaseException):
            raise content
        if isinstance(content, Response):
            return content
        if isinstance(content, BaseModel):
            content = content.model_dump_json(by_alias=False, round_trip=True)
        return Response(content, cost_usd=0.0, offline=True)
