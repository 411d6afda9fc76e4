"""Who approved a call is looked up when the call is about to begin: their right may have gone since they answered.

The answer has the name of who gave it. If that user may not answer any more, the call does not begin, and is asked
again with the reason.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from graphengine.agents.runtime import ChecksAnswers
from graphengine.kernel.extension import Extension
from graphengine.kernel.reader import Answered

if TYPE_CHECKING:
    from graphengine.kernel.extension import OpenRun
    from graphengine.kernel.inside import RecordedResult
    from graphengine.kernel.reader import Snapshot
    from graphengine.kernel.store import Store
    from graphengine.serve.users import Users

_CHUNK: Final = 500
"""How many steps are read at a time, from the newest on: who answered is not in the state of a run."""


class Approvers(Extension):
    """Lets only users approve calls who may still answer.

    Args:
        users: The users.
    """

    def __init__(self, users: Users) -> None:
        self._users = users

    async def opened(self, run: OpenRun) -> ChecksAnswers:
        """Follow each run."""
        return _RunApprovers(self._users, run.store, run.snapshot)


class _RunApprovers(ChecksAnswers):
    def __init__(self, users: Users, store: Store, snapshot: Snapshot) -> None:
        self._users = users
        self._store = store
        self._snapshot = snapshot

    async def objection(self, frame: str, answer: RecordedResult) -> str:
        """Return why who gave an answer may not do so any more; "" if they may, or gave no name."""
        info = await self._store.info(self._snapshot.run_id)
        upto = info.seq
        while upto:
            for step in reversed(await self._store.steps(info.id, max(upto - _CHUNK, 0), upto)):
                given = step.data
                is_it = isinstance(given, Answered) and (step.frame, given.wait) == (frame, answer.name)
                if is_it and step.at == answer.at and isinstance(given, Answered) and given.answer is not None:
                    return self._users.objection(given.answer.by, "answer", info.tenant)
            upto = max(upto - _CHUNK, 0)
        return "who answered is not recorded"


__all__ = ["Approvers"]
