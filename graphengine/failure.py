"""A node's failure as the state and the log carry it: plain data, never a live exception."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Failure(BaseModel):
    """Why a node failed.

    Args:
        path: The node's place in the run, as `article/review`.
        kind: The exception's name, or the engine's code (`timeout`, `invalid_update`, …).
        message: Its text.
        attempt: Which attempt it was, from 1.
    """

    model_config = ConfigDict(frozen=True)

    path: str
    kind: str
    message: str
    attempt: int = 1
