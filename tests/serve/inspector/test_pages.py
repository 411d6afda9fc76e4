"""What the inspector answers to its page, and to all others: `UPDATE_PAGES=1` rewrites the pages."""

import json
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.types import ASGIApp

from graphengine import Runner
from graphengine.runner import RunFailed
from graphengine.serve.inspector.driving import Drivable, Drives
from tests.cli.secret_graph import CANARY, made
from tests.serve.exchanges import Answer, check_page
from tests.serve.inspector import driven
from tests.serve.inspector.client import TOKEN, request
from tests.serve.inspector.conftest import opened
from tests.serve.inspector.graphs import counter
from tests.serve.inspector.test_driving import GRAPHS

PAGES = Path(__file__).parent / "pages"


@pytest.mark.parametrize("page", ["guard", "reads"])
async def test_a_request_is_answered_as_a_page_shows(app: ASGIApp, page: str, tmp_path: Path) -> None:
    """Over the runs of graphs.py."""
    await check_page(PAGES / f"{page}.txt", partial(request, app), tmp_path)


async def test_the_token_is_swapped_for_a_cookie(app: ASGIApp) -> None:
    """The cookie is not the token, scripts cannot read it, and other sites' requests do not carry it."""
    answer = await request(app, "POST", "/api/session", json.dumps({"token": TOKEN}).encode(), {})
    name, _, attributes = answer.headers["set-cookie"].partition("; ")
    assert (attributes, TOKEN in name) == ("HttpOnly; SameSite=Strict; Path=/", False)
    assert (await request(app, "GET", "/api/runs", b"", {"cookie": f"a=b; {name}"})).status == 200


async def test_a_read_only_inspector_has_no_writes(read_only: ASGIApp, tmp_path: Path) -> None:
    """Its guard is that of the other one."""
    await check_page(PAGES / "read_only.txt", partial(request, read_only), tmp_path)


async def test_what_is_written_is_there_for_the_process_that_drives_the_run(
    app: ASGIApp, database: Path, tmp_path: Path
) -> None:
    """An answer and a message are recorded once, however often they are sent."""
    async with Runner(database) as runner:
        await runner.start(counter(5), run_id="lined-up", queue="night").result()
        await check_page(PAGES / "writes.txt", partial(request, app), tmp_path)
        assert [message.kind for message in await runner.store.inbox(["asks"])] == ["answer", "message"]


async def test_runs_are_driven_from_the_page(tmp_path: Path) -> None:
    """Over a database with a run to branch, and one that failed."""
    path = tmp_path / "runs.db"
    async with Runner(path) as runner:
        await runner.start(counter(5), run_id="five").result()
        with suppress(RunFailed):
            await runner.start(driven.graph, {"topic": "storms", "gate": str(tmp_path / "gate")}, run_id="bad").result()
    async with opened(path, drives=Drives(GRAPHS, {})) as app:
        await check_page(PAGES / "driven.txt", partial(request, app), tmp_path)


async def test_secrets_stay_hidden(tmp_path: Path) -> None:
    """No answer shows one: neither that of the example of a graph nor a run's."""
    example = {"token": CANARY, "word": CANARY, "done": "not yet"}
    drives = Drives({"vault": Drivable(made(), "vault.py", lambda: example)}, {})
    async with Runner(tmp_path / "runs.db"):
        pass

    async def send(method: str, path: str, body: bytes, headers: dict[str, str], until: str) -> Answer:
        body = body.replace(b"CANARY", json.dumps(CANARY)[1:-1].encode())
        answer = await request(app, method, path.replace("CANARY", quote(CANARY)), body, headers, until)
        assert "s3cr3t" not in answer.text
        return answer

    async with opened(tmp_path / "runs.db", drives=drives) as app:
        await check_page(PAGES / "secrets.txt", send, tmp_path)
