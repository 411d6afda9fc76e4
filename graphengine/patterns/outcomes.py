"""What came of one of several pieces of work: its text, or why there is none.

A piece that fails is told to whoever goes on with the others, instead of ending the run.
"""

from pydantic import BaseModel

from graphengine.failure import Failure
from graphengine.graph import UNSET, Node
from graphengine.prompts import as_text


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
    return error
