"""`graphengine run`, `resume`, `branch` and `stop`: start a run, continue it, branch off it, stop it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

import click
from msgspec import UNSET

from graphengine.cli import options
from graphengine.cli.places import graph_words
from graphengine.errors import GraphEngineError, InputError, StoreCorrupt
from graphengine.records.words import counted, used

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.api.runner import Runner
    from graphengine.cli.context import CommandContext
    from graphengine.cli.documents import RepeatedEffect
    from graphengine.cli.driving import Begin
    from graphengine.cli.project import Found
    from graphengine.cli.report import DriveJob
    from graphengine.kernel.extension import Plan, Run
    from graphengine.kernel.reader import At, Snapshot
    from graphengine.kernel.store import OwnerInfo, RunInfo, Store


_LISTED: Final = 5
"""The maximum number of effects that a note names."""


@options.command(
    "run",
    *options.DRIVING,
    examples="""
        graphengine run review --input task=Tides
        graphengine run flows/review.py --input task=@task.txt -o draft.md
        graphengine run review --limit visits=50 --run-id moon --tag nightly
        graphengine run publish --pause-before approve     # exits with 3, waiting
    """,
    exits=options.DRIVES,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME", shell_complete=options.complete_graphs)
@click.option(
    "--input",
    "pairs",
    metavar="KEY=VALUE|@FILE",
    multiple=True,
    help="Set a field of the state. A text field takes the text as it is, and other fields take JSON. @file "
    "reads a file, @folder reads the files of a folder, and https://… reads a page. KEY:=JSON sets any "
    "field to JSON, e.g. name:=null. Repeat the key to add items to a list. Without KEY=, @state.json"
    " (or - for stdin) is a JSON object with the values of several fields.",
)
@click.option("--run-id", metavar="ID", help="The run's id. By default, the id is generated.")
@click.option(
    "--resume",
    "goes_on",
    is_flag=True,
    help="With --run-id: if the run exists, continue it, or print its result again if it is over.",
)
@click.option(
    "--after",
    metavar="RUN_ID",
    shell_complete=options.complete_runs,
    help="Start with the final state of this earlier run.",
)
@options.tags
@click.option("--queue", metavar="NAME", help="Put the run into this queue and exit. A worker drives the run.")
@click.option(
    "--priority", type=int, default=0, help="With --queue: workers take runs with a higher number first.  [default: 0]"
)
@click.option(
    "--tenant",
    metavar="NAME",
    help="The tenant to whom the run belongs. The tenants of a queue take turns.",
)
@options.no_wait
def run(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    reference: str,
    pairs: tuple[str, ...],
    run_id: str | None,
    goes_on: bool,  # noqa: FBT001 - as click gives it
    after: str | None,
    tags: tuple[str, ...],
    queue: str | None,
    priority: int,
    tenant: str | None,
    no_wait: bool,  # noqa: FBT001 - as click gives it
) -> int:
    """Run a graph and record every step.

    Name the graph by its file, as FILE.py or FILE.py:NAME. A graph in a folder that pyproject.toml lists under
    [tool.graphengine] graphs can also be named by its NAME alone. Without --input, the run starts with the `example`
    that the graph's file defines, if there is one. An `example` is a state, a dict of its fields, or a function that
    returns a state or such a dict.

    If the new run waits for an answer or a message, `graphengine run` exits with code 3 and shows the commands that
    continue the run. If the run only sleeps, `graphengine run` waits until the sleep is over, unless --no-wait is
    given. Ctrl-C during this time leaves the run waiting.

    While a node is at work, Ctrl-C and SIGTERM have different effects:

    - Ctrl-C lets the node in flight finish, then stops the run and records the stop. Only `resume` continues the run.
    - SIGTERM lets the node in flight finish for up to 8 seconds, then cancels the node and releases the run. A worker
      or `resume` can continue the run. A plain function cannot be cancelled, so the command waits until the function
      returns.

    With --queue, the command only records the run and exits with code 0. `graphengine worker` then drives the run, and
    `graphengine watch` follows it.

    With --run-id and --resume, you can repeat the same command any number of times, for example from cron. The command
    starts the run, resumes a run that failed or was interrupted, or prints the result of a finished run again. If the
    input has changed, the command refuses to continue.
    """
    from graphengine.cli.driving import drive, recorded_job
    from graphengine.cli.driving import resume as resume_job
    from graphengine.cli.project import find
    from graphengine.cli.report import DriveJob, check_output

    if context.output is not None:
        check_output(context.output)
    found = find(reference)
    graph = found.graph
    graph.compile()
    context.use(found.file, writes=True)
    job = DriveJob(context, found, sleeps=not no_wait)
    state = _read_state(job.notes, found, pairs, is_continued=after is not None)
    if after is None:
        _check_needs(job, state)
    if goes_on and run_id is None:
        raise click.UsageError("--resume needs the id of the run to continue: add --run-id ID")
    if goes_on and queue is not None:
        raise click.UsageError("--resume continues the run in this process: leave out --queue")
    if goes_on and run_id is not None and _exists(context, found, state if pairs else None, run_id, after):
        there = recorded_job(context, run_id, reference)
        there.sleeps = job.sleeps
        return resume_job(there)
    limits = options.limits_from(context.limits, graph.limits)
    if after is not None and context.place.exists:
        after = context.find(after).id
    more: dict[str, Any] = {"limits": limits, "after": after, "pause_before": context.pauses, "tags": tags}
    more |= {"queue": queue, "priority": priority, "tenant": tenant}

    async def begin(runner: Runner) -> Run[Any]:
        return runner.start(graph, state, run_id=run_id, wait_out=job.sleeps, **more)

    return _enqueue(job, begin) if queue is not None else drive(job, begin)


def _exists(context: CommandContext, found: Found, state: object, run_id: str, after: str | None) -> bool:
    """Return whether a run with this id exists, so that `--resume` continues it.

    Raises:
        RunExists: The run exists, but it began with another input.
    """
    from graphengine.records.same_start import check_same

    if not context.place.exists:
        return False
    for info in context.read(lambda store: store.infos([run_id])):
        context.read(lambda store: check_same(store, found.graph, state, info, is_sequel=after is not None))  # noqa: B023
        return True
    return False


@options.command(
    "resume",
    *options.DRIVING,
    examples="""
        graphengine resume cut --limit visits=100
        graphengine resume cut -o draft.md       # finished: prints its result again
    """,
    exits=options.DRIVES,
)
@options.run_id
@click.option(
    "--retry-failed",
    is_flag=True,
    help='Retry everything that failed. In a map with on_item_error="keep" that has not ended, this also '
    "retries the failed items.",
)
@options.no_wait
@options.graph
def resume(
    context: CommandContext,
    run_id: str,
    retry_failed: bool,  # noqa: FBT001 - as click gives it
    no_wait: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
) -> int:
    """Resume a run after a crash, a stop, a failure, a reached limit or an answer.

    A resume does not repeat nodes that have finished. If the run has finished, the command prints its result again. If
    the run still waits, the command shows what the run waits for. If you give --pause-before, its nodes replace those
    of an earlier --pause-before.

    Ctrl-C lets the node in flight finish and stops the run. SIGTERM lets the node in flight finish and releases the
    run, so that a worker can continue it.
    """
    from graphengine.cli import driving

    job = driving.recorded_job(context, run_id, reference)
    job.sleeps = not no_wait
    return driving.resume(job, retry_failed=retry_failed)


@options.command(
    "branch",
    *options.DRIVING,
    examples="""
        graphengine branch tides --at 1 --set "draft=Tides come twice a day."
        graphengine branch tides --at review:1 --run-id tides-3 --tag tried
    """,
    exits=options.DRIVES,
)
@options.run_id
@click.option(
    "--at",
    type=options.At(),
    metavar="STEP",
    required=True,
    help="The last step that the branch shares with the run. STEP is the step's number, or a node and its "
    "visit, e.g. review:2. Step 1 is the input: from there, every node runs again.",
)
@click.option(
    "--set",
    "pairs",
    metavar="FIELD=VALUE",
    multiple=True,
    help="Update this field before the branch begins, through the field's reducer. Values have the syntax of "
    "--input. May be repeated. A warning says if no later node reads the field.",
)
@click.option(
    "--path",
    metavar="PATH",
    help="The state that --set updates, if several states are active at that step. '' is the state of the run,"
    " article is the state of the graph at the node article, and ~facts is the state of the fork's arm "
    "that leads to facts.",
)
@options.instructions
@click.option("--run-id", "branch_id", metavar="ID", help="The branch's id. By default, the id is generated.")
@click.option(
    "--dry-run", is_flag=True, help="Show what the branch would keep, leave out and repeat, and start nothing."
)
@options.tags
@options.graph
def branch(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    run_id: str,
    at: At,
    pairs: tuple[str, ...],
    path: str | None,
    instructions: tuple[str, ...],
    branch_id: str | None,
    dry_run: bool,  # noqa: FBT001 - as click gives it
    tags: tuple[str, ...],
    reference: str | None,
) -> int:
    """Start a new run from a step of another run, which stays unchanged.

    The new run, the *branch*, shares the steps up to --at with the other run, and continues from there with the graph
    as it is now. Effects that the other run began after that step can happen again in the branch. With --dry-run, the
    command lists these effects.
    """
    from graphengine.cli.driving import drive, recorded_job
    from graphengine.cli.inputs import parse_pairs, texts_of, update_forms_of
    from graphengine.kernel.reader import load_snapshot

    job = recorded_job(context, run_id, reference, at)
    graph = job.found.graph
    forms = update_forms_of(_find_plan_at(graph.compile(), path or "").state)
    update = parse_pairs(pairs, forms, "--set", job.notes)
    shared = context.read(lambda store: load_snapshot(store, job.run_id, at))
    unread = _warn_of_unread_updates(graph.compile(), shared, path, list(update))
    if dry_run:
        for warning in unread:
            context.err.prose(warning)
        return _show_dry_branch(context, shared)
    job.notes.extend((*unread, *_warn_of_repeated_effects(context, job.run_id, shared.seq)))
    more: dict[str, Any] = {"path": path, "run_id": branch_id, "limits": job.limits}
    more |= {"pause_before": context.pauses or None, "tags": tags}
    more["instructions"] = texts_of(instructions, "--instructions")

    async def begin(runner: Runner) -> Run[Any]:
        return runner.branch(job.run_id, graph, at, update=update, **more)

    return drive(job, begin)


def _list_repeated_effects(context: CommandContext, run_id: str, seq: int) -> Sequence[RepeatedEffect]:
    """Return the side effects that a branch from a step can repeat, because they began after the step."""
    from graphengine.cli.documents import RepeatedEffect
    from graphengine.kernel.inside import Begun

    return [
        RepeatedEffect(
            seq=step.seq,
            node=step.path,
            name=step.data.name,
            arguments=None if step.data.arguments is UNSET else step.data.arguments,
            idempotency_key=step.data.idempotency_key,
        )
        for step in context.read(lambda store: store.steps(run_id, seq))
        if isinstance(step.data, Begun) and not step.data.not_done
    ]


def _warn_of_unread_updates(
    plan: Plan[Any], shared: Snapshot, path: str | None, fields: Sequence[str]
) -> Sequence[str]:
    """Return a warning for each field of `--set` that no later node reads, so that the branch ignores its value."""
    from graphengine.records.unread_changes import unread_changes

    warnings = []
    for field, replacing in unread_changes(plan, shared, path or "", fields).items() if fields else ():
        why = "no later node or condition reads this field; only the recorded state changes"
        if replacing:
            listed = " and ".join(replacing)
            why = f"{listed} will replace this value before another node reads it; branch after {listed} instead"
        warnings.append(f"--set {field} has no effect on what runs next: {why}")
    return warnings


def _warn_of_repeated_effects(context: CommandContext, run_id: str, seq: int) -> Sequence[str]:
    """Return a warning for the user about side effects that a branch of a run can repeat.

    If the log after the step is damaged, the warning says that the effects cannot be listed.
    """
    try:
        effects = [f"{each.name} in {each.node}" for each in _list_repeated_effects(context, run_id, seq)]
    except StoreCorrupt as error:
        return [f"the effects that this branch can repeat cannot be listed: {error.message}"]
    if not effects:
        return []
    listed = ", ".join(effects[:_LISTED]) + (", …" if len(effects) > _LISTED else "")
    return [f"this branch begins before effects that it can repeat ({listed}); --dry-run lists them"]


def _show_dry_branch(context: CommandContext, shared: Snapshot) -> int:
    """Show what a branch would keep, leave out and repeat, without starting the branch.

    Args:
        context: The context of the command.
        shared: The run after the last step that the branch would share with it.
    """
    from graphengine.cli.documents import DryBranch
    from graphengine.kernel.extension import spent_since
    from graphengine.kernel.reader import load_snapshot

    run_id = shared.run_id
    current = context.read(lambda store: load_snapshot(store, run_id, None))
    seq, kept, left_out = shared.seq, shared.usage, spent_since(shared.usage, current.usage)
    repeated = DryBranch(
        run_id=run_id,
        at=seq,
        steps=current.seq,
        kept_calls=kept.get("calls", 0),
        kept_usd=kept.get("cost_usd", 0.0),
        left_out_calls=left_out.get("calls", 0),
        left_out_usd=left_out.get("cost_usd", 0.0),
        effects=_list_repeated_effects(context, run_id, seq),
    )
    if context.json:
        context.document(repeated)
        return 0
    context.out.line(f"kept, not made again: {counted(seq, 'step')}, {used(kept)}")
    if current.seq > seq:
        context.out.line(f"left out: {counted(current.seq - seq, 'step')}, {used(left_out)}")
    for each in repeated.effects:
        arguments = "" if each.arguments is None else f" {json.dumps(each.arguments, ensure_ascii=False)}"
        context.out.line(f"step {each.seq}: {each.name} in {each.node}{arguments}")
    count = counted(len(repeated.effects), "effect") if repeated.effects else "no effects"
    context.out.line(f"a branch of {repeated.run_id} at step {repeated.at} can repeat {count}; nothing was started")
    return 0


def _find_plan_at(plan: Plan[Any], path: str) -> Plan[Any]:
    """Return the graph whose state the option `--path` selects, because the names of its fields are needed.

    A part of the path that does not exist is ignored here. An error is raised later, when the branch is started.
    """
    for part in path.split("/"):
        node = plan.nodes.get(part.partition("~")[0].partition("[")[0])
        calls = () if node is None else node.calls
        plan = next((call.graph for call in calls if call.graph is not None), plan)
    return plan


@options.command(
    "stop",
    options.DATABASE,
    examples="""
        graphengine stop post
        graphengine stop desk --now --json     # cancels what is in flight
        graphengine stop desk --final          # ends it as cancelled, for good
    """,
    exits={
        0: "the run is stopped, or its process was asked to stop it",
        2: "the run has already ended; or its process died and --final is not given; or the usage is wrong",
    },
)
@options.run_id
@click.option(
    "--now", is_flag=True, help="Cancel the nodes in flight, such as calls of models. A resume repeats these nodes."
)
@click.option(
    "--final",
    is_flag=True,
    help="End the run as cancelled, so that it can never be resumed. This also works if the run failed or was stopped.",
)
def stop(context: CommandContext, run_id: str, *, now: bool, final: bool) -> int:
    """Stop a run and its child runs.

    If a process drives the run, the run stops at its next safe point, which is after the node in flight. A run that
    waits or is queued stops at once. With --final, a run whose process died also ends at once.

    With --now, the command cancels what is in flight, and waits up to 5 seconds for the process. The process may not
    react, because code blocks its event loop or because a thread cannot be cancelled. In this case, the command says
    which process to end.
    """
    from graphengine.api.runner import Runner
    from graphengine.kernel.reader import status_of

    context.use(writes=True)
    info = context.find(run_id)
    run_id = info.id
    resume = context.place.command("resume", run_id, *graph_words(info.graph))
    can_end = final and info.status in ("stopped", "failed")
    if info.status not in ("running", "waiting") and not can_end:
        raise GraphEngineError(
            f"run {run_id} is already {info.status}",
            where=f"run {run_id}",
            repair="nothing needs to be done",
            code="not_running",
        )
    is_waiting = info.driver is None and (info.status == "waiting" or info.queued or final)
    if info.driver is None and not is_waiting:
        message = f"no process drives run {run_id}, because its process died before the run was over"
        raise GraphEngineError(message, where=f"run {run_id}", repair=resume, code="not_running")

    async def ask() -> OwnerInfo | None:
        await Runner(context.store).stop(run_id, now=now, final=final)
        return await _await_reaction(context.store, info) if now and not is_waiting else None

    silent = context.run(ask())
    is_done = is_waiting or (now and silent is None)
    if context.json:
        from graphengine.cli.documents import Stopped
        from graphengine.records.at_work import DrivingProcess

        process = None if silent is None else DrivingProcess(silent.host, silent.pid)
        context.document(Stopped(run_id=run_id, stop="done" if is_done else "asked", silent=process))
    else:
        when = "at once" if now else "after the node in flight"
        asked = f"asked the process that drives run {run_id} to stop it {when}"
        was = "was queued" if info.queued else "waited" if info.status == "waiting" else f"was {status_of(info)}"
        done = f"{'cancelled' if final else 'stopped'} run {run_id}, which {was}"
        context.out.line(done if is_done else asked)
        if silent is not None:
            _show_silence(context, silent)
        if not final:
            context.err.line(("resume: ", "dim"), resume)
    return 0


REACTION_SECONDS: Final = 5.0
"""How long `stop --now` waits for the process that drives the run."""
_LOOK_SECONDS: Final = 0.1


async def _await_reaction(store: Store, asked: RunInfo) -> OwnerInfo | None:
    """Wait until the process that drives a run has reacted to a stop, for at most 5 seconds.

    Returns:
        None if the process no longer drives the run; otherwise the process.
    """
    import asyncio

    from graphengine.kernel.reader import OVER

    until = time.monotonic() + REACTION_SECONDS
    while True:
        info = await store.info(asked.id)
        if info.driver != asked.driver or info.status in OVER or info.nonce != asked.nonce:
            return None
        if time.monotonic() >= until:
            return next((each for each in await store.owners() if each.id == info.driver), None)
        await asyncio.sleep(_LOOK_SECONDS)


def _show_silence(context: CommandContext, silent: OwnerInfo) -> None:
    """Show which process does not react to a stop, what may keep it from reacting, and how to end it."""
    others = f"; it also drives {counted(silent.driven - 1, 'other run')}" if silent.driven > 1 else ""
    text = (
        f"process {silent.pid} on {silent.host} has not reacted for {REACTION_SECONDS:g} s{others}. Either code "
        "holds its event loop (its log then shows where), or code runs in a thread, which cannot be cancelled. To end "
        "the process: "
    )
    context.err.prose(text, (f"kill -9 {silent.pid}", "bold"))


# --- what `run` needs ---


def _enqueue(job: DriveJob, begin: Begin) -> int:
    """Record a run in its queue, and show the commands that drive and follow the run."""
    from graphengine.api.runner import Runner

    context = job.context

    async def queued() -> RunInfo:
        async with Runner(context.store, models=job.models) as runner:
            run = await begin(runner)
            await run.result()
            return await runner.store.info(run.id)

    info = context.run(queued())
    if context.json:
        from graphengine.cli.documents import Queued

        place = info.queue, info.priority, info.tenant
        context.document(Queued(info.id, info.graph, *place))
        return 0
    context.out.line("queued run ", (info.id, "bold"), f" of {info.graph} in {info.queue}")
    context.err.line(("worker: ", "dim"), context.place.worker_command(info.queue, job.graph_words))
    context.err.line(("follow: ", "dim"), context.place.command("watch", info.id))
    return 0


def _check_needs(job: DriveJob, state: Any) -> None:  # noqa: ANN401 - a state, or a dict of its fields
    """Refuse to start a run if a state field is empty that one of the chosen models needs.

    The variable `NEEDS` in the graph's file lists these fields by model.

    Raises:
        InputError: A field that a model needs is empty.
    """
    from graphengine.cli.models import ways_to_a_model

    values = state if isinstance(state, dict) else vars(state)
    needs: dict[str, Sequence[str]] = getattr(job.found.module, "NEEDS", {})
    for model in dict.fromkeys(each for each in job.chosen.values() if isinstance(each, str)):
        for name in needs.get(model, ()):
            if not values.get(name):
                raise InputError(
                    f"the field {name!r} is empty, and the model {model!r} cannot answer without a value of this field",
                    where="--input",
                    repair=f"give a value, such as --input {name}=@FILE, or choose a language model: "
                    f"{ways_to_a_model(job.found)}",
                )


def _read_state(notes: list[str], found: Found, pairs: tuple[str, ...], *, is_continued: bool) -> Any:  # noqa: ANN401
    """Return the state with which a run begins, from the values of `--input` or from the example in the graph's file.

    With `--after`, return only the changes of the earlier run's final state.
    """
    from collections.abc import Mapping

    from graphengine.cli.inputs import forms_of, parse_pairs, state_from, update_forms_of
    from graphengine.kernel.inside import is_state

    state = found.graph.state
    if is_continued:
        return parse_pairs(pairs, update_forms_of(found.graph.compile().state), "--input", notes)
    wrong = ""
    if not pairs:
        example = example_of(found)
        if is_state(state, example) or isinstance(example, Mapping):
            notes.append(f"input: the example of {found.file.name}; give your own with --input key=value")
            found.graph.compile().state.initial(example, f"the example of {found.file.name}")
            return example
        if example is not None:
            kind = f"of type {type(example).__name__}"
            wrong = f"the example of {found.file.name} is not used: it is {kind}, neither {state.__name__} nor a dict"
            notes.append(wrong)
    try:
        return state_from(state, parse_pairs(pairs, forms_of(state), "--input", notes))
    except InputError as error:
        if wrong:
            error.message += f"; {wrong}"
        raise


def example_of(found: Found) -> object:
    """Return the `example` in a graph's file, or what it returns if it is a function; None if the file has none."""
    from graphengine.cli.project import GraphFileBroken

    example: object = getattr(found.module, "example", None)
    if not callable(example) or isinstance(example, type):
        return example
    try:
        return example()
    except Exception as error:
        text = f"the function example() raised {type(error).__name__}: {error}"
        repair = "repair the function example, or give the input with --input"
        raise GraphFileBroken(text, where=str(found.file), repair=repair) from error
