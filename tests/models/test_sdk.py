import asyncio
import gc
import math
import sys
import threading
import weakref
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from pathlib import Path

import pytest

from graphengine.models import sdk
from graphengine.models.errors import ModelUnavailable, ModelUnreachable
from graphengine.models.refusals import SHOWN_CHARACTERS, retry_after, shorten_outside_text
from graphengine.models.sdk import (
    Clients,
    Key,
    Pools,
    Server,
    kept_by_schema,
    load,
)

MY_KEY = "local-0123456789abcdef"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return a folder of importable modules; they are unloaded afterwards."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("sdk_of_a_test"):
            del sys.modules[name]


class TestLoading:
    async def test_a_module_loads_in_a_thread_and_once(self, folder: Path) -> None:
        """An SDK takes seconds to load, and must not block the event loop."""
        (folder / "sdk_of_a_test_1.py").write_text("import threading\nthread = threading.current_thread()\n")
        several = await asyncio.gather(*(load("sdk_of_a_test_1", "x") for _ in range(5)))
        assert len({id(module) for module in several}) == 1
        assert several[0].thread is not threading.main_thread()
        assert await load("sdk_of_a_test_1", "x") is several[0]

    async def test_a_package_that_lacks_another_names_that_one(self, folder: Path) -> None:
        """The error names the missing dependency."""
        (folder / "sdk_of_a_test_3.py").write_text("import sdk_of_a_test_4\n")
        with pytest.raises(ModelUnavailable, match="needs the package 'sdk_of_a_test_4'"):
            await load("sdk_of_a_test_3", "anthropic")

    async def test_a_package_of_the_wrong_version_is_an_error_with_the_cause(self, folder: Path) -> None:
        """The error has the cause, without a traceback."""
        (folder / "sdk_of_a_test_5.py").write_text("from os import nothing_such\n")
        with pytest.raises(ModelUnavailable, match=r"sdk_of_a_test_5.* cannot be loaded: .*nothing_such"):
            await load("sdk_of_a_test_5", "anthropic")


class Client:
    def __init__(self) -> None:
        self.thread = threading.current_thread()
        self.closed = False
        self.loop: asyncio.AbstractEventLoop | None = None

    async def close(self) -> None:
        self.closed = True


class Maker:
    """Makes clients, when the test allows it."""

    def __init__(self) -> None:
        self.made: list[Client] = []
        self.may = threading.Event()
        self.asked = threading.Event()

    def __call__(self) -> Client:
        self.asked.set()
        assert self.may.wait(10)
        self.made.append(Client())
        return self.made[-1]


class TestClients:
    async def test_callers_at_once_share_one_client_made_in_a_thread(self) -> None:
        """Making a client reads certificates, which is slow, and is done once."""
        maker = Maker()
        clients = Clients(maker)

        async def call() -> Client:
            return await clients.get()

        calls = [asyncio.ensure_future(call()) for _ in range(3)]
        await asyncio.to_thread(maker.asked.wait, 10)
        maker.may.set()
        assert set(await asyncio.gather(*calls)) == set(maker.made)
        assert len(maker.made) == 1
        assert maker.made[0].thread is not threading.main_thread()

    async def test_waiting_callers_get_a_client_if_the_first_one_gives_up(self) -> None:
        """A cancelled call does not affect the client of others."""
        maker = Maker()
        clients = Clients(maker)

        async def call() -> Client:
            return await clients.get()

        first, second = asyncio.ensure_future(call()), asyncio.ensure_future(call())
        await asyncio.to_thread(maker.asked.wait, 10)
        first.cancel()
        maker.may.set()
        assert await second in maker.made
        assert first.cancelled()

    def test_each_event_loop_has_a_client_and_an_ended_loop_leaves_none(self) -> None:
        """Connections belong to the loop that made them."""
        clients = Clients(Client)

        async def call() -> weakref.ref[Client]:
            client = await clients.get()
            client.loop = asyncio.get_running_loop()  # as open connections do
            return weakref.ref(client)

        first = asyncio.run(call())
        second = asyncio.run(call())
        gc.collect()
        assert first() is None
        assert second() is not None


class TestPools:
    async def test_calls_at_once_share_out_their_connections_and_a_pool_that_is_not_used_is_closed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A call takes the first pool that is not full, and each later call closes the last one if it was idle long."""
        now, kept = [1000.0], list[int]()
        monkeypatch.setattr(sdk, "_now", lambda: now[0])
        first = Client()
        copies: list[Client] = []

        def copy(idle: int) -> Client:
            kept.append(idle)
            copies.append(Client())
            return copies[-1]

        pools = Pools(first, copy)
        taken = [await pools.take() for _ in range(sdk.KEPT_OPEN + sdk.POOL + 1)]
        assert [each.calls for each in dict.fromkeys(taken)] == [sdk.POOL] * 11 + [1]
        assert kept == [sdk.POOL] * 9 + [0] * 2  # no more idle connections in all than one pool had
        for each in taken:
            each.calls, each.left = 0, now[0]
        now[0] += sdk.KEPT_SECONDS
        assert (await pools.take()).client is first
        assert not any(each.closed for each in copies)
        now[0] += 1
        for closed in range(1, 13):
            taken[0].calls = 0
            assert await pools.take() is taken[0]
            assert sum(each.closed for each in copies) == min(closed, 11)
        assert not first.closed
        await pools.close()
        assert first.closed


class TestKey:
    def test_a_key_is_an_argument_or_in_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """An argument takes precedence; a line break from a file is not part of a key; some servers need none."""
        monkeypatch.setenv("A_KEY", f" {MY_KEY}\n")
        assert Key("given", "A_KEY").value("m") == "given"
        assert Key(None, "A_KEY").value("m") == MY_KEY
        monkeypatch.delenv("A_KEY")
        assert Key(None, "A_KEY", unless="none").value("m") == "none"


class TestTexts:
    @pytest.mark.parametrize("before", [10 * SHOWN_CHARACTERS - 10, SHOWN_CHARACTERS - 10, SHOWN_CHARACTERS - 2])
    @pytest.mark.parametrize("filler", [" ", "x"])
    def test_no_key_is_cut_in_two(self, before: int, filler: str) -> None:
        """A part of a key is not shown either."""
        assert MY_KEY[:4] not in shorten_outside_text(filler * before + MY_KEY + "y" * 9000, MY_KEY)


def in_seconds(seconds: float) -> str:
    """Return the date in this many seconds, as HTTP writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


class TestWaiting:
    def test_a_date_is_a_wait_until_then(self) -> None:
        """A date an hour ahead is about an hour."""
        found = retry_after({"retry-after": in_seconds(100)})
        assert found is not None
        assert math.isclose(found, 100, abs_tol=5)


class TestFailures:
    def test_an_error_has_the_event_the_providers_message_and_a_repair(self) -> None:
        """It contains neither the key nor a password of the address."""
        address, key = f"http://me:{MY_KEY}@host:1/a?token={MY_KEY}", Key(MY_KEY, "A_KEY")
        server = Server(
            "anthropic:x", address, key, timeout_seconds=60, limiter=None, make=lambda *_: None, needs=[("json", "x")]
        )
        error = server.error(ModelUnreachable, "cannot be reached", f"refused {MY_KEY}")
        assert isinstance(error, ModelUnreachable)
        assert error.message == "anthropic:x cannot be reached: refused [secret]"
        assert error.where == "model anthropic:x"
        assert error.repair.endswith("http://host:1/a")
        assert MY_KEY not in str(error)


def test_a_schema_is_translated_once() -> None:
    """Equal schemas share their translation; one that is not JSON is translated each time."""
    translated: list[object] = []

    @kept_by_schema
    def title(schema: Mapping[str, object], *, upper: bool = False) -> str:
        translated.append(schema)
        return str(schema["title"]).upper() if upper else str(schema["title"])

    assert [title({"title": "Review"}), title({"title": "Review"}), title({"title": "Draft"})] == [
        "Review",
        "Review",
        "Draft",
    ]
    assert title({"title": "Review"}, upper=True) == "REVIEW"
    assert len(translated) == 3
    assert title({"title": Decimal(1)}) == title({"title": Decimal(1)}) == "1"
    assert len(translated) == 5
