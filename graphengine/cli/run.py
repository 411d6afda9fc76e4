"""`graphengine run`: begin a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.cli.project import Found
    from graphengine.cli.session import Session
    from graphengine.runner import Run, Runner


@click.command("run")
@click.argument("reference", metavar="FILE[:NAME]|NAME")
@click.option(
    "--input",
    "pairs",
    metavar="KEY=VALUE",
    multiple=True,
    help="A field of the state: text as it is, JSON for other types, @file for a file; KEY:=JSON is JSON for any "
    "field, as name:=null. A list's key may be repeated.",
)
@click.option("--run-id", metavar="ID", help="The run's id; one is made if not given.")
@click.option("--after", metavar="RUN_ID", help="Begin with the state that this earlier run ended with.")
@options.limit
@options.output
@options.database
@options.common
@click.pass_obj
def command(  # noqa: PLR0913 - one for each option
    session: Session,
    reference: str,
    pairs: tuple[str, ...],
    run_id: str | None,
    after: str | None,
    limits: tuple[str, ...],
    output: Path | None,
    database: Path | None,
) -> int:
    """Run a graph and record every step.

    The graph is one of a file, FILE.py or FILE.py:NAME, or NAME in a folder that pyproject.toml names under
    [tool.graphengine] graphs. Without --input it runs on the file's `example`, if there is one.
    """
    from graphengine.cli.driving import drive
    from graphengine.cli.places import place_of
    from graphengine.cli.project import find
    from graphengine.cli.report import Job, check_output

    if output is not None:
        check_output(output)
    found = find(reference)
    found.graph.compile()
    job = Job(session, found, place_of(database, found.file), output)
    state = _state(job.notes, found, pairs, is_continued=after is not None)
    wanted = options.limits_from(limits, found.graph.limits)

    def begin(runner: Runner) -> Run[Any]:
        return runner.start(found.graph, state, run_id=run_id, limits=wanted, after=after)

    return drive(job, begin)


def _state(notes: list[str], found: Found, pairs: tuple[str, ...], *, is_continued: bool) -> Any:  # noqa: ANN401
    """The state, or the update of a continued one, that the inputs or the example make."""
    from graphengine.cli.inputs import forms_of, parse_pairs, state_from, update_forms_of

    state = found.graph.state
    if not pairs and not is_continued:
        example = _example(found)
        if example is not None:
            notes.append(f"input: the example of {found.file.name}; give your own with --input key=value")
            return example
    if is_continued:
        return parse_pairs(pairs, update_forms_of(found.graph.compile().state), "--input")
    return state_from(state, parse_pairs(pairs, forms_of(state), "--input"))


def _example(found: Found) -> object | None:
    """The `example` of the graph's file, if it is one of this graph's states."""
    from graphengine.cli.project import GraphFileBroken

    example = getattr(found.module, "example", None)
    if callable(example) and not isinstance(example, type):
        try:
            example = example()
        except Exception as error:
            text = f"example() raised {type(error).__name__}: {error}"
            raise GraphFileBroken(text, where=str(found.file), repair="mend it, or give --input") from error
    return example if isinstance(example, found.graph.state) else None
