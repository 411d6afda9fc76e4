"""A node's failure as the state and the log carry it: plain data, never a live exception."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from collections.abc import Mapping


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

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Failure:
        """The failure that a step's record of an error stands for."""
        return cls(**{name: record[name] for name in cls.model_fields})
