"""How the schema of a typed answer is sent: in the API's own form, or in words in the instructions.

The API's own form makes the model follow the schema, but is not available for every server, model and schema: servers
that do not know the field ignore or refuse it, and a provider refuses schemas whose grammar is too large. Every model
can read a schema in words. The reader of the answer validates the answer in both cases.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol, runtime_checkable

from graphengine.models.errors import BadRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from graphengine.models.base import Form, Request, Response

_ABOUT_FORM: Final = re.compile(
    r"grammar|schema|output_config|(output|response)[ _]format|text\.format|structured|json_object|json_validate_failed"
    r"|(generate|validate) json",
    re.IGNORECASE,
)
"""Words of refusals that concern the form, including errors about an answer that did not follow the form."""


@runtime_checkable
class SendsForms(Protocol):
    """An interface of models that can tell in which of two forms they send the schema of a typed answer.

    The schema is sent in the API's own field for schemas, or as a text in the instructions.
    """

    def form_of(self, request: Request) -> Form:
        """Return how the schema of the answer will be sent: in the API's own field or in the instructions."""
        ...


class SchemaForms:
    """Decides how a model object sends the schemas of typed answers, and remembers which schemas the server refused.

    A schema is sent either in the API's own field for schemas, or as a text in the instructions.

    Args:
        native: True to use the API's own field, False to use the instructions, None to decide by the server.
    """

    def __init__(self, native: bool | None) -> None:  # noqa: FBT001 - the adapters' own argument
        self._native = native
        self._refused: set[str] = set()

    def is_native(self, request: Request, *, by_server: bool) -> bool:
        """Return whether to send the schema of this request in the API's own field.

        If not, it is written into the instructions.

        Args:
            request: The request.
            by_server: Whether this server gets the API's own form if the user has not decided.
        """
        if request.schema is None or not (by_server if self._native is None else self._native):
            return False
        return not self._refused or _identify_schema(request) not in self._refused

    def form(self, request: Request, *, is_native: bool) -> Form:
        return "" if request.schema is None else "native" if is_native else "words"

    async def answered(
        self, request: Request, ask: Callable[[bool], Awaitable[Response]], *, is_native: bool
    ) -> Response:
        """Make a call. If the server refuses the schema of the answer, repeat it with the schema in the instructions.

        `Response.form` tells which of the two forms was used.

        Args:
            request: The request.
            ask: Makes the call; its argument is whether the native form is sent.
            is_native: Whether the native form is sent first.

        Raises:
            ModelError: The call failed.
        """
        if request.schema is None:
            return await ask(False)  # noqa: FBT003 - what `ask` takes
        if is_native:
            try:
                return replace(await ask(True), form="native")  # noqa: FBT003
            except BadRequest as error:
                if not _ABOUT_FORM.search(error.message):
                    raise
        response = await ask(False)  # noqa: FBT003
        if is_native:  # the form was the cause, because the same request in words was accepted
            self._refused.add(_identify_schema(request))
        return replace(response, form="words")


def _identify_schema(request: Request) -> str:
    """Return a digest of the request's schema, by which refused schemas are remembered."""
    return hashlib.sha256(json.dumps(request.schema, sort_keys=True).encode("utf-8", "replace")).hexdigest()


__all__ = ["SchemaForms", "SendsForms"]
