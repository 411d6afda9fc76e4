"""Fixtures of the pytest plugin: `runner`, `store`, `clock`, `scripted_model`, `recordings`.

The fixtures are not async, so that they work in the same way in plain pytest, with pytest-asyncio (auto and strict) and
with anyio. An object that a fixture returns belongs to the event loop that first uses the object. If no other plugin
handles an async test, this plugin runs the test in an event loop of its own.

Objects that must be closed in the event loop are closed at the end of the test function, while the loop still exists.
The final checks are part of the test. A fixture with the same name in a test module or a conftest.py takes precedence,
as everywhere in pytest.

PYTEST_DONT_REWRITE: the module contains no assertions that pytest could rewrite.
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
"""The runner that the fixture made for a test."""


@pytest.fixture
def clock() -> FakeClock:
    """Return a clock that moves only when the test moves it: `clock.move(60)`."""
    from graphengine.testing.clock import FakeClock  # noqa: PLC0415 - imported on first use, like all imports below

    return FakeClock(jumps=False)


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Store]:
    """Provide an empty store that the test opens. The test runs twice: once with memory and once with SQLite."""
    new_store: Store
    if request.param == "memory":
        from graphengine.kernel.store import InMemoryStore  # noqa: PLC0415

        new_store = InMemoryStore()
    else:
        from graphengine.databases.sqlite import SQLiteStore  # noqa: PLC0415

        new_store = SQLiteStore(tmp_path / "runs.db")
    yield new_store
    from graphengine.testing.open_runner import close_leftover  # noqa: PLC0415

    close_leftover(new_store)


@pytest.fixture
def runner(request: pytest.FixtureRequest) -> Generator[OpenRunner]:
    """Provide a Runner that needs no `async with` and is closed at the end of the test.

    The test fails if a run is still in progress at its end. The Runner uses a store in memory, or the fixture `store`
    if the test uses that fixture too. Its clock jumps over waiting times, so that tests do not wait. If the test uses
    the fixture `clock`, the Runner uses that clock.

    Call `runner.use(models=…, resources=…)` before the first run is started to replace models and resources. Nodes with
    `on=` run in place, unless `runner.use(executors=…)` names their executors.
    """
    from graphengine.kernel.store import InMemoryStore  # noqa: PLC0415
    from graphengine.testing.clock import FakeClock  # noqa: PLC0415
    from graphengine.testing.open_runner import OpenRunner  # noqa: PLC0415

    store = _find_fixture(request, "store", "claim")
    clock = _find_fixture(request, "clock", "sleep_until")
    new_runner = OpenRunner(store or InMemoryStore(), clock or FakeClock())
    request.node.stash[_RUNNER] = new_runner
    yield new_runner
    new_runner.abandon()


@pytest.fixture
def scripted_model(request: pytest.FixtureRequest) -> Callable[..., ScriptedModel]:
    """Return a function that makes scripted models, as in `scripted_model(["a draft"])`.

    The test fails if an answer of a scripted model was not used.
    """
    from graphengine.models.scripted import ScriptedModel  # noqa: PLC0415

    def make(answers: Iterable[object] | Mapping[str, object] | Callable[[Request], object]) -> ScriptedModel:
        model = ScriptedModel(answers)
        request.node.stash.setdefault(_CHECKS, []).append(model.done)
        return model

    return make


@pytest.fixture
def recordings(request: pytest.FixtureRequest) -> Recordings:
    """Return a function that makes models with recorded answers: `recordings("anthropic:MODEL")`.

    The answers are kept in a file next to the test. `pytest --graphengine-record` calls the model for missing answers.
    """
    from graphengine.testing.recordings import Recordings, file_of  # noqa: PLC0415

    node = request.node
    is_recording = bool(request.config.getoption("graphengine_record"))
    return Recordings(file_of(node.path, node.nodeid), node.nodeid, is_recording=is_recording)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Close the test's Runner in the test's own event loop, and run the final checks if the test passed.

    The checks fail a test that left a run in progress, or answers of a scripted model unused.
    """
    __tracebackhide__ = True
    runner = item.stash.get(_RUNNER, None)
    test = getattr(item, "obj", None)
    if runner is not None and inspect.iscoroutinefunction(test):
        item.obj = _close_at_end(runner, test)  # type: ignore[attr-defined]
    if "graphengine.api.graph" in sys.modules:  # Otherwise no test in this process can have run a node.
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
    """Run an async test in an event loop of its own, unless another plugin runs it.

    Without a plugin, pytest would fail it.
    """
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
    """Add the failed nodes to the report of a failed test, each with its input and its requests to models."""
    report = yield
    nodes = sys.modules.get("graphengine.testing.failed_nodes")
    if nodes is not None and report.failed and call.when == "call":
        report.sections += nodes.sections(item.nodeid)
    return report


def _find_fixture(request: pytest.FixtureRequest, name: str, method: str) -> Any:  # noqa: ANN401 - a fixture can be anything
    """Return the fixture with this name, if it has this method; otherwise None.

    A project may define a fixture with the same name, such as `store`, for something else.
    """
    found = request.getfixturevalue(name) if name in request.fixturenames else None
    return found if callable(getattr(found, method, None)) else None


def _close_at_end(runner: OpenRunner, test: Callable[..., Coroutine[Any, Any, object]]) -> Callable[..., object]:
    """Wrap an async test function, so that the test's Runner is closed when the function ends.

    At that moment the event loop of the test still runs, which closing the Runner needs.
    """

    @wraps(test)
    async def closing(*args: object, **kwargs: object) -> object:
        try:
            return await test(*args, **kwargs)
        finally:
            await runner.settle()

    return closing
