"""What a critic says of a draft: a verdict that a graph can act on, and the flaws for whoever revises."""

from typing import Literal

from pydantic import BaseModel


class Critique(BaseModel):
    """What a critic says.

    Attributes:
        verdict: `accept` as it stands, or `revise`; no other word is one, and none is looked for in the flaws.
        flaws: What to mend, a sentence each.
    """

    verdict: Literal["accept", "revise"]
    flaws: list[str] = []
