"""What a service shows to anybody: what clients of a protocol must know before they have a token."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from starlette.routing import Match, Route
from typing_extensions import override

from graphengine.serve.callers import NOBODY, Caller
from graphengine.serve.guard import TokenAccess
from graphengine.serve.messages import NotAuthorized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.datastructures import Headers
    from starlette.routing import BaseRoute
    from starlette.types import Scope


class PublicRoute(Route):
    """A route of a door that is read without a token. It must name no run."""


@dataclass(frozen=True)
class PublicAccess(TokenAccess):
    """The access of a service, with routes that anybody may read.

    Attributes:
        public: The routes.
    """

    public: Sequence[PublicRoute] = ()

    @classmethod
    def of(cls, access: TokenAccess, routes: Sequence[BaseRoute]) -> TokenAccess:
        """Return an access with the public ones of some routes."""
        public = [route for route in routes if isinstance(route, PublicRoute)]
        given = {each.name: getattr(access, each.name) for each in fields(access)}
        return cls(**given, public=public) if public else access

    @override
    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Check a request as before; who has no token may read what is public."""
        try:
            return await super().check(scope, headers)
        except NotAuthorized:
            if any(route.matches(scope)[0] is Match.FULL for route in self.public):
                return NOBODY
            raise


__all__ = ["PublicAccess", "PublicRoute"]
