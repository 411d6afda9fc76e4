"""What `graphengine erase` writes under `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from graphengine.records.base_documents import Document, Part
from graphengine.wings import Kind


class ErasedMemory(Part):
    """A memory that was erased.

    Attributes:
        namespace: Its namespace.
        key: Its key there.
    """

    namespace: str
    key: str


class ErasedRun(Part):
    """A run that was erased, or could not be.

    Attributes:
        run_id: Its id.
        reason: How it was found, or why it is kept.
    """

    run_id: str
    reason: str


class ErasedPerson(Document):
    """What was erased of a user.

    Attributes:
        dry_run: Whether nothing was erased.
        runs: The runs, each with how it was found.
        memories: The memories.
        kept: Runs that could not be erased.
    """

    dry_run: bool
    runs: Sequence[ErasedRun]
    memories: Sequence[ErasedMemory]
    kept: Sequence[ErasedRun]


DOCUMENTS: Final = (Kind(ErasedPerson),)
