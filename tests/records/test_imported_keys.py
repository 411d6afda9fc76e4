"""A run that is imported knows the messages that it has, by their keys: what is sent again to it is not new."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from pydantic import BaseModel
from pydantic_core import from_json, to_json

from graphengine import END, START, Context, Graph, Runner
from graphengine.records.export import BadExport, digest_of_content, export_run, import_run, parse, to_json_text

Place = Callable[[], AbstractContextManager[Path | str | None]]


class State(BaseModel):
    """What was received."""

    heard: list[str] = []


async def hear(ctx: Context, heard: list[str]) -> list[str]:
    """Receive a message."""
    return [*heard, await ctx.receive("said", str)]


GRAPH = Graph("hears", State)
GRAPH.add_node("hear", hear, writes="heard")
GRAPH.add_edge(START, "hear")
GRAPH.add_edge("hear", END, when=lambda heard: len(heard) == 4)
GRAPH.add_edge("hear", "hear")


async def test_what_was_sent_to_an_exported_run_is_not_new_to_the_imported_one(fresh: Place) -> None:
    """Neither a message that it took, nor one that waits in its inbox; one without a key is new each time."""
    with fresh() as here, fresh() as there:
        async with Runner(here) as runner:
            run = runner.start(GRAPH, run_id="r")
            await run.result()
            for key in ("one", None):
                await runner.send("r", "said", str(key), idempotency_key=key)
                await runner.resume("r", GRAPH).result()
            await runner.send("r", "said", "later", idempotency_key="later")
            file = to_json_text(await export_run(runner.store, "r"), "1")
        assert from_json(file)["keys"] == ["message said one"]
        assert [each.get("key") for each in from_json(file)["inbox"]] == ["message said later"]
        async with Runner(there) as runner:
            assert await import_run(runner.store, parse(file, "r.json"))
            assert not await import_run(runner.store, parse(file, "r.json"))
            assert to_json_text(await export_run(runner.store, "r"), "1") == file
            for key in ("one", "later"):
                await runner.send("r", "said", "again", idempotency_key=key)
            assert (await runner.resume("r", GRAPH).result()).state.heard == ["one", "None", "later"]
            await runner.send("r", "said", "new", idempotency_key="new")
            assert (await runner.resume("r", GRAPH).result()).state.heard == ["one", "None", "later", "new"]


@pytest.mark.parametrize(
    "keys", [["message a", "message a"], ["answer 1"], [""], ["message \0"], ["message " + "x" * 2000]]
)
async def test_keys_that_no_message_can_have_are_refused(keys: list[str]) -> None:
    """A file is not trusted."""
    async with Runner() as runner:
        await runner.start(GRAPH, run_id="r").result()
        content = from_json(to_json_text(await export_run(runner.store, "r"), "1"))
    content["keys"] = keys
    content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
    with pytest.raises(BadExport):
        parse(to_json(content), "r.json")
