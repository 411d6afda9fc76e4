"""Words of results: those of the newest runs are found in what they made."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from typing_extensions import Unpack

from graphengine import Runner
from graphengine.kernel.store import Page, RunInfo
from graphengine.records.search import wanted_of
from graphengine.records.selection import Wanted
from graphengine.serve.reads.results import in_results
from tests.serve.inspector.desks import record_desks
from tests.serve.inspector.graphs import State, counter


async def test_words_of_results_are_found(tmp_path: Path) -> None:
    """In what the newest runs made, with the other criteria, and not in secrets; the answer says in how many it was."""
    path = tmp_path / "runs.db"
    await record_desks(path)
    async with Runner(path) as runner:
        for number in range(3):
            await runner.start(counter(2), State(text="begun"), run_id=f"r{number}").result()
        found = {
            text: await in_results(runner.store, wanted_of(text, Wanted(0)))
            for text in (
                "brass",
                "hello kind",
                "hello graph:own_chat",
                "hello graph:counter",
                "begun",
                "token",
                "tag:x",
            )
        }
    sums = {text: (each.looked_at, [one.run.run_id for one in each.found]) for text, each in found.items()}
    assert sums == {
        "brass": (8, []),
        "hello kind": (8, []),
        "hello graph:own_chat": (1, ["own"]),
        "hello graph:counter": (3, []),
        "begun": (8, []),
        "token": (8, []),
        "tag:x": (0, []),
    }
    assert found["hello graph:own_chat"].found[0].field == "messages"


async def test_words_of_results_take_no_longer_than_they_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not looked at by then is said to be more."""
    async with Runner(tmp_path / "runs.db") as runner:
        for number in range(3):
            await runner.start(counter(2), run_id=f"r{number}").result()
        monkeypatch.setattr("graphengine.serve.reads.results._SECONDS", -1.0)
        found = await in_results(runner.store, wanted_of("word", Wanted(0)))
    assert (found.looked_at, found.is_cut) == (0, True)


async def test_no_search_reads_the_whole_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one for what the store does not select by, of which it may have none: it reads one page, and says so."""
    monkeypatch.setattr("graphengine.serve.reads.results.NEWEST", 2)
    async with Runner(tmp_path / "runs.db") as runner:
        for number in range(9):
            await runner.start(counter(2), run_id=f"r{number}").result()
        pages, read = list[int](), runner.store.runs

        async def runs(**page: Unpack[Page]) -> Sequence[RunInfo]:
            found = await read(**page)
            pages.append(len(found))
            return found

        monkeypatch.setattr(runner.store, "runs", runs)
        for text in ("lost:yes word", "status:interrupted word", "error:x word", "word"):
            found = await in_results(runner.store, wanted_of(text, Wanted(0)))
            assert (found.found, found.is_cut) == ([], text != "status:interrupted word")
    assert sum(pages) <= 2 * 4
