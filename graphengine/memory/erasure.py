"""Erasing the data of a person: a user's runs with all runs that resulted from these, memories, notices and accounts.

Runs refer to each other: a branch reads the steps of its parent, a node can start a child run, a later turn begins with
the end of an earlier run, and a notice is about a run. The code here follows all of these references. If it finds runs
of another user, it erases these only if they are named explicitly; otherwise it erases nothing.

References to removed data cannot be followed any more. Therefore memories and notices are deleted first, so that an
interrupted call can simply be repeated.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from graphengine.databases.sql import SQLStore
from graphengine.databases.sqlite.in_process import InProcess
from graphengine.errors import InputError
from graphengine.kernel.extension import derive_id
from graphengine.kernel.reader import Started
from graphengine.memory.kept import statements_for, table_of
from graphengine.records.retention import DRIVEN, ENDED, remove
from graphengine.records.selection import Wanted, newest

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from graphengine.kernel.store import RunInfo, Store
    from graphengine.records.records import Records

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Erased:
    """The data that was erased, or that would be erased.

    Attributes:
        runs: The ids of the runs, and how each was found, such as `branch of r`.
        memories: The namespaces and keys of the memories.
        kept: The ids of the runs that could not be removed, and the reasons. Repeat the call when the reasons no longer
            apply.
        dry_run: Whether nothing was erased.
    """

    runs: Mapping[str, str] = field(default_factory=dict)
    memories: Sequence[tuple[str, str]] = ()
    kept: Mapping[str, str] = field(default_factory=dict)
    dry_run: bool = False


async def erase(runner: Records, user: str, *, also: Collection[str] = (), dry_run: bool = False) -> Erased:
    """Erase the data of a user from the store of a Runner. This cannot be undone.

    Erased are:

    - the runs that the user started, and the conversation whose key is the user's name
    - the runs that resulted from these: branches, children, later turns and notices
    - the memories in namespaces that contain the user's name as a part
    - the user's accounts of budgets

    `erase` cancels those of the user's runs that have not ended. As its last step, `erase` rewrites a SQLite file, so
    that the file no longer contains any byte of the erased data. Other processes that want to write to the file wait
    until this is done. A PostgreSQL database keeps removed rows until the database is vacuumed, as the page on
    operating a database explains.

    Args:
        runner: A Runner with the store.
        user: The user's name, as it was given to `Runner.start(user=…)`.
        also: The ids of runs of other users that may be erased, too; see `InputError`.
        dry_run: Only report what would be erased.

    Raises:
        InputError: Runs of other users resulted from the user's runs, for example as branches, and `also` does not name
            them.

    Example:
        >>> async def main() -> None:
        ...     async with Runner() as runner:
        ...         await runner.start(count, run_id="first", user="ada").result()
        ...         await runner.branch("first", count, at=1, run_id="second").result()
        ...         print((await erase(runner, "ada")).runs)
        ...         print(len(await runner.runs()))
        >>> asyncio.run(main())
        {'first': 'of ada', 'second': 'branch of first'}
        0
    """
    store = runner.store
    await store.open()
    found, whys = await _follow_user(store, user)
    others = sorted(i.id for i in found.values() if i.user not in (None, "", user) and i.id not in also)
    if others and not dry_run:
        named = ", ".join(f"{each!r} ({whys[each]}, of {found[each].user})" for each in others)
        repair = f"erase these runs too: also={others!r}"
        raise InputError(
            f"the runs of user {user!r} started runs of other users: {named}", where=f"erase {user}", repair=repair
        )
    kept = {each: f"of {found[each].user}: name it in also" for each in others}
    memories = await _memories(store, user)
    if dry_run:
        return Erased({each: why for each, why in whys.items() if each not in kept}, memories, kept, dry_run)
    if memories:
        await _forget(store, memories)
    for info in found.values():
        if info.status not in ENDED and info.driver is None:
            await runner.stop(info.id, "erased", final=True)
    now = {info.id: info for info in await store.infos([*found])}
    kept |= {info.id: f"{DRIVEN}: stop it first" for info in now.values() if info.driver is not None}
    going = {each: info for each, info in now.items() if each not in kept}
    notices = {each: info for each, info in going.items() if whys[each].startswith("notice of")}
    for part in (notices, {each: info for each, info in going.items() if each not in notices}):
        await remove(store, part, kept, dry_run=False)
    await _scrub(store, user, [each for each in going if each not in kept])
    return Erased({each: whys[each] for each in going if each not in kept}, memories, kept)


async def _follow_user(store: Store, user: str) -> tuple[dict[str, RunInfo], dict[str, str]]:
    """Find a user's runs and all runs that resulted from them, such as branches and children.

    Returns the runs by id, and for each run how it was found, such as `branch of r`.
    """
    own = [*await newest(store, Wanted(sys.maxsize, user=user)), *await store.infos([derive_id("chat", user)])]
    found = {info.id: info for info in sorted(own, key=lambda info: (info.created_at, info.id))}
    whys = dict.fromkeys(found, f"of {user}")
    later = await _load_later(store, found)
    new = [*found.values()]
    while new:
        reached = [(info, f"branch of {info.parent}") for info in await store.branches([each.id for each in new])]
        for each in new:
            reached += [(info, f"child of {each.id}") for info in await _all(store, starter=each.id)]
            reached += [(info, f"notice of {each.id}") for info in await _all(store, tag=f"about:{each.id}"[:100])]
            reached += [(info, f"later turn of {each.id}") for info in later.get(each.id, ())]
        new = [info for info, _ in {info.id: (info, why) for info, why in reached}.values() if info.id not in found]
        whys |= {info.id: why for info, why in reached if info.id not in found}
        found |= {info.id: info for info in new}
    return found, whys


async def _all(store: Store, **criteria: str) -> Sequence[RunInfo]:
    return await newest(store, Wanted(sys.maxsize, **criteria))  # type: ignore[arg-type]  # of texts


async def _load_later(store: Store, found: Mapping[str, RunInfo]) -> dict[str, list[RunInfo]]:
    """Find the runs that continue an earlier run, because they were started with `after=` and the id of that run.

    Returns them as lists, by the id of the run that they continue. Only runs that began after the first run of `found`
    are read.
    """
    later: dict[str, list[RunInfo]] = {}
    if not found:
        return later
    since = min(info.created_at for info in found.values())
    for info in await newest(store, Wanted(sys.maxsize, begun_after=since)):
        for step in await store.steps(info.id, info.parent_seq, info.parent_seq + 1):
            if isinstance(step.data, Started) and step.data.after:
                later.setdefault(step.data.after, []).append(info)
    return later


async def _memories(store: Store, user: str) -> Sequence[tuple[str, str]]:
    """Return the namespaces and keys of a user's memories.

    The result is empty if the database has no table of memories.
    """
    if not isinstance(store, SQLStore | InProcess):
        return ()
    statements = statements_for(store)
    if not await store.read(lambda connection, _: statements.exist(connection)):
        return ()
    found: list[tuple[str, str]] = []
    last, scope = ("", ""), {"namespace": "", "low": "", "high": "\U0010ffff"}
    while True:
        rows = await store.read(partial(_load_memories, statements, scope, last))
        found += [(row[0], row[1]) for row in rows if user in row[0].split("/")]
        if len(rows) < _PAGE:
            return found
        last = rows[-1][0], rows[-1][1]


def _load_memories(
    statements: Any,  # noqa: ANN401 - of either dialect
    scope: Mapping[str, str],
    last: tuple[str, str],
    connection: Any,  # noqa: ANN401 - of either dialect
    _: object,
) -> list[tuple[Any, ...]]:
    found: list[tuple[Any, ...]] = statements.page(connection, scope, last, _PAGE)
    return found


async def _forget(store: Any, memories: Sequence[tuple[str, str]]) -> None:  # noqa: ANN401 - of either dialect
    opened, statements = await table_of(store)

    def delete(connection: Any) -> None:  # noqa: ANN401 - of either dialect
        for namespace, key in memories:
            statements.delete(connection, namespace, key)

    await opened.write(delete)


async def _scrub(store: Store, user: str, runs: Sequence[str]) -> None:
    """Delete the user's accounts of budgets, and the notices about the runs, and rewrite the file of a SQLite database.

    The rewritten file contains no byte of the deleted data any more.
    """
    if not isinstance(store, SQLStore):
        return
    statements = store.dialect.statements("erasure.sql")

    def delete(connection: Any) -> None:  # noqa: ANN401 - of either dialect
        statements.do(connection, "accounts", {"user": user})
        for run_id in runs:
            statements.do(connection, "notice", {"start": f"news {run_id} "})

    await store.write(delete)
    await getattr(store, "rewrite", store.vacuum)()


__all__ = ["Erased", "erase"]
