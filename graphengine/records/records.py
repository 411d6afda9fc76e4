"""The part of a runner that lists and tags recorded runs and reads what they wait for. Nothing here drives a run."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec.structs import replace

from graphengine.errors import InputError, UnknownRun
from graphengine.kernel.extension import Runner as CoreRunner
from graphengine.kernel.extension import did_you_mean
from graphengine.kernel.inside import UNREADABLE, check_tags
from graphengine.kernel.reader import status_of
from graphengine.records.now import load_now
from graphengine.records.result_rows import result_rows
from graphengine.records.run_waits import RunWait, run_waits_of
from graphengine.records.search import wanted_of
from graphengine.records.selection import STATUSES, Wanted, as_answered, newest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphengine.kernel.store import RunInfo

T = TypeVar("T")


class Page(list[T]):
    """One page of a list that is too long to be read at once.

    Attributes:
        more: Whether more runs follow this page. Pass the id of the last run as `before=` to read the next page.
    """

    more: bool = False


class Records(CoreRunner):
    """The methods of a Runner that list, search and tag recorded runs."""

    async def runs(  # noqa: PLR0913 - each selects runs
        self,
        search: str = "",
        *,
        status: str | None = None,
        graph: str | None = None,
        tag: str | None = None,
        tenant: str | None = None,
        limit: int = 100,
        before: str | None = None,
    ) -> Page[RunInfo]:
        """Return the recorded runs, the newest first, whichever process drives them.

        Args:
            search: Words and filters, as on the command line: `"timeout status:failed"`. A run is found if each word is
                the beginning of a word in the run's id, graph, tags or first input, in its open question, or in the
                reason for its end. Order and case do not matter. The filters are `id:`, `status:`, `graph:`, `tag:`,
                `tenant:`, `since:`, `after:`, `before:` and `cost>`.
            status: Only runs with this status: `running` (a process drives the run), `queued` (no process has driven
                the run yet), `interrupted` (the process that drove the run is gone), `waiting`, `finished`, `stopped`
                or `failed`.
            graph: Only runs of this graph, by name.
            tag: Only runs with this tag.
            tenant: Only runs for this tenant.
            limit: The maximum number of runs. The attribute `more` of the result tells whether more runs follow.
            before: The id of the last run of the previous page, to read the next page.

        Raises:
            InputError: The status or the value of a filter does not exist, or the limit is below 1.
            UnknownRun: The run named by `before` does not exist.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.start(count, run_id="first", tags=["nightly"]).result()
            ...         print([(info.id, info.status) for info in await runner.runs(tag="nightly")])
            ...         print([info.id for info in await runner.runs("FIRST since:1h")])
            >>> asyncio.run(main())
            [('first', 'finished')]
            ['first']
        """
        self._lives.check_usable()
        if status is not None and status not in STATUSES:
            text = f"{status!r} is not a status of a run"
            raise InputError(text, where="runs", repair=did_you_mean(status, STATUSES))
        if limit < 1:
            text = f"runs(limit={limit}): the number of runs to return must be at least 1"
            raise InputError(text, where="runs", repair="write runs(limit=20)")
        await self.store.open()
        wanted = Wanted(limit + 1, status, graph, tag, before=before, tenant=tenant)
        found = await newest(self.store, wanted_of(search, wanted))
        answered = await as_answered(self.store, found[:limit])
        page = Page(replace(info, status=status_of(info)) for info in answered)
        page.more = len(found) > limit
        return page

    async def rows(self, runs: Iterable[RunInfo | str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return results as a table, for pandas, polars or a CSV file: a row for each run, in the order given.

        Each row contains `run_id`, `graph`, `status`, `created_at` and `ended_at` (in epoch seconds), and `cost_usd` of
        a run. It also contains the chosen fields of the last recorded state of the run, as JSON values. A field that
        the run does not have is None, and so are all fields of a run that this process cannot read. A secret field
        contains the text `secret`.

        Args:
            runs: The runs, for example a page of `Runner.runs`, or their ids.
            fields: The fields of their states. A dot leads into an object: `"order.amount"`. If a field has the name of
                another column, its column is called `state.NAME`, for example `state.status`.

        Raises:
            UnknownRun: A run with one of the ids does not exist.
            InputError: None of the runs has one of the fields, or a text was given in place of a list.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.start(count, run_id="first").result()
            ...         for row in await runner.rows(await runner.runs(graph="count"), ["n"]):
            ...             print(row["run_id"], row["status"], row["n"])
            >>> asyncio.run(main())
            first finished 3
        """
        if isinstance(runs, str):
            repair = f"search first: rows(await runner.runs({runs!r}), …), or give a list of ids: rows([{runs!r}], …)"
            raise InputError(f"runs={runs!r} is a text, and not a list of runs", where="rows", repair=repair)
        if isinstance(fields, str):
            repair = f"give a list: {[each.strip() for each in fields.split(',')]!r}"
            raise InputError(f"fields={fields!r} is a text, and not a list of names", where="rows", repair=repair)
        infos = [await self.info(each) if isinstance(each, str) else each for each in runs]
        await self.store.open()
        return await result_rows(self.store, infos, fields)

    async def waits(
        self, run_id: str | None = None, *, graph: str | None = None, limit: int = 100, before: str | None = None
    ) -> Page[RunWait]:
        """Return the waits of one run, or of all waiting runs with the newest run first.

        A wait is an open question, or a message or a time for which a run waits. Once the answer to a question is
        recorded, `waits` leaves the question out, even if no process has continued the run yet.

        The list for all runs leaves out runs in which another node is still working. It also leaves out runs that this
        process cannot read because they are damaged or of a newer version. Reading takes about a millisecond for each
        run.

        Args:
            run_id: The run; all waiting runs if not given.
            graph: Only runs of this graph, by name.
            limit: The maximum number of runs. The attribute `more` of the result tells whether more runs follow.
            before: The id of the last run of the previous page, to read the next page.

        Raises:
            UnknownRun: The run does not exist.
            InputError: The limit is below 1.

        Example:
            >>> graph = Graph("asks", Count)
            >>> graph.add_node("number", ask("Which number?", int), writes="n")
            >>> graph.add_path(START, "number", END)
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         for run_id in ("first", "second"):
            ...             await runner.start(graph, run_id=run_id).result()
            ...         for wait in await runner.waits(graph="asks"):
            ...             print(wait.run_id, wait.name, wait.kind, wait.question)
            >>> asyncio.run(main())
            second number ask Which number?
            first number ask Which number?
        """
        if run_id is not None:
            await self._lives.wait_until_recorded(run_id)
            return Page(run_waits_of(await load_now(self.store, run_id)))
        runs = await self.runs(status="waiting", graph=graph, limit=limit, before=before)
        found = Page[RunWait]()
        found.more = runs.more
        for info in runs:
            # Another process may have removed the run since, or this process cannot read its log.
            with suppress(UnknownRun, *UNREADABLE):
                found += run_waits_of(await load_now(self.store, info.id))
        return found

    async def tag(self, run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Sequence[str]:
        """Add and remove tags of a run, and return the sorted tags.

        The run may have any status, and any process may drive it.

        Args:
            run_id: The run.
            add: Tags to add, each of 1 to 100 printable characters.
            remove: Tags to remove. Tags that the run does not have are ignored.

        Raises:
            UnknownRun: The run does not exist.
            InputError: A text is not a valid tag.
        """
        added, removed = check_tags(add, "add="), check_tags(remove, "remove=")
        await self._lives.wait_until_recorded(run_id)
        return await self.store.tag(run_id, added, removed)


__all__ = ["Page", "Records", "RunWait"]
