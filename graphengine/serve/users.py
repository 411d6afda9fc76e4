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
    """A user.

    Attributes:
        name: The name, recorded with each answer. A name that begins with `oidc:` belongs to a user of the provider.
            The tenant and the rights in the file then replace the ones in the user's token.
        rights: The rights: `start`, `answer`, `read`, `operate`, or `all`.
        tenant: The tenant whose runs the user can see and start; None for all runs.
        sha256: The SHA-256 of the user's token.
    """

    name: str
    rights: list[str]
    tenant: str | None = None
    sha256: str = ""


class Oidc(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An OpenID provider whose tokens are accepted.

    Attributes:
        issuer: The address of the provider. The provider describes itself at `/.well-known/openid-configuration` below
            this address.
        audience: The audience for which a token must be issued.
        name_claim: The claim with the user's name.
        tenant_claim: The claim with the user's tenant; "" if `tenant` applies to all users.
        rights_claim: The claim with the user's rights, as a list or as words, plain or after `graphengine:`; "" if
            `rights` apply to all users.
        tenant: The tenant of all users of the provider; None for all runs.
        rights: The rights of all users of the provider.
        client_id: The id of the client as which the page signs users in; "" if the page does not sign users in.
        secret_variable: The environment variable with the secret of this client; "" if the client has no secret.
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
    """The content of a file of users.

    Attributes:
        users: The users.
        oidc: The OpenID provider; None if no provider is used.
    """

    users: list[User] = field(default_factory=list)
    oidc: Oidc | None = None


def hash_of(token: str) -> str:
    """Return the hash of a token. A token has 256 random bits, so one round of hashing without a salt is sufficient."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """Return a new token."""
    return _TOKEN + secrets.token_urlsafe(32)


def rights_of(words: Sequence[str], where: str) -> frozenset[Right]:
    """Return the rights that some words name.

    Raises:
        InputError: A word is not the name of a right.
    """
    for word in words:
        if word not in (*RIGHTS, ALL):
            repair = f"give some of {', '.join(RIGHTS)}, or {ALL}"
            raise InputError(f"{word!r} is no right", where=where, repair=repair)
    return frozenset(each for each in RIGHTS if each in words or ALL in words)


def read_users(path: Path) -> UsersFile:
    """Read a file of users.

    Raises:
        InputError: The file cannot be read, or has a fault.
    """
    where, repair = f"users {path}", "let `graphengine users` write it, or repair it by hand"
    try:
        found = msgspec.json.decode(path.read_bytes(), type=UsersFile)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", where=where, repair=repair) from None
    except ValueError as error:
        raise InputError(f"{path} is no file of users: {error}", where=where, repair=repair) from None
    seen = set[str]()
    for user in found.users:
        place = f"{where}, user {user.name!r}"
        check_name(user.name, "name", place)
        if user.tenant is not None:
            check_name(user.tenant, "tenant", place)
        rights_of(user.rights, place)
        if user.name in seen:
            raise InputError(f"the user {user.name!r} is there twice", where=place, repair=repair)
        if not (_HASH.fullmatch(user.sha256) if not user.name.startswith(OIDC) else not user.sha256):
            text = f"the user {user.name!r} needs the SHA-256 of a token, and one of a provider has none"
            raise InputError(text, where=place, repair=repair)
        seen.add(user.name)
    if found.oidc is not None:
        rights_of(found.oidc.rights, f"{where}, oidc")
    return found


def check_name(text: str, what: str, where: str) -> None:
    """Check that a text can be a name.

    Raises:
        InputError: The text is too long, empty, or contains characters that cannot be printed.
    """
    if not is_tag(text):
        repair = "use 1 to 100 printable characters, not only blanks"
        raise InputError(f"{text!r} cannot be a {what}", where=where, repair=repair)


def write_users(path: Path, file: UsersFile) -> None:
    """Write a file of users. Only its owner can read a new file."""
    write_file(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n", is_private=True)


class Users:
    """The users in the current version of a file.

    Args:
        path: The file.

    Raises:
        InputError: The file cannot be read, or packages that the OpenID provider needs are not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._file = read_users(path)
        self._provider = _provider_of(self._file, None)

    def _now(self) -> UsersFile:
        """Return the content of the file, which is read again if the file has changed."""
        stamp = _stamp(self._path)
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
        """The provider that signs users of a page in; None if no provider does."""
        self._now()
        found = self._provider
        return found if found is not None and found.settings.client_id else None

    async def caller_of(self, token: str) -> Caller | None:
        """Return the caller who has a token; None if the token is unknown.

        Raises:
            NotAuthorized: The token is a token of the provider that is not valid here.
            ProviderUnreachable: The provider's keys cannot be read.
        """
        file, given, found = self._now(), hash_of(token), None
        for user in file.users:
            if secrets.compare_digest(user.sha256, given):
                found = user
        if found is not None:
            return _caller(found)
        if self._provider is None or token.count(".") != 2:  # noqa: PLR2004 - the three parts of a JWT
            return None
        caller = await self._provider.caller_of(token)
        known = next((user for user in file.users if user.name == caller.name), None)
        return caller if known is None else replace(_caller(known), until=caller.until)

    def still_has(self, who: Caller) -> bool:
        """Return whether a caller still has the tenant and the rights with which the caller was accepted.

        The rights in a token of an OpenID provider apply until the token expires, unless the file names its user.
        """
        if time.time() > who.until:
            return False
        file = self._now()
        user = next((user for user in file.users if user.name == who.name), None)
        if user is None:
            return who.name.startswith(OIDC) and file.oidc is not None
        return _caller(user) == who

    def who_may(self, right: Right, tenant: str | None) -> Sequence[str]:
        """Return the users of the file who have a right for the runs of a tenant, or for the runs of all tenants."""
        found = [_caller(user) for user in self._now().users]
        return [each.name for each in found if each.may(right) and each.sees(tenant)]

    def objection(self, name: str, right: Right, tenant: str | None) -> str:
        """Return why a user no longer has a right for a run of a tenant; "" if the user has the right.

        The rights in a token of an OpenID provider still apply after the token was used, unless the file names its
        user.
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


def _stamp(path: Path) -> object:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _provider_of(file: UsersFile, before: Provider | None) -> Provider | None:
    """Return the provider of a file. An unchanged provider is reused, because it has already read its keys."""
    if file.oidc is None or (before is not None and before.settings == file.oidc):
        return before if file.oidc is not None else None
    try:
        from graphengine.serve.oidc import Provider  # noqa: PLC0415 - its extra may not be installed
    except ImportError as error:
        text = f"tokens of an OpenID provider need {error.name}, which is not installed"
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
