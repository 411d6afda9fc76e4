"""The users of a server: a file with the hashes of their tokens, and the OpenID provider whose tokens are accepted.

`graphengine users` writes the file. The file is read again when it has changed, even if another process changed it. If
the changed file cannot be read, the last version stays in use and a warning is logged: a mistake in the file must
neither lock everybody out nor let anybody in. If only the settings of the OpenID provider cannot be used, the users of
the file are accepted, and tokens of the provider are refused.
"""

from __future__ import annotations

import hashlib
import logging
import re
import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct, field

from graphengine.errors import InputError
from graphengine.kernel.extension import is_tag
from graphengine.kernel.inside import install_command
from graphengine.output_file import write_file
from graphengine.serve.callers import ALL, RIGHTS, Caller

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphengine.serve.callers import Right
    from graphengine.serve.oidc import Provider

OIDC: Final = "oidc:"
"""The prefix of the names of users from an OpenID provider, so that their names differ from the users in the file."""
_LOG: Final = logging.getLogger("graphengine")
_TOKEN: Final = "ge_"  # noqa: S105 - the prefix of tokens, so that scanners for secrets recognize them
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class User(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A user in the file of users.

    Attributes:
        name: The name of the user, which is recorded with each answer. A name that begins with `oidc:` belongs to a
            user of the OpenID provider; the tenant and the rights in the file then replace those in the user's token.
        rights: The rights of the user: `start`, `answer`, `read`, `operate`, or `all`.
        tenant: The tenant whose runs the user can see and start; None for the runs of all tenants.
        sha256: The SHA-256 hash of the user's token; "" for a user of the provider.
    """

    name: str
    rights: list[str]
    tenant: str | None = None
    sha256: str = ""


class Oidc(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """The settings of an OpenID provider whose tokens are accepted.

    Attributes:
        issuer: The address of the provider. The provider describes itself at `/.well-known/openid-configuration` below
            this address.
        audience: The audience for which a token must be issued.
        name_claim: The claim of the token that contains the user's name.
        tenant_claim: The claim that contains the user's tenant; "" if `tenant` applies to all users.
        rights_claim: The claim that contains the user's rights, as a list or as words separated by blanks, with or
            without the prefix `graphengine:`; "" if `rights` apply to all users.
        tenant: The tenant of all users of the provider; None for all tenants.
        rights: The rights of all users of the provider.
        client_id: The id under which the page is registered with the provider to sign users in; "" if the page does not
            sign users in.
        secret_variable: The environment variable that contains the secret of this client; "" if the client has no
            secret.
        scope: The scope that the page requests from the provider.
    """

    issuer: str
    audience: str
    name_claim: str = "sub"
    tenant_claim: str = ""
    rights_claim: str = ""
    tenant: str | None = None
    rights: list[str] = []
    client_id: str = ""
    secret_variable: str = ""
    scope: str = "openid"


class UsersFile(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The content of the file that names the users of a server, `users.json` by default.

    Attributes:
        users: The users.
        oidc: The settings of the OpenID provider; None if no provider is used.
    """

    users: list[User] = field(default_factory=list)
    oidc: Oidc | None = None


def hash_of(token: str) -> str:
    """Return the hash of a user's token, which the file of users contains instead of the token.

    A token has 256 random bits, so one round of hashing without a salt is sufficient.
    """
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    return _TOKEN + secrets.token_urlsafe(32)


def rights_of(words: Sequence[str], where: str) -> frozenset[Right]:
    """Convert the names of rights in a file or a token to a set of rights. The word `all` stands for every right.

    Raises:
        InputError: A word is not the name of a right.
    """
    for word in words:
        if word not in (*RIGHTS, ALL):
            repair = f"give one or more of {', '.join(map(repr, RIGHTS))}, or {ALL!r}"
            raise InputError(f"{word!r} is not a right", where=where, repair=repair)
    return frozenset(each for each in RIGHTS if each in words or ALL in words)


def read_users(path: Path) -> UsersFile:
    """Read and check a file of users.

    Raises:
        InputError: The file cannot be read, or its content is not valid.
    """
    where, repair = f"users {path}", "write the file with `graphengine users`, or repair the file by hand"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=UsersFile)
    except OSError as error:
        raise InputError(f"the file {path} cannot be read: {error.strerror}", where=where, repair=repair) from None
    except ValueError as error:
        raise InputError(f"{path} is not a file of users: {error}", where=where, repair=repair) from None
    names = set[str]()
    for user in found.users:
        place = f"{where}, user {user.name!r}"
        check_name(user.name, "name", place)
        if user.tenant is not None:
            check_name(user.tenant, "tenant", place)
        rights_of(user.rights, place)
        if user.name in names:
            raise InputError(f"the file contains the user {user.name!r} twice", where=place, repair=repair)
        if not (_HASH.fullmatch(user.sha256) if not user.name.startswith(OIDC) else not user.sha256):
            text = (
                f"the user {user.name!r} must have the SHA-256 of a token, or no token if a provider signs the user in"
            )
            raise InputError(text, where=place, repair=repair)
        names.add(user.name)
    if found.oidc is not None:
        rights_of(found.oidc.rights, f"{where}, oidc")
    return found


def check_name(text: str, what: str, where: str) -> None:
    """Check that a text can be the name of a user or a tenant.

    Raises:
        InputError: The text is too long or empty, or contains characters that cannot be printed.
    """
    if not is_tag(text):
        repair = "use 1 to 100 printable characters, not only blanks"
        raise InputError(f"{text!r} cannot be the {what} of a user", where=where, repair=repair)


def write_users(path: Path, file: UsersFile) -> None:
    """Write the file of users. If the file is new, only its owner can read it."""
    write_file(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n", is_private=True)


class Users:
    """The users of a server, read from a file. The file is read again whenever it has changed.

    Args:
        path: The path of the file.

    Raises:
        InputError: The file cannot be read, or the packages that the OpenID provider needs are not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _read_file_stamp(path)
        self._file = read_users(path)
        self._provider = _provider_of(self._file, None)

    def _now(self) -> UsersFile:
        """Return the content of the file of users, after reading the file again if it has changed.

        If the changed file cannot be read, the content before the change is used.
        """
        stamp = _read_file_stamp(self._path)
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._file = read_users(self._path)
            except InputError as error:
                _LOG.warning("the users that were read before still hold: %s", str(error))
                return self._file
            try:
                self._provider = _provider_of(self._file, self._provider)
            except InputError as error:
                self._provider = None
                _LOG.warning("the users of the file hold, but no tokens of a provider are taken: %s", str(error))
        return self._file

    @property
    def signs_in(self) -> Provider | None:
        """The OpenID provider at which users of the page sign in; None if users sign in with their tokens only."""
        self._now()
        found = self._provider
        return found if found is not None and found.settings.client_id else None

    async def caller_of(self, token: str) -> Caller | None:
        """Return the caller to whom a token belongs; None if the token is unknown.

        Raises:
            NotAuthorized: The token is an invalid token of the OpenID provider.
            ProviderUnreachable: The provider's keys cannot be read.
        """
        file, token_hash, found = self._now(), hash_of(token), None
        for user in file.users:
            if secrets.compare_digest(user.sha256, token_hash):
                found = user
        if found is not None:
            return _caller(found)
        if self._provider is None or token.count(".") != 2:  # noqa: PLR2004 - the three parts of a JWT
            return None
        caller = await self._provider.caller_of(token)
        user_in_file = next((user for user in file.users if user.name == caller.name), None)
        return caller if user_in_file is None else replace(_caller(user_in_file), until=caller.until)

    def still_has(self, who: Caller) -> bool:
        """Return whether a caller whose token was accepted earlier still has the same tenant and the same rights.

        A long stream calls this method repeatedly, so that it ends when its user is removed. The rights in a token of
        an OpenID provider apply until the token expires, unless the file contains its user.
        """
        if time.time() > who.until:
            return False
        file = self._now()
        user = next((user for user in file.users if user.name == who.name), None)
        if user is None:
            return who.name.startswith(OIDC) and file.oidc is not None
        return _caller(user) == who

    def who_may(self, right: Right, tenant: str | None) -> Sequence[str]:
        """Return the names of the users in the file who have a right for the runs of a tenant."""
        found = [_caller(user) for user in self._now().users]
        return [each.name for each in found if each.may(right) and each.sees(tenant)]

    def objection(self, name: str, right: Right, tenant: str | None) -> str:
        """Return why a user who answered a question may no longer answer it; "" if the user may.

        The file decides, not the token: a user of the OpenID provider whom the file does not contain is accepted even
        after the token has expired.

        Args:
            name: The recorded name of the user; "" if no name is recorded, which is accepted.
            right: The right that the answer needs.
            tenant: The tenant of the run.
        """
        file = self._now()
        user = next((user for user in file.users if user.name == name), None)
        if user is None:
            has_gone = bool(name) and not (name.startswith(OIDC) and file.oidc is not None)
            return f"{name} is no user any more" if has_gone else ""
        caller = _caller(user)
        if not caller.may(right):
            return f"{name} has no right to {right} any more"
        return "" if caller.sees(tenant) else f"{name} is not of the run's tenant any more"


def _caller(user: User) -> Caller:
    return Caller(user.name, user.tenant, rights_of(user.rights, f"user {user.name}"))


def _read_file_stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _provider_of(file: UsersFile, before: Provider | None) -> Provider | None:
    """Return the object for the OpenID provider that the file of users names; None if the file names no provider.

    If the settings are unchanged, the existing object is kept, because it has already read the provider's keys.
    """
    if file.oidc is None or (before is not None and before.settings == file.oidc):
        return before if file.oidc is not None else None
    try:
        from graphengine.serve.oidc import Provider  # noqa: PLC0415 - its extra may not be installed
    except ImportError as error:
        text = f"tokens of an OpenID provider need the Python package {error.name!r}, which is not installed"
        raise InputError(text, where="users, oidc", repair=install_command("oidc")) from error
    return Provider(file.oidc)


__all__ = [
    "OIDC",
    "Oidc",
    "User",
    "Users",
    "UsersFile",
    "check_name",
    "hash_of",
    "new_token",
    "read_users",
    "rights_of",
    "write_users",
]
