"""docs/use/executors.md: its executors meet what is required of any, on Dask, submitit and an imitated Kubernetes."""

import importlib
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import Executor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from graphengine import END, START, Graph, Runner
from graphengine.errors import DefinitionError
from graphengine.testing import ExecutorConformance
from tests.docs.page import USE, blocks
from tests.kit import heavy_nodes as heavy

MODULES = {text.partition("\n")[0].removeprefix("# "): text for text in blocks(USE / "executors.md", "python")}


def loaded(name: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Import a module of the page, from its file."""
    folder = tmp_path_factory.mktemp("page")
    (folder / f"{name}.py").write_text(MODULES[f"{name}.py"], encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        return importlib.import_module(name)


def test_the_suite_of_the_page_is_one(tmp_path: Path) -> None:
    """Its class tests an executor, by pytest."""
    (tmp_path / "test_my_executor.py").write_text(MODULES["test_my_executor.py"])
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "returns", "test_my_executor.py"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 passed" in done.stdout, done.stdout + done.stderr


# --- Dask ---


@pytest.fixture(scope="module")
def dask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a scheduler with two workers, each with one thread."""
    distributed = pytest.importorskip("distributed", reason="dask's distributed is not installed: `make executors`")
    TestDask.module = loaded("dask_executor", tmp_path_factory)
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}
    with distributed.LocalCluster(**options) as cluster:
        TestDask.address = cluster.scheduler_address
        yield cluster.scheduler_address


@pytest.mark.usefixtures("dask")
class TestDask(ExecutorConformance):
    """Its scheduler repeats calls, and ends none."""

    ends_work = False
    module: Any = None
    address = ""

    def make_executor(self) -> Executor:
        """Return one on the cluster of the tests."""
        made: Executor = self.module.DaskExecutor(self.address)
        return made


async def test_the_executor_of_dask_itself_is_taken(dask: str, caplog: pytest.LogCaptureFixture) -> None:
    """`get_executor` is one, whose shutdown takes no `cancel_futures`; what must not be repeated is refused."""
    distributed = pytest.importorskip("distributed")
    graph = Graph("heavy", heavy.Job)
    graph.add_node("work", heavy.double, writes="out", on="far")
    graph.add_path(START, "work", END)
    once = Graph("once", heavy.Job)
    once.add_node("work", heavy.double, writes="out", on="far", effect="once")
    once.add_path(START, "work", END)
    with distributed.Client(dask) as client:
        async with Runner(executors={"far": lambda: client.get_executor(pure=False)}) as runner:
            assert (await runner.start(graph, heavy.Job(n=4)).result()).state.out == 8
            with pytest.raises(DefinitionError, match="may run a call again by itself"):
                runner.start(once, heavy.Job(n=4))
    assert "shutdown" not in caplog.text


# --- Slurm ---


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its own processes
class TestSubmitit(ExecutorConformance):
    """Jobs of submitit on this machine, as it runs them without Slurm; each takes two interpreters to begin."""

    seconds = 30.0
    limit_seconds = 10.0
    module: Any = None
    folder: Path

    @pytest.fixture(autouse=True)
    def of_page(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Load the page's module."""
        pytest.importorskip("submitit", reason="submitit is not installed: `make executors`")
        type(self).module = self.module or loaded("slurm_executor", tmp_path_factory)
        type(self).folder = tmp_path_factory.mktemp("jobs")

    def test_waiting_for_a_place_takes_no_time(self) -> None:
        """Here none waits: all jobs begin at once, however many processors there are."""

    def make_executor(self) -> Executor:
        """Return one for processes."""
        made: Executor = self.module.SlurmExecutor(self.folder, poll_seconds=0.05, cluster="local", timeout_min=5)
        return made


# --- Kubernetes ---


class FakeCluster(ThreadingHTTPServer):
    """Answers as the API of Kubernetes does about Jobs, and runs the container of each as a process."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), FakeApi)
        self.jobs: dict[str, tuple[Any, subprocess.Popen[bytes]]] = {}
        self.lock = threading.Lock()


class FakeApi(BaseHTTPRequestHandler):
    """Four requests of the API."""

    @property
    def cluster(self) -> FakeCluster:
        """The server."""
        assert isinstance(self.server, FakeCluster)
        return self.server

    def do_POST(self) -> None:
        """Create a job."""
        job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        validate = pytest.importorskip("kubernetes_validate")
        validate.validate(job, "1.32", strict=True)
        (container,) = job["spec"]["template"]["spec"]["containers"]
        process = subprocess.Popen([sys.executable, *container["command"][1:]], start_new_session=True)
        with self.cluster.lock:
            self.cluster.jobs[job["metadata"]["name"]] = job, process
        self._answer(201, job)

    def do_GET(self) -> None:
        """Show a job, or list those with a label."""
        place = urlsplit(self.path)
        with self.cluster.lock:
            if not place.path.endswith("/jobs"):
                found = self.cluster.jobs.get(place.path.rpartition("/")[2])
                self._answer(*((404, {}) if found is None else (200, {**found[0], "status": self._status(found[1])})))
                return
            self._answer(200, {"items": [self.cluster.jobs[name][0] for name in self._chosen(place.query)]})

    def do_DELETE(self) -> None:
        """Delete jobs with a label, and their processes."""
        with self.cluster.lock:
            for name in self._chosen(urlsplit(self.path).query):
                _, process = self.cluster.jobs.pop(name)
                process.send_signal(signal.SIGKILL)
                process.wait()
        self._answer(200, {})

    def _chosen(self, query: str) -> list[str]:
        label, _, value = parse_qs(query)["labelSelector"][0].partition("=")
        return [name for name, (job, _) in self.cluster.jobs.items() if job["metadata"]["labels"][label] == value]

    def _status(self, process: subprocess.Popen[bytes]) -> dict[str, int]:
        code = process.poll()
        return {"active": 1, "ready": 1} if code is None else {"failed" if code else "succeeded": 1}

    def _answer(self, status: int, body: object) -> None:
        found = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(found)))
        self.end_headers()
        self.wfile.write(found)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as the base class has it
        """Log nothing."""


class TestKubernetes(ExecutorConformance):
    """Jobs of a cluster that is imitated."""

    limit_seconds = 4.0
    module: Any = None
    url = ""
    folder: Path

    @pytest.fixture(autouse=True)
    def of_page(self, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        """Load the page's module, and begin a cluster."""
        pytest.importorskip("httpx")
        type(self).module = self.module or loaded("kubernetes_executor", tmp_path_factory)
        type(self).folder = tmp_path_factory.mktemp("calls")
        with FakeCluster() as cluster:
            type(self).url = f"http://127.0.0.1:{cluster.server_port}"
            threading.Thread(target=cluster.serve_forever, args=(0.05,), daemon=True).start()
            yield
            cluster.shutdown()
            assert not cluster.jobs, "jobs are left behind"

    def test_waiting_for_a_place_takes_no_time(self) -> None:
        """As for Slurm: the imitated cluster begins all jobs at once, so the test would measure only the machine."""

    def make_executor(self) -> Executor:
        """Return one on that cluster."""
        httpx = importlib.import_module("httpx")
        given = {"image": "graphs:1", "claim": "calls", "folder": self.folder, "poll_seconds": 0.05}
        made: Executor = self.module.KubernetesExecutor(httpx.Client(base_url=self.url), **given)
        return made


async def test_an_api_that_does_not_answer_is_told(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> None:
    """The node did not begin: `executor_unreachable`."""
    httpx = pytest.importorskip("httpx")
    module = loaded("kubernetes_executor", tmp_path_factory)
    api = httpx.Client(base_url="http://127.0.0.1:1")
    graph = Graph("heavy", heavy.Job)
    graph.add_node("work", heavy.double, writes="out", on="far")
    graph.add_path(START, "work", END)
    executor = module.KubernetesExecutor(api, image="graphs:1", claim="calls", folder=tmp_path)
    async with Runner(executors={"far": executor}) as runner:
        with pytest.raises(Exception, match="executor_unreachable: the API of the cluster"):
            await runner.start(graph, heavy.Job(n=4)).result()
