"""What came of one of several pieces of work: its text, or why there is none.

A piece that fails is told to whoever goes on with the others, instead of ending the run; unless a model could not be
asked at all, for want of a key for instance. Then the run fails, to be resumed when that is mended: what the others
did is recorded by then, and nothing of it is done again.
"""

from typing import Final

from pydantic import BaseModel

from graphengine.errors import (
    ModelNotReady,
    ModelUnavailable,
    NoModelServer,
    NotAuthenticated,
    PriceUnknown,
    QuotaExceeded,
    UnknownModel,
)
from graphengine.graph.conditions import Condition, failed
from graphengine.graph.graph import UNSET, Node
from graphengine.graph.templates import as_text
from graphengine.state.failure import Failure

SURVIVED: Final[Condition] = failed(Exception) & ~failed(ModelNotReady)
"""A failure that leaves the others: of any kind but that of a model which cannot be asked."""


class Outcome(BaseModel):
    """What came of a piece of work.

    Attributes:
        text: What was given; a structure as JSON text.
        failure: Why nothing was, after all retries.
    """

    text: str = ""
    failure: Failure | None = None


def surviving(node: Node) -> Node:
    """The node, its failure for a result where it fails; a fallback of its own goes first."""
    return Node(node, fallback=_failure) if node.options.fallback is UNSET else node


def outcome(result: object) -> Outcome:
    """What a node that is `surviving` gave."""
    return Outcome(failure=result) if isinstance(result, Failure) else Outcome(text=as_text(result))


async def _failure(error: Failure) -> Failure:
    not_ready = _NOT_READY.get(error.kind)
    if not_ready is not None:
        raise not_ready(error.message, repair="mend that and resume the run, or resume it with another model")
    return error


_KINDS: Final = (ModelUnavailable, NoModelServer, NotAuthenticated, PriceUnknown, QuotaExceeded, UnknownModel)
_NOT_READY: Final[dict[str, type[ModelNotReady]]] = {kind.code: kind for kind in (ModelNotReady, *_KINDS)}
