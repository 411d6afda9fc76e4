"""The store in memory, tested by the conformance suite for any store; those in databases: `tests/databases`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from graphengine.errors import DefinitionError
from graphengine.kernel.testing import StoreConformance
from graphengine.stores.memory import InMemoryStore

if TYPE_CHECKING:
    from graphengine.stores.base import Store


class TestInMemoryStore(StoreConformance):
    """Runs that end with the process."""

    async def make_store(self) -> Store:
        """Return a new store."""
        return InMemoryStore()


def test_a_suite_that_makes_no_store_is_refused() -> None:
    """A collected class must define how its store is made; otherwise its tests would be skipped silently."""
    with pytest.raises(DefinitionError, match="the test class 'TestNothing' does not create the store to test"):
        type("TestNothing", (StoreConformance,), {})
