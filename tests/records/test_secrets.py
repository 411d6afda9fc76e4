"""Secret fields: which keys decrypt them, and where they are hidden. `secrets.txt` has what compile refuses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graphengine import (
    END,
    Context,
    Runner,
)
from graphengine.runner import Emitted
from graphengine.runner.result import RunFailed
from tests.state.test_secrets import graph


def leaking(how: str, runner: Runner | None = None) -> Callable[..., Any]:
    """Return a node that leaks its secret, in a tag with a Runner's help."""

    async def leak(word: str, ctx: Context) -> dict[str, object]:
        text = f"the word is {word}"
        if how == "show":
            ctx.emit({"told": [text]})
        elif how == "keep":
            ctx.emit(text, record=True)
        elif how == "send":
            ctx.send("topic", text)
        elif how == "ask":
            await ctx.ask(text)
        elif how == "work":
            await ctx.call(lambda: text)
        elif how == "key":
            await ctx.call(str, key=word)
        elif runner is not None:
            await runner.tag(ctx.run_id, add=[word])
        return {"plain": text} if how == "write" else {"found": {word: "x"}} if how == "write a key" else {}

    return leak


@pytest.mark.parametrize("how", ["keep", "send", "ask", "work", "key", "tag", "write", "write a key"])
async def test_a_node_cannot_record_a_secret_in_clear(tmp_path: Path, how: str) -> None:
    """Neither next to its result nor in another field: the node fails, and its message holds no clear text either."""
    async with Runner(tmp_path / "runs.db") as runner:
        made = graph()
        made.add_node("leak", leaking(how, runner if how == "tag" else None), writes=("plain", "found"))
        made.add_path("a", "leak", END)
        with pytest.raises(RunFailed) as caught:
            await runner.start(made, {"word": "a clear word"}, run_id="r").result()
        assert caught.value.result.error is not None
        assert caught.value.result.error.kind == "not_recordable"
        assert "contains the clear text of a secret field" in str(caught.value)
        assert "a clear word" not in str(caught.value)
    assert all(b"a clear word" not in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


async def test_live_output_contains_no_secret() -> None:
    """Live output is shown without the clear text."""
    made = graph()
    made.add_node("leak", leaking("show"), writes=("plain", "found"))
    made.add_path("a", "leak", END)
    async with Runner() as runner:
        run = runner.start(made, {"word": "a clear word"})
        shown = [event.data async for event in run.events() if isinstance(event, Emitted)]
    assert shown == [{"told": ["the word is **********"]}]
