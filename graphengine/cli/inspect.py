"""`graphengine inspect`: serve a web page that shows the runs of a database live."""

from __future__ import annotations

import shlex
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.places import DATABASE, graph_words, lock_options, program, project_of, shown
from graphengine.databases import addresses
from graphengine.errors import InputError
from graphengine.wings import guarded, load, wings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.cli.places import DatabaseOption
    from graphengine.cli.project import Found
    from graphengine.kernel.store import RunInfo, Store
    from graphengine.serve.inspector.driving import Drivable, Drives
    from graphengine.serve.users import Users
    from graphengine.wings import Settings, Table, Wing

_CLOSING: Final = "closing the page, and releasing its runs after the nodes in flight"


@options.command(
    "inspect",
    options.MODEL,
    options.DATABASE,
    *options.OBSERVED,
    examples="""
        graphengine inspect
        graphengine inspect --store checkpoints/runs.db --port 8123 --no-open
        graphengine inspect --read-only
        graphengine inspect --drive           # start, resume and branch in the page
        graphengine inspect --shared --users users.json --port 8765
    """,
    exits={0: "SIGTERM or Ctrl-C ended the command", 2: "the port is taken, or the extra `inspect` is not installed"},
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="The port on this machine. 0 finds a free port.  [default: 8765, or the next free port]",
)
@click.option("--no-open", is_flag=True, help="Print the URL, and do not open a browser.")
@click.option(
    "--read-only", is_flag=True, help="Let the page show everything, but not answer, send, stop, tag or prune."
)
@click.option(
    "--drive",
    is_flag=True,
    help="Let the page start, resume and branch runs. This command imports the graphs' code and drives these runs.",
)
@options.graphs("With --drive: drive only runs of these graphs")
@click.option(
    "--shared",
    is_flag=True,
    help="Serve users on other machines, behind a proxy that adds TLS. Each user opens the page with their "
    "token from --users.",
)
@click.option("--host", metavar="ADDRESS", help="With --shared: the address to listen on.  [default: 127.0.0.1]")
@options.users
def inspect(  # noqa: PLR0913 - one for each option
    context: CommandContext,
    port: int | None,
    no_open: bool,  # noqa: FBT001 - as click gives it
    read_only: bool,  # noqa: FBT001
    drive: bool,  # noqa: FBT001
    references: tuple[str, ...],
    shared: bool,  # noqa: FBT001
    host: str | None,
    users_file: Path | None,
) -> int:
    """Show the runs of a database live in a browser, until Ctrl-C.

    The page in the browser, the *inspector*, lists the runs. It shows each run on its graph, with every step, decision,
    state, model call and error, and it follows runs that other processes drive. In the page, you can answer questions,
    send messages, and stop, tag and prune runs.

    Only this machine can open the page of the inspector, and only with the printed URL, which contains a token. The
    token is kept in the file `inspect.token` beside the database, so that links and open tabs still work after a
    restart.

    The command runs code of graphs only with --drive. The page of the inspector can then also start, resume and branch
    runs of the project's graphs. Ctrl-C releases the runs that the command drives, so that `resume` or a worker can
    continue them.

    With --shared, users can open the page of the inspector on other machines too. Each user has a token of their own,
    and sees and does only what their tenant and their rights allow.

    With --json, the command prints one line, which is a document with the URL.
    """
    from graphengine import __version__
    from graphengine.api.places import store_at
    from graphengine.cli.driving import until_stopped
    from graphengine.kernel.inside import install_command

    try:
        from graphengine.serve.approvers import Approvers
        from graphengine.serve.inspector.server import HOST, PORT, Settings, serve
    except ImportError as error:
        text = f"the inspector needs the Python package {error.name!r}, which is not installed"
        raise InputError(text, where="graphengine inspect", repair=install_command("inspect")) from error
    _check_drive_options(context, references, is_driving=drive, is_read_only=read_only)
    if shared != (users_file is not None) or (host is not None and not shared):
        raise click.UsageError("give --shared and --users FILE together, and --host only with these two options")
    users = None if users_file is None else _read_users(users_file)
    drives, place = _collect_drives(context, references) if drive else None, context.place

    def opened(url: str) -> None:
        if context.json:
            from graphengine.serve.documents import Inspected

            context.line(Inspected(url=url, database=addresses.shown(place.database), read_only=read_only))
        else:
            context.err.line("inspecting ", (shown(place.database), "bold"), ", until Ctrl-C:")
            for note in _notes(url, drives, is_port_free=port is not None or f":{PORT}/" in url):
                context.err.prose(note)
            context.out.line(url)
        if not no_open and users is None:
            click.launch(url)

    paste = partial(_build_command, place if users is None else None)
    with until_stopped(context, "start the command again", _CLOSING) as (stopper, telemetry):
        if drives is not None:
            extensions = drives.extensions if users is None else [*drives.extensions, Approvers(users)]
            drives = replace(drives, telemetry=telemetry, extensions=extensions)
        place.check_exists()
        reader = store_at(place.database, read_only=True, **lock_options())
        what = Settings(place.database, reader, paste, __version__, port, host or HOST, users, **lock_options())
        what = replace(
            what, is_read_only=read_only, drives=drives, tables=_collect_tables(context), token_file=_token_file(place)
        )
        for info in serve(what, opened, stopper):
            context.err.line("run ", (info.id, "bold"), " was released; resume: ", paste(info, "resume"))
    return 0


def _read_users(path: Path) -> Users:
    """Return the users who may open an inspector page that is shared by `--shared`.

    Raises:
        InputError: The file of users is invalid, or the secret for the OpenID provider is not set.
    """
    from graphengine.serve.users import Users

    found = Users(path)
    provider = found.signs_in
    if provider is not None:
        provider.secret()
    return found


def _notes(url: str, drives: Drives | None, *, is_port_free: bool) -> Iterable[str]:
    if drives is not None:
        yield f"the page can drive runs of {', '.join(sorted(drives.graphs))}"
    if not is_port_free:
        yield f"the default port is taken, so this page is at {url.partition('#')[0]}; saved links use the default port"


def _token_file(place: DatabaseOption) -> Path:
    """Return the path of the file with the page's token.

    The file is beside the database file. For a database server, it is beside the project's default database file.
    """
    if isinstance(place.database, Path):
        return place.database.absolute().with_name("inspect.token")
    here = Path.cwd()
    return (project_of(here) or here) / DATABASE.with_name("inspect.token")


def _collect_tables(context: CommandContext) -> Sequence[Callable[[Store, str | None], Awaitable[Iterable[Table]]]]:
    """Return functions that compute further tables of the inspector page. Wings (extensions of graphengine) add these.

    Raises:
        ProjectBroken: The settings of a wing cannot be used.
    """
    found = []
    for wing in wings():
        with guarded(wing):
            settings = context.settings(wing.name)
            if wing.tables and wing.settings:
                load(wing.settings)(settings)  # raises an error if the settings cannot be used
            found += [partial(_load_tables_of, wing, settings)] if wing.tables else []
    return found


async def _load_tables_of(wing: Wing, settings: Settings, store: Store, tenant: str | None) -> Iterable[Table]:
    with guarded(wing):
        found: Iterable[Table] = await load(wing.tables)(store, settings, tenant)
        return found
    return ()


def _check_drive_options(
    context: CommandContext,
    references: tuple[str, ...],
    *,
    is_driving: bool,
    is_read_only: bool,
) -> None:
    """Refuse options that only have an effect with `--drive`, and options that cannot be combined with `--drive`.

    Raises:
        click.UsageError: Two options contradict each other, or an option needs `--drive`.
    """
    if not is_driving and (references or context.models or context.otel):
        option = "--graph" if references else "--model" if context.models else "--otel"
        raise click.UsageError(f"{option} has an effect only with --drive: add --drive, or leave out {option}")
    if is_driving and is_read_only:
        raise click.UsageError("--drive lets the page start runs, and --read-only forbids this: give one of them")


def _build_command(place: DatabaseOption | None, info: RunInfo | None, name: str, *words: str) -> str:
    """Return a command that a user of the page can copy, such as `graphengine resume RUN_ID`.

    If `info` is given, the command is about that run. If `place` is None, as on a shared page, the command does not
    name the database.
    """
    if info is None:
        return shlex.join([*program(), name, *words])
    if place is None:
        return shlex.join([*program(), name, info.id, *words])
    graph = graph_words(info.graph) if name in ("resume", "branch") else []
    return place.command(name, info.id, *words, *graph)


def _collect_drives(context: CommandContext, references: tuple[str, ...]) -> Drives:
    """Return the graphs whose runs the page can start, resume and branch. Creates the database if there is none yet.

    Raises:
        GraphNotFound: The project or the given files contain no graph.
        GraphEngineError: A given graph or model cannot be used.
    """
    from graphengine.api.places import store_at
    from graphengine.cli.driving import fleet_of
    from graphengine.serve.inspector.driving import Drives

    fleet = fleet_of(context, references)

    async def create() -> None:
        store = store_at(context.place.database, **lock_options())
        await store.open()
        await store.close()

    if not context.place.exists:
        context.run(create())
    graphs = {name: _drivable(each) for name, each in fleet.found.items()}
    return Drives(graphs, left_out=fleet.unread, **fleet.for_runner)


def _drivable(found: Found) -> Drivable:
    from graphengine.cli.run import example_of
    from graphengine.serve.inspector.driving import Drivable

    file = shown(found.file.absolute())
    return Drivable(found.graph, file, partial(example_of, found))
