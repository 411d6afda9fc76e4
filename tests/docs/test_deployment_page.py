"""docs/use/deployment.md: a service submits jobs, and workers finish them, also after one of them is killed."""

import asyncio
import configparser
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from graphengine import Runner
from graphengine.cli.places import read_settings
from graphengine.errors import RunExists
from graphengine.graph.options import Retention
from tests.cli.programs import call
from tests.docs.page import USE, blocks
from tests.docs.test_machines_page import check_command
from tests.kit import forks

PAGE = (USE / "deployment.md").read_text(encoding="utf-8")
SOURCE, UNIT, IMAGE, SETTINGS = (
    blocks(USE / "deployment.md", name)[0] for name in ("python", "ini", "dockerfile", "toml")
)
(COMMAND,) = re.findall(r"^\$ (graphengine worker .*)$", PAGE, re.MULTILINE)
SLOW = SOURCE.replace(
    "return len", 'open("began", "w").close()\n    import asyncio\n    await asyncio.sleep(60)\n    return len'
)


class Workers:
    """The page's worker command, in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[forks.Started] = []

    def start(self, source: str) -> forks.Started:
        """Start one on this source."""
        (self.folder / "jobs.py").write_text(source, encoding="utf-8")
        command = [*COMMAND.split(), "--store", "runs.db", "--poll", "0.05", "--json"]
        self.started.append(forks.start(*command, folder=self.folder))
        return self.started[-1]


@pytest.fixture
def workers(tmp_path: Path) -> Iterator[Workers]:
    """Workers in the folder of the test; they are killed at the end."""
    made = Workers(tmp_path)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()


def documents(process: forks.Started, until: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
    """Return what a worker prints up to a document."""
    found: list[dict[str, Any]] = []
    for line in process.stdout:
        found.append(json.loads(line))
        if until(found[-1]):
            return found
    raise AssertionError(f"the worker ended with {process.wait()}: {found}")


async def test_a_submitted_job_is_finished_by_a_worker_although_the_first_one_is_killed(
    workers: Workers, tmp_path: Path
) -> None:
    """The second worker takes it; a second submission of the order is refused; SIGTERM ends the worker with 0."""
    page = ModuleType("jobs")
    exec(compile(SOURCE, "jobs.py", "exec"), page.__dict__)  # noqa: S102 - the page's own code
    async with Runner(tmp_path / "runs.db") as runner:
        await page.submit(runner, page.Job(text="one two three"), "order-7")
        first = workers.start(SLOW)
        documents(first, lambda line: line.get("run_id") == "order-7")
        while not (tmp_path / "began").exists():  # noqa: ASYNC110 - it waits for another process
            await asyncio.sleep(0.01)
        first.kill()
        second = workers.start(SOURCE)
        last = documents(second, lambda line: line.get("status") == "finished")[-1]
        assert last["run_id"] == "order-7"
        assert (await runner.state_at("order-7"))["words"] == 3
        with pytest.raises(RunExists):
            await page.submit(runner, page.Job(text="again"), "order-7")
        second.terminate()
        assert second.wait(30) == 0


def test_its_unit_and_its_image_start_a_worker() -> None:
    """Their commands have only options that exist; the unit ends it as a drain needs."""
    unit = configparser.ConfigParser()
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # as systemd, which keeps the case
    unit.read_string(UNIT)
    service = unit["Service"]
    assert (service["KillSignal"], service["Restart"]) == ("SIGTERM", "always")
    check_command([Path(service["ExecStart"].split()[0]).name, *service["ExecStart"].split()[1:]])
    (command,) = re.findall(r"^CMD (.*)$", IMAGE, re.MULTILINE)
    check_command(json.loads(command))


def test_its_checklist_is_what_the_doctor_prints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines of the page are among those of a project with its graph; its settings are read."""
    for name, text in (
        ("jobs.py", SOURCE),
        ("pyproject.toml", '[tool.graphengine]\ngraphs = ["."]\nstore = "runs.db"\n'),
    ):
        (tmp_path / name).write_text(text, encoding="utf-8")
    call(tmp_path, "run", "jobs", "--input", "text=one")
    found = call(tmp_path, "doctor", "--production")
    assert found.returncode == 1
    (shown,) = re.findall(r"doctor --production\n(.*?)```", PAGE, re.DOTALL)
    assert [line for line in shown.splitlines() if line not in found.stdout.splitlines()] == []
    (tmp_path / "pyproject.toml").write_text(f'[tool.graphengine]\ngraphs = ["."]\n\n{SETTINGS}', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert read_settings("retention") == Retention(keep_days=30, keep_failed_days=90)
