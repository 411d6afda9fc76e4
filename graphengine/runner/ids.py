"""Ids of runs: ids that callers choose, and ids that the engine derives.

An id is `[TENANT/]NAME`. The names that callers choose contain no slash and do not begin with `RESERVED`. All names
that the engine chooses begin with `RESERVED`: ids of runs, topics and tags. The only exception are runs of schedules,
which people look up by their names. So a caller cannot choose a name that the engine uses.
"""

from __future__ import annotations

import hashlib
import os
import random
import re
from typing import Final
from urllib.parse import quote

from graphengine.errors import InputError

RESERVED: Final = "ge:"
"""The beginning of all names that the engine chooses."""
_NOT_IN_IDS: Final = re.compile(r"[\s\x00-\x1f\ud800-\udfff]")
_LONGEST_ID: Final = 200  # characters
_LONGEST_OWN: Final = 120
"""The length of the longest derived id, without the tenant. A longer id contains a digest instead of its parts."""
_RANDOM: Final = random.Random()  # noqa: S311 - ids are not secrets; a seed from the system, without a call of it for each
_AS_LETTERS: Final = str.maketrans("0123456789", "ghijklmnop")
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_RANDOM.seed)


class OwnId(str):
    """The id or a tag of a new run that the engine has chosen itself, so that it may begin with `RESERVED`."""

    __slots__ = ()


def new_id(now: float) -> str:
    """Return a new, unique run id, which consists of a random part and the time.

    The random part comes first, for people who type only the first characters. The time of creation, to the
    millisecond, follows.
    """
    return f"{_RANDOM.getrandbits(32):08x}-{int(now * 1000):011x}"


def new_nonce() -> str:
    """Return seven random letters (28 bits) that distinguish a run from a removed run with the same id.

    A time could not do this: a clock can stand still, or be set back, between the removal of the first run and the
    start of the second run.

    A nonce has no digits, so that a cursor, which consists of a step number and a nonce (`7.hgcnpab`), cannot be
    mistaken for a number.
    """
    return f"{_RANDOM.getrandbits(28):07x}".translate(_AS_LETTERS)


def check_id(run_id: str) -> str:
    """Check that a text can be the id of a run, and return it.

    Raises:
        InputError: The text cannot be the id of a run.
    """
    if not run_id or _NOT_IN_IDS.search(run_id) or len(run_id) > _LONGEST_ID:
        raise InputError(f"{run_id!r} cannot be a run's id", repair="use up to 200 characters without blanks")
    return run_id


def chosen_id(run_id: str, tenant: str | None = None) -> str:
    """Check the id that a caller chose for a new run, and return it. The id may begin with the tenant of the run.

    Raises:
        InputError: The text cannot be the id of a run, or may be the id of a run of another tenant.
    """
    check_id(run_id)
    if isinstance(run_id, OwnId):
        return str(run_id)
    name = run_id.removeprefix(_tenant_prefix(tenant))
    if "/" in name:
        text = f"the run id {run_id!r} contains a slash, which separates a tenant from the name of a run"
        repair = f"use another character, as in {name.replace('/', '-')!r}"
        raise InputError(text, where="run_id", repair=repair)
    check_unreserved(name, "run id")
    return run_id


def check_unreserved(name: str, what: str) -> None:
    """Check that a name which a caller chose does not begin with the prefix of the engine's own names.

    Raises:
        InputError: The name begins with `RESERVED`.
    """
    if name.startswith(RESERVED):
        text = f"the {what} {name!r} begins with {RESERVED!r}, which is reserved for the engine"
        raise InputError(text, where=what, repair=f"choose a {what} that begins differently")


def tenants_id(tenant: str | None, run_id: str) -> str:
    """Return the full id of the run that a tenant calls by this name. Two tenants can choose the same name.

    The tenant is quoted, so that it contains no slash. So the ids of two tenants are never equal.

    Raises:
        InputError: The text cannot be the id of a run, or may be the id of a run of another tenant.

    Example:
        >>> tenants_id("acme", "order-7"), tenants_id(None, "order-7")
        ('acme/order-7', 'order-7')
    """
    return check_id(_tenant_prefix(tenant) + chosen_id(run_id, tenant).removeprefix(_tenant_prefix(tenant)))


def derive_id(kind: str, *parts: str, tenant: str | None = None) -> str:
    """Return the id of a run that the engine starts itself, for example for a chat or a child run, from several names.

    The names are quoted, so that different names never give the same id.

    Example:
        >>> derive_id("chat", "ada"), derive_id("thread", "a-b", "c"), derive_id("thread", "a", "b-c")
        ('ge:chat:ada', 'ge:thread:a-b:c', 'ge:thread:a:b-c')
    """
    named = ":".join([kind, *(quote(part, safe="@+,") for part in parts)])
    if len(named) > _LONGEST_OWN:
        named = f"{kind}:{hashlib.sha256(named.encode()).hexdigest()}"
    return _tenant_prefix(tenant) + RESERVED + named


def _tenant_prefix(tenant: str | None) -> str:
    return "" if tenant is None else f"{quote(tenant, safe='')}/"
