"""Heavy nodes on a Ray cluster of two nodes, as the deployment page describes it; skipped without the package."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from graphengine import END, START, Graph, Retry, RunFailed, Runner
from graphengine.executors import RayExecutor
from tests.kit import heavy_nodes as heavy
from tests.kit.runs import failing

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "heavy.md").read_text(encoding="utf-8")

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files and sockets
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a cluster of two nodes, of which the second has an accelerator."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

    small = {"object_store_memory": 80 * 2**20, "include_dashboard": False}
    made = cluster_utils.Cluster(initialize_head=True, head_node_args={**small, "num_cpus": 1})
    made.add_node(num_cpus=1, resources={"accelerator": 1}, object_store_memory=80 * 2**20)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made.address
    ray.shutdown()
    made.shutdown()


@pytest.fixture
async def runner(cluster: str) -> AsyncIterator[Runner]:
    """A Runner whose "gpu" is the second node."""
    executor = RayExecutor(resources={"accelerator": 1})
    async with Runner(executors={"gpu": executor, "cpu": RayExecutor}) as made:
        yield made
    executor.shutdown()


def graph(function: Any, writes: str, *, on: str = "gpu", **options: Any) -> Graph[heavy.Job]:
    """A graph of one node."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", function, writes=writes, on=on, **options)
    made.add_path(START, "work", END)
    return made


async def test_nodes_run_on_the_cluster(runner: Runner) -> None:
    """Sync and async functions, lambdas and local ones run where their resources are, with the facts of the attempt."""
    add = 5
    for function, writes, expected in (
        (heavy.double, "out", 6),
        (heavy.double_later, "out", 6),
        (lambda n: n + add, "out", 8),
    ):
        result = await runner.start(graph(function, writes), {"n": 3}).result()
        assert getattr(result.state, writes) == expected
    facts = (await runner.start(graph(heavy.facts_of, "facts"), run_id="known").result()).state.facts
    assert facts[:6] == ["known", "work", "work", "1", "1", "known/work:1"]
    there, elsewhere = [
        (await runner.start(graph(heavy.ray_node, "facts", on=on)).result()).state.facts for on in ("gpu", "cpu")
    ]
    assert there[0] != elsewhere[0] or there[1] != elsewhere[1]
    broken = await failing(runner.start(graph(heavy.fail, "out")).result())
    assert 'deeper["missing"]' in broken.error.traceback
    with pytest.raises(RunFailed, match=r"ctx\.call needs the run, and work runs on 'gpu'"):
        await runner.start(graph(heavy.calls_there, "out")).result()


async def test_a_dead_worker_and_a_timeout_are_failures_to_retry(runner: Runner, tmp_path: Path) -> None:
    """A killed worker process fails its attempt as `worker_died`, and a timeout ends the worker; both are repeated."""
    retry = Retry(attempts=2, initial_seconds=0)
    (tmp_path / "1").mkdir()
    run = runner.start(graph(heavy.dies_at_first, "pid", retry=retry), {"folder": str(tmp_path / "1")})
    assert (await run.result()).state.pid not in (0, int((tmp_path / "1" / "died").read_text()))
    kinds = [step.data.error.kind for step in await runner.history(run.id) if step.kind == "attempt"]  # type: ignore[union-attr]
    assert kinds == ["worker_died"]
    hangs = graph(heavy.sleeps_at_first, "pid", timeout_seconds=1, retry=retry)
    run = runner.start(hangs, {"folder": str(tmp_path)})
    first = int((await run.result()).state.pid)
    pid = int((tmp_path / "pid").read_text())
    assert first not in (0, pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    kinds = [step.data.error.kind for step in await runner.history(run.id) if step.kind == "attempt"]  # type: ignore[union-attr]
    assert kinds == ["timeout"]


def test_the_recipe_of_the_page_runs_on_the_cluster(cluster: str, tmp_path: Path) -> None:
    """`RAY_ADDRESS=… graphengine run embedding.py`, with the page's files, runs the node where the accelerator is."""
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    (tmp_path / "embedding.py").write_text(blocks[0])
    (tmp_path / "places.py").write_text(blocks[-1])
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine.executors]\ngpu = "places:gpu"\n')
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "RAY_ADDRESS": cluster}
    command = [sys.executable, "-m", "graphengine", "run", "embedding.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0.1" in done.stdout
