"""`graphengine run`: start a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import completing, helping, options

if TYPE_CHECKING:
    from graphengine.api.runner import Runner
    from graphengine.cli.driving import Begin
    from graphengine.cli.options import Given
    from graphengine.cli.project import Found
    from graphengine.cli.report import Job
    from graphengine.cli.session import Session
    from graphengine.runner import Run
    from graphengine.stores.base import RunInfo


@click.command(
    "run",
    cls=helping.Command,
    examples="""
        graphengine run review --input task=Tides
        graphengine run flows/review.py --input task=@task.txt -o draft.md
        graphengine run review --estimate
        graphengine run review --limit steps=50 --run-id moon --tag nightly
        graphengine run publish --pause-before approve     # exits with 3, waiting
    """,
    exits=helping.DRIVES,
)
@click.argument("reference", metavar="FILE[:NAME]|NAME", shell_complete=completing.graphs)
@click.option(
    "--input",
    "pairs",
    metavar="KEY=VALUE",
    multiple=True,
    help="A field of the state: plain text, JSON for other types, @file for a file or @folder for its files, https://… "
    "for a page as a source; KEY:=JSON is JSON for any field, e.g. name:=null. Repeat the key to add items to a list.",
)
@click.option("--run-id", metavar="ID", help="The run's id; generated if not given.")
@click.option(
    "--after",
    metavar="RUN_ID",
    shell_complete=completing.runs,
    help="Start with the final state of this earlier run.",
)
@click.option(
    "--estimate",
    is_flag=True,
    help="Show the expected cost and run nothing: agents are rehearsed by rules, if the graph's file declares "
    "ESTIMATE_BY_RULES = True.",
)
@options.tags
@click.option("--queue", metavar="NAME", help="Put the run into this queue and exit: a worker drives it.")
@click.option("--priority", type=int, default=0, help="With --queue: the higher, the sooner it is taken.  [default: 0]")
@click.option(
    "--key",
    metavar="NAME",
    help="With --queue: the tenant of the run, or any other name; the keys of a queue take turns.",
)
@options.no_wait
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    reference: str,
    pairs: tuple[str, ...],
    run_id: str | None,
    after: str | None,
    tags: tuple[str, ...],
    queue: str | None,
    priority: int,
    key: str | None,
    no_wait: bool,  # noqa: FBT001 - as click gives it
    estimate: bool,  # noqa: FBT001
    given: Given,
) -> int:
    """Run a graph and record every step.

    The graph is given by its file, FILE.py or FILE.py:NAME, or by its NAME in a folder listed in pyproject.toml under
    [tool.graphengine] graphs. Without --input it runs on the file's `example`, if there is one: a state, a dict of its
    fields, or a function that returns one of these.

    If the run waits for an answer or a message, the command exits with code 3 and shows the commands that continue the
    run. If the run only sleeps, the command waits for it unless --no-wait is given; Ctrl-C then leaves the run waiting.

    Ctrl-C stops the run after the node in flight and records the stop: only `resume` continues it. SIGTERM releases the
    run after the node in flight, so that a worker can also continue it. With --queue the run is only recorded, with
    exit code 0: `graphengine worker` drives it, and `graphengine watch` follows it.
    """
    from graphengine.cli.driving import drive
    from graphengine.cli.places import place_of
    from graphengine.cli.project import find
    from graphengine.cli.recorded import run_id_of
    from graphengine.cli.report import Job, check_output

    if given.output is not None:
        check_output(given.output)
    found = find(reference)
    graph = found.graph
    graph.compile()
    job = Job(
        session, found, place_of(given.database, found.file), given.output, sleeps=not no_wait, models=given.models
    )
    state = _state(job.notes, found, pairs, is_continued=after is not None)
    if estimate:
        from graphengine.cli.estimate import show_estimate

        return show_estimate(job, state)
    limits = options.limits_from(given.limits, graph.limits)
    if after is not None and job.place.exists:
        after = run_id_of(session, job.place, after)

    more: dict[str, Any] = {"limits": limits, "after": after, "pause_before": given.pauses or (), "tags": tags}

    more |= {"queue": queue, "priority": priority, "key": key}

    async def begin(runner: Runner) -> Run[Any]:
        return runner.start(graph, state, run_id=run_id, wait_out=job.sleeps, **more)

    return _enqueue(job, begin) if queue is not None else drive(job, begin)


def _enqueue(job: Job, begin: Begin) -> int:
    """Record a run in its queue, and show how it is driven and followed."""
    import asyncio

    from graphengine.api.runner import Runner
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import worker_command

    async def queued() -> RunInfo:
        async with Runner(job.place.database, models=job.chosen) as runner:
            run = await begin(runner)
            await run.result()
            return await runner.store.info(run.id)

    info = asyncio.run(queued())
    session = job.session
    if session.json:
        from graphengine.cli.run_documents import Queued

        place = info.queue, info.priority, info.key
        session.document(Queued(info.id, info.graph, *place))
        return 0
    session.out.line("queued run ", (info.id, "bold"), f" of {info.graph} in {info.queue}")
    session.err.line(("worker: ", "dim"), worker_command(info.queue, job.graph_words, job.place))
    session.err.line(("follow: ", "dim"), to_paste("watch", info.id, place=job.place))
    return 0


def _state(notes: list[str], found: Found, pairs: tuple[str, ...], *, is_continued: bool) -> Any:  # noqa: ANN401
    """Return the state from the inputs or the example; with `--after`, the update of the earlier state."""
    from collections.abc import Mapping

    from graphengine.cli.inputs import forms_of, parse_pairs, state_from, update_forms_of
    from graphengine.errors import InputError
    from graphengine.state.declared import is_state

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
            kind = f"a {type(example).__name__}"
            wrong = f"the example of {found.file.name} is not used: it is {kind}, neither {state.__name__} nor a dict"
            notes.append(wrong)
    try:
        return state_from(state, parse_pairs(pairs, forms_of(state), "--input", notes, state))
    except InputError as error:
        if wrong:
            error.message += f"; {wrong}"
        raise


def example_of(found: Found) -> object:
    """Return the `example` of the graph's file, or the result of calling it if it is a function; None without one."""
    from graphengine.cli.project import GraphFileBroken

    example: object = getattr(found.module, "example", None)
    if not callable(example) or isinstance(example, type):
        return example
    try:
        return example()
    except Exception as error:
        text = f"example() raised {type(error).__name__}: {error}"
        raise GraphFileBroken(text, where=str(found.file), repair="fix it, or give --input") from error
