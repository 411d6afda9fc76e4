"""A store in memory that fails as if its process had died."""

from msgspec.structs import replace

from graphengine.errors import StoreError
from graphengine.stores.base import Append, RunInfo
from graphengine.stores.memory import InMemoryStore


class Dying(InMemoryStore):
    """A store that fails after some number of appends, as if the process had died there."""

    left = 10**9

    def append(self, batch: Append) -> None:
        """Append a batch, or fail."""
        self.left -= 1
        if self.left < 0:
            raise StoreError("the process died")
        super().append(batch)

    async def info(self, run_id: str) -> RunInfo:
        """Return what is known of a run; one whose process died was not released."""
        return replace(await super().info(run_id), held=self.left < 0 or self.died)

    died = False
