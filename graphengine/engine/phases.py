"""Phases: what a frame is doing, with the data of each phase, and the recorded work of a visit.

`ready` derives the next task from the phase. A frame can fail in any phase: `Failing` records how, and a resume
continues in the same phase.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import UNSET, Struct, UnsetType

from graphengine.engine.steps import MAX_OPEN, FailureRecord, ForkRecord, Outputs, WaitRecord
from graphengine.state.amounts import LimitsRecord, Number, Usage
from graphengine.state.ending import Ending
from graphengine.state.json_values import JsonObject, JsonValue, Mark, Op
from graphengine.state.recorded_text import NO_TEXT, RecordedText


class RecordedResult(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Recorded work of a visit, an answer that it got, or a question that it will ask again.

    Attributes:
        value: The result or the answer; for a question to ask again, its due time; for an effect that has begun, its
            arguments by name.
        at: When it was recorded, epoch seconds.
        outputs: What the work sent and emitted.
        name: The name of the wait.
        due: When the wait would have timed out.
        by: What ended the wait; why the result of an effect was refused.
        id: The id that the wait keeps when it is asked again; the idempotency key of an effect.
        timeout: Whether the wait ended without an answer.
        begun: The seq of the step that recorded the beginning of an effect which must not be repeated; 0 for others.
        keyed: The seq of the step that recorded the key of an idempotent effect before it began; 0 for others.
        unknown: The `unknown=` that was declared when the effect began: what follows if nobody can tell how it ended.
        reconcile: The name of the function that was declared, when the effect began, to find out how it ended.
        seen: What the person who answered was shown, besides what identifies the question.
        given: Whether it is an answer or a message from outside: a person or a caller gave it.
        sleep: The text of a sleep to ask again, which says for how long. Code that has changed since takes the sleep
            over only if it sleeps equally long.
        recoded: The id of the code that recorded the work, if the code of the node or the graph spec has changed since.
            `-` if the id is not known; "" if nothing has changed.
    """

    value: JsonValue | UnsetType = UNSET
    at: Number = 0
    outputs: Outputs = {}
    name: str | None = None
    due: Number | None = None
    by: str | None = None
    id: str | None = None
    timeout: bool = False
    begun: int = 0
    keyed: int = 0
    unknown: Literal["ask", "fail"] = "ask"
    reconcile: str = ""
    seen: JsonObject = {}
    given: bool = False
    sleep: RecordedText = NO_TEXT
    recoded: str = ""


class Asking(Struct, frozen=True):
    """A question of a visit whose wait is over: if the visit asks it again, unchanged, it is the same question.

    Attributes:
        id: Its id.
        shown: The digest of what it showed; see `frame_tree.shown_by`.
    """

    id: str
    shown: str


class AskedName(Struct, frozen=True, omit_defaults=True):
    """The questions of one name in a run: the seq of the step that asked last, and how many there were."""

    last: int
    times: int = 1


ASKED: Final = "asked "
"""Prefix of the key of a wait that was interrupted: it keeps its name, id and due time until the node asks it again."""
BEGUN: Final = "begun "
"""Prefix of the key of an effect that must not be repeated, from its beginning until its result is recorded."""
KEYED: Final = "keyed "
"""Prefix of the key of an idempotent effect, from its beginning until its result is recorded. The entry keeps the
idempotency key with which the effect is repeated, also if the code asks for it in another form by then."""
UNKNOWN: Final = "unknown "
"""Prefix of the key of the question how an effect ended; the key of the effect and the seq of its beginning follow."""


UNKNOWN_CODE: Final = "-"
"""Stands for the id of code that is not known, as of work that an earlier version of graphengine recorded."""


class Ready(Struct, frozen=True):
    """The node will run."""


class Fallback(Struct, frozen=True):
    """The node's fallback will run.

    Attributes:
        cause: The failure that the fallback replaces.
        since: The seq of the step that recorded this failure. What began after this step, the fallback has begun, and
            not the node.
    """

    cause: FailureRecord
    since: int = 0


class Leaving(Struct, frozen=True):
    """The node is done, and its outgoing edge is not chosen yet.

    `ended` is the label that the graph at the node stopped with.
    """

    ended: str = ""


class Forked(Struct, frozen=True):
    """Its arms are running: the fork, and the ids of the arms in declared order."""

    fork: ForkRecord
    arms: Sequence[str]


class Failing(Struct, frozen=True):
    """How a frame failed: the failure, and how it ended."""

    error: FailureRecord
    ending: Ending | None = None


class FailedItem(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """How an item of a map failed, and what it continues with when the run is resumed.

    Attributes:
        error: The failure.
        kept: Whether its frame was kept, because a subgraph failed in it.
        attempt: Its next attempt, if the frame was not kept.
        recorded_results: Its recorded work.
        asks: What it has asked.
    """

    error: FailureRecord
    kept: bool = False
    attempt: int = 1
    recorded_results: dict[str, RecordedResult] = {}
    asks: dict[str, Asking] = {}


class LostItem(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An item of a map that failed: its failure, and its value in each list, by the item's name in the node."""

    error: FailureRecord
    values: dict[str, JsonValue]


class Collecting(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Its items are running.

    Attributes:
        count: How many items there are.
        concurrency: How many run at a time: the slots of the map.
        began: When the map began, epoch seconds.
        max_open: How many may have begun and not ended.
        fields: The list field that items are read from, by the item's name in the node.
        items: The items of other sources, by that name.
        next: The first item that has not begun.
        again: Failed items to begin again, as (index, how it failed).
        live: The items that have a slot.
        idle: The items that have begun and gave their slot up, by index: whether they can move again and need one.
        woken: Those that need one, in the order in which their waits ended.
        left: How many have not ended.
        done: The updates of each item, None until it is done.
        failed: How items failed, by index.
        sent: Messages that items sent, by index.
        written: The names of the items that nodes wrote.
    """

    count: int
    concurrency: int
    began: Number
    max_open: int = MAX_OPEN
    fields: Mapping[str, str] = {}
    items: Mapping[str, Sequence[JsonValue]] = {}
    next: int = 0
    again: list[tuple[int, FailedItem]] = []
    live: list[int] = []
    idle: dict[str, bool] = {}
    woken: list[int] = []
    left: int = 0
    done: list[Sequence[Op] | None] = []
    failed: dict[str, FailedItem] = {}
    sent: dict[str, Sequence[JsonValue]] = {}
    written: Sequence[str] = ()


class Inside(Struct, frozen=True):
    """Its subgraph is running; `choice` is what `choose` picked."""

    choice: str = ""


class Waiting(Struct, frozen=True):
    """It waits for any of these, by name; afterwards it is in the phase `then`."""

    waits: dict[str, WaitRecord]
    then: Ready | Fallback


class GivenUp(Struct, frozen=True):
    """Its node failed for good; a resume runs the node again."""


class Ended(Struct, frozen=True):
    """It ended; `stop` records how, except for arms, which end at their join."""

    ending: Ending | None = None


Phase: TypeAlias = Ready | Fallback | Leaving | Forked | Collecting | Inside | Waiting | GivenUp | Ended


class FrameRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What of a frame is recorded as it is; `graphengine.engine.snapshot.Frame` explains each."""

    until: str = ""
    named: str = ""
    visit: int = 1
    attempt: int = 1
    tries: int = 0
    crashes: int = 0
    due: Number = 0.0
    error: FailureRecord | None = None
    counts: dict[str, int] = {}
    marks: dict[str, Mark] = {}
    usage: Usage = {}
    journal: list[Op] = []
    samples: list[Any] = []
    since: Number = 0.0
    arrived: Number = 0.0
    recorded_results: dict[str, RecordedResult] = {}
    asks: dict[str, Asking] = {}
    limits: LimitsRecord = {}
    steps: int = 0
    entered: Number = 0.0
    spent: Usage = {}
    written: dict[str, bool] = {}
