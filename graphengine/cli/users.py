"""`graphengine users`: the users of `serve`, `inspect --shared` and workers, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.serve.users import UsersFile

_FILE: Final = click.option(
    "--users",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("users.json"),
    show_default=True,
    help="The file of users.",
)
_NAME: Final = click.argument("name", metavar="NAME")
_RIGHTS: Final = "start, answer, read and operate, with commas between them, or all"


@options.command(
    "list",
    examples="""
        graphengine users list
        graphengine users list --users users.json --json
    """,
)
@_FILE
def users_list(context: CommandContext, path: Path) -> int:
    """List the users, with their tenants and rights; of their tokens there is only a hash."""
    from graphengine.serve.users import read_users

    return _show_users(context, read_users(path))


@options.command(
    "add",
    examples="""
        graphengine users add ada --tenant acme --rights start,answer,read
        graphengine users add bob --rights all --replace   # a new token
        graphengine users add oidc:eve@example.org --rights read
    """,
)
@_NAME
@click.option("--tenant", metavar="TENANT", help="The tenant whose runs they see and start. Default: the runs of all.")
@click.option("--rights", metavar="RIGHTS", required=True, help=f"What they may do: {_RIGHTS}.")
@click.option("--replace", is_flag=True, help="Replace the user of this name: the old token is not valid any more.")
@_FILE
def users_add(  # noqa: PLR0913 - options
    context: CommandContext, /, *, name: str, tenant: str | None, rights: str, replace: bool, path: Path
) -> int:
    """Add a user, and print their token: it is shown only now.

    Servers that use the file know the user at once. A name that begins with `oidc:` is that of a user of the OpenID
    provider, as answers record it: they need no token from here, and their tenant and rights are these.
    """
    from graphengine.errors import InputError
    from graphengine.serve.users import OIDC, User, UsersFile, check_name, hash_of, new_token, read_users, rights_of

    file = read_users(path) if path.exists() else UsersFile()
    for text, what in ((name, "name"), (tenant, "tenant")):
        if text is not None:
            check_name(text, what, f"users add {name}")
    words = [word.strip() for word in rights.split(",")]
    rights_of(words, "--rights")
    others = [user for user in file.users if user.name != name]
    if len(others) < len(file.users) and not replace:
        repair = "add --replace for a new token and these rights, or choose another name"
        raise InputError(f"{path} has a user {name!r}", where=f"users add {name}", repair=repair)
    token = None if name.startswith(OIDC) else new_token()
    added = User(name, words, tenant, hash_of(token) if token is not None else "")
    _write_users_file(path, UsersFile([*others, added], file.oidc))
    return _show_users(context, UsersFile([added], file.oidc), token)


@options.command("remove", examples="graphengine users remove bob")
@_NAME
@_FILE
def users_remove(context: CommandContext, name: str, path: Path) -> int:
    """Remove a user: their token is not valid any more, and what they approved does not begin any more."""
    from graphengine.errors import InputError
    from graphengine.kernel.extension import did_you_mean
    from graphengine.serve.users import UsersFile, read_users

    file = read_users(path)
    others = [user for user in file.users if user.name != name]
    if len(others) == len(file.users):
        near = did_you_mean(name, [user.name for user in others])
        raise InputError(f"{path} has no user {name!r}", where=f"users remove {name}", repair=near)
    _write_users_file(path, UsersFile(others, file.oidc))
    return _show_users(context, UsersFile(others, file.oidc))


@options.command(
    "oidc",
    examples="""
        graphengine users oidc https://a.org --audience b --tenant c --rights read
        graphengine users oidc https://a.org --audience b --all-tenants --rights all
    """,
)
@click.argument("issuer", metavar="ISSUER")
@click.option("--audience", required=True, metavar="NAME", help="The audience that their tokens are for.")
@click.option("--name-claim", metavar="CLAIM", default="sub", show_default=True, help="The claim with the user's name.")
@click.option("--tenant-claim", metavar="CLAIM", default="", help="The claim with the user's tenant.")
@click.option("--tenant", metavar="TENANT", help="The tenant of all its users.")
@click.option("--all-tenants", is_flag=True, help="Its users see the runs of all tenants.")
@click.option("--rights-claim", metavar="CLAIM", default="", help="The claim with the user's rights.")
@click.option("--rights", metavar="RIGHTS", default="", help=f"The rights of all its users: {_RIGHTS}.")
@click.option("--client-id", metavar="ID", default="", help="The client as which the page signs users in.")
@click.option("--secret-variable", metavar="NAME", default="", help="The environment variable with its secret.")
@click.option("--scope", metavar="WORDS", default="openid", show_default=True, help="What the page asks for.")
@_FILE
def users_oidc(context: CommandContext, /, *, path: Path, all_tenants: bool, rights: str, **given: Any) -> int:  # noqa: ANN401 - fields of Oidc
    """Take the tokens of an OpenID provider, such as Keycloak, Entra ID, Auth0 or Okta, as those of users.

    A token must be a JSON web token of this issuer for this audience that has not expired. Their names begin with
    `oidc:`. What `users add oidc:NAME` says of a user holds in place of the token's claims. With `--client-id`,
    `inspect --shared` signs users in there. Needs the extra `oidc`.
    """
    from graphengine.serve.users import Oidc, UsersFile, read_users, rights_of

    if [bool(given["tenant_claim"]), given["tenant"] is not None, all_tenants].count(True) != 1:
        raise click.UsageError("give one of --tenant-claim, --tenant and --all-tenants")
    if bool(given["rights_claim"]) == bool(rights):
        raise click.UsageError("give one of --rights-claim and --rights")
    words = [word.strip() for word in rights.split(",")] if rights else []
    rights_of(words, "--rights")
    file = read_users(path) if path.exists() else UsersFile()
    file.oidc = Oidc(rights=words, **given)
    _write_users_file(path, file)
    return _show_users(context, file)


def _write_users_file(path: Path, file: UsersFile) -> None:
    from graphengine.errors import InputError
    from graphengine.serve.users import write_users

    try:
        write_users(path, file)
    except OSError as error:
        repair = "give another file with --users FILE"
        raise InputError(f"{path} cannot be written: {error.strerror}", where=f"users {path}", repair=repair) from error


def _show_users(context: CommandContext, file: UsersFile, token: str | None = None) -> int:
    """Show users, and the token of a new one."""
    provider = None if file.oidc is None else file.oidc.issuer
    if context.json:
        from graphengine.serve.documents import KnownUser, UserList

        users = [KnownUser(name=each.name, tenant=each.tenant, rights=each.rights) for each in file.users]
        context.document(UserList(users=users, provider=provider, token=token))
        return 0
    rows: Sequence[tuple[str, ...]] = [
        (each.name, "all" if each.tenant is None else each.tenant, ", ".join(each.rights)) for each in file.users
    ]
    if rows:
        context.out.table(("user", "tenant", "rights"), rows)
    if provider is not None:
        context.err.line(f"and the users of {provider}")
    if token is not None:
        context.err.line("their token, shown only now:")
        context.out.line(token)
    return 0
