"""`python -m benchmarks [NAME …]`: run the programs, print the report."""

from __future__ import annotations

import argparse
import inspect
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Final

from benchmarks.measure import Settings
from benchmarks.programs import PROGRAMS, outcome_of
from benchmarks.report import ON_PAGE, page, report

PEERS: Final = ("langgraph", "langchain_anthropic", "pydantic_ai", "pydantic_graph", "burr", "dbos")


def main() -> None:
    """Run the named programs. Without names, run all programs, or all programs of the page to be written."""
    arguments = _arguments()
    missing = [name for name in PEERS if find_spec(name) is None]
    if missing:
        print(
            f"skipped, since not installed: {', '.join(missing)}; `make bench` installs all other libraries",
            file=sys.stderr,
        )
    settings = Settings(quick=arguments.quick)
    outcomes = {}
    written: Path | None = arguments.write
    # Each in a process of its own: memory that an earlier program has freed would be taken again, and seem to be none.
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as alone:
        for name in arguments.names or (PROGRAMS if written is None else ON_PAGE):
            began = time.monotonic()
            outcomes[name] = alone.submit(outcome_of, name, settings).result()
            print(f"{name}: {time.monotonic() - began:.1f} s", file=sys.stderr)
    print(report(outcomes))
    if written is not None:
        before = written.read_text(encoding="utf-8") if arguments.names and written.exists() else ""
        written.write_text(page(outcomes, before), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=inspect.cleandoc(main.__doc__ or ""))
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(PROGRAMS)}")
    parser.add_argument("--quick", action="store_true", help="only a few steps, to check that everything works")
    parser.add_argument(
        "--write",
        type=Path,
        metavar="PATH",
        help="write the page of results to this file; with names, only their parts of it",
    )
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in PROGRAMS]
    if unknown:
        parser.error(f"unknown program {unknown[0]!r}; choose from {', '.join(PROGRAMS)}")
    return arguments


if __name__ == "__main__":
    main()
