"""The doors of the service besides HTTP: one list, for the options of `graphengine serve` and for its server.

A door is a few routes over `Service`, and loads when it is opened: what it needs may not be installed.
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
    """What a door is opened with.

    Attributes:
        service: What starts, follows and answers runs.
        access: Who can use it.
        version: This package's version.
        secret: What only the processes of this service know, if it has a token.
        stack: Closes what the door opens.
        a2a_root: The graph whose agent is that of the host; None if it is the only graph.
        live_text: Whether a chat completion has each piece as it comes, also if it does not count in the end.
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
    """Return the doors, those of other packages included."""
    return [door for wing in wings() for door in wing.doors]


__all__ = ["DOORS", "Opening", "doors"]
