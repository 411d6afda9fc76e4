"""The stream of a run's page: a page that has shown a removed run loads the later run with its id anew."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Runner, ask
from graphengine.serve.inspector.streams import RunStream
from graphengine.serve.read_documents import Session
from graphengine.serve.reads.run_cache import RunCache
from graphengine.serve.reads.views import Views
from graphengine.stores.base import RunInfo

pytestmark = pytest.mark.usefixtures("drawn_nonces")


class Post(BaseModel):
    ok: bool = False


posts = Graph("posts", Post)
posts.add_node("approve", ask("Publish?", bool), writes="ok")
posts.add_path(START, "approve", END)


async def until_stands(events: AsyncIterator[bytes], info: RunInfo) -> list[tuple[str, str]]:
    """Return the names and ids of events up to the one that says that a run is there."""
    found: list[tuple[str, str]] = []
    async for event in events:
        lines = dict(line.partition(": ")[::2] for line in event.decode().splitlines() if line)
        if "event" in lines:
            found.append((lines["event"], lines.get("id", "")))
        if (lines.get("event"), lines.get("id")) == ("stands", info.cursor):
            break
    return found


@pytest.mark.parametrize("where", ["memory", "sqlite"])
async def test_a_page_of_a_removed_run_begins_anew(tmp_path: Path, where: str) -> None:
    """While it is connected, and when it connects again; a number counts for the run that is there."""
    async with Runner(*([tmp_path / "runs.db"] if where == "sqlite" else [])) as runner:
        store: Any = runner.store
        books = RunCache(store)
        views = Views(store, books, None, Session("1", "", read_only=True, drives=None))

        def stream(after: str) -> RunStream:
            return RunStream(views, books, store, {}, "post", after)

        await runner.start(posts, run_id="post").result()
        first = await runner.info("post")
        shown = stream("0").events()
        own = [("step", first.cursor_at(seq)) for seq in range(1, first.seq + 1)]
        assert await until_stands(shown, first) == [*own, ("stands", first.cursor)]
        await runner.stop("post", final=True)
        await until_stands(shown, await runner.info("post"))
        assert await runner.store.remove([await runner.info("post")]) == {}
        await runner.start(posts, run_id="post").result()
        second = await runner.info("post")
        found = [
            each for each in await until_stands(shown, second) if each[0] != "gone"
        ]  # maybe from its first step on
        assert found[0][0] == "reset"
        assert {number.partition(".")[2] for _, number in found} == {second.nonce}
        stands = ("stands", second.cursor)
        assert await until_stands(stream(first.cursor_at(1)).events(), second) == [("reset", second.cursor), stands]
        assert await until_stands(stream("1").events(), second) == [("step", second.cursor_at(2)), stands]
