"""`graphengine inspect`: the local page of a database."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from pathlib import Path

    from graphengine.cli.session import Session
    from graphengine.stores.base import RunInfo


@click.command(
    "inspect",
    cls=helping.Command,
    examples="""
        graphengine inspect
        graphengine inspect --db checkpoints/runs.db --port 8765 --no-open
        graphengine inspect --read-only
    """,
    exits={0: "it was ended with Ctrl-C", 2: "the port is taken, or the extra `inspect` is not installed"},
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="The port on this machine; 0 finds a free one.",
)
@click.option("--no-open", is_flag=True, help="Do not open a browser; only print the URL.")
@click.option("--read-only", is_flag=True, help="Show everything, but answer, send, stop and tag nothing.")
@options.database
@options.common
@click.pass_obj
def command(
    session: Session,
    port: int,
    no_open: bool,  # noqa: FBT001 - as click gives it
    read_only: bool,  # noqa: FBT001 - as click gives it
    database: Path | None,
) -> int:
    """Show the runs of a database live in a browser, until Ctrl-C.

    The page lists the runs, shows each run on its graph with every step, decision, state, model call and error, and
    follows runs that other processes drive. It answers questions, sends messages, stops and tags; it runs no graph's
    code. Only this machine can open it, and only with the printed URL, which contains a token.

    Under --json the URL is a document of one line.
    """
    from graphengine import __version__
    from graphengine.cli.places import command as to_paste
    from graphengine.cli.places import graph_words, place_of, shown
    from graphengine.errors import InputError, install_command
    from graphengine.stores import addresses

    try:
        from graphengine.inspector.server import Settings, serve
    except ImportError as error:
        text = f"the inspector needs {error.name}, which is not installed"
        raise InputError(text, where="graphengine inspect", repair=install_command("inspect")) from error
    place = place_of(database)

    def paste(info: RunInfo, name: str, *words: str) -> str:
        graph = graph_words(info.graph) if name in ("resume", "branch") else []
        return to_paste(name, info.id, *words, *graph, place=place)

    def opened(url: str) -> None:
        if session.json:
            session.line({"schema": 1, "url": url, "database": addresses.shown(place.database), "read_only": read_only})
        else:
            session.err.line("inspecting ", (shown(place.database), "bold"), ", until Ctrl-C:")
            session.out.line(url)
        if not no_open:
            click.launch(url)

    with suppress(KeyboardInterrupt):
        serve(Settings(place.database, place.reader(), paste, __version__, port, read_only), opened)
    return 0
