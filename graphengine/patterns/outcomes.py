"""The outcome of one of several pieces of work: its text, or its failure.

A piece of work that fails does not end the run; the node that uses the outcomes reads the failure. The exception is a
model that cannot be called at all, for example without a key. Then the run fails, and can be resumed once this is
repaired. The work of the other pieces is recorded by then and is not repeated.
"""

from typing import Final

from pydantic import BaseModel

from graphengine.agents.prompts import as_text
from graphengine.kernel.extension import Condition, Failure, Node, failed
from graphengine.kernel.inside import UNSET
from graphengine.models.errors import (
    ModelNotReady,
    ModelUnavailable,
    NoModelServer,
    NotAuthenticated,
    PriceUnknown,
    QuotaExceeded,
    UnknownModel,
)

SURVIVED: Final[Condition] = failed(Exception) & ~failed(ModelNotReady)
"""A failure that does not affect the others: of any kind except a model that cannot be called."""


class Outcome(BaseModel):
    """The result of one piece of work, or the failure that happened in its place.

    Attributes:
        text: The result; a structure as JSON text.
        failure: The failure after all retries, if there is no result.
    """

    text: str = ""
    failure: Failure | None = None


def surviving(node: Node) -> Node:
    """Return a copy of a node that does not make the run fail: if the node fails, its failure becomes its result.

    If the user's node already has a fallback, the node is returned unchanged.
    """
    return Node(node, fallback=_failure) if node.fallback is UNSET else node


def outcome(result: object) -> Outcome:
    """Convert what a node made by `surviving` returned, a result or a failure, to an `Outcome`."""
    return Outcome(failure=result) if isinstance(result, Failure) else Outcome(text=as_text(result))


async def _failure(error: Failure) -> Failure:
    not_ready = _NOT_READY.get(error.kind)
    if not_ready is not None:
        repair = "fix the problem and resume the run, or resume the run with another model"
        raise not_ready(error.message, repair=repair)
    return error


_KINDS: Final = (ModelUnavailable, NoModelServer, NotAuthenticated, PriceUnknown, QuotaExceeded, UnknownModel)
_NOT_READY: Final[dict[str, type[ModelNotReady]]] = {kind.code: kind for kind in (ModelNotReady, *_KINDS)}
