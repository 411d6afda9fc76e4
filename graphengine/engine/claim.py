"""The claim: the life of one run in one process, from its opening to its outcome, as a pure machine.

    opening   its first step here is not durable yet; another process may still have the run
    driving   what is durable starts what comes next
    halting   nothing more starts: what is in flight ends, and the lease is given back if no step has done that
    asleep    it waits without a lease, and continues here when its time, a message or another process wakes it
    parked    it waits without a lease for an answer or a message: a process that has one resumes it
    lost      an append or an opening failed: what memory has may be ahead of the log, and is never used again
    over      nothing is left to do here

`step` takes what happened and returns what the shell, `graphengine.runner.life`, does about it. `TABLE` lists each
input with the states in which it can come, and those after it, or the reason why nothing is to be done. Elsewhere it is
impossible: a fault of the shell, which loses the claim. A rule sets flags of the claim, moves it, and says what to do;
it reads no clock, no store, and awaits nothing.

The table is what makes steps durable before they are acted on: `Ended` and `Mail` say only `append`, and only `Opened`
and `Durable` say `start`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias, get_args

from msgspec import Struct

from graphengine.errors import OutOfOrder

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

State: TypeAlias = Literal["opening", "driving", "halting", "asleep", "parked", "lost", "over"]
Outcome: TypeAlias = Literal["driven", "recorded", "cut_off", "raise"]
"""What callers get: the result of what was driven or found here; the result that the store has; that, with a warning
about what was cut off; or the error that ended it."""
Act: TypeAlias = Literal["start", "record", "sleep", "be_wanted"]
"""What the shell may do: start a task, append steps, wait here for a time or a message, and be found by a caller that
wants the run driven. It asks `Claim.may`; for the first two, of which it asks at each step, it reads two flags."""


# --- inputs -------------------------------------------------------------------------------------------------------


class Begin(Struct, frozen=True):
    """A caller, a worker or a recovery wants it here."""


class Wanted(Struct, frozen=True):
    """A caller wants a run that is here already, maybe a worker's, and may have just sent it something."""


class Alone(Struct, frozen=True):
    """No other run is driven here: one that was held back may be opened."""


class Refused(Struct, frozen=True):
    """Another process, or another claim here, drives the run."""


class Moved(Struct, frozen=True):
    """Another process recorded a step between the look at the run and the claim on it.

    Attributes:
        held: Whether a process had died with the run when it was looked at.
        resumed: Whether the other process only resumed it.
    """

    held: bool = False
    resumed: bool = False


class Found(Struct, frozen=True):
    """There is nothing to drive: the run is over, waits, or is queued.

    Attributes:
        status: As its result has it.
        due: Until when it can sleep here; None if it waits for somebody.
    """

    status: str
    due: float | None = None


class Opened(Struct, frozen=True):
    """The first step here is durable.

    Attributes:
        beside: Whether it should be alone in its process, and other runs are driven here.
    """

    beside: bool = False


class Progress(Struct, frozen=True):
    """Attempts of nodes have ended, or a node has done a piece of work."""


class Mail(Struct, frozen=True):
    """A message or an answer came that can be recorded."""


class Durable(Struct, frozen=True):
    """Steps are durable.

    Attributes:
        status: The status that was recorded with them. Any other than `running` gave the lease back.
    """

    status: str


class Idle(Struct, frozen=True):
    """Nothing is in flight, ready, or to be recorded.

    Attributes:
        status: That of the snapshot.
    """

    status: str


class Left(Struct, frozen=True):
    """Nothing of it moves here any more, and its lease is given back.

    Attributes:
        status: That of the snapshot.
        due: As for `Found`.
        cut_off: Whether nodes were cut off.
    """

    status: str
    due: float | None = None
    cut_off: bool = False


class Quiet(Struct, frozen=True):
    """It waits for somebody, and its inbox is empty."""


class Woken(Struct, frozen=True):
    """Its time has come, a message, or a step by another process.

    Attributes:
        status: As the store has it then.
    """

    status: str


class Stop(Struct, frozen=True):
    """A stop was asked.

    Attributes:
        why: The reason to record, in words.
        consume: The messages that asked for it.
        now: Whether to cancel what is in flight.
        final: Whether no resume continues it.
        reason: Whether it was asked of this run, or of one above it.
    """

    why: str = "asked"
    consume: Sequence[int] = ()
    now: bool = False
    final: bool = False
    reason: Literal["asked", "above"] = "asked"


class Release(Struct, frozen=True):
    """It is to be released for another process.

    Attributes:
        now: Whether to cancel what is in flight.
    """

    now: bool = False


class Late(Struct, frozen=True):
    """Its limit of seconds is reached, maybe within a node."""


class Closed(Struct, frozen=True):
    """Its Runner closes: nodes in flight have a time of grace."""


class Cut(Struct, frozen=True):
    """Its asyncio task was cancelled: by its Runner after the time of grace, or by the end of the event loop."""


class Raised(Struct, frozen=True):
    """A step could not be recorded, the lease was lost, or anything else was raised outside a node."""


Input: TypeAlias = (
    Begin
    | Wanted
    | Alone
    | Refused
    | Moved
    | Found
    | Opened
    | Progress
    | Mail
    | Durable
    | Idle
    | Left
    | Quiet
    | Woken
    | Stop
    | Release
    | Late
    | Closed
    | Cut
    | Raised
)


# --- what to do ---------------------------------------------------------------------------------------------------


class Do(Struct, frozen=True):
    """What the shell does about an input, from top to bottom."""

    append: Literal["", "events", "stop"] = ""  # first: the rest waits for the `Durable` of it
    cancel: bool = False  # what is in flight; its ends are still awaited, so that nothing runs beside the next driver
    show: bool = False  # the durable steps, before what they start can show anything
    start: bool = False  # what the durable steps made ready
    post: Stop | None = None  # a stop for the process that has the run: after the release, else it would come back here
    open: Literal["", "now", "later", "alone"] = ""  # claim it: at once, after a pause, or once no other run is driven
    wake: float | None = None  # asleep: look into the inbox, then wait until this time; None waits for nothing
    outcome: Outcome | None = None  # last: what callers get


NOTHING: Final = Do()
PROGRESS, MAIL, DURABLE = Progress(), Mail(), Durable("running")  # for each step
_APPEND: Final = Do(append="events")
_SHOW: Final = Do(show=True)
_START: Final = Do(show=True, start=True)
_CANCEL: Final = Do(cancel=True)
_RAISE: Final = Do(outcome="raise")
_OPEN: Final = Do(open="now")
_START_FIRST: Final = Do(start=True)
_DRIVEN: Final = Do(outcome="driven")


class Claim(Struct):
    """The claim on one run, changed by `step` only.

    Attributes:
        asked: Whether a caller asked for it, so that a run that failed or was stopped is resumed too.
        waits_out: Whether it sleeps here while it waits only for a time.
        of_worker: Whether only `Store.take` may continue it once it waits.
        follows: Whether it waits for another process that drives the run.
        gives_way: Whether it is held back if it turns out that it should be alone.
        held_back: Whether it is not driven here until no other run is.
        state: Where it is.
        owned: Whether the lease is held: until a step that ends or parks the run is durable. Otherwise the shell gives
            it back, once nothing is in flight.
        was_held: Whether a process had died with the run, as an earlier look found.
        stop: The stop to record.
        cuts: Whether what is in flight was cancelled.
        late: Whether the limit of seconds is what halts it.
        released: Whether it is released, or to be released.
        closed: Whether its Runner is closed.
        is_first: Whether nothing of the run was found or recorded here yet.
        is_alone: Whether it was held back, and is being opened alone.
        is_cut: Whether its asyncio task was cancelled while it was driven.
        may_start: Whether the shell may start a task now.
        may_record: Whether it may append steps now.
    """

    asked: bool = True
    waits_out: bool = True
    of_worker: bool = False
    follows: bool = False
    gives_way: bool = False
    held_back: bool = False
    state: State = "opening"
    owned: bool = True
    was_held: bool = False
    stop: Stop | None = None
    cuts: bool = False
    late: bool = False
    released: bool = False
    closed: bool = False
    is_first: bool = True
    is_alone: bool = False
    is_cut: bool = False
    may_start: bool = True
    may_record: bool = True

    def step(self, given: Input) -> Do:
        """Take an input, and return what to do about it.

        Raises:
            OutOfOrder: It cannot come in this state, so the shell is wrong about the run. The claim is lost.
        """
        rule = _RULES.get((self.state, type(given)))
        if rule is None:
            before = self.state
            self.enter("lost")
            text = f"{type(given).__name__} cannot come while the claim on a run is {before}"
            raise OutOfOrder(text, repair="resume the run, and report this as a fault of graphengine")
        return rule(self, given)

    def enter(self, state: State) -> None:
        """Move to a state; each rule that changes `owned` does so before."""
        self.state = state
        self.may_start, records = _FLAGS[state]
        self.may_record = records and self.owned

    def may(self, act: Act) -> bool:
        """Return whether the shell may do something now."""
        return self.state in _MAY[act] and (self.owned or act != "record")


# --- opening ------------------------------------------------------------------------------------------------------


def _begin(claim: Claim, _: Begin) -> Do:
    return Do(open="alone") if claim.held_back else _OPEN


def _keep_for_caller(claim: Claim, _: Wanted) -> Do:
    # 1. A worker's run is about to rest. 2. A caller here sends it a message, and waits for its result. 3. Parked at
    # once, as for a worker, it would end with the message unread, and the caller's result would say that it waits.
    if claim.of_worker:
        claim.of_worker = claim.waits_out = False
    return NOTHING


def _open_alone(claim: Claim, _: Alone) -> Do:
    claim.held_back = claim.gives_way = False
    claim.is_alone = True
    return NOTHING


def _retry_refused(claim: Claim, _: Refused) -> Do:
    must_end = claim.released or claim.closed
    if (claim.is_first and not claim.follows) or (claim.is_alone and not must_end):
        claim.enter("over")
        return _RAISE
    claim.asked = claim.is_first = False  # an end in that process is not retried
    return Do(outcome="recorded") if must_end else Do(open="later")


def _look_again(claim: Claim, given: Moved) -> Do:
    # 1. It was looked at when it was at seq 5. 2. Another process claimed it, recorded step 6, and released it or died.
    # 3. The claim succeeds. All checks were made for step 5, so they are made again. If a process had died before 1,
    # and the other one only resumed the run, it died as well: a node that kills its process does that.
    claim.was_held = (given.held or claim.was_held) and given.resumed
    return Do(open="now")


def _rest_as_found(claim: Claim, given: Found) -> Do:
    claim.asked = claim.is_first = claim.is_alone = False
    return _rest(claim, given.status, given.due)


def _start_or_halt(claim: Claim, given: Opened) -> Do:
    # An end in another process, while it sleeps here, is not retried.
    claim.asked = claim.is_first = claim.is_alone = False
    # 1. After a run's first crash, this process looks at it: it may be driven beside others. 2. Another process claims
    # it and crashes, for the second time. 3. This process claims it. Only what it has recorded now is certain: both
    # crashes. So it looks here once more, and starts no node. Released without that step, the run would no longer be
    # held, and the second crash would not count.
    claim.held_back = claim.gives_way and given.beside
    claim.gives_way = False
    starts = claim.owned and not (claim.stop or claim.released or claim.closed or claim.held_back)
    claim.enter("driving" if starts else "halting")
    return _START_FIRST if starts else NOTHING


# --- driving and halting ------------------------------------------------------------------------------------------


def _append_step(_: Claim, __: Progress | Mail) -> Do:
    return _APPEND


def _durable(claim: Claim, given: Durable) -> Do:
    if given.status != "running":
        claim.owned = False  # another process can have it from now on
        claim.enter("halting" if claim.state == "driving" else claim.state)
    return _START if claim.state == "driving" else _SHOW


def _idle(claim: Claim, given: Idle) -> Do:
    is_limit = given.status == "running" and (claim.late or claim.state == "driving")
    is_stop = claim.stop is not None and given.status in ("running", "waiting")  # what has ended keeps its end
    claim.enter("halting")
    return Do(append="stop") if is_stop or is_limit else NOTHING


def _halt_for_stop(claim: Claim, given: Stop) -> Do:
    earlier = claim.stop or Stop()
    first = earlier if earlier.final and not given.final else given
    consume, final = (*earlier.consume, *given.consume), earlier.final or given.final
    claim.stop = Stop(first.why, consume, given.now, final, first.reason)
    return _halt(claim, now=given.now)


def _halt_for_release(claim: Claim, given: Release) -> Do:
    claim.released = True
    return _halt(claim, now=given.now)


def _halt_for_limit(claim: Claim, _: Late) -> Do:
    claim.late = True
    return _halt(claim, now=True)


def _halt_for_close(claim: Claim, _: Closed) -> Do:
    claim.closed = True
    return _halt(claim, now=False)


def _halt(claim: Claim, *, now: bool) -> Do:
    """Start nothing more; cancel what is in flight, once."""
    if claim.state == "driving":
        claim.enter("halting")
    is_news, claim.cuts = now and not claim.cuts, claim.cuts or now
    return _CANCEL if is_news else NOTHING


def _leave_run(claim: Claim, given: Left) -> Do:
    is_running = given.status == "running"
    if claim.held_back and not (claim.of_worker or claim.released or claim.closed):
        return _again(claim, "alone")
    if (claim.closed and (claim.is_cut or is_running)) or (given.cut_off and is_running):
        claim.enter("over")
        return Do(outcome="cut_off")
    halted = ("waiting", "failed", "stopped") if claim.stop is not None and claim.stop.final else ("waiting",)
    if given.status in halted and claim.stop is not None and not claim.owned:
        # It came while the step after which the run waits, or has ended, was being recorded: that gave the lease back.
        claim.enter("over")
        return Do(post=claim.stop, outcome="recorded")
    return _rest(claim, given.status, given.due)


# --- asleep, and the end ------------------------------------------------------------------------------------------


def _rest(claim: Claim, status: str, due: float | None) -> Do:
    """Sleep, park it, or end it, when nothing of it moves."""
    if status != "waiting":
        claim.enter("over")
    elif claim.of_worker or claim.released or claim.closed:
        claim.enter("parked")
    else:
        claim.enter("asleep")
        return Do(wake=due if claim.waits_out else None)
    return _DRIVEN


def _quiet(claim: Claim, _: Quiet) -> Do:
    claim.enter("parked")
    return Do(outcome="driven")


def _woken(claim: Claim, given: Woken) -> Do:
    if given.status in ("waiting", "running"):
        return _again(claim, "now")
    claim.enter("over")
    return Do(outcome="recorded")


def _again(claim: Claim, how: Literal["now", "alone"]) -> Do:
    claim.owned = True
    claim.enter("opening")
    claim.stop, claim.cuts, claim.late, claim.was_held = None, False, False, False
    return Do(open=how)


def _stay(claim: Claim, given: Release | Closed) -> Do:
    """End what sleeps, and leave the run waiting."""
    claim.released, claim.closed = isinstance(given, Release), isinstance(given, Closed)
    claim.enter("parked")
    return Do(outcome="recorded")


def _report_recorded(_: Claim, __: Quiet | Woken) -> Do:
    return Do(outcome="recorded")


def _post(_: Claim, given: Stop) -> Do:
    return Do(post=given)


def _cut(claim: Claim, given: Cut) -> Do:
    if not claim.closed:
        return _lose_run(claim, given)
    if claim.state in ("driving", "halting"):
        claim.is_cut = True
        claim.enter("halting")
        return _CANCEL
    if claim.state == "opening":
        claim.enter("over")
        return _RAISE if claim.is_first else Do(outcome="recorded")
    return Do(outcome="recorded")


def _lose_run(claim: Claim, _: Raised | Cut) -> Do:
    claim.enter("lost")
    return Do(cancel=True, outcome="raise")


def _ignore(_: Claim, __: Input) -> Do:
    return NOTHING


# --- the table ----------------------------------------------------------------------------------------------------


class Row(NamedTuple):
    """An input, the states in which it can come, those after it (empty: it stays where it is), and its rule.

    If nothing is to be done, `why` says how it comes there, and why that is right.
    """

    given: type[Input]
    states: tuple[State, ...]
    then: tuple[State, ...]
    rule: Callable[[Claim, Any], Do]
    why: str = ""


_OVER: Final = "the run no longer moves in this process, and callers get the end that the run has"
_LATE: Final = "an append failed while this input was on its way, and the loop gets that error next"
_MOVES: Final[tuple[State, ...]] = ("driving", "halting")
_MAY: Final[dict[Act, tuple[State, ...]]] = {
    "start": ("opening", "driving"),
    "record": ("opening", *_MOVES),
    "sleep": ("asleep",),
    "be_wanted": ("opening", *_MOVES, "asleep", "lost"),
}
TABLE: Final = (
    Row(Begin, ("opening",), ("opening",), _begin),
    Row(Wanted, ("opening", *_MOVES), (), _keep_for_caller),
    Row(
        Wanted,
        ("asleep", "lost"),
        (),
        _ignore,
        "what the caller sent wakes the run, or the caller gets the end that the run has",
    ),
    Row(Alone, ("opening",), ("opening",), _open_alone),
    Row(Refused, ("opening",), ("opening", "over"), _retry_refused),
    Row(Moved, ("opening",), ("opening",), _look_again),
    Row(Found, ("opening",), ("asleep", "parked", "over"), _rest_as_found),
    Row(Opened, ("opening",), ("driving", "halting"), _start_or_halt),
    Row(Progress, ("opening", *_MOVES), (), _append_step),
    Row(Progress, ("lost",), (), _ignore, _LATE),
    Row(
        Progress,
        ("asleep", "parked", "over"),
        (),
        _ignore,
        "a node that a join dropped has recorded something, which is out of date",
    ),
    Row(Mail, _MOVES, (), _append_step),
    Row(Durable, ("driving",), ("driving", "halting"), _durable),
    Row(Durable, ("opening", "halting"), (), _durable),
    Row(Durable, ("lost",), (), _ignore, "an append that began before the append that failed"),
    Row(Idle, _MOVES, ("halting",), _idle),
    Row(Left, ("halting",), ("opening", "asleep", "parked", "over"), _leave_run),
    Row(Quiet, ("asleep",), ("parked",), _quiet),
    Row(Woken, ("asleep",), ("opening", "over"), _woken),
    Row(Quiet, ("parked",), ("parked",), _report_recorded),
    Row(Woken, ("parked",), ("parked",), _report_recorded),
    Row(Stop, ("opening",), ("opening",), _halt_for_stop),
    Row(Stop, _MOVES, ("halting",), _halt_for_stop),
    Row(Stop, ("asleep", "parked"), (), _post),
    Row(Stop, ("lost", "over"), (), _ignore, _OVER),
    Row(Release, ("opening",), ("opening",), _halt_for_release),
    Row(Release, _MOVES, ("halting",), _halt_for_release),
    Row(Release, ("asleep",), ("parked",), _stay),
    Row(Release, ("parked", "lost", "over"), (), _ignore, _OVER),
    Row(Late, _MOVES, ("halting",), _halt_for_limit),
    Row(Late, ("lost",), (), _ignore, _LATE),
    Row(Closed, ("opening",), ("opening",), _halt_for_close),
    Row(Closed, _MOVES, ("halting",), _halt_for_close),
    Row(Closed, ("asleep",), ("parked",), _stay),
    Row(Closed, ("parked", "lost", "over"), (), _ignore, _OVER),
    Row(Cut, ("opening",), ("over", "lost"), _cut),
    Row(Cut, _MOVES, ("halting", "lost"), _cut),
    Row(Cut, ("asleep",), ("lost",), _cut),
    Row(Cut, ("parked",), ("parked", "lost"), _cut),
    Row(Cut, ("over",), ("over", "lost"), _cut),
    Row(Cut, ("lost",), (), _lose_run),
    Row(Raised, ("opening", *_MOVES, "asleep", "parked", "lost"), ("lost",), _lose_run),
    Row(Raised, ("over",), (), _ignore, "the shell passes on the error that ended the run, as it does for `Refused`"),
)
_RULES: Final = {(state, row.given): row.rule for row in TABLE for state in row.states}
_FLAGS: Final[Mapping[State, tuple[bool, bool]]] = {
    state: (state in _MAY["start"], state in _MAY["record"]) for state in get_args(State)
}
"""Whether a state may start tasks, and record steps, with the lease."""
