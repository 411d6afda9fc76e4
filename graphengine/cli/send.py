"""`graphengine send`: send a message to a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from graphengine.api.runner import Runner
    from graphengine.cli.options import Given
    from graphengine.cli.recorded import Recorded
    from graphengine.cli.session import Session


@click.command(
    "send",
    cls=options.ValueCommand,
    examples="""
        graphengine send desk tips "Ants swim"
        graphengine send desk-2 tips @tip.txt --key tip-1 --no-resume
    """,
    exits={
        **helping.DRIVES,
        0: "the run finished, or the message is sent and left to the process that drives the run",
        3: "the run waits; or the message is sent, and the run could not be resumed here",
    },
)
@options.run_id
@click.argument("topic", metavar="TOPIC")
@click.argument("value", metavar="VALUE|@FILE|-")
@click.option(
    "--key", metavar="KEY", help="Send at most one message with this key, so that the command can be retried."
)
@options.no_resume
@options.graph
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    run_id: str,
    topic: str,
    value: str,
    key: str | None,
    no_resume: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
    given: Given,
) -> int:
    """Send a message to a run; if the run waits and no process drives it, resume it as `resume` does.

    VALUE is parsed as JSON if it is valid; otherwise it is text. @FILE reads the value from a file, - from stdin, both
    without the final line break; a leading @@ means a literal @. A message is kept until a node of the run receives its
    topic.

    The message is recorded first, which does not require the run's graph. If the graph is not found, the run is left to
    a worker or a later `resume`, and the exit code is 3. If the run is resumed, the exit code is that of `resume`. With
    --no-resume, or if the run does not wait or another process drives it, the exit code is 0.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.posting import Post, check_options, post_and_resume, post_only
    from graphengine.cli.project import file_of
    from graphengine.cli.recorded import read_run, run_id_of
    from graphengine.cli.values import value_from

    check_options(given, resumes=not no_resume)
    place = place_of(given.database, file_of(reference))
    run_id = run_id_of(session, place, run_id)
    recorded = read_run(place, run_id)
    payload = value_from(value, None)

    async def send(runner: Runner) -> None:
        await runner.send(run_id, topic, payload, key=key)

    post = Post(run_id, place, send, ("message", "sent"), _not_awaited(recorded, topic))
    info = recorded.info
    if info.status == "waiting" and info.driver is None and not no_resume:
        return post_and_resume(session, post, reference, given)
    return post_only(session, post, reference)


def _not_awaited(recorded: Recorded, topic: str) -> str:
    """Return a note if a run waits, but not for a message on this topic; otherwise ""."""
    from graphengine.cli.waits import all_waits

    if recorded.info.status != "waiting":
        return ""
    topics = [str(wait.facts.topic) for wait in all_waits(recorded.snapshot) if wait.facts.kind == "receive"]
    if topic in topics:
        return ""
    others = f"; it waits for a message on {', '.join(map(repr, dict.fromkeys(topics)))}" if topics else ""
    return f"the run does not wait for a message on {topic!r} now and keeps it{others}"
