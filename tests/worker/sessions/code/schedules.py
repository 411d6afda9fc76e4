from pydantic import BaseModel

from graphengine.worker import Schedule
from graphengine.worker.schedules import Ticker, as_schedule, start_due
from tests.kit.runs import alone
from tests.kit.workers import let_work

HOUR = 3600.0
NOON = 1780315200.0  # 2026-06-01 12:00 UTC


class State(BaseModel):
    topic: str = "none"
    day: int = 0


class Changed(BaseModel):
    must: int


report = alone(State, lambda topic: topic.upper(), "topic", name="report")
other = alone(State, lambda topic: topic, "topic", name="other")
changed = alone(Changed, lambda must: must, "must", name="report")


def hourly(**more):
    return Schedule("hourly", "0 * * * *", "report", **more)


def misfit(**more):
    return Schedule(**{"name": "a", "cron": "* * * * *", "graph": "report", **more})


async def finish(runner, run_id):
    """Drive a run to its end, as a worker does that has no schedules."""
    return (await (await runner.drive(run_id, report)).result()).status
