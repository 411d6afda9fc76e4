"""Large values: no document of the page is long, and a second request with the same rights reads each value whole."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import pytest
from pydantic import BaseModel
from starlette.types import ASGIApp

from graphengine import END, START, Graph, Runner, Secret
from graphengine.api.places import store_at
from graphengine.records.export import parse
from graphengine.serve import router
from graphengine.serve.routes import READS
from tests.cli.secret_graph import KEY
from tests.serve.inspector.client import read, request
from tests.serve.inspector.conftest import opened
from tests.serve.inspector.large import text_of, write_run
from tests.serve.two_tenants import MARK, desk, place

MOST = 450_000
"""The bytes of a document, before they are compressed: 300,000 of values, and what is around these."""


@pytest.fixture(params=["sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """Return where runs are kept: in each of the databases."""
    return request.getfixturevalue("postgres") if request.param == "postgres" else tmp_path / "runs.db"


async def addresses(app: ASGIApp, run_id: str) -> Sequence[str]:
    """Return the address of each read of the page, for a run and for each of its steps."""
    found: list[str] = []
    head = await read(app, "run", run_id=run_id)
    given = {"run_id": run_id, "other": "big-done", "graph": "archive", "fingerprint": head["fingerprint"]}
    given |= {"text": "customer", "limit": 64, "edge": 0}
    for row in READS:
        for seq in range(1, head["seq"] + 1) if "{seq}" in row.path else [0]:
            for field in ("again", "rows") if row.name == "moments" else [""]:
                path = row.path.replace("{run_id}", run_id).replace("{seq}", str(seq))
                asked = {name: each for name, each in given.items() if f"{{{name}}}" not in row.path}
                found.append(f"{path}?{urlencode({**asked, 'field': field})}")
    return found


@pytest.mark.parametrize("size", ["1 kB", "1 MB", "10 records"])  # a browser tries all sizes, see test_large_views.py
async def test_no_document_is_long(size: str, tmp_path: Path) -> None:
    """Whatever the size of the values of a run, and wherever the run has them. All reads of the table are tried."""
    path = tmp_path / "runs.db"
    await write_run(store_at(path), "big", size)
    async with opened(path) as app:
        for address in await addresses(app, "big"):
            answer = await request(app, "GET", address, b"", {})
            assert answer.status == 200 or "scores" in address, address
            assert len(answer.text) < MOST, address


async def test_a_document_with_its_parts_is_the_whole_document(kept: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each value that is left out begins as is said, and comes whole by the same request with its part."""
    await write_run(store_at(kept), "big", "1 MB")
    parts = 0
    async with opened(kept) as app:
        for address in await addresses(app, "big"):
            with monkeypatch.context() as unbounded:
                unbounded.setattr(router, "shorten_document", lambda document: document)
                whole = (await request(app, "GET", address, b"", {})).json
            found = (await request(app, "GET", address, b"", {})).json
            large = found.pop("large", []) if isinstance(found, dict) else []
            for each in large:
                value = await part_of(app, address, each)
                text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"), ensure_ascii=False)
                assert len(text) == each["characters"]
                assert text[:300] == each["begins"][:300]
                put(found, each["part"], value)
            parts += len(large)
            assert not large or found == whole, address
    assert parts > 30


async def part_of(app: ASGIApp, address: str, large: Mapping[str, Any], status: int = 200) -> Any:
    """Return a value that was left out of a document, or why it is refused."""
    asked = urlencode({"part": large["part"], "digest": large["digest"]})
    answer = await request(app, "GET", f"{address}{'&' if '?' in address else '?'}{asked}", b"", {})
    assert answer.status == status, answer.text[:400]
    return answer.json


def put(document: Any, part: str, value: object) -> None:
    """Put a value in its place."""
    *around, last = part.split("/")[1:]
    for name in around:
        document = document[int(name) if isinstance(document, list) else name]
    document[int(last) if isinstance(document, list) else last] = value


async def test_a_value_that_has_changed_is_not_taken_for_the_one_that_was_left_out(tmp_path: Path) -> None:
    """The answer says to load the page again; so does a part that is nowhere in the document."""
    await write_run(store_at(tmp_path / "runs.db"), "big", "1 MB")
    async with opened(tmp_path / "runs.db") as app:
        (text, again, _) = (await read(app, "runs/big/state"))["large"]
        for wrong in ({**text, "digest": again["digest"]}, {**text, "part": "/state/none/of/it"}):
            refused = await part_of(app, "/api/runs/big/state", wrong, 422)
            assert refused["error"]["repair"] == "load the page again"


async def test_a_part_of_a_removed_run_is_gone(kept: Any) -> None:
    """It is refused as its document is: nothing keeps the value."""
    await write_run(store_at(kept), "big", "1 MB")
    async with opened(kept) as app:
        large = (await read(app, "runs/big-done/state"))["large"]
        async with Runner(store_at(kept)) as runner:
            await runner.store.remove([await runner.info("big-done")])
        for each in large:
            assert (await part_of(app, "/api/runs/big-done/state", each, 404))["error"]["code"] == "unknown_run"


async def test_a_part_is_for_those_who_may_read_the_run(kept: Any, tmp_path: Path) -> None:
    """Another tenant is answered as for a run that does not exist, also with the right digest of the value."""
    async with place(tmp_path, kept, {"desk": desk()}) as here:
        post = {"text": f"{MARK} {text_of(500_000)}"}
        run_id = (await here.send("acme", "POST", "/graphs/desk/runs", post, idempotency_key="k")).json["run_id"]
        path, none = f"/api/runs/{run_id}/state", "/api/runs/acme/none/state"
        (large,) = (await here.send("acme", "GET", path)).json["large"]
        asked = urlencode({"part": large["part"], "digest": large["digest"]})
        assert (await here.send("acme", "GET", f"{path}?{asked}")).json == post["text"]
        other, missing = [await here.send("globex", "GET", f"{each}?{asked}") for each in (path, none)]
        assert (other.status, MARK in other.text) == (404, False)
        assert other.text.replace(run_id, "acme/none") == missing.text
        assert (await here.send("", "GET", f"{path}?{asked}")).status == 401
        whole = await here.send("acme", "GET", f"/runs/{run_id}/state")
        assert whole.json["state"]["text"] == post["text"], "clients of the service have no second request"


class Vault(BaseModel):
    """A secret, and a text."""

    secret: Annotated[str, Secret] = ""
    text: str = ""


async def test_a_large_secret_stays_encrypted(kept: Any) -> None:
    """Neither how it begins is shown, nor does its part have it; the export has both values as they were recorded."""
    graph = Graph("vault", Vault, secret_key=KEY)

    def turn(secret: str) -> str:
        return secret.upper()[::-1]

    graph.add_node("turn", turn, writes="secret", thread=False)
    graph.add_path(START, "turn", END)
    canary = "s3cr3t" * 50_000
    async with Runner(store_at(kept)) as runner:
        await runner.start(graph, Vault(secret=canary, text=text_of(200_000)), run_id="r").result()
    async with opened(kept) as app:
        parts = 0
        for address in ("/api/runs/r/state", "/api/runs/r/steps/1", "/api/runs/r/steps/2"):
            answer = await request(app, "GET", address, b"", {})
            for each in answer.json["large"]:
                value = await part_of(app, address, each)
                assert "s3cr3t" not in json.dumps([answer.text, value])
                assert "T3RC3S" not in json.dumps([answer.text, value])
                parts += 1
        assert parts > 3
        exported = await request(app, "GET", "/api/export?run_id=r", b"", {})
        assert "s3cr3t" not in exported.text
        assert text_of(200_000) in json.dumps(json.loads(exported.text)).replace("\\n", "\n")
        assert parse(exported.text.encode(), "the download").info.id == "r"


async def test_texts_and_scripts_are_compressed_and_streams_are_not(app: ASGIApp) -> None:
    """Scripts, styles and documents, each also the second time; an event of a stream must not wait in a buffer."""
    takes = {"accept-encoding": "gzip, br"}
    paths = ("/static/app.js", "/static/app.js", "/static/app.css", "/api/run?run_id=five", "/api/export?run_id=five")
    for path in paths:
        answer = await request(app, "GET", path, b"", takes)
        assert (answer.headers["content-encoding"], answer.headers["content-length"]) == ("gzip", str(answer.size)), (
            path
        )
        assert answer.size < len(answer.text) / 2
    answer = await request(app, "GET", "/api/events?run_id=five", b"", takes, "event: stands")
    assert "content-encoding" not in answer.headers
