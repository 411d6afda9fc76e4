"""Routes that a service shows without a token, because clients of a protocol need them before they have a token."""

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
    """A route of a door that can be read without a token. Its answer must not contain names of runs."""


@dataclass(frozen=True)
class PublicAccess(TokenAccess):
    """The access rules of a service in which some routes need no token.

    Attributes:
        public: The routes that can be read without a token.
    """

    public: Sequence[PublicRoute] = ()

    @classmethod
    def of(cls, access: TokenAccess, routes: Sequence[BaseRoute]) -> TokenAccess:
        """Extend access rules so that the public routes among `routes` need no token."""
        public = [route for route in routes if isinstance(route, PublicRoute)]
        settings = {each.name: getattr(access, each.name) for each in fields(access)}
        return cls(**settings, public=public) if public else access

    @override
    async def check(self, scope: Scope, headers: Headers) -> Caller:
        """Check the token of a request. A request for a public route is accepted without a token."""
        try:
            return await super().check(scope, headers)
        except NotAuthorized:
            if any(route.matches(scope)[0] is Match.FULL for route in self.public):
                return NOBODY
            raise


__all__ = ["PublicAccess", "PublicRoute"]
