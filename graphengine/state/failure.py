"""The failure of a node in the form in which the state and the log store it: plain data, never a live exception."""

from __future__ import annotations

from typing import ClassVar, Protocol

from pydantic import BaseModel, ConfigDict, PrivateAttr

from graphengine.state.recorded_text import RecordedText, show


class FailureRecord(Protocol):
    """The attributes of a recorded failure that `graphengine.state` reads.

    This protocol lets `graphengine.state` use the engine's class of the same name without importing the engine.
    """

    path: str
    kind: str
    message: RecordedText
    attempt: int
    traceback: str
    where: str
    repair: str


class Failure(BaseModel):
    """Why a node failed.

    A `Failure` that was read from a run also has the attributes `traceback`, `where` and `repair`, which contain texts
    of the recorded error. These attributes are not fields of the model, because a state that keeps failures would
    otherwise store the texts a second time.

    Attributes:
        path: The place of the node in the run, such as `article/review`.
        kind: The name of the exception, or a code of the engine (`timeout`, `invalid_update`, …).
        message: The message of the error.
        attempt: The number of the attempt, from 1.
    """

    model_config = ConfigDict(frozen=True)
    __unrecorded__: ClassVar = ("_traceback", "_where", "_repair")

    path: str
    kind: str
    message: str
    attempt: int = 1
    _traceback: str = PrivateAttr(default="")
    _where: str = PrivateAttr(default="")
    _repair: str = PrivateAttr(default="")

    @property
    def where(self) -> str:
        """The place that the error names, such as a field or a node; "" if the error names no place."""
        return self._where

    @property
    def repair(self) -> str:
        """How to fix the error, if the engine knows; else ""."""
        return self._repair

    @property
    def traceback(self) -> str:
        """The recorded traceback of the failure, without lines of graphengine.

        The `traceback` is "" in two cases: graphengine itself raised the error and no code of the user caused it, or
        the `Failure` was read from a state.
        """
        return self._traceback

    def __eq__(self, other: object) -> bool:
        """Compare the fields only."""
        return isinstance(other, Failure) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        """Hash the fields only."""
        return hash(tuple(self.__dict__.values()))

    @classmethod
    def of(cls, record: FailureRecord) -> Failure:
        """Convert the error that a step of the log records to a `Failure`."""
        failure = cls(path=record.path, kind=record.kind, message=show(record.message), attempt=record.attempt or 1)
        failure._traceback, failure._where, failure._repair = record.traceback, record.where, record.repair
        return failure
