"""The list of the service's doors, for the options of `graphengine serve` and for its server.

A door is a set of routes for another protocol, which use `Service`. The module of a door is imported when the door is
opened, because packages that it needs may not be installed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.wings import BUILT_IN, Door, wings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from contextlib import AsyncExitStack

    from graphengine.serve.guard import TokenAccess
    from graphengine.serve.service.app import Service


class Opening(NamedTuple):
    """The objects that a door gets when it is opened.

    Attributes:
        service: The service that starts, follows and answers runs.
        access: The check of each request's token.
        version: The version of this package.
        secret: A secret that only the processes of this service know, if the service has a token.
        stack: The exit stack that closes what the door opens.
        a2a_root: The graph whose agent represents the host; None if there is only one graph.
        live_text: Whether chat completions stream each piece of text at once, although it may be replaced later.
    """

    service: Service
    access: TokenAccess
    version: str
    secret: str
    stack: AsyncExitStack
    a2a_root: str | None = None
    live_text: bool = False


DOORS: Final = tuple(door for wing in BUILT_IN for door in wing.doors)


def doors() -> Sequence[Door]:
    """Return all doors, including the doors of other packages."""
    return [door for wing in wings() for door in wing.doors]


__all__ = ["DOORS", "Opening", "doors"]
