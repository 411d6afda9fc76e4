"""Mark the tests that search: at random, through thousands of cases, in large texts, by kills, in a browser.

Measuring which lines run makes these several times slower and finds no line that the others do not run, so
`make coverage` leaves them out (`-m "not search"`). `pytest -m search` runs them alone.
"""

import gc
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from graphengine.errors import OutOfOrder
from graphengine.runner import ids
from tests.kit import limits, pure_engine
from tests.kit.machine import IS_BARE, bare_path

if TYPE_CHECKING:
    from tests.kit.postgres import PostgresServer

pytest.register_assert_rewrite("tests.conformance", "graphengine.kernel.testing")

ROOT = Path(__file__).resolve().parent
SKIPPED_FILE = ROOT.parent / "build" / "skipped.txt"
SKIPPED: set[str] = set()
"""The tests and files that this session has skipped."""
MEMORY = Path("/dev/shm")  # noqa: S108 - each session makes a folder of its own in it
MEMORY_BYTES = 4 * 1024**3
HOUR = 3600.0
"""How much must be free to keep the files of tests in memory."""
BROKEN: list[str] = []
"""What claims on runs were given in this test that cannot come then."""
IN_MEMORY = pytest.StashKey[Path]()
BARE_PATH = pytest.StashKey[Path]()

# Folders, files, and functions of files.
SEARCHES = (
    "benchmarks/test_benchmarks.py",
    "checks/test_loops.py::test_every_run_without_an_end_is_found",
    "crash",
    "docs/test_nothing_acts_twice_page.py::test_an_order_is_refunded_once_whenever_the_program_is_killed",
    "records/test_random_replays.py",
    "fuzz",
    "records/replay/test_bad_files.py::test_any_bytes_are_refused",
    "patterns/test_kills.py",
    "runner/waits/test_kept.py::test_a_waiting_run_holds_nothing",
    "serve/inspector/test_browser.py",
    "serve/inspector/test_events.py",
    "databases/test_random_prunes.py",
    "databases/test_sqlite_damage.py",
    "databases/test_sqlite_hostile.py::test_no_value_is_ever_part_of_a_statement",
    "databases/test_sqlite_power.py",
    "test_demo.py",
)
WHOLE = frozenset(ROOT / each for each in SEARCHES if "::" not in each)
SOME = frozenset((ROOT / file, name) for file, _, name in (each.partition("::") for each in SEARCHES) if name)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs what a machine without servers and a browser has skipped."""
    parser.addoption("--skipped", action="store_true", help="run only what the last `BARE=1` session skipped")


def free_memory() -> None:
    """Remove the files of sessions that were killed, or failed an hour ago: they would fill the memory."""
    for folder in MEMORY.glob("tests-*-*"):
        process = folder.name.split("-")[1]
        with suppress(OSError):  # it is gone, or another user's
            if not Path("/proc", process).exists() and folder.stat().st_mtime < time.time() - HOUR:
                shutil.rmtree(folder, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    """Let hypothesis draw the same cases each time, unless a seed is given as by `make soak`.

    No case has a deadline: a busy machine exceeds any. No HTTP client reads the certificates of the system, which takes
    20 ms for each client: all that tests talk to is on this machine, without TLS.

    Files are in memory where there is a large file system for that: else a fifth of the time goes to the disk. What
    tests prove about a disk that fails or loses power is simulated on either. `TMPDIR=/tmp make test` uses the disk.

    A docstring is parsed once. Each service describes its documents when it starts, for which it parses 400.

    A shell lets what it starts in the background ignore Ctrl-C, and so would every program that tests start.

    A test that takes too long fails with its stacks. A test in which the engine opens a file fails too.
    """
    lacking = [each for each in SEARCHES if not is_there(each)]
    if lacking and not config.pluginmanager.hasplugin("tests.kit.core_only"):
        raise pytest.UsageError(f"there is none of these any more, correct SEARCHES: {', '.join(lacking)}")
    config.pluginmanager.register(limits)
    sys.addaudithook(pure_engine.watch)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if "TMPDIR" not in os.environ and MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
        free_memory()
        os.environ["TMPDIR"] = tempfile.tempdir = tempfile.mkdtemp(prefix=f"tests-{os.getpid()}-", dir=MEMORY)
        config.stash[IN_MEMORY] = folder = Path(tempfile.tempdir)
        folder.chmod(0o711)  # other users run PostgreSQL, and try what they may not do
    same = config.getoption("hypothesis_seed", None) is None
    settings.register_profile("ours", deadline=None, derandomize=same)
    settings.load_profile("ours")
    if IS_BARE and not hasattr(config, "workerinput"):
        config.stash[BARE_PATH] = bare_path()
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = str(ROOT)  # where there are none
    with suppress(ImportError):  # the core has none
        import docstring_parser  # noqa: PLC0415

        docstring_parser.parse = cache(docstring_parser.parse)
    begun = OutOfOrder.__init__

    @wraps(begun)
    def noted(self: OutOfOrder, message: str, **more: str) -> None:
        BROKEN.append(message)
        begun(self, message, **more)

    pytest.MonkeyPatch().setattr(OutOfOrder, "__init__", noted)


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the files of a session that failed, and which tests a bare machine skips."""
    if IS_BARE and not hasattr(session.config, "workerinput"):
        SKIPPED_FILE.parent.mkdir(exist_ok=True)
        SKIPPED_FILE.write_text("\n".join(sorted(SKIPPED)), encoding="utf-8")
    if exitstatus and IN_MEMORY in session.config.stash:
        del session.config.stash[IN_MEMORY]


def pytest_unconfigure(config: pytest.Config) -> None:
    """Free the memory, and remove the links to programs."""
    if BARE_PATH in config.stash:
        shutil.rmtree(config.stash[BARE_PATH], ignore_errors=True)
    if IN_MEMORY in config.stash:
        shutil.rmtree(config.stash[IN_MEMORY], ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """Import the tests without looking for garbage: that takes a sixth of the time, and finds 26 MB."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Let Python look for garbage less often, and never among what was imported: 7 % of the time."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, Any, Any]:
    """Fail a test in which the engine opened a file, or a claim on a run was given what cannot come then.

    It fails even if nobody got the error of the claim.
    """
    BROKEN.clear()
    pure_engine.OPENED.clear()
    result = yield
    if pure_engine.OPENED:
        pytest.fail("the engine is pure:\n" + "\n".join(pure_engine.OPENED))
    if BROKEN and "broken_orders" not in getattr(item, "fixturenames", ()):
        pytest.fail("\n".join(BROKEN))
    return result


@pytest.fixture(autouse=True)
def fixed_nonces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each run the same nonce, so that pages show the same ids every time; `drawn_nonces` leaves them random."""
    if "drawn_nonces" not in request.fixturenames:
        monkeypatch.setattr(ids, "new_nonce", lambda: "k3x9ab")


@pytest.fixture
def drawn_nonces() -> None:
    """Let each run draw its nonce, as outside of tests."""


@pytest.fixture(scope="session")
def broken_orders() -> list[str]:
    """Provide what claims on runs were given in a test that cannot come then; without this fixture, the test fails."""
    return BROKEN


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Return two workers for a core: some of the time, tests wait for servers, processes and browsers."""
    return 2 * (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator["PostgresServer"]:
    """Provide a PostgreSQL server for all tests of this process; its data does not survive a power cut."""
    from tests.kit.postgres import PostgresServer, why_missing  # noqa: PLC0415 - the core's tests need no psycopg

    why = why_missing()
    if why:
        pytest.skip(why)
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    server = PostgresServer(shared / "postgres")
    yield server
    server.remove()


@pytest.fixture
def postgres(postgres_server: "PostgresServer") -> Iterator[str]:
    """Provide the address of a schema without rows; the server is removed at the end with all of them."""
    address = postgres_server.empty_address()
    yield address
    postgres_server.give_back(address)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which `--skipped`, `-m search` or `-m "not search"` runs nothing: importing costs seconds."""
    if collection_path.suffix != ".py" or collection_path.name == "conftest.py":
        return None
    if config.option.skipped and str(collection_path.relative_to(ROOT.parent)) not in {
        name.partition("::")[0] for name in skipped_before()
    }:
        return True
    if config.option.markexpr == "not search":
        return True if searches(collection_path) else None
    if config.option.markexpr == "search":
        return None if searches(collection_path) or any(file == collection_path for file, _ in SOME) else True
    return None


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Keep the name of a file that is skipped as a whole."""
    if report.skipped:
        SKIPPED.add(report.nodeid)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Keep the name of a skipped test."""
    if report.skipped:
        SKIPPED.add(report.nodeid)


def skipped_before() -> set[str]:
    """Return the names that the last session on a bare machine has kept."""
    if not SKIPPED_FILE.exists():
        raise pytest.UsageError("nothing is known to have been skipped; run first: BARE=1 make test")
    return set(SKIPPED_FILE.read_text(encoding="utf-8").splitlines())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of these folders, files and functions; with `--skipped`, leave out all that were not skipped."""
    if config.option.skipped:
        names = skipped_before()
        chosen = [item for item in items if {item.nodeid, item.nodeid.partition("::")[0]} & names]
        config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
        items[:] = chosen
    found = {path: searches(path) for path in {item.path for item in items}}
    for item in items:
        if found[item.path] or (item.path, getattr(item, "originalname", item.name)) in SOME:
            item.add_marker(pytest.mark.search)
            if config.pluginmanager.hasplugin("pytest_cov"):
                item.add_marker(pytest.mark.no_cover)  # also in `pytest --cov` of a folder


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Make a report that a worker of pytest-xdist can send.

    It cannot send lone surrogates, which some tests print. Nothing reads the names and marks of a test in the parent,
    but they are most of a report: leaving them out saves 0.3 ms for each test.
    """
    data = yield
    if data and "keywords" in data:
        data["keywords"] = {}
    return encodable(data)


def encodable(value: Any) -> Any:
    """Return plain data with every string fit for UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {encodable(key): encodable(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(encodable(one) for one in value)
    return value


def is_there(entry: str) -> bool:
    """Return whether there is a folder or a file, and this function in it."""
    name, _, function = entry.partition("::")
    file = ROOT / name
    return file.exists() and (not function or f"def {function}(" in file.read_text(encoding="utf-8"))


def searches(path: Path) -> bool:
    """Return whether every test of a file searches."""
    return not WHOLE.isdisjoint((path, *path.parents))
