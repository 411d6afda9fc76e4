"""The core stands alone: it runs, resumes and branches without the rest of the package and its dependencies."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.kit.clean_environment import ROOT, link
from tests.kit.contracts import NEEDS, contract

PROGRAM = """
import asyncio, importlib, pkgutil, sys

sys.path.insert(0, sys.argv[1])
import graphengine

for module in pkgutil.walk_packages(graphengine.__path__, "graphengine."):
    importlib.import_module(module.name)

from pydantic import BaseModel
from graphengine.graph.conditions import value
from graphengine.graph.definition import END, START, GraphDefinition, Limits
from graphengine.runner.runner import Runner
from graphengine.stores.memory import MemoryStore

class Count(BaseModel):
    n: int = 0

async def more(n: int) -> int:
    return n + 1

graph = GraphDefinition("count", Count)
graph.add_node("more", more, writes="n")
graph.add_edge(START, "more")
graph.add_edge("more", END, when=value("n") >= 3)
graph.add_edge("more", "more")

async def main():
    store = MemoryStore()
    async with Runner(store) as runner:
        cut = await runner.start(graph, run_id="first", limits=Limits(visits=1)).result()
    async with Runner(store) as runner:
        whole = await runner.resume("first", graph, limits=Limits(visits=9)).result()
        other = await runner.branch("first", graph, at=2, update={"n": 7}).result()
        kinds = [step.kind for step in await runner.history("first")]
    print(cut.status, whole.status, whole.state.n, other.state.n, *kinds)

asyncio.run(main())
"""


COMPILED = ("conditions", "declared", "explanations", "fallbacks", "nodes")
"""Pages of what compile says of graphs without agents and further checks."""
SESSIONS = ("asking_nodes", "branches", "contexts", "maps", "messages", "pauses", "recorded_work")
"""Pages of sessions that list no runs, and import nothing but the core."""
TESTS = (
    "compile/test_copies.py",
    *(f"compile/test_pages.py::test_a_mistake_is_reported_as_its_page_says[{page}]" for page in COMPILED),
    "engine/test_aliasing.py",
    "engine/test_edges_of_the_engine.py",
    "engine/test_nests_by_hand.py",
    "engine/test_open_waits.py",
    "engine/test_session.py",
    "runner/recorded_work/test_calls.py",
    "runner/recorded_work/test_errors.py",
    "runner/test_clocks_that_are_set.py",
    "runner/test_forks.py",
    "runner/test_joins.py",
    "runner/test_loop_time.py",
    "runner/test_maps.py",
    "runner/test_run_here.py",
    "runner/test_runs.py",
    *(f"runner/test_sessions.py::test_a_runner_does_what_a_page_says[{page}]" for page in SESSIONS),
    "runner/test_work_of_a_run.py",
    "runner/waits/test_in_races.py",
    "scenarios",
    "state/test_encoded.py",
    "state/test_exact_models.py",
    "state/test_initial.py",
    "state/test_json_values.py",
    "state/test_state_types.py",
    "stores/test_snapshots.py",
)
"""Tests of the core, which run without the other packages, and without what only those need."""
PAGES = (
    *("agent_refused", "agent_turns", "fork_memory", "map_memory", "memory_keys"),  # agents
    *("ask_changed", "changed_graph", "changed_graph_mismatch", "changed_waits_for_the_edge", "condition_failed_fixed"),
    *("fail_target", "fork_condition_raises", "fork_fail_target", "map_bad_source", "map_duplicate_key"),
    *("migrate_branch", "migrate_inside", "migrate_names", "migrate_nodes", "migrate_state", "no_way_out_fixed"),
    "sub_ended",
)
"""Pages with agents, or on which a run continues under a changed graph."""


def modules(folder: Path) -> set[str]:
    """Return the names of the packages and modules in a folder of the package."""
    parts = ".".join(folder.relative_to(ROOT).parts)
    found = [path for path in folder.iterdir() if (path / "__init__.py").exists() or path.suffix == ".py"]
    return {f"{parts}.{path.stem}" for path in found if not path.stem.startswith("__")}


def test_the_contract_names_every_package() -> None:
    """A new package belongs to the core or to what the core must not import."""
    core, rest = contract()
    assert core | rest == modules(ROOT / "graphengine")


def test_the_core_runs_without_the_rest_of_the_package(tmp_path: Path) -> None:
    """Every module of it is imported; a run is cut off, resumed by another Runner, and branched."""
    core, _ = contract()
    for name in ("graphengine", *sorted(core)):
        path = Path(*name.split("."))
        if name in core and (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / path, ignore=shutil.ignore_patterns("__pycache__"))
            continue
        is_package = (ROOT / path).is_dir()
        for source in (ROOT / path).glob("__init__.py*") if is_package else [ROOT / path.with_suffix(".py")]:
            target = tmp_path / source.relative_to(ROOT)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(source, target)
    link(tmp_path, *NEEDS)
    words = [sys.executable, "-I", "-S", "-c", PROGRAM, str(tmp_path)]  # without site-packages
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    expected = "stopped finished 3 8 started node stopped resumed node node"
    assert done.stdout.split() == expected.split(), done.stderr


def test_the_tests_of_the_core_pass_without_the_rest() -> None:
    """They import no other package of graphengine, and no distribution that only those need."""
    page = "tests/scenarios/test_scenarios.py::test_a_run_does_what_its_page_says"
    others = [f"{page}[{each}]" for each in PAGES]
    plugins = ("pytest_asyncio.plugin", "tests.kit.core_only", "no:cacheprovider")
    options = ["-q", "--noconftest", *(f"-p{each}" for each in plugins), *(f"--deselect={each}" for each in others)]
    words = [sys.executable, "-m", "pytest", *options, *(f"tests/{each}" for each in TESTS)]
    variables = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    variables.pop("PYTEST_ADDOPTS", None)
    done = subprocess.run(words, cwd=ROOT, env=variables, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stdout
    assert f"{len(others)} deselected" in done.stdout, done.stdout[-200:]
