"""A run that asks a person and ends, whose news goes to a webhook: `DATABASE RUN URL [NAME NUMBER]`, to die there.

Without a point to die at it delivers until the run is over and nothing is left to deliver.
"""

import asyncio
import sys

from pydantic import BaseModel

from graphengine import END, START, Graph, Retry, Runner, ask
from graphengine.databases.addresses import is_postgres
from graphengine.databases.postgres import PostgresStore
from graphengine.databases.sqlite import SQLiteStore
from graphengine.errors import AnsweredAlready, AsksNothing, RunExists, RunIsDriven, Transient
from graphengine.runner import Result
from graphengine.serve.notifications import OUTBOX, Notifications, Webhook
from tests.kit.crash_points import CrashPoints, Point
from tests.serve.webhook_receiver import SECRET

AT_ONCE = Retry(attempts=5, initial_seconds=0.0, on=(Transient, OSError))


class Payment(BaseModel):
    """Whether it may be paid."""

    ok: bool = False


graph = Graph("payments", Payment)
graph.add_node("approve", ask("Pay 5?", bool), writes="ok")
graph.add_path(START, "approve", END)


async def result_of(runner: Runner, run_id: str) -> Result[Payment]:
    """Start or resume it, as soon as nobody drives it."""
    run = runner.start(graph, run_id=run_id)
    while True:
        try:
            return await run.result()
        except (RunExists, RunIsDriven):
            await asyncio.sleep(0.01)
            run = runner.resume(run_id, graph)


async def is_delivered(runner: Runner) -> bool:
    """Return whether all news was handed on and sent."""
    sending = await runner.store.runs(graph="notification")
    return not await runner.store.inbox([OUTBOX]) and all(info.status == "finished" for info in sending)


async def main(place: str, run_id: str, url: str, *point: str) -> None:
    """Drive the run, answer, and deliver, or die."""
    points = CrashPoints(Point(point[0], int(point[1])) if point else None)
    made: type[PostgresStore | SQLiteStore] = PostgresStore if is_postgres(place) else SQLiteStore
    store = made(place, lease_seconds=0.5)
    notifications = Notifications(Webhook("hook", url, SECRET, kinds=["asked", "finished"]), retry=AT_ONCE)
    with points.installed():
        async with (
            Runner(points.watched(store), extensions=[notifications]) as runner,
            notifications.delivering(runner),
        ):
            while (await result_of(runner, run_id)).status == "waiting":
                try:
                    await runner.answer(run_id, "yes")
                except (AnsweredAlready, AsksNothing):
                    await asyncio.sleep(0.01)
            while not await is_delivered(runner):  # noqa: ASYNC110 - another process may do it
                await asyncio.sleep(0.02)
    sys.stdout.write("\n".join(f"{each.name}:{each.number}" for each in points.passed))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
