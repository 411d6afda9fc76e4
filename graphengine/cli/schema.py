"""`graphengine schema`: the JSON Schema of the documents that commands write under `--json`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from graphengine.cli.session import Session


@click.command(
    "schema",
    cls=helping.Command,
    examples="""
        graphengine schema              # all documents
        graphengine schema runs
    """,
)
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=lambda *given: _names(given[-1]))
@options.common
@click.pass_obj
def command(session: Session, name: str | None) -> int:
    """Print the JSON Schema of a command's --json output, or of the output of all commands.

    If a command writes different documents, depending on its options or on failure, the schema accepts any of them.
    Readers should ignore unknown keys: keys can be added without a new `schema` number.
    """
    from graphengine.cli.schemas import schema_of

    session.document(schema_of(name))
    return 0


def _names(incomplete: str) -> list[str]:
    from graphengine.cli.main import COMMANDS

    return [name for name in COMMANDS if name.startswith(incomplete)]
