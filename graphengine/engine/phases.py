"""Phases: what a frame is doing, with the data of each phase, and the recorded work of a visit.

`ready` derives the next task of a frame from its phase. A frame can fail in any phase. `Failing` then records how it
failed, and a resume continues in the same phase.
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
    """A record that a node made before it ended, and that the node finds when its code runs again.

    The record is the result of a call, an answer that the node received, a question that the node will ask again, or
    the beginning of a side effect.

    Attributes:
        value: The result or the answer. For a question to ask again: the time at which it times out. For an effect that
            has begun: its arguments by name.
        at: When the record was made, in epoch seconds.
        outputs: The messages that the call sent and the data that it emitted.
        name: The name of the wait.
        due: When the wait would have timed out.
        by: What ended the wait. For an effect: why its result was refused.
        id: The id that the wait keeps when it is asked again. For an effect: its idempotency key.
        timeout: Whether the wait ended without an answer.
        begun: For an effect that must not be repeated: the number of the step that recorded its beginning. Otherwise 0.
        keyed: For an idempotent effect: the number of the step that recorded its key before it began. Otherwise 0.
        unknown: The `unknown=` that was declared when the effect began: what follows if nobody can tell how the effect
            ended.
        reconcile: The name of the function that was declared, when the effect began, to find out how the effect ended.
        seen: The details that the person who answered was shown, apart from the details that identify the question.
        given: Whether it is an answer or a message from outside the run, given by a person or a caller.
        sleep: For a sleep to ask again: its text, which contains its length. Code that has changed since then continues
            the sleep only if it asks for a sleep of the same length.
        recoded: The id of the code that recorded the result, if the code of the node or the graph has changed since.
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
    """A question that a node asked, kept while its code runs again so that it can ask the same question once more.

    Attributes:
        id: The id of the question. It is reused if the node asks the question again unchanged.
        shown: A digest of what the question showed; see `frame_tree.shown_by`.
    """

    id: str
    shown: str


class AskedName(Struct, frozen=True, omit_defaults=True):
    """How often a run has asked questions with the same name, and when it did so last.

    Attributes:
        last: The number of the step that asked the last question.
        times: The number of questions.
    """

    last: int
    times: int = 1


ASKED: Final = "asked "
"""Prefix of the key of a wait that was interrupted.

The entry keeps the name, the id and the due time of the wait until the node asks again.
"""
BEGUN: Final = "begun "
"""Prefix of the key of an effect that must not be repeated, from its beginning until its result is recorded."""
KEYED: Final = "keyed "
"""Prefix of the key of an idempotent effect, from its beginning until its result is recorded.

The entry keeps the idempotency key with which the effect is repeated, even if the code meanwhile looks the effect up
under a key of another form.
"""
UNKNOWN: Final = "unknown "
"""Prefix of the key of the question how an effect ended.

The key of the effect and the seq of its beginning follow the prefix.
"""


UNKNOWN_CODE: Final = "-"
"""The id of unknown code, for example the code of work that an earlier version of graphengine recorded."""


class Ready(Struct, frozen=True):
    """Phase of one position of the run: the node at which the frame stands will run, or is running."""


class Fallback(Struct, frozen=True):
    """Phase of one position of the run: the node failed, and its fallback will run, or is running.

    Attributes:
        cause: The failure that the fallback replaces.
        since: The number of the step that recorded this failure. Effects that began after this step were begun by the
            fallback, not by the node.
    """

    cause: FailureRecord
    since: int = 0


class Leaving(Struct, frozen=True):
    """Phase of one position of the run: the node has completed, and its outgoing edge has not been chosen yet.

    Attributes:
        ended: If the node is a graph: the label with which the graph ended.
    """

    ended: str = ""


class Forked(Struct, frozen=True):
    """Phase of one position of the run: the arms of a fork are running, and the frame waits for their join.

    Attributes:
        fork: The fork.
        arms: The frame ids of the arms, in declared order.
    """

    fork: ForkRecord
    arms: Sequence[str]


class Failing(Struct, frozen=True):
    """How a part of the run (a frame) failed: the error, and the reason for its end."""

    error: FailureRecord
    ending: Ending | None = None


class FailedItem(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A failed item of a running map, with everything that is needed to retry it.

    Attributes:
        error: The failure.
        kept: Whether the frame of the item was kept, because a subgraph failed in it.
        attempt: The number of the item's next attempt, if the frame was not kept.
        recorded_results: The results that the item recorded before it failed.
        asks: The questions that the item has asked.
    """

    error: FailureRecord
    kept: bool = False
    attempt: int = 1
    recorded_results: dict[str, RecordedResult] = {}
    asks: dict[str, Asking] = {}


class LostItem(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """An item of a map that failed for good, as it is kept for the result of the run.

    Attributes:
        error: The failure of the item.
        values: The arguments of the item, by name.
    """

    error: FailureRecord
    values: dict[str, JsonValue]


class Collecting(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """Phase of one position of the run: its node is a map over a list, and the items are being worked on.

    Attributes:
        count: How many items there are.
        concurrency: How many items may work at the same time. Each of them has a slot.
        began: When the map began, in epoch seconds.
        max_open: How many items may be open at the same time. An item is open from its start to its end, also while it
            waits.
        fields: For items that are read from a list field: the name of the field, by the item's name in the node.
        items: For items of other sources: the items themselves, by the item's name in the node.
        next: The index of the first item that has not begun.
        again: Failed items that will begin again, as (index, how the item failed).
        live: The indexes of the items that have a slot.
        idle: The open items that gave up their slot because they wait, by index. The value is True if the item can move
            again, and so needs a slot.
        woken: The indexes of the items that need a slot again, in the order in which their waits ended.
        left: How many items have not ended.
        done: The updates of each item; None until the item is done.
        failed: How items failed, by index.
        sent: Messages that items sent, by index.
        written: The names of the items whose values were written by nodes rather than given by a caller.
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
    """Phase of one position of the run: its node is a graph, which is running in a frame of its own.

    `choice` names the graph if the node chooses among several.
    """

    choice: str = ""


class Waiting(Struct, frozen=True):
    """Phase of one position of the run: it waits for a person, a message or a time.

    Once one of the waits ends, the frame enters the phase `then`.
    """

    waits: dict[str, WaitRecord]
    then: Ready | Fallback


class GivenUp(Struct, frozen=True):
    """Phase of one position of the run: its node failed for good. Only a resume runs the node again."""


class Ended(Struct, frozen=True):
    """Phase of one position of the run: it has reached the end of its graph or, for an arm of a fork, the join.

    Attributes:
        ending: How the frame ended; None for an arm.
    """

    ending: Ending | None = None


Phase: TypeAlias = Ready | Fallback | Leaving | Forked | Collecting | Inside | Waiting | GivenUp | Ended


class FrameRecord(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """The part of a stored snapshot that describes one position of the run (a `Frame`) and needs no conversion.

    These attributes of a frame have types that JSON can represent directly, so they are written and read as they are.
    `engine.snapshot.Frame` explains each of them.
    """

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
