"""Doors take the id of a question and nothing else: an answer to one draft never publishes the next."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests.runner.waits.test_askings import KINDS, asked, press
from tests.serve.two_tenants import Place, place

DOORS: Final = {"http": "/runs/acme/r/answer", "page": "/api/runs/acme/r/answer"}
TYPES: Final = ("ask", "in code", "named", "unknown")


async def asks(here: Place, after: int = 0) -> dict[str, Any]:
    """Return the run, once it waits."""
    found: dict[str, Any] = (await here.send("acme", "GET", f"/runs/acme/r?wait=30&after={after}")).json
    return found


@pytest.mark.parametrize("door", [*DOORS])
@pytest.mark.parametrize("name", TYPES)
async def test_an_answer_names_the_question_that_was_shown(tmp_path: Path, name: str, door: str) -> None:
    """By a name it is refused; to the first question, once the second is open, too; each is recorded with its id."""
    kind = KINDS[name]
    async with place(tmp_path, tmp_path / "runs.db", {"press": kind.graph}) as here:
        begun = await here.send("acme", "POST", "/graphs/press/runs?run_id=acme/r", {})
        assert begun.status == 201, begun.text

        async def send(wait: str | None, value: object) -> tuple[int, str]:
            body = {"value": value} | ({} if wait is None else {"id": wait})
            answer = await here.send("acme", "POST", DOORS[door], body)
            return answer.status, "" if answer.status < 300 else str(answer.json["error"]["code"])

        run = await asks(here)
        first = run["waits"][0]["id"]
        assert await send(kind.name, kind.end) == (422, "invalid_input")
        assert await send(None, kind.end) == (422, "invalid_input")
        assert (await send(first, kind.again))[0] < 300
        run = await asks(here, run["seq"])
        second = run["waits"][0]["id"]
        assert (run["waits"][0]["name"], first != second) == (kind.name, True)
        for value in (kind.again, kind.end):
            assert await send(first, value) == (422, "answered_already")
        assert await send("approve@1", kind.end) == (422, "invalid_input")
        assert (await asks(here))["state"]["published"] == ""
        assert (await send(second, kind.end))[0] < 300
        run = await asks(here, run["seq"])
        assert (run["status"], run["state"]["published"]) == ("finished", f"draft {run['state']['n']}")
        assert await recorded(here) == [first, second]
        assert await send(second, kind.end) == (422, "answered_already")


async def recorded(here: Place) -> Sequence[str]:
    """Return the ids that are recorded with answers."""
    found = [getattr(step.data, "answer", None) for step in await here.runner.history("acme/r")]
    return [each.id for each in found if each is not None and each.id]


async def test_the_page_shows_the_question_of_a_link(tmp_path: Path) -> None:
    """What is open and what was answered have the ids that links have."""
    async with place(tmp_path, tmp_path / "runs.db", {"press": press(asked)}) as here:
        await here.send("acme", "POST", "/graphs/press/runs?run_id=acme/r", {})
        run = await asks(here)
        shown = (await here.send("acme", "GET", "/api/questions?run_id=acme/r")).json
        first = run["waits"][0]["id"]
        assert [wait["id"] for wait in shown["runs"][0]["waits"]] == [first]
        await here.send("acme", "POST", "/runs/acme/r/answer", {"id": first, "value": "again"})
        run = await asks(here, run["seq"])
        shown = (await here.send("acme", "GET", "/api/questions?run_id=acme/r")).json
        assert [wait["id"] for wait in shown["runs"][0]["waits"]] == [run["waits"][0]["id"]]
        assert [each["id"] for each in shown["done"]] == [first]
