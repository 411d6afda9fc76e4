"""`graphengine schedule`: schedules are added, listed, paused, resumed and removed."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from tests.cli.conftest import present
from tests.cli.test_queues import FLOW, ran
from tests.kit.documents import check_document

DAILY = ["schedule", "add", "daily", "--cron", "0 7 * * *", "--graph", "flow.py"]


@pytest.fixture(autouse=True)
def _project(tmp_path: Path) -> Iterator[None]:
    (tmp_path / "flow.py").write_text(FLOW)
    with present(tmp_path, tmp_path):
        yield


def test_a_schedule_from_its_beginning_to_its_end() -> None:
    """Each command shows what has become of a schedule."""
    more = ["--zone", "Europe/Berlin", "--input", "n=4", "--missed", "one", "--queue", "mail", "--tag", "nightly"]
    document = ran(*DAILY, *more, "--json")
    check_document("schedule add", json.loads(document))
    (added,) = json.loads(document)["schedules"]
    assert (added["name"], added["graph"], added["input"], added["missed"]) == ("daily", "flow", {"n": 4}, "one")
    assert added["next_at"] % 3600 == 0
    listed = ran("schedule", "list").splitlines()
    assert listed[0].split() == ["schedule", "times", "zone", "graph", "queue", "missed", "next"]
    assert "Europe/Berlin" in listed[1]
    assert "paused" in ran("schedule", "pause", "daily")
    assert json.loads(ran("schedule", "list", "--json"))["schedules"][0]["next_at"] is None
    assert "paused" not in ran("schedule", "resume", "daily")
    ran("schedule", "remove", "daily")
    assert json.loads(ran("schedule", "list", "--json"))["schedules"] == []


@pytest.mark.parametrize(
    "words",
    [
        ["schedule"],
        ["schedule", "add"],
        ["schedule", "ad", "daily"],
        ["schedule", "add", "daily", "--graph", "flow.py"],
        ["schedule", "remove", "daily"],
        [*DAILY, "--zone", "Mars/Phobos"],
        [*DAILY, "--input", "m=4"],
    ],
)
def test_wrong_options_are_refused(words: list[str]) -> None:
    """Wrong options are refused with exit code 2 and the repair; nothing is kept."""
    ran("run", "flow.py")
    found = CliRunner().invoke(main, words)
    assert found.exit_code == 2, found.output
    assert json.loads(ran("schedule", "list", "--json"))["schedules"] == []
