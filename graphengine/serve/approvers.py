"""Check the right of the person who approved a tool call when the call is about to begin.

The person may have lost the right since the answer. The answer contains the person's name. If this user may not answer
any more, the call does not begin, and the question is asked again with the reason.
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
"""How many steps are read at a time, newest first. The state of a run does not contain who answered."""


class Approvers(Extension):
    """Accept a person's approval of a tool call only if this person may still answer questions.

    The check runs when a run uses an approval that was recorded earlier. In the meantime, the person can have been
    removed from the file of users.

    Args:
        users: The users of the server, with their current rights.
    """

    def __init__(self, users: Users) -> None:
        self._users = users

    async def opened(self, run: OpenRun) -> ChecksAnswers:
        """Return the object that checks the approvals of a run that begins to be driven in this process."""
        return _RunApprovers(self._users, run.store, run.snapshot)


class _RunApprovers(ChecksAnswers):
    def __init__(self, users: Users, store: Store, snapshot: Snapshot) -> None:
        self._users = users
        self._store = store
        self._snapshot = snapshot

    async def objection(self, frame: str, answer: RecordedResult) -> str:
        """Return why a recorded answer no longer counts, because its author lost the right to answer; "" if it counts.

        A user can lose this right between the answer and its use by the run.

        An answer that was recorded without a name is accepted. An answer that is not in the log of the run is refused,
        because nobody knows who gave it.
        """
        info = await self._store.info(self._snapshot.run_id)
        upto = info.seq
        while upto:
            for step in reversed(await self._store.steps(info.id, max(upto - _CHUNK, 0), upto)):
                answered = step.data
                if not isinstance(answered, Answered) or (step.frame, answered.wait) != (frame, answer.name):
                    continue
                if step.at == answer.at and answered.answer is not None:
                    return self._users.objection(answered.answer.by, "answer", info.tenant)
            upto = max(upto - _CHUNK, 0)
        return "who answered is not recorded"


__all__ = ["Approvers"]
