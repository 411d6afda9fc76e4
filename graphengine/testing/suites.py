"""A suite of recorded runs: the fewest that take every edge, ending, failure and fallback that occurred.

found = await suite(graph, ["monday", "tuesday"], "checkpoints/runs.db")
found.write(Path("tests/recorded"), "graphs.review_loop", "graph")
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any, Final

from graphengine import __version__
from graphengine.api.places import store_at
from graphengine.engine.steps import Node, Outcome, without_items
from graphengine.errors import GraphEngineError
from graphengine.output_file import write_file
from graphengine.records.export import export_run, read_file, to_json_text
from graphengine.records.replay.replay import replay
from graphengine.testing.coverage import EdgeCoverage

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from graphengine.api.graph import Graph
    from graphengine.engine.steps import Step
    from graphengine.records.export import Exported
    from graphengine.stores.base import Store

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


@dataclass(frozen=True, slots=True)
class Chosen:
    """A run of a suite.

    Attributes:
        run: The run.
        adds: What it takes that none of those before it takes, in words.
    """

    run: Exported
    adds: Sequence[str]

    @property
    def file(self) -> str:
        """The name of its file."""
        name = _UNFIT.sub("-", self.run.info.id)
        if name == self.run.info.id and len(name) <= _LONGEST:
            return f"{name}.json"
        return f"{name[:_LONGEST]}-{hashlib.blake2b(self.run.info.id.encode(), digest_size=4).hexdigest()}.json"


@dataclass(frozen=True, slots=True)
class Suite:
    """The runs that a suite needs, and what none of the given runs has.

    Attributes:
        graph: The name of the graph.
        looked_at: How many runs were looked at.
        chosen: The fewest runs that a greedy choice finds, the one that takes the most first.
        missing: Edges that no run takes, in words.
        differing: Runs that today's graph decides otherwise, with the first difference; they are not in the suite.
        unread: Runs that cannot be read, with the error.
    """

    graph: str
    looked_at: int
    chosen: Sequence[Chosen]
    missing: Sequence[str]
    differing: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)

    def changes(self, folder: Path, graph: Graph[Any]) -> Sequence[str]:
        """Return what would change in a folder, a line each: runs that are decided otherwise, go, or come."""
        old = {file.name: file for file in sorted(folder.glob("*.json"))}
        new = {each.file: each for each in self.chosen}
        lines: list[str] = []
        for name, file in old.items():
            first = replay(graph, read_file(file)).first
            if first is not None:
                lines.append(f"{name}: decided otherwise today: {str(first).partition(chr(10))[0]}")
            elif name not in new:
                lines.append(f"{name}: no longer needed")
        lines += [f"{name}: new: {'; '.join(each.adds)}" for name, each in new.items() if name not in old]
        return lines

    def write(self, folder: Path, module: str, name: str) -> Sequence[Path]:
        """Write the runs, and one test file that replays them; remove runs of an earlier suite that it does not need.

        Args:
            folder: The folder, which is made.
            module: The module from which the test imports the graph.
            name: The graph's name in that module.

        Raises:
            OSError: A file cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        texts = {each.file: to_json_text(each.run, __version__) for each in self.chosen}
        texts[f"test_recorded_{_UNFIT.sub('_', self.graph).replace('-', '_')}.py"] = _TEST.format(
            graph=self.graph, module=module, name=name
        )
        for file in folder.glob("*.json"):
            if file.name not in texts:
                file.unlink()
        for file_name, text in texts.items():
            write_file(folder / file_name, text.encode())
        return [folder / file_name for file_name in texts]


async def suite(graph: Graph[Any], runs: Iterable[str], store: str | PathLike[str] | Store) -> Suite:
    """Choose the fewest of some recorded runs that take every edge, ending, failure and fallback that occurred.

    Runs are compared by what they take, and of two that take the same the shorter one is chosen. The choice is greedy:
    each next run is the one that adds the most. Nothing is written and no node is run.

    Args:
        graph: Today's graph.
        runs: The ids of recorded runs of it.
        store: The database: a path, `postgresql://…`, or a store, which stays open.

    Raises:
        CompileError: The graph has an error.
        StoreError: The database cannot be read.
    """
    opened = store_at(store, read_only=True) if isinstance(store, (str, PathLike)) else store
    differing: dict[str, str] = {}
    unread: dict[str, str] = {}
    taken: list[tuple[Exported, frozenset[str]]] = []
    names = list(dict.fromkeys(runs))
    whole = EdgeCoverage(graph)
    await opened.open()
    try:
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
            taken.append((run, frozenset((*edges, *_marks(run.steps)))))
    finally:
        if opened is not store:
            await opened.close()
    missing = [edge for edge, was_taken in whole.edges.items() if not was_taken]
    return Suite(graph.name, len(names), list(_fewest(taken)), missing, differing, unread)


def _marks(steps: Sequence[Step]) -> Iterator[str]:
    """Yield the endings, failures and fallbacks of a run, in words."""
    for step in steps:
        facts, place = step.data, without_items(step.path)
        if isinstance(facts, Outcome) and facts.error is not None:
            yield f"{place}: fails with {facts.error.kind}"
        if isinstance(facts, Node) and facts.fallback:
            yield f"{place}: its fallback"
        ending = getattr(facts, "ending", None)
        if ending is not None:
            yield f"ends: {ending.reason}" + (f" [{ending.label}]" if ending.label else "")


def _fewest(taken: Sequence[tuple[Exported, frozenset[str]]]) -> Iterator[Chosen]:
    """Yield runs that together take all that is taken, the one that adds the most first, then the shorter one."""
    left = frozenset[str]().union(*(marks for _, marks in taken))
    rest = sorted(taken, key=lambda pair: (len(pair[0].steps), pair[0].info.id))
    while left:
        run, marks = max(rest, key=lambda pair: len(pair[1] & left))
        yield Chosen(run, sorted(marks & left))
        left -= marks


__all__ = ["Chosen", "Suite", "suite"]
