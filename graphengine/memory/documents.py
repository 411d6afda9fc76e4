"""The document of `graphengine erase`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphengine.records.base_documents import Document, Part
from graphengine.wings import Kind


class ErasedMemory(Part):
    """The name of a memory whose data was erased.

    Attributes:
        namespace: The namespace of the memory.
        key: The key of the memory in this namespace.
    """

    namespace: str
    key: str


class ErasedRun(Part):
    """A run that was erased, or that could not be erased.

    Attributes:
        run_id: The id of the run.
        reason: How the run was found, or why it was kept.
    """

    run_id: str
    reason: str


class ErasedPerson(Document):
    """The data of a user that was erased.

    Attributes:
        dry_run: Whether nothing was erased, because this was only a trial.
        runs: The erased runs, and how each was found.
        memories: The erased memories.
        kept: The runs that could not be erased.
    """

    dry_run: bool
    runs: Sequence[ErasedRun]
    memories: Sequence[ErasedMemory]
    kept: Sequence[ErasedRun]


DOCUMENTS: Final = (Kind(ErasedPerson),)
