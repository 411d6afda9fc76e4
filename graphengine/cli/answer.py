"""`graphengine answer`: answer a run's question."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.api.runner import Runner
    from graphengine.cli.options import Given
    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.errors import InputError
    from graphengine.runner.answers import Asked
    from graphengine.stores.base import Store


@click.command(
    "answer",
    cls=options.ValueCommand,
    examples="""
        graphengine answer post yes
        graphengine answer post-2 no --no-resume     # for a worker, or a later resume
        graphengine answer post-3 @answer.txt --question approve
    """,
    exits={
        **helping.DRIVES,
        0: "the run finished, or the answer is recorded and left to the process that drives the run",
        3: "the run waits; or the answer is recorded, and the run could not be resumed here",
    },
)
@options.run_id
@click.argument("value", metavar="VALUE|@FILE|-", required=False)
@click.option("--question", metavar="NAME", help="The question to answer; required if the run asks several.")
@options.no_resume
@options.graph
@click.pass_obj
@options.driving
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    run_id: str,
    value: str | None,
    question: str | None,
    no_resume: bool,  # noqa: FBT001 - as click gives it
    reference: str | None,
    given: Given,
) -> int:
    """Answer a run's question, and resume the run as `resume` does.

    VALUE is parsed as JSON if it is valid and fits the question; otherwise it is text. yes and no answer both text and
    yes-or-no questions (as do true and false), 5 both number and text questions. @FILE reads the value from a file, -
    from stdin, both without the final line break; a leading @@ means a literal @. A value that does not fit is refused,
    and nothing is recorded. `graphengine show` shows the question.

    The answer is recorded first, which does not require the run's graph. If the graph is not found, the run is left to
    a worker or a later `resume`, and the exit code is 3. With --no-resume, or if another process drives the run, the
    run is left too, and the exit code is 0. Otherwise the exit code is that of `resume`.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.posting import Post, check_options, post_and_resume, post_only
    from graphengine.cli.project import file_of
    from graphengine.cli.recorded import read, run_id_of
    from graphengine.cli.values import value_from

    check_options(given, resumes=not no_resume)
    place = place_of(given.database, file_of(reference))
    run_id = run_id_of(session, place, run_id)
    asked, is_driven = read(place, lambda store: _asked(store, run_id, question))
    if value is None:
        named = [
            *(["--question", question] if question is not None else []),
            *(["--graph", reference] if reference else []),
        ]
        raise _no_value(asked, run_id, place, named)
    answer = value_from(value, asked.facts.schema)

    async def send(runner: Runner) -> None:
        await runner.answer(run_id, answer, question=asked.name)

    post = Post(run_id, place, send, ("answer", "recorded"))
    if no_resume or is_driven:
        return post_only(session, post, reference)
    return post_and_resume(session, post, reference, given)


def _no_value(asked: Asked, run_id: str, place: Place, named: Sequence[str]) -> InputError:
    """Return the error for a missing VALUE: the question, and the command with an answer that fits."""
    from graphengine.cli.places import command as words_of
    from graphengine.cli.waits import example, in_words
    from graphengine.errors import InputError

    value, others = example(asked.facts)
    repair = words_of("answer", run_id, *named, place=place, arguments=[value]) + others
    message = f"no answer is given; the run asks: {in_words(asked.name, asked.facts, asked.name)}"
    return InputError(message, where=f"wait {asked.name}", repair=repair)


async def _asked(store: Store, run_id: str, question: str | None) -> tuple[Asked, bool]:
    """Return the question, and whether a process drives the run."""
    from graphengine.history.load import load_snapshot
    from graphengine.runner.answers import check_answer

    snapshot = await load_snapshot(store, run_id, None)
    answered = {message.payload["id"] for message in await store.inbox([run_id]) if message.kind == "answer"}
    return check_answer(snapshot, question, answered), (await store.info(run_id)).driver is not None
