"""The claim: the life of one run in one process, from its opening to its outcome, as a pure state machine.

A process that drives a run has a claim on the run, so that only one process at a time drives it. In the database, a
lease of the process protects the claim. A claim is in one of these states:

    opening   the first step of this process is not durable yet; another process may still have the run
    driving   tasks run, and each durable step starts the tasks that come next
    halting   no new task starts; the tasks in flight end, and the lease is given back unless a step has done so
    asleep    the run waits without a lease; it continues here when its time, a message or another process wakes it
    parked    the run waits without a lease for an answer or a message; a process that receives one resumes the run
    lost      an append or an opening failed; the snapshot in memory may be ahead of the log, and is never used again
    over      this process has nothing left to do for the run

`Claim.step` receives an input (what happened) and returns a `Do`: what the shell should do about it. The shell is
`graphengine.runner.life`, which does all reading, writing and waiting. `TABLE` lists each input with the states in
which the input can come and the states that can follow, or the reason why nothing has to be done. An input that comes
in any other state is a fault of the shell, and the claim is lost. A rule sets flags of the claim, moves the claim to
another state, and returns what to do. A rule does not read a clock or a store, and does not await.

The table also guarantees that steps are durable before anything acts on them: `Progress` and `Mail` only append steps,
and only `Opened` and `Durable` start tasks.
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
"""The outcome that the callers of a claim get.

- `driven`: the result of the run as this process drove or found it.
- `recorded`: the result that the store has.
- `cut_off`: the result that the store has, with a warning about nodes that were cut off.
- `raise`: the error that ended the claim.
"""
Act: TypeAlias = Literal["start", "record", "sleep", "be_wanted"]
"""Something that the shell may do only in some states. The shell asks `Claim.may` first.

- `start`: start a task.
- `record`: append steps.
- `sleep`: wait in this process for a time or a message.
- `be_wanted`: be found by a caller that wants the run to be driven.

The shell needs the answers for `start` and `record` at each step, so it reads them from two flags of the claim.
"""


# --- inputs -------------------------------------------------------------------------------------------------------


class Begin(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) to begin, because this process should drive the run.

    This input is given when a caller or a worker asked for the run, or when runs are recovered whose process died.
    """


class Wanted(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that a caller asks for a run that is claimed already.

    If the claim was made for a worker, a waiting run is then kept for the caller instead of being left to other
    workers. The caller may have just sent the run a message.
    """


class Alone(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that this process no longer drives any other run.

    A run that was in flight at repeated crashes begins only now: if the process crashes once more, the run must be the
    cause.
    """


class Refused(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the store refused to give this process the run.

    The run is already driven by another process, or under another claim of this process.
    """


class Moved(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that what this process read of the run is out of date.

    This process read the run, and another process recorded a step before this process had claimed the run. The run must
    therefore be read and checked again.

    Attributes:
        held: Whether the run, when this process read it, still had the lease of a process that had died.
        resumed: Whether the other process recorded only one step, the step that resumes the run.
    """

    held: bool = False
    resumed: bool = False


class Found(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that no node of the run can be run now.

    This process has read the run, and found that it is over, that it waits for an answer, a message or a time, or that
    it is queued.

    Attributes:
        status: The status of the run, as the result of the run reports it.
        due: The time until which the run can sleep in this process; None if the run waits for an answer or a message.
    """

    status: str
    due: float | None = None


class Opened(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the first step of this process is durable.

    The first step is the one with which this process begins or resumes the run.

    Attributes:
        beside: Whether this process also drives other runs, although the run should be alone in its process after two
            crashes.
    """

    beside: bool = False


class Progress(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) for a new step, because nodes have made progress.

    Attempts of nodes have ended, or a node has recorded a result while it runs.
    """


class Mail(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) for a new step, because a message or an answer has arrived."""


class Durable(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the store has made the appended steps durable.

    Attributes:
        status: The status of the run that was recorded with the steps. Recording any status other than `running` also
            gave the lease back.
    """

    status: str


class Idle(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the run has nothing to do at this moment.

    No task of the run is in flight or ready, and no step has to be recorded.

    Attributes:
        status: The status of the run in memory.
    """

    status: str


class Left(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that this process has stopped driving the run.

    All tasks of the run have ended, and the lease was given back.

    Attributes:
        status: The status of the run in memory.
        due: The time until which the run can sleep in this process; None if the run waits for an answer or a message.
        cut_off: Whether nodes were interrupted before they ended.
    """

    status: str
    due: float | None = None
    cut_off: bool = False


class Quiet(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that no answer or message for the waiting run has arrived."""


class Woken(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) to wake the run, which was asleep in this process.

    The time for which the run waits has come, a message has arrived, or another process has recorded a step of the run.

    Attributes:
        status: The status of the run in the store when it is woken.
    """

    status: str


class Stop(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) to stop the run, because a caller wants it to stop.

    Attributes:
        why: The reason to record, as text.
        consume: The numbers of the messages in the run's inbox that asked for the stop. These messages are consumed
            when the stop is recorded.
        now: Whether to cancel the tasks in flight instead of waiting for them to end.
        final: Whether the run can never be resumed.
        reason: `asked` if the caller asked to stop this run, `above` if the caller asked to stop a run that started it.
    """

    why: str = "asked"
    consume: Sequence[int] = ()
    now: bool = False
    final: bool = False
    reason: Literal["asked", "above"] = "asked"


class Release(Struct, frozen=True):
    """Asks the state machine that drives a run (`Claim`) to give up the run, so that another process can drive it.

    Attributes:
        now: Whether to cancel the tasks in flight instead of waiting for them to end.
    """

    now: bool = False


class Late(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the run has reached its time limit (`seconds`).

    A node may still be running when this happens.
    """


class Closed(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the `Runner` of this process is closing.

    Running nodes get a grace period to end.
    """


class Cut(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that the asyncio task of the run was cancelled.

    Either the `Runner` cancelled the task after the grace period, or the event loop ended.
    """


class Raised(Struct, frozen=True):
    """Tells the state machine that drives a run (`Claim`) that an error was raised outside of the nodes.

    For example, a step could not be recorded, or this process lost the lease on the run.
    """


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
    """The actions that the runner must carry out after it gave an input to the state machine that drives a run.

    Each field is one action, such as appending steps, starting tasks or showing steps to watchers. A field with its
    default value asks for nothing. The runner carries out the fields from top to bottom.
    """

    # Append first. The parts of a `Do` that depend on it come with the input `Durable` of this append.
    append: Literal["", "events", "stop"] = ""
    # Cancel the tasks in flight. Their ends are still awaited, so that none runs beside the next driver.
    cancel: bool = False
    show: bool = False  # Show the durable steps to watchers, before the tasks that the steps start can show anything.
    start: bool = False  # Start the tasks that the durable steps made ready.
    # Send a stop to the process that has the run. After the release, because otherwise the stop would arrive here
    # again.
    post: Stop | None = None
    # Claim the run: at once, after a pause, or once this process drives no other run.
    open: Literal["", "now", "later", "alone"] = ""
    # In `asleep`: look into the inbox, then wait until this time. With None, the shell only looks and does not wait.
    wake: float | None = None
    outcome: Outcome | None = None  # Last: give callers their outcome.


NOTHING: Final = Do()
# shared objects, because these inputs come at each step
PROGRESS, MAIL, DURABLE = Progress(), Mail(), Durable("running")
_APPEND: Final = Do(append="events")
_SHOW: Final = Do(show=True)
_START: Final = Do(show=True, start=True)
_CANCEL: Final = Do(cancel=True)
_RAISE: Final = Do(outcome="raise")
_OPEN: Final = Do(open="now")
_START_FIRST: Final = Do(start=True)
_DRIVEN: Final = Do(outcome="driven")


class Claim(Struct):
    """The right of one process to drive one run, as a state machine that performs no I/O.

    Only `step` changes a claim. The runner calls `step` with each input and does what the returned `Do` tells it to do.

    Attributes:
        asked: Whether the run is claimed because a caller asked for it. If so, a run that failed or was stopped is
            resumed too.
        waits_out: Whether a run that waits only for a time sleeps in this process, so that the run continues here at
            that time.
        of_worker: Whether a waiting run is left to workers: only `Store.take` may continue it.
        follows: Whether to wait for another process that drives the run, instead of raising an error.
        gives_way: Whether to hold the run back if it should be alone in its process and other runs are driven here.
        held_back: Whether the run is not driven here until this process drives no other run.
        state: The state of the claim.
        owned: Whether this process has the lease. A step that ends or parks the run gives the lease back when the step
            is durable. Otherwise the shell gives the lease back, once no task is in flight.
        was_held: Whether an earlier look found that the run was held by a process that had died.
        stop: The request to stop the run that has to be recorded; None if there is none.
        cuts: Whether the tasks in flight were cancelled.
        late: Whether the run halts because of its limit of seconds.
        released: Whether the run has been released, or is to be released.
        closed: Whether the Runner is closed.
        is_first: Whether this process has not yet found the run at rest or recorded a step of the run since the claim
            was made.
        is_alone: Whether the run was held back before, and is now being opened alone.
        is_cut: Whether the asyncio task of the run was cancelled while the run was driven.
        may_start: Whether the shell may start a task now.
        may_record: Whether the shell may append steps now.
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
        """Process one input about the run that this process drives, and return what the runner must do.

        Raises:
            OutOfOrder: The input cannot occur in the current state, which means that the runner has a bug. The claim is
                lost.
        """
        rule = _RULES.get((self.state, type(given)))
        if rule is None:
            before = self.state
            self.enter("lost")
            text = (
                f"a fault inside graphengine: {type(given).__name__} came while this process was {before!r} with a run"
            )
            raise OutOfOrder(text, repair="resume the run, and report this fault to the authors of graphengine")
        return rule(self, given)

    def enter(self, state: State) -> None:
        """Move this process's claim on a run to another state, and update what the process may do in that state.

        The flags `may_start` (a task) and `may_record` (a step) are set for the new state. `may_record` also requires
        that this process has the lease (`owned`), so a rule that changes `owned` must do so before it calls this
        method.
        """
        self.state = state
        self.may_start, records = _FLAGS[state]
        self.may_record = records and self.owned

    def may(self, act: Act) -> bool:
        """Return whether the runner may do this (for example, start a task) in the current state of the claim."""
        return self.state in _MAY[act] and (self.owned or act != "record")


# --- opening ------------------------------------------------------------------------------------------------------


def _begin(claim: Claim, _: Begin) -> Do:
    return Do(open="alone") if claim.held_back else _OPEN


def _keep_for_caller(claim: Claim, _: Wanted) -> Do:
    # 1. A run of a worker is about to rest. 2. A caller in this process sends the run a message, and waits for the
    #    result. 3. If the run were parked at once, as the run of a worker is, the claim would end with the message
    #    unread, and the result of the caller would say that the run waits.
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
    # If the run failed or was stopped in that process, this claim does not resume it.
    claim.asked = claim.is_first = False
    return Do(outcome="recorded") if must_end else Do(open="later")


def _look_again(claim: Claim, given: Moved) -> Do:
    # 1. This process looked at the run when the run was at seq 5. 2. Another process claimed the run, recorded step 6,
    #    and released the run or died. 3. The claim of this process succeeds. All checks were made for step 5, so they
    #    have to be made again. If a process had died with the run before point 1, and the other process only resumed
    #    the run, the other process has died as well: this happens with a node that kills its process.
    claim.was_held = (given.held or claim.was_held) and given.resumed
    return Do(open="now")


def _rest_as_found(claim: Claim, given: Found) -> Do:
    claim.asked = claim.is_first = claim.is_alone = False
    return _rest(claim, given.status, given.due)


def _start_or_halt(claim: Claim, given: Opened) -> Do:
    # If the run ends in another process while it sleeps here, this claim does not resume it.
    claim.asked = claim.is_first = claim.is_alone = False
    # 1. After the first crash of a run, this process looks at the run, and finds that it may be driven beside other
    #    runs. 2. Another process claims the run and crashes, which is the second crash. 3. This process claims the run.
    #    Only its own first step knows both crashes for certain. So the claim decides here once more, and may start no
    #    node. If the run were released without that step, the run would no longer be held by a dead process, and the
    #    second crash would not be counted.
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
        claim.owned = False  # From now on another process can have the run.
        claim.enter("halting" if claim.state == "driving" else claim.state)
    return _START if claim.state == "driving" else _SHOW


def _idle(claim: Claim, given: Idle) -> Do:
    is_limit = given.status == "running" and (claim.late or claim.state == "driving")
    is_stop = claim.stop is not None and given.status in ("running", "waiting")  # A run that has ended keeps its end.
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
    """Start no further tasks of the run, because the run is about to stop or to leave this process.

    With `now`, the tasks in flight are cancelled as well. They are cancelled only once, even if a stop is requested
    several times.
    """
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
        # The stop came while the step with which the run began to wait, or ended, was being recorded. That step gave
        # the lease back, so this process can no longer record the stop.
        claim.enter("over")
        return Do(post=claim.stop, outcome="recorded")
    return _rest(claim, given.status, given.due)


# --- asleep, and the end ------------------------------------------------------------------------------------------


def _rest(claim: Claim, status: str, due: float | None) -> Do:
    """Choose the next state of the claim when the run has no task left that could start now.

    A run that waits is parked until a message arrives, or sleeps in this process until `due`. A run that does not wait
    is over for this process.
    """
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
    """End this process's claim on a sleeping run without waking the run. Another process can continue the run later."""
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
    """One row of the transition table of a claim (the right of a process to drive a run).

    Attributes:
        given: The type of the input to which this row applies.
        states: The states in which the input can occur.
        then: The states that can follow. Empty if the claim stays in its state.
        rule: The function that processes such an input.
        why: The reason why an input can be ignored, for a row whose rule does nothing: how the input can come in these
            states, and why no action is needed.
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
"""Whether the shell may start tasks, and whether it may record steps if it has the lease, in each state."""
