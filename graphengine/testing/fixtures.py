"""Fixtures of the pytest plugin: `runner`, `store`, `clock`, `scripted_model`, `recordings`.

None of them is async, so that they work alike in plain pytest, with pytest-asyncio (auto and strict) and with anyio:
what they return belongs to the event loop that first uses it. An async test that no such plugin handles runs here, in a
loop of its own. What must be closed in that loop is closed at the end of the test function, while the loop still
exists; the final checks of a test run there too, and are part of the test. A fixture with the same name in a test
module or a conftest.py takes precedence, as everywhere in pytest.

PYTEST_DONT_REWRITE: the module has no assertion to rewrite.
"""

from __future__ import annotations

import inspect
import sys
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator, Iterable, Mapping
    from pathlib import Path

    from graphengine.kernel.store import Store
    from graphengine.models.base import Request
    from graphengine.models.scripted import ScriptedModel
    from graphengine.testing.clock import FakeClock
    from graphengine.testing.open_runner import OpenRunner
    from graphengine.testing.recordings import Recordings

_CHECKS: Final = pytest.StashKey[list["Callable[[], None]"]]()
"""The checks to run when a test has passed."""
_RUNNER: Final = pytest.StashKey["OpenRunner"]()
"""The runner that a test was given."""


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that moves only when the test moves it: `clock.move(60)`."""
    from graphengine.testing.clock import FakeClock  # noqa: PLC0415 - loaded on first use, as all below

    return FakeClock(jumps=False)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Store]:
    """Provide an empty store: the test runs twice, once over memory and once over SQLite. The test opens it."""
    made: Store
    if request.param == "memory":
        from graphengine.kernel.store import InMemoryStore  # noqa: PLC0415

        made = InMemoryStore()
    else:
        from graphengine.databases.sqlite import SQLiteStore  # noqa: PLC0415

        made = SQLiteStore(tmp_path / "runs.db")
    yield made
    from graphengine.testing.open_runner import close_leftover  # noqa: PLC0415

    close_leftover(made)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Generator[OpenRunner]:
    """Provide a Runner without `async with`; it is closed with the test, which fails if it leaves a run in progress.

    Its store is in memory, or `store` if the test takes that too. Its time jumps, so that tests do not wait; if the
    test takes `clock`, it uses that. `runner.use(models=…, resources=…)` replaces models and resources, before the
    first run is started. Nodes with `on=` run in place, unless `runner.use(executors=…)` names their executors.
    """
    from graphengine.kernel.store import InMemoryStore  # noqa: PLC0415
    from graphengine.testing.clock import FakeClock  # noqa: PLC0415
    from graphengine.testing.open_runner import OpenRunner  # noqa: PLC0415

    store = _find_fixture(request, "store", "claim")
    clock = _find_fixture(request, "clock", "sleep_until")
    made = OpenRunner(store or InMemoryStore(), clock or FakeClock())
    request.node.stash[_RUNNER] = made
    yield made
    made.abandon()


@pytest.fixture
def scripted_model(request: pytest.FixtureRequest) -> Callable[..., ScriptedModel]:
    """Return a function that makes scripted models, `scripted_model(["a draft"])`; unused answers fail the test."""
    from graphengine.models.scripted import ScriptedModel  # noqa: PLC0415

    def make(answers: Iterable[object] | Mapping[str, object] | Callable[[Request], object]) -> ScriptedModel:
        made = ScriptedModel(answers)
        request.node.stash.setdefault(_CHECKS, []).append(made.done)
        return made

    return make


@pytest.fixture
def recordings(request: pytest.FixtureRequest) -> Recordings:
    """Return models whose answers are kept in a file next to the test: `recordings("anthropic:MODEL")`."""
    from graphengine.testing.recordings import Recordings, file_of  # noqa: PLC0415

    node = request.node
    is_recording = bool(request.config.getoption("graphengine_record"))
    return Recordings(file_of(node.path, node.nodeid), node.nodeid, is_recording=is_recording)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Close what belongs to the loop of a test in that loop, and run the checks of a passed test."""
    __tracebackhide__ = True
    runner = item.stash.get(_RUNNER, None)
    test = getattr(item, "obj", None)
    if runner is not None and inspect.iscoroutinefunction(test):
        item.obj = _close_at_end(runner, test)  # type: ignore[attr-defined]
    if "graphengine.api.graph" in sys.modules:  # else no test of this process has run a node
        from graphengine.testing import failed_nodes  # noqa: PLC0415

        failed_nodes.watch(item.nodeid)
    try:
        result = yield
        for check in item.stash.get(_CHECKS, []):
            check()
        if runner is not None:
            runner.check()
    finally:
        if runner is not None and test is not None:
            item.obj = test  # type: ignore[attr-defined]
    return result


def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an async test that no other plugin handles in an event loop of its own; pytest would fail it."""
    __tracebackhide__ = True
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    import asyncio  # noqa: PLC0415 - loaded on first use

    names = pyfuncitem._fixtureinfo.argnames  # noqa: SLF001 - as pytest calls a function; there is no other access
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the input and the model requests of nodes that failed in a failed test."""
    report = yield
    nodes = sys.modules.get("graphengine.testing.failed_nodes")
    if nodes is not None and report.failed and call.when == "call":
        report.sections += nodes.sections(item.nodeid)
    return report


def _find_fixture(request: pytest.FixtureRequest, name: str, method: str) -> Any:  # noqa: ANN401 - a fixture can be anything
    """Return the fixture with that name if it has this method: a project's own `store` can be something else."""
    found = request.getfixturevalue(name) if name in request.fixturenames else None
    return found if callable(getattr(found, method, None)) else None


def _close_at_end(runner: OpenRunner, test: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., object]:
    """Return the test function, at whose end the runner is closed in the test's own event loop."""

    @wraps(test)
    async def closing(*args: object, **kwargs: object) -> object:
        try:
            return await test(*args, **kwargs)
        finally:
            await runner.settle()

    return closing
