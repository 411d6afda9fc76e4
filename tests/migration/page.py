"""Golden pages of graphs that change while their runs wait.

A page is a title (lines with `#`), a graph as Python under `== graph`, and cases, and perhaps more of both. A case is
its truth after `==`, and what happens to a run of the graph: lines that begin with `-` and `+` change the graph as a
diff does, `> start`, `> answer VALUE, wait=NAME` and `> resume` act. A case without a `> start` goes on after the case
`== begin` of its graph. A resume has below it how the run stands, the
fields of the state that are no defaults, its steps, and what it recorded of the change; or the error, after which the
run is as it was. `preflight` must say the same of it. In the end the run is resumed in the graph that it last fit, and
answered, until it finishes.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import pytest

from graphengine import Graph, Limits, Run, RunFailed, Runner
from graphengine.engine.steps import Step
from graphengine.errors import GraphChanged
from graphengine.testing import preflight
from tests.kit import golden
from tests.kit.facts import said
from tests.kit.scenario import namespace

ANSWERS: Final[dict[str, object]] = {"boolean": True, "integer": 7, "string": "once"}
"""What answers a question of this type in the end."""
CHANGES: Final = ("field_changes", "left", "renamed", "moved", "marks_of")


async def check_page(path: Path, runner: Runner) -> None:
    """Fail unless runs take changes of their graph as a page says; with `UPDATE_PAGES=1`, write what they do."""
    title, *cases = re.split(r"^(?=== )", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    shown, source, begin = [title], "", ""
    for number, case in enumerate(cases):
        truth, _, lines = case.partition("\n")
        if truth == "== graph":
            source, begin = lines.rstrip() + "\n", ""
            shown.append(case)
            continue
        played = Case(runner, f"r{number}", source)
        if "> start" not in lines:
            await played.played(begin)
        elif truth == "== begin":
            begin = lines
        shown.append("\n".join([truth, *await played.played(lines), "\n"]))
        await played.finish()
    golden.check(path, "".join(shown).rstrip("\n") + "\n")


def in_order(steps: Sequence[Step]) -> Iterator[Step]:
    """Yield steps as recorded, but those of items, which end in any order, item by item."""
    for is_item, group in groupby(steps, key=lambda step: "[" in step.path):
        found = list(group)
        yield from sorted(found, key=lambda step: step.path.partition("]")[0]) if is_item else found


class Case:
    """A run whose graph changes."""

    def __init__(self, runner: Runner, run_id: str, source: str) -> None:
        self.runner, self.run_id, self.source = runner, run_id, source
        self.known = 0
        self.graph: Graph[Any] = namespace(source, run_id)["graph"]

    async def played(self, lines: str) -> list[str]:
        """Return the lines of the case as they should read."""
        shown = list[str]()
        for block in re.findall(r"(?:^[-+].*\n)+|^[>#].*\n", lines, re.MULTILINE):
            shown += block.splitlines()
            if block[0] in "-+":
                self.edit(block)
            elif block[0] == ">":
                shown += await self.act(*block.rstrip().partition(" ")[2].partition(" ")[::2])
        return shown

    def edit(self, diff: str) -> None:
        """Change the graph's source: new lines are where the last old one was, or at the end if there is none."""
        for lines in re.findall(r"(?:-.*\n)*(?:\+.*\n)*", diff)[:-1]:
            old, new = (re.findall(rf"^\{mark} ?(.*\n)", lines, re.MULTILINE) for mark in "-+")
            for line in old:
                assert line in self.source, line
                self.source = self.source.replace(line, "".join(new) if line == old[-1] else "", 1)
            self.source += "" if old else "".join(new)

    async def act(self, verb: str, rest: str) -> list[str]:
        """Do what a line says; return what is shown of it."""
        graph = namespace(self.source, self.run_id)["graph"]
        options: dict[str, Any] = eval(f"dict({rest})") if verb != "answer" else {}  # noqa: S307 - our own page
        if verb == "start":
            self.graph = graph
            return await self.followed(self.runner.start(graph, run_id=self.run_id, **options))
        if verb == "resume":
            return await self.resumed(graph, options)
        value, _, wait = rest.partition(", wait=")
        names = [eval(text) for text in (value, wait or "None")]  # noqa: S307 - our own page
        waits = await self.runner.waits(self.run_id)
        await self.runner.answer(self.run_id, names[0], wait=next((w for w in waits if w.name == names[1]), names[1]))
        return []

    async def resumed(self, graph: Graph[Any], options: dict[str, Any]) -> list[str]:
        """Resume the run in a graph; if it does not fit, twice, and both times nothing is recorded."""
        can_say = (await self.runner.store.info(self.run_id)).status in ("running", "waiting")
        fits = (await preflight([graph], self.runner.store)).fits
        before = list(await self.runner.history(self.run_id)), await self.runner.store.info(self.run_id)
        try:
            found = await self.followed(self.runner.resume(self.run_id, graph, **options))
        except GraphChanged as error:
            assert not (can_say and fits)
            with pytest.raises(GraphChanged):
                await self.runner.resume(self.run_id, graph, limits=Limits()).result()
            assert (list(await self.runner.history(self.run_id)), await self.runner.store.info(self.run_id)) == before
            lines = [f"{type(error).__name__}: {error.message}", *(["repair: " + error.repair] if error.repair else [])]
            return [part for line in "\n".join(lines).splitlines() for part in _wrapped(line)]
        assert fits
        self.graph = graph
        spec, plan = (await self.runner.store.info(self.run_id)).fingerprint, graph.compile()
        assert (spec, await self.runner.store.graph_spec(spec)) == (plan.fingerprint, plan.graph_spec)
        facts = said(next(s for s in reversed(await self.runner.history(self.run_id)) if s.kind == "resumed"))
        changes = [*facts.get("changes", ()), *(f"{name}: {facts[name]}" for name in CHANGES if facts.get(name))]
        return [*found, *(part for line in changes for part in _wrapped(f"  {line}"))]

    async def followed(self, run: Run[Any]) -> list[str]:
        """Return how a run stands, and its state."""
        try:
            result = await run.result()
        except RunFailed as error:
            result = error.result
        waits = [f"{wait.name} {wait.question!r}" for wait in result.waits]
        defaults = type(result.state).model_fields
        state = [f"{name} {value!r}" for name, value in result.state if value != defaults[name].default]
        steps = (await self.runner.history(self.run_id))[self.known :]
        self.known += len(steps)
        kinds = ", ".join(step.kind for step in in_order(steps))
        return [*_wrapped(f"{result.status}: {', '.join(waits or state)}"), *_wrapped(f"  steps: {kinds}")]

    async def finish(self) -> None:
        """Answer what the run asks until it finishes."""
        result = await self.runner.resume(self.run_id, self.graph).result()
        while result.waits:
            for wait in result.waits:
                kind = (wait.schema or {}).get("type", "string")
                await self.runner.answer(self.run_id, ANSWERS[str(kind)], wait=wait)
            result = await self.runner.resume(self.run_id, self.graph).result()
        assert result.status == "finished"


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, 118, initial_indent="  ", subsequent_indent="      ", break_on_hyphens=False)
