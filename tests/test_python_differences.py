"""What differs between releases of CPython and between systems, imitated on the one that runs the tests.

docs/project/pythons.md has the table: what can reach the package has its test here, or where the table says.
"""

import ast
import asyncio
import concurrent.futures
import inspect
import ipaddress
import logging
import mimetypes
import re
import subprocess
import sys
import threading
import zoneinfo
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest
from pydantic import BaseModel

from graphengine import END, START, Graph, Media, RunFailed, Runner, tool
from graphengine.addresses import is_public
from graphengine.errors import InputError
from graphengine.graph.source_location import source_of
from graphengine.worker.schedules import Schedule, ticks

PACKAGE: Final = Path(__file__).resolve().parent.parent / "graphengine"


class State(BaseModel):
    n: int = 0


def alone(node: Callable[..., Any]) -> Graph[State]:
    """Return a graph of one node, which writes n."""
    graph = Graph("alone", State)
    graph.add_node("only", node, writes="n")
    graph.add_path(START, "only", END)
    return graph


def ran(program: str) -> tuple[str, str]:
    """Return what a program printed, and its errors."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout, done.stderr


FROZEN_SLOTS_REPLACE_STATE = """
import dataclasses, pickle
from copy import copy, deepcopy

found = dataclasses._add_slots
def add_slots(kind, is_frozen, *others):
    made = found(kind, is_frozen, *others)
    if is_frozen:
        made.__getstate__, made.__setstate__ = dataclasses._dataclass_getstate, dataclasses._dataclass_setstate
    return made
dataclasses._add_slots = add_slots

from pydantic import BaseModel
from graphengine import END, START, Graph

class State(BaseModel):
    n: int = 0

graph = Graph("alone", State)
graph.add_node("only", lambda n: n + 1, writes="n")
graph.add_path(START, "only", END)
result = graph.run_sync()
print([made.state.n for made in (copy(result), deepcopy(result), pickle.loads(pickle.dumps(result)))])
"""


def test_a_result_is_copied_where_frozen_slots_replace_its_state() -> None:
    """CPython 3.11.0 to 3.11.3 replace the `__getstate__` of a frozen dataclass with slots (gh-104035)."""
    assert ran(FROZEN_SLOTS_REPLACE_STATE) == ("[1, 1, 1]\n", "")


SLOTS_WITHOUT_INIT_FAIL = """
import dataclasses, importlib, pkgutil, warnings

warnings.simplefilter("ignore")
found = dataclasses._process_class
def process(kind, init, repr, eq, order, unsafe, frozen, match, kw_only, slots, *others):
    is_ours = kind.__module__.startswith("graphengine")
    assert init or not slots or "__init__" in vars(kind) or not is_ours, kind
    return found(kind, init, repr, eq, order, unsafe, frozen, match, kw_only, slots, *others)
dataclasses._process_class = process

import graphengine
from graphengine.errors import DefinitionError

for each in pkgutil.walk_packages(graphengine.__path__, "graphengine.", onerror=lambda name: None):
    if "__main__" not in each.name and "__pyinstaller" not in each.name:
        try:
            importlib.import_module(each.name)
        except (ImportError, DefinitionError):  # an extra that is not installed
            pass
print("imported")
"""


def test_no_dataclass_has_slots_and_no_init() -> None:
    """CPython 3.14.1 cannot define one: its `__init__` is that of object, without `__annotate__` (gh-142214)."""
    assert ran(SLOTS_WITHOUT_INIT_FAIL) == ("imported\n", "")


@pytest.mark.parametrize("number", ["8.8.8.8", "2606:4700::1", "2002:808:808::1", "64:ff9b::808:808", "::ffff:8.8.8.8"])
def test_a_public_address_is_public_on_every_python(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever `ipaddress` says."""
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", property(lambda _: False))
    assert is_public(number)


@pytest.mark.parametrize(
    "number",
    # 192.0.0.8 is global before 3.12.4, 2001:20::1 after it, 3fff::1 before 3.13.1 (gh-113171, gh-124217).
    ["192.0.0.8", "2001:20::1", "2001:1::1", "3fff::1", "100.64.0.1", "224.0.0.1", "255.255.255.255", "::1", "fec0::1"],
)
def test_an_address_for_special_purposes_is_private_on_every_python(
    number: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever `ipaddress` says."""
    for kind in (ipaddress.IPv4Address, ipaddress.IPv6Address):
        monkeypatch.setattr(kind, "is_global", property(lambda _: True))
    assert not is_public(number)


@pytest.mark.parametrize("known", [None, "audio/vnd.wave"])
def test_a_medium_has_the_type_of_its_address_on_every_system(
    known: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CPython knows .webp since 3.13, .docx since 3.14, then another type of .wav too; else the system decides."""
    monkeypatch.setattr(mimetypes, "guess_type", lambda _: (known, None))
    types = {end: Media(url=f"https://example.org/a.{end}?x=1").type for end in ("webp", "WAV", "mp3", "pdf", "docx")}
    assert types == {
        "webp": "image/webp",
        "WAV": "audio/wav",
        "mp3": "audio/mpeg",
        "pdf": "application/pdf",
        "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }


class Errors(Exception):
    """Several errors; there can be none."""

    def __len__(self) -> int:
        return 0


async def test_a_false_exception_fails_a_node_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before CPython 3.13.4, a future of a thread returns None instead of an exception that is false (gh-132063)."""

    def result(future: Any) -> Any:
        error, value = vars(future)["_exception"], vars(future)["_result"]
        if error:
            raise error
        return value

    def work(n: int) -> int:
        raise Errors

    monkeypatch.setattr(concurrent.futures.Future, "_Future__get_result", result)
    with pytest.raises(RunFailed, match="Errors"):
        await alone(work).run()


async def test_nothing_shielded_is_reported_that_somebody_awaits(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """CPython 3.14.0 to 3.14.8 log what a shielded future raises after its shield was cancelled (gh-156321)."""
    found = asyncio.shield

    def shield(inner: Any) -> Any:
        inner, outer = asyncio.ensure_future(inner), None
        outer = found(inner)

        def report(done: Any) -> None:
            if outer.cancelled() and not done.cancelled() and done.exception() is not None:
                logging.getLogger("asyncio").error("exception in shielded future")

        inner.add_done_callback(report)
        return outer

    monkeypatch.setattr(asyncio, "shield", shield)
    began, ends = threading.Event(), threading.Event()

    def work(n: int) -> int:
        began.set()
        ends.wait(10)
        raise Errors

    async with Runner() as runner:
        run = runner.start(alone(work))
        await asyncio.to_thread(began.wait, 10)
        stopping = asyncio.ensure_future(runner.stop(run.id, now=True))
        asyncio.get_running_loop().call_later(0, ends.set)
        await stopping
        assert (await run.result()).status == "stopped"
    assert caplog.records == []


def test_a_database_is_opened_with_keywords_alone() -> None:
    """CPython 3.15 takes the path alone by position, and 3.13 warns of more (gh-93057)."""
    texts = [path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")]
    trees = [ast.parse(text) for text in texts if "sqlite3.connect(" in text]
    calls = [each for tree in trees for each in ast.walk(tree) if isinstance(each, ast.Call)]
    opened = [each for each in calls if ast.unparse(each.func) == "sqlite3.connect"]
    assert len(opened) > 3
    assert [ast.unparse(each) for each in opened if len(each.args) > 1] == []


def test_no_statement_numbers_its_parameters() -> None:
    """CPython 3.12.0 to 3.12.3 warn of a sequence for `?1`, and from 3.12 on of one for `:name` (gh-117995)."""
    statements = [*PACKAGE.rglob("*.sql"), *(PACKAGE / "databases").rglob("*.py")]
    assert statements
    assert [path.name for path in statements if re.search(r"\?[0-9]", path.read_text(encoding="utf-8"))] == []


class Decorated:
    """Stands for a class whose decorator a comment follows."""


def test_a_source_that_ends_too_early_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """CPython 3.13.8 ends a function after a decorator that a comment or an empty line follows (gh-139783)."""
    assert source_of(Decorated) is not None
    monkeypatch.setattr(inspect, "getsourcelines", lambda _: (["@decorator  # why\n"], 7))
    assert source_of(Decorated) is None


@pytest.mark.parametrize("error", [IsADirectoryError, PermissionError, zoneinfo.ZoneInfoNotFoundError, ValueError])
def test_a_zone_that_is_a_folder_is_an_input_error(error: type[Exception], monkeypatch: pytest.MonkeyPatch) -> None:
    """Before CPython 3.13.6, `America` raises what opening a folder raises (gh-85702)."""

    def raised(key: str) -> None:
        raise error(key)

    monkeypatch.setattr(zoneinfo, "ZoneInfo", raised)
    with pytest.raises(InputError, match="time zone"):
        next(ticks(Schedule("daily", "0 7 * * *", "report", zone="America"), 0.0))


DOCUMENTED = '''
def book(seats: int) -> str:
    """Book seats.

        A line that is indented.

    Args:
        seats: How many,
            at most ten.
    """
    return ""
'''


def test_a_tool_is_described_alike_on_every_python() -> None:
    """From CPython 3.13 on, the compiler takes the indentation from docstrings (gh-81283)."""
    described = []
    for clean in (inspect.cleandoc, lambda text: text):
        names: dict[str, Any] = {}
        exec(DOCUMENTED, names)  # noqa: S102 - what a user wrote
        names["book"].__doc__ = clean(names["book"].__doc__)
        made = tool(names["book"])
        described.append((made.description, made.parameters))
    assert described[0] == described[1]
    assert "A line that is indented." in described[0][0]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="CPython has eager tasks since 3.12")
def test_runs_end_on_a_loop_with_eager_tasks() -> None:
    """Each task then runs up to its first wait when it is created; from 3.13.3 on, a factory gets a task's name too."""

    async def nested() -> list[int]:
        async with Runner() as runner:
            runs = [runner.start(alone(each)) for each in (lambda n: n + 1, slow)]
            return [(await run.result()).state.n for run in runs]

    async def slow(n: int) -> int:
        await asyncio.sleep(0)
        return n + 2

    def made() -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        loop.set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined,unused-ignore]
        return loop

    with asyncio.Runner(loop_factory=made) as loop:
        assert loop.run(nested()) == [1, 2]
