"""`graphengine users`: the users of `serve`, `inspect --shared` and workers, in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from graphengine.cli import options
from graphengine.cli.terminal import Column
from graphengine.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.context import CommandContext
    from graphengine.serve.users import User, UsersFile

_FILE: Final = click.option(
    "--users",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("users.json"),
    show_default=True,
    help="The file that lists the users.",
)
_NAME: Final = click.argument("name", metavar="NAME")
_RIGHTS: Final = "start, answer, read and operate, separated by commas, or all"


@options.command(
    "list",
    examples="""
        graphengine users list
        graphengine users list --users users.json --json
    """,
)
@_FILE
def users_list(context: CommandContext, path: Path) -> int:
    """List the users, with their tenants and rights.

    The file contains only a hash of each token, so tokens cannot be listed.
    """
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
@click.option(
    "--tenant",
    metavar="TENANT",
    help="The tenant whose runs the user sees and starts. By default, the user sees the runs of all tenants.",
)
@click.option("--rights", metavar="RIGHTS", required=True, help=f"What the user may do: {_RIGHTS}.")
@click.option("--replace", is_flag=True, help="Replace the user of this name. The old token is no longer valid.")
@_FILE
def users_add(  # noqa: PLR0913 - options
    context: CommandContext, /, *, name: str, tenant: str | None, rights: str, replace: bool, path: Path
) -> int:
    """Add a user, and print their token.

    The command prints the new user's token only once, because the file keeps only a hash of it. Servers that use the
    file accept the new user at once.

    If NAME begins with `oidc:`, the command adds a user who signs in at the OpenID provider. The user therefore gets no
    token from this command. Answers of this user are recorded under NAME. The tenant and the rights that you give here
    replace those that the provider names.
    """
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
        message = f"the file {path} already contains a user {name!r}"
        raise InputError(message, where=f"users add {name}", repair=repair)
    token = None if name.startswith(OIDC) else new_token()
    added = User(name, words, tenant, hash_of(token) if token is not None else "")
    _write_users_file(path, UsersFile([*others, added], file.oidc))
    return _show_users(context, UsersFile([added], file.oidc), token)


@options.command("remove", examples="graphengine users remove bob")
@_NAME
@_FILE
def users_remove(context: CommandContext, name: str, path: Path) -> int:
    """Remove a user. Their token is then no longer valid.

    If the user has approved a tool call that has not begun yet, processes that use this file ask for approval again.
    """
    from graphengine.kernel.extension import did_you_mean
    from graphengine.serve.users import UsersFile, read_users

    file = read_users(path)
    others = [user for user in file.users if user.name != name]
    if len(others) == len(file.users):
        near = did_you_mean(name, [user.name for user in others])
        raise InputError(f"the file {path} contains no user {name!r}", where=f"users remove {name}", repair=near)
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
@click.option("--audience", required=True, metavar="NAME", help="The audience for which the tokens must be issued.")
@click.option(
    "--name-claim", metavar="CLAIM", default="sub", show_default=True, help="The claim that contains the user's name."
)
@click.option("--tenant-claim", metavar="CLAIM", default="", help="The claim that contains the user's tenant.")
@click.option("--tenant", metavar="TENANT", help="The tenant of all users of the provider.")
@click.option("--all-tenants", is_flag=True, help="Let the users of the provider see the runs of all tenants.")
@click.option("--rights-claim", metavar="CLAIM", default="", help="The claim that contains the user's rights.")
@click.option("--rights", metavar="RIGHTS", default="", help=f"The rights of all users of the provider: {_RIGHTS}.")
@click.option("--client-id", metavar="ID", default="", help="The id of the client with which the page signs users in.")
@click.option(
    "--secret-variable",
    metavar="NAME",
    default="",
    help="The environment variable that contains the secret of the client.",
)
@click.option(
    "--scope",
    metavar="WORDS",
    default="openid",
    show_default=True,
    help="The scopes that the page requests, separated by blanks.",
)
@_FILE
def users_oidc(context: CommandContext, /, *, path: Path, all_tenants: bool, rights: str, **given: Any) -> int:  # noqa: ANN401 - fields of Oidc
    """Let users authenticate with tokens of an OpenID provider, such as Keycloak, Entra ID, Auth0 or Okta.

    A user's token is valid if it is a JSON web token of this issuer for this audience, and has not expired. The names
    of users who authenticate in this way begin with `oidc:`. If you have added such a user with `users add oidc:NAME`,
    the tenant and the rights that you gave there replace those in the token. With --client-id, users of `inspect
    --shared` sign in at the provider.

    The command needs the extra `oidc`. Give one of --tenant-claim, --tenant and --all-tenants, and one of
    --rights-claim and --rights.
    """
    from graphengine.serve.users import Oidc, UsersFile, read_users, rights_of

    if [bool(given["tenant_claim"]), given["tenant"] is not None, all_tenants].count(True) != 1:
        raise click.UsageError("give exactly one of --tenant-claim, --tenant and --all-tenants")
    if bool(given["rights_claim"]) == bool(rights):
        raise click.UsageError("give exactly one of --rights-claim and --rights")
    words = [word.strip() for word in rights.split(",")] if rights else []
    rights_of(words, "--rights")
    file = read_users(path) if path.exists() else UsersFile()
    file.oidc = Oidc(rights=words, **given)
    _write_users_file(path, file)
    return _show_users(context, file)


def _write_users_file(path: Path, file: UsersFile) -> None:
    from graphengine.serve.users import write_users

    try:
        write_users(path, file)
    except OSError as error:
        message, repair = f"the file {path} cannot be written: {error.strerror}", "name another file with --users FILE"
        raise InputError(message, where=f"users {path}", repair=repair) from error


def _show_users(context: CommandContext, file: UsersFile, token: str | None = None) -> int:
    provider = None if file.oidc is None else file.oidc.issuer
    if context.json:
        from graphengine.serve.documents import KnownUser, UserList

        users = [KnownUser(name=each.name, tenant=each.tenant, rights=each.rights) for each in file.users]
        context.document(UserList(users=users, provider=provider, token=token))
        return 0
    if file.users:
        columns: Sequence[Column[User]] = (
            Column("user", lambda each: each.name),
            Column("tenant", lambda each: "all" if each.tenant is None else each.tenant),
            Column("rights", lambda each: ", ".join(each.rights)),
        )
        context.out.table(columns, file.users)
    if provider is not None:
        context.err.line(f"and the users of {provider}")
    if token is not None:
        context.err.line("the user's token, which is shown only now:")
        context.out.line(token)
    return 0
