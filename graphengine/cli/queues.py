"""`graphengine queues`: list the queues of a database, and set their limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from graphengine.cli import helping, options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphengine.cli.folders import Database
    from graphengine.cli.session import Session
    from graphengine.history.json_document import Document
    from graphengine.stores.base import QueueCount, QueueLimits, Store


class Rate(click.ParamType[tuple[int, float]]):
    """A number of runs in a time, such as 100/60s or 5/1h, as (count, seconds)."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:  # noqa: ANN401
        """Return the count and the seconds."""
        found = re.fullmatch(r"([1-9][0-9]{0,8})/(.+)", str(value))
        if found is None:
            self.fail(f"{value!r}: give a number of runs and a time, e.g. 100/60s", param, ctx)
        seconds = options.Age().convert(found[2], param, ctx)
        if not seconds:
            self.fail(f"{value!r}: the time is 0", param, ctx)
        return int(found[1]), seconds


@click.command(
    "queues",
    cls=helping.Command,
    examples="""
        graphengine queues
        graphengine queues mail --concurrency 20 --rate 100/60s
        graphengine queues mail --key-concurrency 2 --key-rate 10/1m
        graphengine queues mail --no-limits
    """,
)
@click.argument("queue", metavar="[QUEUE]", required=False)
@click.option("--concurrency", type=click.IntRange(min=1), help="How many of its runs may be driven at a time.")
@click.option("--rate", type=Rate(), metavar="N/TIME", help="At most N of its runs begin in this time, e.g. 100/60s.")
@click.option("--key-concurrency", type=click.IntRange(min=1), help="The same as --concurrency for each key.")
@click.option("--key-rate", type=Rate(), metavar="N/TIME", help="The same as --rate for each key.")
@click.option("--no-limits", is_flag=True, help="Remove the limits of the queue.")
@options.database
@options.common
@click.pass_obj
def command(
    session: Session,
    /,
    *,
    queue: str | None,
    no_limits: bool,
    database: Database | None,
    **given: Any,  # noqa: ANN401 - the limits
) -> int:
    """List the queues with runs that are queued or driven, and the limits of queues.

    `graphengine run --queue` and `start(…, queue=)` put runs into a queue, and workers take them from there. With a
    QUEUE and limits, these replace the limits it had; they hold over all workers.
    """
    from graphengine.cli.places import place_of
    from graphengine.cli.recorded import read
    from graphengine.stores.base import QueueLimits

    place = place_of(database)
    is_set = no_limits or any(value is not None for value in given.values())
    if is_set and queue is None:
        raise click.UsageError("name the queue: graphengine queues QUEUE --concurrency 20")
    if is_set:
        _set(place.database, str(queue), None if no_limits else QueueLimits(**given))
    counts, limits = read(place, _counted)
    names = sorted({count.queue for count in counts} | set(limits))
    rows = [(name, *_counts(counts, name), limits.get(name)) for name in names if queue in (None, name)]
    if session.json:
        session.document(_document(rows))
    elif rows:
        _show(session, rows)
    else:
        session.err.line("no run is queued or driven" if queue is None else f"queue {queue} has no runs and no limits")
    return 0


def _set(database: Any, queue: str, limits: QueueLimits | None) -> None:  # noqa: ANN401 - a path or an address
    import asyncio

    from graphengine.api.runner import Runner

    async def change() -> None:
        async with Runner(database) as runner:
            await runner.limit_queue(queue, limits)

    asyncio.run(change())


async def _counted(store: Store) -> tuple[Sequence[QueueCount], dict[str, QueueLimits]]:
    return await store.queue_counts(), dict(await store.queue_limits())


def _counts(counts: Sequence[QueueCount], name: str) -> tuple[int, int]:
    return next(((count.queued, count.driven) for count in counts if count.queue == name), (0, 0))


def _document(rows: Sequence[tuple[str, int, int, QueueLimits | None]]) -> Document:
    from graphengine.cli.run_documents import OneQueue, Queues

    return Queues(queues=[OneQueue(*row) for row in rows])


def _show(session: Session, rows: Sequence[tuple[str, int, int, QueueLimits | None]]) -> None:
    from graphengine.cli.tables import padded

    lines = [(name, str(queued), str(driven), _words(limits)) for name, queued, driven, limits in rows]
    heading, *body = padded(("queue", "queued", "driven", "limits"), lines, columns=session.out.columns, expendable=())
    session.out.line(("".join(heading), "bold"))
    for line in body:
        session.out.line("".join(line))


def _words(limits: QueueLimits | None) -> str:
    if limits is None:
        return ""
    found: list[str] = []
    for of, concurrency, rate in (
        ("", limits.concurrency, limits.rate),
        (" of a key", limits.key_concurrency, limits.key_rate),
    ):
        found += [f"{concurrency} at a time{of}"] if concurrency is not None else []
        found += [f"{rate[0]} in {rate[1]:g} s{of}"] if rate is not None else []
    return ", ".join(found)
