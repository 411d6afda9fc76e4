"""A critic's output: a verdict for the graph, and the flaws for the author."""

from typing import Literal

from pydantic import BaseModel


class Critique(BaseModel):
    """A critic's verdict on a draft.

    Attributes:
        verdict: `accept` the draft unchanged, or `revise` it; the verdict is never inferred from the flaws.
        flaws: What to fix, one sentence each.
    """

    verdict: Literal["accept", "revise"]
    flaws: list[str] = []
