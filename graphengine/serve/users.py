"""The users of a server: a file with the hashes of their tokens, and whose tokens of an OpenID provider it takes.

`graphengine users` writes it. It is read again when it has changed, also by other processes. If it cannot be read then,
the last one that could is kept, and the log says so: a slip must not lock everybody out, nor let anybody in. If only
its provider cannot be used, its users hold, and no tokens of a provider are taken.
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
"""What the names of users begin with whom an OpenID provider names, so that none can be called like one of the file."""
_LOG: Final = logging.getLogger("graphengine")
_TOKEN: Final = "ge_"  # noqa: S105 - what a token begins with, so that scanners of secrets know it
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class User(Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A user.

    Attributes:
        name: The name, recorded with each answer. One that begins with `oidc:` is that of a provider's user, whose
            tenant and rights are then these, whatever their token says.
        rights: What they may do: `start`, `answer`, `read`, `operate`, or `all`.
        tenant: The tenant whose runs they see, and start; all runs if there is none.
        sha256: The SHA-256 of their token.
    """

    name: str
    rights: list[str]
    tenant: str | None = None
    sha256: str = ""


class Oidc(Struct, forbid_unknown_fields=True, omit_defaults=True, frozen=True):
    """An OpenID provider whose tokens are taken.

    Attributes:
        issuer: Its address: `/.well-known/openid-configuration` below it says the rest.
        audience: The audience that a token must be for.
        name_claim: The claim with the user's name.
        tenant_claim: The claim with their tenant; without it `tenant` holds.
        rights_claim: The claim with their rights, a list or words, plain or after `graphengine:`; without it
            `rights` hold.
        tenant: The tenant of all its users; all runs if there is none.
        rights: The rights of all its users.
        client_id: The client as which the page signs users in; "" if it does not.
        secret_variable: The environment variable with that client's secret; "" if it has none.
        scope: What the page asks the provider for.
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
    """The file.

    Attributes:
        users: The users.
        oidc: The OpenID provider; none if there is none.
    """

    users: list[User] = field(default_factory=list)
    oidc: Oidc | None = None


def hash_of(token: str) -> str:
    """Return the hash of a token: it has 256 random bits, so that one without salt and repetition is enough."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def new_token() -> str:
    """Return a new token."""
    return _TOKEN + secrets.token_urlsafe(32)


def rights_of(words: Sequence[str], where: str) -> frozenset[Right]:
    """Return the rights of some words. Raises: InputError: A word is none."""
    for word in words:
        if word not in (*RIGHTS, ALL):
            repair = f"give some of {', '.join(RIGHTS)}, or {ALL}"
            raise InputError(f"{word!r} is no right", where=where, repair=repair)
    return frozenset(each for each in RIGHTS if each in words or ALL in words)


def read_users(path: Path) -> UsersFile:
    """Return a file of users. Raises: InputError: It cannot be read, or has a fault."""
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
    """Check a name. Raises: InputError."""
    if not is_tag(text):
        repair = "use 1 to 100 printable characters, not only blanks"
        raise InputError(f"{text!r} cannot be a {what}", where=where, repair=repair)


def write_users(path: Path, file: UsersFile) -> None:
    """Write a file of users; only its owner can read a new one."""
    write_file(path, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n", is_private=True)


class Users:
    """The users of a file, as it is now.

    Args:
        path: The file.

    Raises:
        InputError: It cannot be read, or what an OpenID provider needs is not installed.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = _stamp(path)
        self._file = read_users(path)
        self._provider = _provider_of(self._file, None)

    def _now(self) -> UsersFile:
        """Return the file, read again if it has changed."""
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
        """The provider that signs users of a page in; None if none does."""
        self._now()
        found = self._provider
        return found if found is not None and found.settings.client_id else None

    async def caller_of(self, token: str) -> Caller | None:
        """Return whose token it is; None if nobody's.

        Raises:
            NotAuthorized: It is one of the provider that is not valid here.
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
        """Return whether a user has the tenant and the rights with which they came.

        What the token of an OpenID provider allowed then holds until it is over, unless the file names its user.
        """
        if time.time() > who.until:
            return False
        file = self._now()
        user = next((user for user in file.users if user.name == who.name), None)
        if user is None:
            return who.name.startswith(OIDC) and file.oidc is not None
        return _caller(user) == who

    def who_may(self, right: Right, tenant: str | None) -> Sequence[str]:
        """Return the users of the file who may do something for the runs of a tenant, or for those of all."""
        found = [_caller(user) for user in self._now().users]
        return [each.name for each in found if each.may(right) and each.sees(tenant)]

    def objection(self, name: str, right: Right, tenant: str | None) -> str:
        """Return why a user may not do something any more for a run of a tenant; "" if they may.

        What the token of an OpenID provider allowed when it was used holds, unless the file names its user.
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
    """Return the provider of a file, the same if it has not changed: it has its keys."""
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
