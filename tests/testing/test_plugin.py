"""The pytest plugin from the user's side: pytest runs small test modules with it."""

import subprocess
import sys

import pytest

from tests.kit import forks
from tests.testing.plain import PLUGIN, QUIET
from tests.testing.samples import ASYNC, GRAPHS, PLAIN

pytest_plugins = ("pytester",)

AUTO = ("-p", "pytest_asyncio", "-o", "asyncio_mode=auto", "-o", "asyncio_default_fixture_loop_scope=function")
STRICT = ("-p", "pytest_asyncio", "-o", "asyncio_mode=strict", "-o", "asyncio_default_fixture_loop_scope=function")
RUNNERS = {
    "plain": (("-p", "no:asyncio", "-p", "no:anyio"), PLAIN + ASYNC.replace("test_", "test_async_")),
    "asyncio auto": (AUTO, ASYNC + PLAIN.replace("test_", "test_plain_")),
    "asyncio strict": (
        STRICT,
        "import pytest\n" + ASYNC.replace("async def test", "@pytest.mark.asyncio\nasync def test"),
    ),
    "anyio": (
        ("-p", "no:asyncio"),
        "import pytest\npytestmark = pytest.mark.anyio\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
        + ASYNC,
    ),
}


def run(pytester: pytest.Pytester, source: str, *args: str) -> pytest.RunResult:
    """Run pytest on a module in this process, with warnings as errors."""
    pytester.makepyfile(GRAPHS + source)
    mode = AUTO if "pytest_asyncio" not in args else ()
    return pytester.runpytest_inprocess(*QUIET, "-q", "-W", "error", *mode, *args)


def output_of(result: pytest.RunResult) -> str:
    """Return pytest's output."""
    return result.stdout.str()


@pytest.mark.parametrize("kind", RUNNERS)
def test_the_fixtures_work_with_every_test_runner(pytester: pytest.Pytester, kind: str) -> None:
    """Plain pytest, pytest-asyncio in both modes and anyio: the same fixtures, no warning, nothing left open."""
    args, source = RUNNERS[kind]
    pytester.makepyfile(GRAPHS + source)
    words = (*PLUGIN, "-p", "no:cacheprovider", "-q", "-W", "error", *args)
    ran = forks.run("pytest", *words, folder=pytester.path)
    assert (ran.returncode, "skipped" in ran.stdout) == (0, False), ran.stdout + ran.stderr


def test_loading_the_plugin_loads_nothing_of_the_engine() -> None:
    """Every pytest process imports one small module, and of graphengine only packages."""
    program = (
        "import pytest, sys; before = set(sys.modules); import graphengine.testing.plugin\n"
        "print(*sorted(name for name in set(sys.modules) - before if not name.startswith(('importlib', 'typing'))))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    ours = [name for name in loaded if name.startswith("graphengine")]
    assert ours == ["graphengine", "graphengine.testing", "graphengine.testing.plugin"]
    assert len(loaded) < 12, loaded


def test_a_fixture_of_the_user_takes_precedence(pytester: pytest.Pytester) -> None:
    """A test module's own `store` takes precedence, and the runner ignores it if it is not a store."""
    result = run(
        pytester,
        """
import pytest

@pytest.fixture
def store():
    return ["a shop"]

@pytest.fixture
def clock():
    return "noon"

async def test_it(runner, store, clock):
    assert (store, clock) == (["a shop"], "noon")
    assert (await runner.start(counting, {}).result()).state.n == 2
""",
    )
    result.assert_outcomes(passed=1)


LEAVING = {
    "async": """
async def test_it(runner):
    runner.start(hanging, {})
    await asyncio.sleep(0)
""",
    "plain": """
def test_it(runner):
    async def main():
        runner.start(hanging, {})
        await asyncio.sleep(0)
    asyncio.run(main())
""",
    "plain, closed": """
def test_it(runner):
    async def main():
        async with runner:
            runner.start(hanging, {})
    asyncio.run(main())
""",
}


@pytest.mark.parametrize("test", LEAVING.values(), ids=LEAVING)
def test_a_run_that_is_left_in_progress_fails_the_test(pytester: pytest.Pytester, test: str) -> None:
    """If a test ends while its runner drives a run, the error says so and names the repair."""
    result = run(pytester, test)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ended while its runner was driving run *", "*repair: await run.result()*"])


def test_a_test_may_leave_a_sleeping_or_waiting_run(pytester: pytest.Pytester) -> None:
    """A test can end while a run waits for a time: no work is in flight."""
    result = run(
        pytester,
        """
async def test_it(runner, clock):
    run = runner.start(napping, {})
    while not await runner.waits(run.id):
        await asyncio.sleep(0)
    while run.id in runner._shared.driven or run.id not in runner._shared.asleep:
        await asyncio.sleep(0)
""",
    )
    result.assert_outcomes(passed=1)


def test_a_failing_test_reports_only_its_own_error(pytester: pytest.Pytester) -> None:
    """Open runs and unused answers are not reported on top of a test's own failure."""
    result = run(
        pytester,
        """
async def test_it(runner, scripted_model):
    scripted_model(["never asked for"])
    runner.start(hanging, {})
    await asyncio.sleep(0)
    raise ValueError("my own")
""",
    )
    result.assert_outcomes(failed=1)
    assert "my own" in output_of(result)
    assert "not used" not in output_of(result)
    assert "driving" not in output_of(result)


def test_an_unused_answer_fails_the_test(pytester: pytest.Pytester) -> None:
    """The fixture's scripted model is checked once the test has passed."""
    result = run(pytester, 'def test_it(scripted_model):\n    scripted_model(["never asked for"])\n')
    result.assert_outcomes(failed=1)
    assert "answer 1: 'never asked for'" in output_of(result)


def test_a_runner_cannot_be_changed_after_a_start(pytester: pytest.Pytester) -> None:
    """`use` must come before the first run; a later call is refused."""
    result = run(
        pytester,
        """
import pytest
from graphengine import GraphEngineError

async def test_it(runner):
    await runner.start(counting, {}).result()
    with pytest.raises(GraphEngineError, match="before the first run is started"):
        runner.use(models={"*": "rules"})
""",
    )
    result.assert_outcomes(passed=1)


def test_resources_and_models_of_a_runner_add_up(pytester: pytest.Pytester) -> None:
    """A second `use` keeps the earlier settings."""
    result = run(
        pytester,
        """
from graphengine import Graph

async def look(n: int, search) -> int:
    return search + n
searching = Graph("searching", State, resources={"search": lambda: 1 / 0})
searching.add_node("look", look, writes="n")
searching.add_node("write", writer, writes="draft")
searching.add_path(START, "look", "write", END)

async def test_it(runner, scripted_model):
    runner.use(resources={"search": 41})
    runner.use(models={"writer": scripted_model(["x"])})
    result = await runner.start(searching, {"n": 1}).result()
    assert (result.state.n, result.state.draft) == (42, "x")
""",
    )
    result.assert_outcomes(passed=1)
