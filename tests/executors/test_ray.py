"""Heavy nodes on a Ray cluster of two nodes, as the deployment page describes it; skipped without the package."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Executor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from graphengine import END, START, Graph, Retry, RunFailed, Runner
from graphengine.errors import DefinitionError
from graphengine.executors import RayExecutor, ray_tasks
from graphengine.testing import ExecutorConformance
from tests.docs.page import USE, blocks
from tests.kit import heavy_nodes as heavy
from tests.kit.runs import failing

ROOT = Path(__file__).resolve().parents[2]
PAGE = USE / "heavy.md"
SMALL = {"object_store_memory": 80 * 2**20}

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
cluster_utils = pytest.importorskip("ray.cluster_utils")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Ray's own files and sockets
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


def begun(port: int = 0) -> Any:
    """Begin a cluster of one node."""
    head = {**SMALL, "include_dashboard": False, "num_cpus": 1} | ({"gcs_server_port": port} if port else {})
    return cluster_utils.Cluster(initialize_head=True, head_node_args=head)


@pytest.fixture(scope="module", autouse=True)
def home() -> Iterator[None]:
    """Keep Ray's token and files apart: it makes a token for a cluster of its own, which others then ask for."""
    with pytest.MonkeyPatch.context() as patch, TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        patch.setenv("HOME", folder)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.delenv("RAY_ADDRESS", raising=False)
        yield


@pytest.fixture(scope="module")
def cluster(home: None) -> Iterator[str]:
    """The address of a cluster of two nodes, of which the second has an accelerator."""
    made = begun()
    made.add_node(num_cpus=1, resources={"accelerator": 1}, **SMALL)
    TestRayExecutor.address = made.address
    yield made.address
    made.shutdown()


@pytest.fixture
async def runner(cluster: str) -> AsyncIterator[Runner]:
    """A Runner whose "gpu" is the second node."""
    executor = RayExecutor(resources={"accelerator": 1}, address=cluster)
    async with Runner(executors={"gpu": executor, "cpu": lambda: RayExecutor(address=cluster)}) as made:
        yield made
    executor.shutdown()


def graph(function: Any, writes: str, *, on: str = "gpu", **options: Any) -> Graph[heavy.Job]:
    """A graph of one node."""
    made = Graph("heavy", heavy.Job)
    made.add_node("work", function, writes=writes, on=on, **options)
    made.add_path(START, "work", END)
    return made


async def kinds(runner: Runner, run_id: str) -> list[str]:
    """Return how attempts of a run failed that were repeated."""
    return [step.data.error.kind for step in await runner.history(run_id) if step.kind == "attempt"]  # type: ignore[union-attr]


@pytest.mark.usefixtures("cluster")
class TestRayExecutor(ExecutorConformance):
    """The requirements of any executor."""

    address = ""

    def make_executor(self) -> Executor:
        """Return one with a processor on each node."""
        return RayExecutor(address=self.address)


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
    with pytest.raises(RunFailed, match=r"ctx\.call needs the run, and 'work' runs on the executor 'gpu'"):
        await runner.start(graph(heavy.calls_there, "out")).result()


async def test_a_dead_worker_and_a_timeout_are_failures_to_retry(runner: Runner, tmp_path: Path) -> None:
    """A worker that is killed or sent SIGTERM fails its attempt as `worker_died`, and a timeout ends it; all repeat."""
    retry = Retry(attempts=2, initial_seconds=0)
    (tmp_path / "1").mkdir()
    run = runner.start(graph(heavy.dies_at_first, "pid", retry=retry), {"folder": str(tmp_path / "1")})
    assert (await run.result()).state.pid not in (0, int((tmp_path / "1" / "died").read_text()))
    assert await kinds(runner, run.id) == ["worker_died"]
    run = runner.start(graph(heavy.is_terminated_at_first, "pid", retry=retry), {"folder": str(tmp_path)})
    assert (await run.result()).state.pid not in (0, int((tmp_path / "terminated").read_text()))
    assert await kinds(runner, run.id) == ["worker_died"]
    hangs = graph(heavy.sleeps_at_first, "pid", timeout_seconds=1, retry=retry)
    run = runner.start(hangs, {"folder": str(tmp_path)})
    first = int((await run.result()).state.pid)
    pid = int((tmp_path / "pid").read_text())
    assert first not in (0, pid)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, signal.SIGCONT)
    assert await kinds(runner, run.id) == ["timeout"]


def test_the_executor_submits_as_any_other(cluster: str) -> None:
    """`submit` returns what a function returns, and raises what it raises."""
    with RayExecutor(address=cluster) as executor:
        assert executor.submit(heavy.double, 4).result() == 8
        assert isinstance(executor.submit(heavy.fail, 1).exception(), KeyError)


def program(folder: Path, text: str, **variables: str) -> str:
    """Return what a program prints."""
    (folder / "program.py").write_text(text)
    places = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": places, **variables},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


WHERE = """
import os
from pydantic import BaseModel
from graphengine import END, START, Graph
from graphengine.executors import RayExecutor

class State(BaseModel):
    where: list[str] = []

def where() -> list[str]:
    import ray
    return [ray.get_runtime_context().gcs_address, os.environ.get("SEEN", "")]

graph = Graph("where", State, result="where")
graph.add_node("where", where, writes="where", on="far")
graph.add_path(START, "where", END)
"""


def test_a_cluster_that_nobody_named_is_not_joined(cluster: str, tmp_path: Path) -> None:
    """Without an address a new one is begun, whatever runs on this machine."""
    with TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as folder:
        Path(folder, "ray").mkdir()
        Path(folder, "ray", "ray_current_cluster").write_text(cluster)  # as `ray start` writes it
        text = WHERE + 'print(graph.run_sync(executors={"far": lambda: RayExecutor(num_cpus=0)}).output[0])'
        assert program(tmp_path, text, RAY_TMPDIR=folder).strip() != cluster


def test_a_program_that_is_connected_gives_its_cluster_and_environment(cluster: str, tmp_path: Path) -> None:
    """An executor without an address is on the program's cluster, with the `runtime_env` of its job."""
    connected = f'import ray\nray.init(address="{cluster}", runtime_env={{"env_vars": {{"SEEN": "yes"}}}})\n'
    text = WHERE + connected + 'print(graph.run_sync(executors={"far": RayExecutor}).output)'
    assert program(tmp_path, text).splitlines()[-1] == str([cluster, "yes"])


def test_the_environment_of_a_job_ships_its_code(cluster: str, tmp_path: Path) -> None:
    """`init` has the `runtime_env`: Ray uploads the folder, from which the workers import."""
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / "only_there.py").write_text("WORD = 'shipped'\n")
    given = {"runtime_env": {"working_dir": str(tmp_path / "shipped"), "env_vars": {"SEEN": "yes"}}}
    text = WHERE.replace("import ray\n", "import ray, only_there\n").replace(
        "gcs_address", "gcs_address + only_there.WORD"
    )
    text += f'print(graph.run_sync(executors={{"far": lambda: RayExecutor(address="{cluster}", init={given})}}).output)'
    assert program(tmp_path, text).splitlines()[-1] == str([f"{cluster}shipped", "yes"])


def test_the_recipe_of_the_page_runs_on_the_cluster(cluster: str, tmp_path: Path) -> None:
    """`RAY_ADDRESS=… graphengine run embedding.py`, with the page's files, runs the node where the accelerator is."""
    page = blocks(PAGE, "python")
    (tmp_path / "embedding.py").write_text(page[0])
    (tmp_path / "places.py").write_text(page[2])
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine.executors]\ngpu = "places:gpu"\n')
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "RAY_ADDRESS": cluster}
    command = [sys.executable, "-m", "graphengine", "run", "embedding.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "0.1" in done.stdout


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"options": {"max_retries": 3}}, "retry=Retry"),
        ({"options": {"num_returns": 2}}, "a node has one result"),
        ({"options": {"num_cpu": 1}}, "Ray refuses the options of a task: Invalid option keyword num_cpu"),
        ({"options": {"runtime_env": {"working_dir": "/tmp"}}}, r"RayExecutor\(init={'runtime_env': …}\)"),  # noqa: S108
        ({"num_cpus": -1}, "cannot be negative"),
        ({"init": {"address": "auto"}}, r"RayExecutor\(address=…\)"),
    ],
    ids=["max_retries", "num_returns", "misspelt", "working_dir", "negative", "address"],
)
def test_options_that_cannot_be_are_refused_at_once(options: dict[str, Any], text: str) -> None:
    """Before any run, with the repair."""
    with pytest.raises(DefinitionError, match=text):
        RayExecutor(**options)


# --- clusters that are away ---


def free_port() -> int:
    """Return a port at which nothing listens."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def test_where_nothing_answers_a_node_fails_in_words(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line says what is waited for, then the node is `executor_unreachable`: it did not begin, effects neither."""
    monkeypatch.setattr(ray_tasks, "_SAY_SECONDS", 0.5)
    address = f"127.0.0.1:{free_port()}"
    async with Runner(executors={"gpu": lambda: RayExecutor(address=address, reach_seconds=2)}) as runner:
        began = time.monotonic()
        retry = Retry(attempts=2, initial_seconds=0)
        failed = await failing(runner.start(graph(heavy.double, "out", effect="once", retry=retry), {"n": 1}).result())
        assert time.monotonic() - began < 20
    assert failed.error.kind == "executor_unreachable"
    assert address in failed.error.message
    assert any(address in line and "waits for it" in line.replace("wait for", "waits for") for line in caplog.messages)


async def test_a_resource_that_no_machine_offers_is_named(cluster: str) -> None:
    """The node is `executor_unreachable` after `reach_seconds`."""
    made = RayExecutor(resources={"unobtainium": 1}, address=cluster, reach_seconds=1)
    async with Runner(executors={"gpu": lambda: made}) as runner:
        failed = await failing(runner.start(graph(heavy.double, "out"), {"n": 1}).result())
    assert failed.error.kind == "executor_unreachable"
    assert f"no machine of the Ray cluster at {cluster} offers unobtainium: 1" in failed.error.message
    made.shutdown()


@pytest.mark.parametrize("lacks", ["a cluster", "a resource"])
def test_a_signal_ends_what_waits(lacks: str, cluster: str, tmp_path: Path) -> None:
    """SIGTERM ends a command whose node waits for its cluster, or for a machine of it."""
    (tmp_path / "embedding.py").write_text(blocks(PAGE, "python")[0])
    (tmp_path / "places.py").write_text(blocks(PAGE, "python")[2].replace("accelerator", "unobtainium"))
    (tmp_path / "pyproject.toml").write_text('[tool.graphengine.executors]\ngpu = "places:gpu"\n')
    address = cluster if lacks == "a resource" else f"127.0.0.1:{free_port()}"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]), "RAY_ADDRESS": address}
    command = [sys.executable, "-m", "graphengine", "run", "embedding.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert any("nodes wait for it" in line for line in process.stderr)
        process.terminate()
        began = time.monotonic()
        process.communicate(timeout=60)
    assert time.monotonic() - began < 25  # a command gives its nodes ten
    assert process.returncode != 0


async def test_a_cluster_that_comes_back_is_found_again(tmp_path: Path) -> None:
    """After a restart, and the death of the local node, a call begins in its first attempt; a cut one is repeated."""
    port = free_port()
    made = begun(port)
    retry = Retry(attempts=2, initial_seconds=0)
    try:
        executor = RayExecutor(address=made.address)
        async with Runner(executors={"gpu": executor}) as runner:
            assert (await runner.start(graph(heavy.double, "out"), {"n": 1}).result()).state.out == 2
            cut = runner.start(graph(heavy.sleeps_at_first, "pid", retry=retry), {"folder": str(tmp_path)})
            while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)
            made.shutdown()
            made = begun(port)
            run = runner.start(graph(heavy.double, "out"), {"n": 2})
            assert (await run.result()).state.out == 4
            assert await kinds(runner, run.id) == []
            assert (await cut.result()).state.pid > 0
            assert await kinds(runner, cut.id) == ["worker_died"]
            made.head_node.kill_raylet()
            run = runner.start(graph(heavy.double, "out"), {"n": 3})
            await asyncio.sleep(0)
            made.add_node(num_cpus=1, **SMALL)
            assert (await run.result()).state.out == 6
            assert await kinds(runner, run.id) == []
        executor.shutdown()
    finally:
        made.shutdown()
