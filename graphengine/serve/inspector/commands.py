"""What the page writes: answers, messages, stops and tags, through a `Runner`, as the command line does.

These work without a graph's code. Starting, resuming and branching need it: see `driving`.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

from starlette.datastructures import QueryParams

from graphengine.kernel import InputError, ask_anew, lives_of, question_id, status_of
from graphengine.kernel.definitions import did_you_mean
from graphengine.records.selection import newest
from graphengine.serve.callers import signed_by
from graphengine.serve.inspector.queries import Query, flag_of, text_of, texts_of
from graphengine.serve.inspector.views import wanted_by

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from graphengine.api.runner import Runner
    from graphengine.kernel import Store
    from graphengine.records.bulk import Action
    from graphengine.serve.inspector.driving import Drivable


_STOP_SECONDS: Final = 2.0
_MOST_TICKED: Final = 10_000
_SHOWN: Final = 5
_FILTERS: Final = {"text", "status", "graph", "tag", "view", "begun_after", "begun_before", "cost_above"}
"""What selects runs to change: a misspelt name would leave no filter, and so mean all of them."""


class Commands:
    """Writes to one database.

    Args:
        writer: Returns the store to write to.
        reader: The same, as the caller can read it.
        driving: Returns the Runner that drives runs here, so that they get what is sent at once. Without one, a Runner
            is opened for each write, so that the inspector holds no lease meanwhile.
        graphs: The graphs whose runs that Runner can drive, by name.
    """

    def __init__(
        self,
        writer: Callable[[], Store],
        reader: Store,
        driving: Callable[[], Runner] | None = None,
        graphs: Mapping[str, Drivable] | None = None,
    ) -> None:
        self._writer = writer
        self._reader = reader
        self._driving = driving
        self._graphs = graphs or {}

    @asynccontextmanager
    async def _runner(self) -> AsyncIterator[Runner]:
        if self._driving is not None:
            yield self._driving()
            return
        from graphengine.api.runner import Runner  # noqa: PLC0415 - the page opens without it

        async with Runner(self._writer()) as runner:
            yield runner

    async def _seen(self, body: Mapping[str, Any]) -> str:
        """Return the id of the run that is written to. Raises: UnknownRun: There is none for the caller."""
        return (await self._reader.info(text_of(body, "id"))).id

    async def answer(self, body: Mapping[str, Any]) -> None:
        """Answer a question of a run."""
        run_id, by = await self._seen(body), signed_by(str(body.get("by", "")))
        async with self._runner() as runner:
            wait, graph = question_id(text_of(body, "wait")), self._graphs.get((await self._reader.info(run_id)).graph)
            if graph is not None:
                await ask_anew(runner, run_id, graph.graph, wait)
            reason = text_of(body, "reason") if body.get("reason") else ""
            await runner.answer(run_id, body.get("value"), wait=wait, by=by, through="page", reason=reason)

    async def send(self, body: Mapping[str, Any]) -> None:
        """Send a message to a run; with the same idempotency key it is sent once."""
        run_id = await self._seen(body)
        async with self._runner() as runner:
            await runner.send(
                run_id,
                text_of(body, "topic"),
                body.get("payload"),
                idempotency_key=text_of(body, "idempotency_key"),
            )

    async def stop(self, body: Mapping[str, Any]) -> None:
        """Stop a run, or ask its driver to; `now` cancels what is in flight, `final` the run."""
        now, final = flag_of(body, "now"), flag_of(body, "final")
        info = await self._reader.info(text_of(body, "id"))
        stopped = ("queued", "running", "waiting", *(("interrupted", "stopped", "failed") if final else ()))
        if status_of(info) not in stopped:
            message = f"run {info.id} is {status_of(info)}, so there is nothing to stop"
            raise InputError(message, where=f"run {info.id}", repair="resume it if it is to continue")
        async with self._runner() as runner:
            # A run that is driven here has been asked at once, and stops after its nodes in flight. Any other stop is
            # work in the database, which a limit would withdraw.
            seconds = _STOP_SECONDS if info.id in lives_of(runner).shared.driven else None
            with suppress(TimeoutError):
                await asyncio.wait_for(runner.stop(info.id, now=now, final=final), seconds)

    async def tag(self, body: Mapping[str, Any]) -> None:
        """Add and remove tags of a run."""
        run_id, added, removed = await self._seen(body), texts_of(body, "add"), texts_of(body, "remove")
        async with self._runner() as runner:
            await runner.tag(run_id, add=added, remove=removed)

    async def bulk(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do something to the runs with these ids, or to all that are found; a dry run shows to which it would be done.

        What was done counts, with some titles; so do those that were left out because of what they are, and those that
        could not be changed, by the reason. `cost_usd` is what the runs cost so far.
        """
        from graphengine.records.bulk import ACTIONS, Order, bulk  # noqa: PLC0415 - the page opens without it

        action, dry_run, where = text_of(body, "action"), flag_of(body, "dry_run"), body.get("where")
        if action not in ACTIONS:
            raise InputError(f"there is no action {action!r}", where="action", repair=did_you_mean(action, ACTIONS))
        if isinstance(where, dict):
            if (unknown := sorted(where.keys() - _FILTERS)) or body.get("ids"):
                repair = f"where has some of {', '.join(sorted(_FILTERS))}; or give ids alone"
                raise InputError(f"where has {', '.join(unknown) or 'ids beside it'}", where="where", repair=repair)
            query = Query(QueryParams({name: str(each) for name, each in where.items()}))
            chosen = await newest(self._reader, replace(wanted_by(query), limit=sys.maxsize, before=None))
        else:
            chosen = await self._reader.infos(texts_of(body, "ids", most=_MOST_TICKED))
        graphs, tag = [each.graph for each in self._graphs.values()], body.get("tag")
        order = Order(cast("Action", action), None, graphs, None if tag is None else text_of(body, "tag"))
        async with self._runner() as runner:
            done = await bulk(runner, order, chosen, dry_run=dry_run)
        infos = {info.id: info for info in chosen}
        changed = [infos[run_id] for run_id in done.runs if run_id in infos]
        return {
            "found": len(chosen),
            "runs": len(done.runs),
            "titles": [info.title or info.id for info in changed[:_SHOWN]],
            "refused": Counter(done.refused.values()),
            "cost_usd": sum((info.summary.cost_usd or 0.0) if info.summary else 0.0 for info in changed),
        }


__all__ = ["Commands"]
