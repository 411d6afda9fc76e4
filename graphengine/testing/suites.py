"""A suite of recorded runs: the fewest that take every edge, ending, failure and fallback that occurred.

found = await suite(graph, ["monday", "tuesday"], "checkpoints/runs.db")
await found.write(Path("tests/recorded"), "graphs.review_loop", "graph", "checkpoints/runs.db")
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence  # noqa: TC003 - what a document has is read at run time
from typing import TYPE_CHECKING, Any, Final

from graphengine import __version__
from graphengine.api.places import reading
from graphengine.errors import GraphEngineError, InputError
from graphengine.kernel.inside import without_items
from graphengine.kernel.reader import Node, Outcome
from graphengine.output_file import write_file
from graphengine.records.base_documents import Document, Part
from graphengine.records.export import Exported, export_run, read_file, to_json_text
from graphengine.records.replay.replay import replay
from graphengine.testing.coverage import EdgeCoverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from os import PathLike
    from pathlib import Path

    from graphengine.api.graph import Graph
    from graphengine.kernel.reader import Step
    from graphengine.kernel.store import Store

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_LONGEST: Final = 100  # characters of a file's name
_TEST: Final = '''"""Recorded runs of {graph}: today's graph decides them the same way.

`graphengine suite` wrote this file and the runs beside it. No node is run, and no model is called.
"""

from pathlib import Path

import pytest
from graphengine.testing import replay

from {module} import {name}

RUNS = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("run", RUNS, ids=[run.stem for run in RUNS])
def test_the_graph_decides_as_recorded(run: Path) -> None:
    """Every edge, update and ending is as it was."""
    replay({name}, run)
'''

_FAULTS: Final = '''"""Recorded runs of {graph} that failed: with today's code, the node that failed goes through.

`graphengine prove --keep` wrote this file and the runs beside it. No model is called, and no effect is performed.
"""

import asyncio
from pathlib import Path

import pytest
from graphengine.testing import try_failed_node

from {module} import {name}

RUNS = sorted(Path(__file__).parent.glob("*.json"))


@pytest.mark.parametrize("run", RUNS, ids=[run.stem for run in RUNS])
def test_the_failed_node_goes_through(run: Path) -> None:
    """The node completes with the state on which it failed."""
    tried = asyncio.run(try_failed_node({name}, run))
    assert tried.verdict == "passes", tried.why
'''


class SuiteRun(Part):
    """A recorded run that was chosen for a test suite.

    Attributes:
        run_id: The run.
        file: The name of its file.
        adds: The edges, endings and failures that this run covers and no earlier run of the suite covers, in words.
    """

    run_id: str
    file: str
    adds: Sequence[str]


class Suite(Document):
    """Recorded runs that were chosen as a test suite, with the edges that no run covers.

    Attributes:
        graph: The name of the graph.
        looked_at: How many runs were examined.
        runs: The runs of the suite. The run that covers the most comes first.
        missing: The edges that no run takes, in words.
        differing: The runs that today's graph decides differently, with the first difference. They are not in the
            suite.
        unread: The runs that cannot be read, with the error.
        folder: The folder of the suite, if the command `graphengine suite` made it.
        changes: With the command: the differences from the suite that the folder contained before.
        written: With the command: whether the suite was written to the folder.
    """

    graph: str
    looked_at: int
    runs: Sequence[SuiteRun]
    missing: Sequence[str]
    differing: Mapping[str, str]
    unread: Mapping[str, str]
    folder: str = ""
    changes: Sequence[str] = []
    written: bool = False

    def changes_in(self, folder: Path, graph: Graph[Any]) -> Sequence[str]:
        """Describe how `write` would change the test suite in a folder, with one line for each run.

        Each line of `changes_in` says that a run is new, that it is no longer needed, or that today's graph decides it
        differently.
        """
        old = {file.name: file for file in sorted(folder.glob("*.json"))}
        new = {each.file: each for each in self.runs}
        lines: list[str] = []
        for name, file in old.items():
            first = replay(graph, read_file(file)).first
            if first is not None:
                lines.append(f"{name}: decided otherwise today: {str(first).partition(chr(10))[0]}")
            elif name not in new:
                lines.append(f"{name}: no longer needed")
        lines += [f"{name}: new: {'; '.join(each.adds)}" for name, each in new.items() if name not in old]
        return lines

    async def write(self, folder: Path, module: str, name: str, store: str | PathLike[str] | Store) -> Sequence[Path]:
        """Write the chosen runs to files, and a test file that replays them.

        Files of an earlier suite that are no longer needed are removed.

        Args:
            folder: The folder, which is created if necessary.
            module: The module from which the test imports the graph.
            name: The name of the graph in that module.
            store: The database that contains the runs.

        Raises:
            InputError: The folder contains runs of another graph, which the test would read too.
            BadExport: The folder contains a JSON file that is not a recorded run.
            OSError: A file cannot be written.
            StoreError: A run cannot be read.
        """
        async with reading(store) as opened:
            texts = {each.file: to_json_text(await export_run(opened, each.run_id), __version__) for each in self.runs}
        texts[_name_test("recorded", self.graph)] = _TEST.format(graph=self.graph, module=module, name=name)
        return _write_texts(folder, self.graph, texts, removes_others=True)


def write_faults(folder: Path, graph: str, runs: Sequence[Exported], module: str, name: str) -> Sequence[Path]:
    """Write failed runs to files, and a test file that runs the failed node of each run in the folder.

    Args:
        folder: The folder, which is created if necessary. Runs that it already contains are kept.
        graph: The name of the graph.
        runs: The failed runs of this graph.
        module: The module from which the test imports the graph.
        name: The name of the graph in that module.

    Raises:
        InputError: The folder contains runs of another graph, which the test would read too.
        BadExport: The folder contains a JSON file that is not a recorded run.
        OSError: A file cannot be written.
    """
    if not runs:
        return []
    texts = {_name_file(run.info.id): to_json_text(run, __version__) for run in runs}
    texts[_name_test("faults", graph)] = _FAULTS.format(graph=graph, module=module, name=name)
    return _write_texts(folder, graph, texts, removes_others=False)


def _name_test(what: str, graph: str) -> str:
    return f"test_{what}_{_UNFIT.sub('_', graph).replace('-', '_')}.py"


def _write_texts(folder: Path, graph: str, texts: Mapping[str, str], *, removes_others: bool) -> Sequence[Path]:
    """Write the files of a test suite to a folder. With `removes_others`, other runs in the folder are deleted."""
    for file in sorted(folder.glob("*.json")):
        other = read_file(file).info.graph
        if other != graph:
            message = f"the file {file.name!r} contains a run of graph {other!r}, but the suite is for graph {graph!r}"
            raise InputError(message, where=str(folder), repair="use a different folder for each graph")
    folder.mkdir(parents=True, exist_ok=True)
    for file in folder.glob("*.json"):
        if removes_others and file.name not in texts:
            file.unlink()
    for name, text in texts.items():
        write_file(folder / name, text.encode())
    return [folder / name for name in texts]


async def suite(graph: Graph[Any], runs: Iterable[str], store: str | PathLike[str] | Store) -> Suite:
    """Choose the fewest of some recorded runs that take every edge, ending, failure and fallback that occurred.

    `suite` compares runs by what they cover: edges, endings, failures and fallbacks. It chooses step by step: the next
    run is always the one that adds the most to the runs chosen so far, so the choice is not always the smallest
    possible. If two runs cover the same, the shorter run is chosen. `suite` writes nothing and runs no node.

    Args:
        graph: Today's graph.
        runs: The ids of recorded runs of it.
        store: The database: a path, `postgresql://…`, or a store, which stays open.

    Raises:
        CompileError: The graph has an error.
        StoreError: The database cannot be read.
    """
    differing: dict[str, str] = {}
    unread: dict[str, str] = {}
    taken: list[tuple[int, str, frozenset[str]]] = []
    names = list(dict.fromkeys(runs))
    whole = EdgeCoverage(graph)
    async with reading(store) as opened:
        for name in names:
            try:
                run = await export_run(opened, name)
                with EdgeCoverage(graph) as coverage:
                    first = replay(graph, run).first
            except GraphEngineError as error:
                unread[name] = f"{error.code}: {error.message}"
                continue
            if first is not None:
                differing[name] = str(first).partition("\n")[0]
                continue
            whole.add(coverage.as_json())
            edges = [edge for edge, was_taken in coverage.edges.items() if was_taken]
            taken.append((len(run.steps), run.info.id, frozenset((*edges, *_describe_marks(run.steps)))))
    missing = [edge for edge, was_taken in whole.edges.items() if not was_taken]
    return Suite(graph.name, len(names), list(_fewest(taken)), missing, differing, unread)


def _describe_marks(steps: Sequence[Step]) -> Iterator[str]:
    """Describe each failure, fallback and ending of a run, such as `pay: fails with timeout`.

    Together with the edges that the run takes, they are what the run covers in a test suite.
    """
    for step in steps:
        facts, place = step.data, without_items(step.path)
        if isinstance(facts, Outcome) and facts.error is not None:
            yield f"{place}: fails with {facts.error.kind}"
        if isinstance(facts, Node) and facts.fallback:
            yield f"{place}: its fallback"
        ending = getattr(facts, "ending", None)
        if ending is not None:
            yield f"ends: {ending.reason}" + (f" [{ending.label}]" if ending.label else "")


def _fewest(taken: Sequence[tuple[int, str, frozenset[str]]]) -> Iterator[SuiteRun]:
    """Choose runs that together cover everything that any of the runs covers, the run that adds the most first.

    The number of chosen runs is small, but not always the smallest possible, because runs are chosen one after another.
    """
    left = frozenset[str]().union(*(marks for _, _, marks in taken))
    rest = sorted(taken, key=lambda run: run[:2])
    while left:
        _, run_id, marks = max(rest, key=lambda run: len(run[2] & left))
        yield SuiteRun(run_id, _name_file(run_id), sorted(marks & left))
        left -= marks


def _name_file(run_id: str) -> str:
    name = _UNFIT.sub("-", run_id)
    if name == run_id and len(name) <= _LONGEST:
        return f"{name}.json"
    return f"{name[:_LONGEST]}-{hashlib.blake2b(run_id.encode(), digest_size=4).hexdigest()}.json"


__all__ = ["Suite", "SuiteRun", "suite", "write_faults"]
