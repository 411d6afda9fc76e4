"""The report: everything for the terminal, and the results for docs/explain/benchmarks.md."""

from __future__ import annotations

import datetime
import inspect
import os
import platform
import re
import sqlite3
import sysconfig
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import amount
from benchmarks.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.measure import Figure, Outcome

_LIBRARIES: Final = (
    "pydantic",
    "aiosqlite",
    "anthropic",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "langchain-anthropic",
    "pydantic-ai-slim",
    "pydantic-graph",
    "apache-burr",
    "dbos",
)
_HEAD: Final = """# Benchmarks

The cost of a step, a run and a start, and how that compares with other libraries. Their sides run in one process and
take turns. A figure is the median of its rounds, a ratio the median of the ratios of neighbouring rounds; the smallest
and the largest are in brackets. Above 1, the other library takes longer; below it, the row says "ahead".

- `make bench` measures everything; `make bench ARGS="step short"` runs some programs, by the names below. It prints
  what each does, and all figures with their range. The programs are in `benchmarks/`.
- `make bench ARGS="--write docs/explain/benchmarks.md"` writes this page, and with names of programs only their parts.
"""
ON_PAGE: Final = (
    "peers",
    "durable_peers",
    "shapes",
    "passed",
    "bare",
    "full",
    "normal",
    "size",
    "resume",
    "many",
    "fresh",
    "chats",
    "sleepers",
    "served",
    "wings",
)
"""The programs that the page has, in its order."""
_PART: Final = re.compile(r"^## [^`\n]*\n\n`\w+`\. ", re.MULTILINE)


def page(outcomes: Mapping[str, Outcome], before: str = "") -> str:
    """Return the results in Markdown: ratios to other libraries, and the figures that say most.

    Args:
        outcomes: What was measured.
        before: A page whose other parts stay.
    """
    places = [each.start() for each in _PART.finditer(before)]
    kept = [before[at:end].strip() for at, end in zip(places, [*places[1:], len(before)], strict=False)]
    parts = {part.split("`")[1]: part for part in kept}
    parts |= {name: _part(name, outcome) for name, outcome in outcomes.items()}
    return "\n\n".join([_HEAD + "\n" + machine(), *(parts[name] for name in ON_PAGE if name in parts)]) + "\n"


def _part(name: str, outcome: Outcome) -> str:
    """Return a program's part of the page: ratios, if it compares with other libraries, else its figures."""
    said, table = method(name), ratios(outcome) if outcome.compared else figures(outcome)
    if not outcome.compared:
        said, *_ = said.split("\n\n")
    return f"## {outcome.title}\n\n`{name}`. {said}\n\n{table}"


def report(outcomes: Mapping[str, Outcome]) -> str:
    """Return everything in Markdown: what each program does, and all figures."""
    parts = [machine()]
    for name, outcome in outcomes.items():
        parts += _section(name, outcome)
    return "\n".join(parts) + "\n"


def _section(name: str, outcome: Outcome) -> list[str]:
    return [f"\n## {outcome.title}\n", f"`{name}`. {method(name)}\n", figures(outcome)]


def machine() -> str:
    """Return the environment of the measurement: processor, system, Python and libraries."""
    libraries = ", ".join(f"{name} {_version(name)}" for name in _LIBRARIES)
    rows = {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {_build()}",
        "SQLite": sqlite3.sqlite_version,
        "libraries": libraries,
        "on": f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}, beside a load of {_load()}",
    }
    return _table(("measured on", ""), list(rows.items()))


def ratios(outcome: Outcome) -> str:
    """Return a row for each workload: our figure, and each library's ratio to it, and those of its variants."""
    rows: dict[str, dict[str, str]] = {}
    for side, figure in outcome.figures.items():
        workload, _, names = side.partition(": ")
        library, _, variant = names.partition(", ")
        row = rows.setdefault(workload, {})
        ours = outcome.compared.get(side)
        said = _with_range(figure) if ours is None else _ratio(figure, outcome.figures[ours])
        row[library] = f"{row[library]}; {variant}: {said}" if variant else said
    libraries = list(dict.fromkeys(library for row in rows.values() for library in row))
    cells = [(workload, *(row.get(library, "") for library in libraries)) for workload, row in rows.items()]
    return _table(("others: times our figure", *libraries), cells)


def _with_range(figure: Figure) -> str:
    return amount(figure.median, figure.unit) + (f" ({figure.spread})" if figure.spread else "")


def _ratio(figure: Figure, ours: Figure) -> str:
    found = figure.ratios(ours)
    spread = f" ({amount(min(found))} to {amount(max(found))})" if len(found) > 1 else ""
    return amount(figure.against(ours)) + (", ahead" if figure.against(ours) < 1 else "") + spread


def figures(outcome: Outcome) -> str:
    """Return the figures of each side of a program, and the ratios that it names."""
    head = ["side", "median", "range", "rounds"]
    rows = [[f.side, amount(f.median, f.unit), f.spread, str(len(f.rounds))] for f in outcome.figures.values()]
    if outcome.compared:
        head.append("against ours")
        for row, figure in zip(rows, outcome.figures.values(), strict=True):
            ours = outcome.compared.get(figure.side)
            row.append("" if ours is None else amount(figure.against(outcome.figures[ours]), "times"))
    tables = [_table(head, rows)]
    if outcome.ratios:
        tables.append(_table(("ratio", "times"), [(said, amount(ratio)) for said, ratio in outcome.ratios.items()]))
    return "\n\n".join(tables)


def method(name: str) -> str:
    """Return the docstring of a program."""
    return inspect.getdoc(PROGRAMS[name]) or ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _processor() -> str:
    """Return the processor's name, which Linux reports."""
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def _load() -> str:
    """Return how many programs wanted the processor at once in the last 15 minutes, the benchmarks among them."""
    return f"{os.getloadavg()[2]:.1f}" if hasattr(os, "getloadavg") else "unknown size"


def _build() -> str:
    """Return how Python was configured, which affects a step in memory."""
    optimised = "--enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    return f"configured {'with' if optimised else 'without'} --enable-optimizations, {platform.python_compiler()}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
