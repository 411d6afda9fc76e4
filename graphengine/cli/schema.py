"""`graphengine schema`: the JSON Schema of what commands write under `--json`."""

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
        graphengine schema              # of all documents
        graphengine schema runs
    """,
)
@click.argument("name", metavar="[COMMAND]", required=False, shell_complete=lambda *given: _names(given[-1]))
@options.common
@click.pass_obj
def command(session: Session, name: str | None) -> int:
    """Print the JSON Schema of what a command writes under --json, or of what all commands do.

    Where a command writes different documents, by its options or because it could do nothing, any of them fits. A
    reader should let keys pass that it does not know: more may come without a new `schema` number.
    """
    from graphengine.cli.schemas import schema_of

    session.document(schema_of(name))
    return 0


def _names(incomplete: str) -> list[str]:
    from graphengine.cli.main import COMMANDS

    return [name for name in COMMANDS if name.startswith(incomplete)]
