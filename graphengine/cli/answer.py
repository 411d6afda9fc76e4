"""`graphengine answer`: answer what a run asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from graphengine.cli.options import Given
    from graphengine.cli.session import Session
    from graphengine.runner import Runner


@click.command("answer", cls=options.ValueCommand)
@click.argument("run_id", metavar="RUN_ID")
@click.argument("value", metavar="VALUE|@FILE|-")
@click.option("--wait", metavar="NAME", help="Which question; needed where the run asks several things.")
@options.graph
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session, run_id: str, value: str, wait: str | None, reference: str | None, given: Given
) -> int:
    """Answer what a run asks, and go on with it as `resume` would.

    VALUE is JSON if it is any and fits the question, else text: yes answers a question for a text as for a yes or no
    (true and false do as well), 5 one for a number as for a text. @FILE reads it from a file, - from stdin, both
    without the last line break; @@ at the start stands for a literal @. What does not fit is refused, and nothing is
    recorded. `graphengine show` tells what is asked.

    The exit code is that of `resume`. Where another process drives the run, the answer is left to it: 0.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.posting import Post, post_and_go_on, post_only
    from graphengine.cli.project import file_of
    from graphengine.cli.recorded import read_run
    from graphengine.cli.values import value_from
    from graphengine.core.waits import waiting_for
    from graphengine.runner.answers import check_answer

    place = place_of(given.database, file_of(reference))
    recorded = read_run(place, run_id)
    name, _ = check_answer(recorded.snapshot, wait)
    frame = waiting_for(recorded.snapshot, name)
    answer = value_from(value, frame.waits[name].get("schema") if frame is not None else None)

    async def send(runner: Runner) -> None:
        await runner.answer(run_id, answer, wait=name)

    post = Post(run_id, place, send, ("answer", "recorded"))
    if recorded.info.driver is not None:
        return post_only(session, post)
    return post_and_go_on(session, post, reference, given)
