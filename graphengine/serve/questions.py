"""Check a service's token and users for `graphengine doctor --production`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from graphengine.errors import InputError
from graphengine.serve.users import read_users
from graphengine.wings import Readiness

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.kernel.store import Store
    from graphengine.wings import Settings

_LEAST_TOKEN: Final = 16


async def questions(store: Store, settings: Settings) -> Sequence[Readiness]:
    """Return the results of the checks in this module, for `graphengine doctor --production`."""
    del store, settings
    return [token(), users()]


def token() -> Readiness:
    """Check that `GRAPHENGINE_TOKEN`, the access token of `graphengine serve`, is set and long enough."""
    token = os.environ.get("GRAPHENGINE_TOKEN")
    if token is None:
        repair = "export GRAPHENGINE_TOKEN, or give --token-file: else each start of `serve` makes a new one"
        return Readiness("token", "cannot say", "GRAPHENGINE_TOKEN is not set here", repair)
    if len(token.strip()) < _LEAST_TOKEN:
        repair = "make one: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        return Readiness("token", "not", f"GRAPHENGINE_TOKEN has less than {_LEAST_TOKEN} characters", repair)
    return Readiness("token", "ok", "GRAPHENGINE_TOKEN is set")


def users() -> Readiness:
    """Check that the file `users.json` in the current folder can be read, and that only its owner can write it.

    `graphengine users` writes this file by default.
    """
    path = Path("users.json")
    if not path.exists():
        repair = "if several people use it: graphengine users add NAME, then `serve --users users.json`, workers too"
        what = "no users.json is here: who has the token of the server may do all"
        return Readiness("users", "cannot say", what, repair)
    try:
        number = len(read_users(path).users)
    except InputError as error:
        return Readiness("users", "not", error.message, error.repair)
    if os.name == "posix" and path.stat().st_mode & 0o022:
        repair = f"chmod 600 {path}: who can write it can make themselves a user"
        return Readiness("users", "not", f"others can write {path}", repair)
    found = f"{number} user{'s' * (number != 1)} in {path}"
    return Readiness("users", "ok", f"{found}; give --users to `serve` and to workers")


__all__ = ["questions"]
