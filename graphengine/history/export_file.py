"""The schema of an exported run's file. Every file that is read is checked against it; writing does not load it."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from graphengine.stores.base import DEFAULT_QUEUE, LARGEST_PRIORITY, Status

_ID_CHARACTERS: Final = 200


class _Parent(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    run_id: str
    seq: int = Field(ge=1)


class _Queue(BaseModel):
    """Where a run is taken from, if not from the default queue; `queued`: no process has driven it yet."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    priority: int = Field(default=0, ge=-LARGEST_PRIORITY, le=LARGEST_PRIORITY)
    key: str | None = None
    queued: bool = False


class _Run(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    id: str = Field(min_length=1, max_length=_ID_CHARACTERS)
    graph: str = Field(min_length=1)
    fingerprint: str = Field(min_length=1)
    status: Status
    seq: int = Field(ge=1)
    created_at: float
    parent: _Parent | None
    due_at: float | None
    tags: list[str] = []
    queue: _Queue = _Queue(name=DEFAULT_QUEUE)


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    kind: Literal["answer", "message", "stop"]
    payload: Any


class _Step(BaseModel):
    """The shape of a step; the fold checks its meaning."""

    model_config = ConfigDict(extra="forbid", strict=True)

    seq: int
    kind: str
    at: float
    frame: str = ""
    node: str = ""
    visit: int = Field(default=0, ge=0)
    attempt: int = Field(default=0, ge=0)
    began: float = 0.0
    update: list[Annotated[list[Any], Field(min_length=3, max_length=4)]] = []
    data: dict[str, Any] = {}


class RunFile(BaseModel):
    """The file: its format, the version that wrote it, a digest over the rest, and the recorded run."""

    model_config = ConfigDict(extra="forbid", strict=True)

    format: int
    version: str
    digest: str
    run: _Run
    outlines: dict[str, dict[str, Any]]
    inbox: list[_Message]
    steps: list[_Step]
