"""List the doors of the service, for the options of `graphengine serve` and for its server.

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
    """What the support for one protocol, such as A2A or MCP, gets from the service when the service starts.

    The support for a protocol is called a *door*.

    Attributes:
        service: The service that starts, follows and answers runs.
        access: The rules that check the credentials of requests.
        version: The version of this package.
        secret: A secret that all processes of this service share. If the service has a token, strangers cannot guess
            the secret.
        stack: The exit stack that closes what the door opens.
        a2a_root: The graph whose A2A agent represents the host; None if there is only one graph.
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
