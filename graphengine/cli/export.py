"""`graphengine export`: write a run to one JSON file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import helping, options
from graphengine.errors import GraphEngineError

if TYPE_CHECKING:
    from graphengine.cli.folders import Database
    from graphengine.cli.session import Session

_STDOUT: Final = "-"


@click.command(
    "export",
    cls=helping.Command,
    examples="""
        graphengine export tides -o copy.json
        graphengine export tides                 # to stdout
    """,
)
@options.run_id
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default=_STDOUT,
    help="The file to write; if it is new, readable only by you. '-' or no option for stdout.",
)
@options.database
@options.common
@click.pass_obj
def command(session: Session, run_id: str, output: str, database: Database | None) -> int:
    """Export a run to a JSON file: its steps, including those shared with its parents, and its unread messages.

    `graphengine import` records the run in another database, where it can be resumed; `graphengine replay` reads the
    file directly. The file holds the whole state of the run in clear text, except for secret fields.
    """
    from graphengine import __version__
    from graphengine.cli.busy import busy
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read, run_id_of
    from graphengine.cli.session import harmless_json
    from graphengine.cli.steps import counted
    from graphengine.history.export import export_run, to_json_text
    from graphengine.output_file import write_file

    place = place_of(database)
    found = run_id_of(session, place, run_id)
    with busy(session, f"reading run {found}"):
        run = read(place, lambda store: export_run(store, found))
        text = to_json_text(run, __version__)
    if output == _STDOUT:
        session.out.write(harmless_json(text))
        return 0
    try:
        write_file(output, text.encode(), is_private=True)
    except OSError as error:
        message = f"{output} cannot be written: {error.strerror or error}"
        repair = "name a file in an existing folder that you can write to"
        raise GraphEngineError(message, where=output, repair=repair, code="export_unwritable") from error
    if session.json:
        from graphengine.cli.run_documents import Exported

        session.document(Exported(run_id=found, file=output, steps=len(run.steps)))
    else:
        session.err.line(f"run {found}, {counted(len(run.steps), 'step')}: written to {output}")
        if run.info.parent is not None:
            session.err.prose(f"it branched from {run.info.parent}; the steps that they share are in the file")
    return 0
