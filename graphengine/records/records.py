"""Recorded runs: list and tag them, and read what they wait for. Nothing here drives a run."""

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
    """A page of a list.

    Attributes:
        more: Whether the list has others after these; `before=` the last run's id returns them.
    """

    more: bool = False


class Records(CoreRunner):
    """A Runner that also lists and tags recorded runs."""

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
            search: Only runs that these words find, as on the command line: `"timeout status:failed"`. A run is found
                by the words of its id, graph, tags and first input, and of what it waits for or why it ended, or by
                their beginnings, in any order and case. The filters are `status:`, `graph:`, `tag:`, `tenant:`,
                `since:`, `after:`, `before:` and `cost>`.
            status: Only runs with this status: `running`, `waiting`, `finished`, `stopped` or `failed`; `queued` for a
                running run that no process has driven yet, `interrupted` for one that no process drives any more;
                `running` then are those that one drives.
            graph: Only runs of this graph, by name.
            tag: Only runs with this tag.
            tenant: Only runs for this tenant.
            limit: The maximum number; `more` of the result says whether there are others.
            before: The id of the last run of a page, for the next page.

        Raises:
            InputError: There is no such status, a filter of the search has no such value, or the limit is below 1.
            UnknownRun: There is no run `before`.

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
            raise InputError(f"no run has the status {status!r}", where="runs", repair=did_you_mean(status, STATUSES))
        if limit < 1:
            raise InputError(f"runs(limit={limit}) is not valid", repair="give 1 or more")
        await self.store.open()
        wanted = Wanted(limit + 1, status, graph, tag, before=before, tenant=tenant)
        found = await newest(self.store, wanted_of(search, wanted))
        answered = await as_answered(self.store, found[:limit])
        page = Page(replace(info, status=status_of(info)) for info in answered)
        page.more = len(found) > limit
        return page

    async def rows(self, runs: Iterable[RunInfo | str], fields: Sequence[str]) -> list[dict[str, Any]]:
        """Return results as a table, for pandas, polars or a CSV file: a row for each run, in the order given.

        A row has the run's `run_id`, `graph`, `status`, `created_at`, `ended_at` (epoch seconds) and `cost_usd`, and
        the fields of its last recorded state, as JSON. What is not known is None: a field that this run does not have,
        and all fields of a run that cannot be read here. A secret field has the text `secret`.

        Args:
            runs: The runs, for example a page of `Runner.runs`, or their ids.
            fields: The fields of their states. A dot leads into an object: `"order.amount"`. A field that is called as
                another column of the row has the column `state.NAME`, for example `state.status`.

        Raises:
            UnknownRun; InputError: None of the runs has a field.

        Example:
            >>> async def main() -> None:
            ...     async with Runner() as runner:
            ...         await runner.start(count, run_id="first").result()
            ...         for row in await runner.rows(await runner.runs(graph="count"), ["n"]):
            ...             print(row["run_id"], row["status"], row["n"])
            >>> asyncio.run(main())
            first finished 3
        """
        infos = [await self.info(each) if isinstance(each, str) else each for each in runs]
        await self.store.open()
        return await result_rows(self.store, infos, fields)

    async def waits(
        self, run_id: str | None = None, *, graph: str | None = None, limit: int = 100, before: str | None = None
    ) -> Page[RunWait]:
        """Return what a run waits for, or what all waiting runs wait for, those of the newest run first.

        A question whose answer is recorded is left out, also if no process has continued the run yet. A run that still
        does something else is not among the waiting runs, nor one that cannot be read here, since it is damaged or
        of a newer version. The last step of each is read, which takes about a millisecond.

        Args:
            run_id: The run; all waiting runs if not given.
            graph: Only runs of this graph, by name.
            limit: The maximum number of runs; `more` of the result says whether there are others.
            before: The id of the last run of a page, for the next page.

        Raises:
            UnknownRun; InputError: The limit is below 1.

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
            await self._lives.known(run_id)
            return Page(run_waits_of(await load_now(self.store, run_id)))
        runs = await self.runs(status="waiting", graph=graph, limit=limit, before=before)
        found = Page[RunWait]()
        found.more = runs.more
        for info in runs:
            with suppress(UnknownRun, *UNREADABLE):  # it was removed meanwhile, or cannot be read here
                found += run_waits_of(await load_now(self.store, info.id))
        return found

    async def tag(self, run_id: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> Sequence[str]:
        """Change a run's tags, in any status and whichever process drives it, and return them sorted.

        Args:
            run_id: The run.
            add: Tags to add, each of 1 to 100 printable characters.
            remove: Tags to remove; those that it does not have are ignored.

        Raises:
            UnknownRun; InputError: A text that cannot be a tag.
        """
        added, removed = check_tags(add, "add="), check_tags(remove, "remove=")
        await self._lives.known(run_id)
        return await self.store.tag(run_id, added, removed)


__all__ = ["Page", "Records", "RunWait"]
