"""`graphengine serve`: an HTTP service that starts and answers runs."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import options
from graphengine.cli.places import lock_options
from graphengine.databases import addresses
from graphengine.errors import InputError
from graphengine.serve.service.doors import doors as known_doors

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphengine.cli.context import CommandContext
    from graphengine.serve.service.server import Settings


TOKEN: Final = "GRAPHENGINE_TOKEN"  # noqa: S105 - the name of a variable
_LEAST_TOKEN: Final = 16


def _door_options(function: Callable[..., int]) -> Callable[..., int]:
    for door in reversed(known_doors()):
        text = f"Also serve {door.about}, at {door.path}{door.more}."
        function = click.option(f"--{door.name}", is_flag=True, help=text)(function)
    return function


@options.command(
    "serve",
    options.MODEL,
    options.DATABASE,
    *options.OBSERVED,
    examples="""
        graphengine serve
        graphengine serve flows/review.py --host 127.0.0.1 --port 8080 --queue mail
    """,
    exits={
        0: "SIGTERM or Ctrl-C ended the service; another process can continue its runs",
        2: "the port is taken, the token cannot be used, or the extra `serve` or that of a protocol is not installed",
    },
)
@click.argument("references", metavar="[FILE[:NAME]]...", nargs=-1, shell_complete=options.complete_graphs)
@click.option(
    "--host", default="127.0.0.1", show_default=True, help="The address to listen on. 0.0.0.0 listens on all addresses."
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="The port. 0 finds a free port."
)
@click.option(
    "--token-file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, readable=False),
    help=f"The file that contains the token. By default, the token is in the environment variable {TOKEN}. If "
    f"there is neither, a token is generated and printed.",
)
@options.users
@click.option(
    "--queue",
    metavar="NAME",
    help="Do not drive runs here, but put all runs into this queue, from which workers take them.",
)
@options.concurrency(16)
@options.poll
@click.option(
    "--webhook-secret-env",
    metavar="VARIABLE",
    help="The environment variable that contains the secret of webhooks. A request that starts a run can then "
    "be signed, as by GitHub or Standard Webhooks, and needs no token. `graphengine webhook-secret` "
    "prints the secret for a sender.",
)
@_door_options
@click.option(
    "--a2a-root",
    metavar="GRAPH",
    help="With --a2a: the graph that represents the whole host. Its agent card is at "
    "/.well-known/agent-card.json. By default, a service with a single graph uses this graph.",
)
@click.option(
    "--live-text",
    is_flag=True,
    help="With --openai: let chat completions stream each piece of text at once, as for requests with `X-Text:"
    " live`. This includes text that is later refused or written again, which OpenAI's API cannot take "
    "back.",
)
@click.option(
    "--pages",
    metavar="FOLDER",
    type=click.Path(path_type=Path, readable=False),
    help="Also serve the files of a front end, at /pages/, to everybody. Requests for graphs and runs still need "
    "a token.",
)
@click.option(
    "--origin",
    "origins",
    metavar="ADDRESS",
    multiple=True,
    help="An address by which browsers reach the service, such as https://flows.example.com of a proxy. May be"
    " repeated. Requests from pages of other addresses are refused with status 403, except for pages of "
    "this machine.",
)
@click.option(
    "--body-bytes",
    type=click.IntRange(min=1),
    default=1 << 20,
    show_default=True,
    help="The largest size of a request's body, in bytes.",
)
def serve(  # noqa: PLR0913, PLR0915 - options, and what does not fit together
    context: CommandContext,
    /,
    references: tuple[str, ...],
    token_file: Path | None,
    users_file: Path | None,
    webhook_secret_env: str | None,
    body_bytes: int,
    origins: tuple[str, ...],
    **given: Any,  # noqa: ANN401 - host, port, queue, concurrency, poll_seconds, the doors
) -> int:
    """Serve graphs over HTTP, so that clients can start, answer and follow runs, until stopped.

    The service offers the graphs of the given files, or all graphs of the project. A client starts a run with `POST
    /graphs/GRAPH/runs`, and sends the input as the body of the request. If the client sends the same request again with
    the same Idempotency-Key, no second run is started. `GET /openapi.json` describes every endpoint, with the inputs of
    the graphs.

    The service can also speak other protocols, such as MCP (--mcp) or OpenAI's API (--openai). When it starts, it
    prints the address of each protocol that is switched on, and the options that switch on the others.

    Every request needs the header `Authorization: Bearer TOKEN`, with these exceptions:

    - `GET /health` needs no token.
    - The files of --pages need no token.
    - A request that starts a run can be signed instead, with --webhook-secret-env.

    With --users, each user has a token of their own, and sees and starts only the runs of their tenant. If you change
    the file of users, the service reads the file again. There is then no token that allows everything, unless you also
    set one.

    The process of the service drives the runs like a worker of the queue `default`, and removes old runs. It prints how
    long runs are kept. With --queue, the process only records the runs, and workers drive and remove them. Like
    `graphengine worker`, the command prints a line for each run that it takes. With --json, the first line is a
    document with the URL.

    SIGTERM or Ctrl-C ends the service with exit code 0. The service closes open streams, lets the nodes that are
    running finish, and releases its runs, so that other processes can continue them. A second Ctrl-C ends the service
    at once, with exit code 130.
    """
    from graphengine import __version__
    from graphengine.cli.driving import fleet_of, until_stopped
    from graphengine.cli.worker import show_event
    from graphengine.kernel.inside import install_command

    chosen = [door for door in known_doors() if given.pop(door.name.replace("-", "_"))]
    given["doors"] = [door.name for door in chosen]
    if given["a2a_root"] is not None and "a2a" not in given["doors"]:
        repair = "add --a2a, or leave out --a2a-root"
        raise InputError("--a2a-root has an effect only with --a2a", where="--a2a-root", repair=repair)
    if given["live_text"] and "openai" not in given["doors"]:
        repair = "add --openai, or leave out --live-text"
        raise InputError("--live-text has an effect only with --openai", where="--live-text", repair=repair)
    try:
        from graphengine.serve.guard import TokenAccess
        from graphengine.serve.service.server import Serving, Settings
        from graphengine.serve.users import Users

        for door in chosen:
            import_module(door.module)
    except ImportError as error:
        text = f"the service needs the Python package {error.name!r}, which is not installed"
        repair = install_command(",".join(["serve", *filter(None, (door.extra for door in chosen))]))
        raise InputError(text, where="graphengine serve", repair=repair) from error
    users = None if users_file is None else Users(users_file)
    token, is_new = token_of(token_file, is_needed=users is None)
    if given["pages"] is not None and not given["pages"].is_dir():
        repair = "give the folder with the built files of a front end, such as app/built"
        raise InputError(f"the folder {str(given['pages'])!r} does not exist", where="--pages", repair=repair)
    secret = None if webhook_secret_env is None else _webhook_secret(webhook_secret_env)
    has_pages = given["pages"] is not None
    pages_of = frozenset(each.rstrip("/").lower() for each in origins)
    access = TokenAccess(token, secret, body_bytes, has_pages=has_pages, users=users, origins=pages_of)
    fleet = fleet_of(context, references, only_able=given["queue"] is None)
    given |= fleet.for_runner
    if fleet.retention is not None:
        given["retention"] = fleet.retention
    given["on_event"] = lambda event: show_event(context, event)
    with until_stopped(context, "start the command again, or start a worker") as (stopper, telemetry):
        given |= {**lock_options(), "telemetry": telemetry}
        settings = Settings(context.place.database, fleet.graphs, access, __version__, **given)
        serving = Serving(settings)

        def begin(doors: Mapping[str, str]) -> None:
            stopper.drives(serving.stop)
            _show_served(context, settings, token if is_new else None, doors)

        async def run() -> None:
            stopper.opens()
            await serving.run(begin)

        context.drive(run())
    return 0


def _show_served(context: CommandContext, settings: Settings, token: str | None, doors: Mapping[str, str]) -> None:
    """Show the addresses of the service, and the token if this process generated it."""
    database, graphs, url = addresses.shown(settings.database), list(settings.graphs), doors["http"]
    if context.json:
        from graphengine.serve.documents import Serving

        queue = settings.start_queue
        context.line(Serving(url=url, doors=doors, database=database, graphs=graphs, queue=queue, token=token))
        return
    how = "driving the runs here" if settings.queue is None else f"for the workers of queue {settings.queue}"
    context.err.prose(f"serving {', '.join(graphs)} in {database}, {how}")
    context.out.line(url)
    for door in known_doors():
        if door.name in doors:
            context.out.line(f"{door.title}: ", doors[door.name] + door.more)
    if "pages" in doors:
        context.out.line("pages: ", doors["pages"] + "#TOKEN")
    if settings.queue is None:
        context.err.prose(_retention_words(settings))
    others = [f"--{d.name}{'' if d.is_installed else ' (not installed)'}" for d in known_doors() if d.name not in doors]
    if others:
        context.err.prose(f"options that add other protocols: {', '.join(others)}")
    if token is not None:
        # Collectors of logs must not get the token.
        channel = context.out if context.log_format == "json" else context.err
        channel.line(("token: ", "dim"), token)


def _retention_words(settings: Settings) -> str:
    """Describe how long the service keeps runs, and where the user can change this."""
    from graphengine.kernel.extension import Retention

    keep = settings.retention or Retention(None, None)
    days = [
        f"for {each:g} days" if each is not None else "for ever" for each in (keep.keep_days, keep.keep_failed_days)
    ]
    own = sorted(name for name, graph in settings.graphs.items() if graph.retention is not None)
    text = f"finished runs are kept {days[0]}, failed and stopped ones {days[1]}"
    text += f", and runs of {', '.join(own)} as the graph says" if own else ""
    return f"{text}; change it in [tool.graphengine.retention]: keep_days, keep_failed_days (inf for ever)"


def token_of(file: Path | None, *, is_needed: bool = True) -> tuple[str, bool]:
    """Return the token that clients of a service must send, and whether this process generated the token.

    The token is read from a file, or else from the environment variable GRAPHENGINE_TOKEN. If neither is set, a token
    is generated. If none is needed, because each user has a token of their own, "" is returned instead.

    Raises:
        InputError: The file cannot be read, or the token is too short or contains characters that are not allowed.
    """
    import secrets

    where = f"--token-file {file}" if file is not None else TOKEN
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            message, repair = f"the file {file} cannot be read: {why}", "name a text file that contains the token"
            raise InputError(message, where=where, repair=repair) from None
    else:
        token = os.environ.get(TOKEN, "").strip()
        if not token and TOKEN not in os.environ:
            return (secrets.token_urlsafe(32), True) if is_needed else ("", False)
    if len(token) < _LEAST_TOKEN or not token.isascii() or not token.isprintable() or " " in token:
        message = f"the token must consist of at least {_LEAST_TOKEN} ASCII characters without blanks"
        repair = "generate a token: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        raise InputError(message, where=where, repair=repair)
    return token, False


def _webhook_secret(variable: str) -> str:
    """Read the secret that verifies signed requests (webhooks) from an environment variable.

    Raises:
        InputError: The variable is empty, or its secret cannot be used.
    """
    from graphengine.serve.signatures import key_of

    where, secret = f"--webhook-secret-env {variable}", os.environ.get(variable, "").strip()
    if not secret:
        raise InputError(
            f"the environment variable {variable!r} is empty or not set",
            where=where,
            repair=f"set the variable before you start the command: export {variable}=…",
        )
    try:
        key_of(secret)
    except ValueError:
        message = f"the secret in the environment variable {variable!r} has no base64 key after its beginning 'whsec_'"
        repair = "copy the secret again from the settings of the sender"
        raise InputError(message, where=where, repair=repair) from None
    return secret


@options.command(
    "webhook-secret",
    examples="""
        graphengine webhook-secret HOOK_SECRET '/graphs/news/runs?field=event'
        graphengine webhook-secret HOOK_SECRET '/graphs/news/runs?queue=hooks'
    """,
)
@click.argument("variable", metavar="VARIABLE")
@click.argument("address", metavar="ADDRESS")
def webhook_secret(context: CommandContext, /, *, variable: str, address: str) -> int:
    """Print the secret with which a sender of webhooks signs requests for one address.

    Give VARIABLE, the environment variable that you also give to `graphengine serve --webhook-secret-env`, and ADDRESS,
    the path to which the sender posts, with its query. A signature for one address is not valid at another address, so
    it cannot start a run of another graph, queue or tenant.
    """
    from urllib.parse import unquote, urlsplit

    from graphengine.serve.documents import WebhookSecret
    from graphengine.serve.signatures import secret_for

    parts = urlsplit(address)
    if not parts.path.startswith("/graphs/") or not parts.path.endswith("/runs"):
        message = f"{address!r} is not the address of a request that starts a run"
        repair = "give an address such as /graphs/GRAPH/runs?field=event"
        raise InputError(message, where="ADDRESS", repair=repair)
    path = unquote(parts.path)
    secret = secret_for(_webhook_secret(variable), path, parts.query)
    if context.json:
        context.document(WebhookSecret(path=path, query=parts.query, secret=secret))
    else:
        context.out.line(secret)
    return 0
