"""Times, amounts and members of Enums are shown as people write them."""

import datetime
import enum
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from zoneinfo import ZoneInfo

import pytest
from pydantic import TypeAdapter

from graphengine.graph.condition_spec import condition_text, value_text
from graphengine.graph.conditions import value
from graphengine.state.measured import measured_of
from graphengine.state.plain_text import plain_text


class Color(enum.Enum):
    RED = "red"


MONDAY = datetime.datetime(2026, 3, 2, 8, 30)  # noqa: DTZ001 - a time without a zone too
READ = TypeAdapter(datetime.datetime).validate_python("2026-03-02T08:30:00+02:00")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        (MONDAY, "2026-03-02 08:30"),
        (MONDAY.replace(second=5, microsecond=7), "2026-03-02 08:30:05.000007"),
        (MONDAY.replace(tzinfo=datetime.UTC), "2026-03-02 08:30 UTC"),
        (MONDAY.replace(tzinfo=ZoneInfo("Europe/Berlin")), "2026-03-02 08:30 Europe/Berlin"),
        (MONDAY.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))), "2026-03-02 08:30 UTC-05:00"),
        (READ, "2026-03-02 08:30 UTC+02:00"),
        (MONDAY.date(), "2026-03-02"),
        (datetime.time(8), "08:00"),
        (datetime.time(8, 0, 1), "08:00:01"),
        (datetime.timedelta(hours=2), "2:00:00"),
        (datetime.timedelta(days=-1), "-1 day, 0:00:00"),
        (datetime.timedelta(0), "0:00:00"),
        (Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        ((Color.RED, MONDAY.date()), "(Color.RED, 2026-03-02)"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_value_is_shown_as_people_write_it(given: object, shown: str) -> None:
    """What was recorded of a value is turned into plain words when it is read."""
    assert value_text(measured_of(given)) == shown


def test_words_are_not_mistaken_for_values() -> None:
    """A text that looks like a call stays a text, and what is cut off stays as it is."""
    assert value_text(measured_of("datetime.date(2026, 1, 1)")) == "'datetime.date(2026, 1, 1)'"
    assert plain_text("datetime.date(2026, 13, 1)") == "datetime.date(2026, 13, 1)"
    assert plain_text("datetime.date(2026, 1") == "datetime.date(2026, 1"


def test_a_condition_on_a_time_reads_well() -> None:
    """An edge shows the time, and not the call that makes it."""
    assert condition_text((value("day") > MONDAY.date()).spec) == "day > 2026-03-02"
