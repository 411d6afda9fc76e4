"""Followers: what extensions are told of one run while it is driven here; see `graphengine.runner.extensions`."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.engine.snapshot import Frame
    from graphengine.engine.steps import Step

_NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})


class Follower:
    """Follows one run for as long as it is driven here.

    Attributes:
        labels: What it adds to each record of the log.
    """

    labels: Mapping[str, str] = _NO_LABELS

    def entered(self, frame: Frame) -> None:
        """A node is about to begin: called in its context, so that context variables can be set for it."""

    def ended(self, frame: Frame) -> None:
        """An attempt that recorded work has ended; its event is about to be recorded."""

    def recorded(self, steps: Sequence[Step]) -> None:
        """Steps are durable. Nodes that run in parallel can make them come in another order than that of `seq`."""

    async def left(self) -> None:
        """The run is driven here no longer."""


class Following:
    """Those who follow one run: what each moment calls. A moment that nobody overrides costs nothing."""

    __slots__ = ("all", "ended", "entered", "recorded")

    def __init__(self, followers: Sequence[Follower] = ()) -> None:
        self.all = followers
        self.entered = [each.entered for each in followers if type(each).entered is not Follower.entered]
        self.ended = [each.ended for each in followers if type(each).ended is not Follower.ended]
        self.recorded = [each.recorded for each in followers if type(each).recorded is not Follower.recorded]

    @property
    def labels(self) -> Mapping[str, str]:
        """What they add to records of the log."""
        return {name: text for each in self.all for name, text in each.labels.items()}

    async def left(self) -> None:
        """Tell all of them that the run is driven here no longer."""
        for each in self.all:
            await each.left()


NOBODY: Final = Following()
"""Nobody follows."""


__all__ = ["NOBODY", "Follower", "Following"]
