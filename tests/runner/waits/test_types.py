"""What answers and messages are checked by when they are given: the type, if it is known, else schema and formats."""

import datetime
import decimal
import ipaddress
import logging
import uuid
from pathlib import Path
from typing import Annotated, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import UUID4, AfterValidator, AnyUrl, BaseModel, Field, IPvAnyAddress, TypeAdapter, model_validator

from graphengine import END, START, Context, Graph, Limits, RunFailed, Runner, ask
from graphengine.errors import DefinitionError, InputError
from graphengine.schemas.words import whats_wrong


def even(number: int) -> int:
    """Refuse an odd number."""
    if number % 2:
        raise ValueError("must be even")
    return number


class Range(BaseModel):
    """Two numbers, of which the first is not above the second."""

    low: int = 0
    high: int = 0

    @model_validator(mode="after")
    def order(self) -> "Range":
        """Check the order."""
        if self.low > self.high:
            raise ValueError("low is above high")
        return self


UNFIT: Final[list[tuple[Any, Any]]] = [
    (datetime.date, "31.12.2026"),
    (datetime.date, "2026-02-30"),
    (datetime.time, "25:00"),
    (datetime.datetime, "tomorrow"),
    (datetime.timedelta, "soon"),
    (list[datetime.date], ["31.12.2026"]),
    (uuid.UUID, "not-an-id"),
    (UUID4, "12345678-1234-1234-1234-123456789abc"),
    (AnyUrl, "example"),
    (ipaddress.IPv4Address, "1.2.3"),
    (IPvAnyAddress, "home"),
    (Annotated[int, Field(ge=1, le=10)], 11),
]
BY_TYPE: Final[list[tuple[Any, Any]]] = [
    (decimal.Decimal, "1,5"),
    (Annotated[decimal.Decimal, Field(max_digits=4, decimal_places=2)], "1.234"),
    (Annotated[int, AfterValidator(even)], 3),
    (Range, {"low": 3, "high": 1}),
]
"""What the schema of the type does not say."""


def numbered(value: Any) -> str:
    """Return a word for a value in the name of a test, the same in each process."""
    return getattr(value, "__name__", None) or str(value)


def asking(kind: Any, *, by_code: bool, name: str = "asks") -> Graph[Any]:
    """Return a graph that asks for a value of a type, as a node or in its code."""
    state = type("State", (BaseModel,), {"__annotations__": {"value": Any}, "value": None})
    graph: Graph[Any] = Graph(name, state)

    async def node(ctx: Context) -> Any:
        return str(await ctx.ask("Which?", kind))

    graph.add_node("asked", node if by_code else ask("Which?", kind), writes="value")
    graph.add_path(START, "asked", END)
    return graph


@pytest.mark.parametrize("by_code", [False, True], ids=["node", "ctx.ask"])
@pytest.mark.parametrize(("kind", "given"), [*UNFIT, *BY_TYPE], ids=numbered)
async def test_an_answer_that_its_type_refuses_is_refused_when_it_is_given(
    kind: Any, given: Any, *, by_code: bool
) -> None:
    """Whoever answers hears the reason, and the question stays open; with the graph and without it."""
    graph = asking(kind, by_code=by_code)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        for options in ((graph,), ()):
            with pytest.raises(InputError, match="this does not answer 'Which\\?'"):
                await runner.answer("r", given, *options)
        assert len((await runner.resume("r", graph).result()).waits) == 1
        assert [step.kind for step in await runner.history("r")] == ["started", "waiting"]


@pytest.mark.parametrize(("kind", "given"), UNFIT, ids=numbered)
async def test_where_the_type_is_not_known_the_schema_and_its_formats_count(
    kind: Any, given: Any, tmp_path: Path
) -> None:
    """Another process has neither the graph nor the code that asks."""
    async with Runner(tmp_path / "r.db") as runner:
        await runner.start(asking(kind, by_code=True), run_id="r").result()
    async with Runner(tmp_path / "r.db") as other:
        with pytest.raises(InputError, match="this does not answer 'Which\\?'"):
            await other.answer("r", given)


@pytest.mark.parametrize(("kind", "given"), BY_TYPE, ids=numbered)
async def test_a_graph_at_hand_knows_the_type_of_its_node(kind: Any, given: Any, tmp_path: Path) -> None:
    """Also in a process that did not ask; without the graph the run refuses it, and asks again."""
    graph = asking(kind, by_code=False)
    async with Runner(tmp_path / "r.db") as runner:
        await runner.start(graph, run_id="r").result()
    async with Runner(tmp_path / "r.db") as other:
        with pytest.raises(InputError, match="this does not answer 'Which\\?'"):
            await other.answer("r", given, asking(kind, by_code=False))
        await other.answer("r", given)
        assert (await other.resume("r", graph).result()).status == "waiting"
        assert [step.kind for step in await other.history("r")][-1] == "refused"


TYPES: Final[list[Any]] = [
    datetime.date,
    datetime.datetime,
    datetime.time,
    datetime.timedelta,
    uuid.UUID,
    AnyUrl,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    IPvAnyAddress,
    bool,
    int,
    str,
]


@given(st.sampled_from(TYPES), st.data())
def test_what_a_type_takes_its_schema_takes(kind: Any, data: st.DataObject) -> None:
    """A value of the type, as JSON, is never refused for its format."""
    if kind is AnyUrl or kind is IPvAnyAddress:
        value = data.draw(st.sampled_from(["https://example.org/a", "mailto:a@example.org", "redis://h:1/2"]))
        value = value if kind is AnyUrl else data.draw(st.ip_addresses().map(str))
    else:
        value = data.draw(st.from_type(kind))
    adapter = TypeAdapter(kind)
    record = adapter.dump_python(adapter.validate_python(value), mode="json")
    assert not whats_wrong(adapter.json_schema(), record)


def hearing(kind: Any, **options: Any) -> Graph[Any]:
    """Return a graph that receives a value of a type."""
    state = type("State", (BaseModel,), {"__annotations__": {"value": Any}, "value": None})
    graph: Graph[Any] = Graph("hears", state)

    async def node(ctx: Context) -> Any:
        return str(await ctx.receive("news", kind, **options))

    graph.add_node("heard", node, writes="value")
    graph.add_path(START, "heard", END)
    return graph


@pytest.mark.parametrize(("kind", "given"), [*UNFIT, *BY_TYPE], ids=numbered)
async def test_a_message_of_another_type_is_refused_when_it_is_sent(kind: Any, given: Any) -> None:
    """A run that waits for a type on this topic says so at once; another topic is kept."""
    graph = hearing(kind)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        with pytest.raises(InputError, match="this is not a message on 'news'"):
            await runner.send("r", "news", given)
        await runner.send("r", "other", given)
        assert await runner.get("r").unread("other") == [given]


async def test_a_message_on_a_topic_that_a_run_does_not_wait_for_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """It is kept, since a later node may receive it; a misspelt topic would be kept for ever without a word."""
    async with Runner() as runner:
        await runner.start(hearing(int), run_id="r").result()
        await runner.send("r", "nwes", 1)
        assert [
            record.getMessage().partition("\n")[0] for record in caplog.records if record.levelname == "WARNING"
        ] == ["a message on 'nwes' is kept, and run r does not wait for it now: it waits for one on 'news'"]
        caplog.clear()
        await runner.send("r", "news", 1)
        assert not [record for record in caplog.records if record.levelname == "WARNING"]


async def test_a_message_behind_another_one_is_not_checked() -> None:
    """The run will wait for something else when it comes to it."""
    graph = hearing(int)
    async with Runner() as runner:
        await runner.start(graph, run_id="r").result()
        await runner.send("r", "news", 1)
        await runner.send("r", "news", "of another type")
        assert (await runner.resume("r", graph).result()).state.value == "1"


async def test_a_message_that_is_refused_later_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    """It came before the node asked; who sent it has gone."""
    graph = hearing(int)
    async with Runner() as runner:
        await runner.start(graph, run_id="r", pause_before=["heard"]).result()
        await runner.send("r", "news", "of another type")
        await runner.answer("r", "yes", graph)
        assert (await runner.get("r", graph).result()).status == "waiting"
    (warned,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "a message on 'news' to run r is refused" in warned.getMessage()
    assert "valid integer" in warned.getMessage()
    assert "of another type" not in warned.getMessage(), "a value, which may quote a prompt"
    assert warned.__dict__["run"] == "r"


async def test_a_message_that_is_refused_later_is_in_the_result() -> None:
    """With its reason, also once the run is over and in a branch; a long one is in its step alone."""
    graph = hearing(int)
    async with Runner() as runner:
        await runner.start(graph, run_id="r", pause_before=["heard"]).result()
        for payload in ("of another type", ["x" * 2_000], 7):
            await runner.send("r", "news", payload)
        await runner.answer("r", "yes", graph)
        result = await runner.get("r", graph).result()
        assert (result.status, result.state.value, result.unread) == ("finished", "7", {})
        assert [(each.topic, each.path, each.payload) for each in result.refused] == [
            ("news", "heard", "of another type"),
            ("news", "heard", None),
        ]
        assert "valid integer" in result.refused[0].reason
        steps = await runner.history("r")
        assert [steps[each.seq - 1].kind for each in result.refused] == ["refused", "refused"]
        branch = await runner.branch("r", graph, at=result.refused[0].seq).result()
        assert branch.refused[0].payload == "of another type"


async def test_the_newest_refused_messages_are_kept() -> None:
    """A snapshot does not grow with what nobody could use."""
    graph = hearing(int)
    async with Runner() as runner:
        await runner.start(graph, run_id="r", pause_before=["heard"]).result()
        for number in range(15):
            await runner.send("r", "news", f"no {number}")
        await runner.answer("r", "yes", graph)
        found = (await runner.get("r", graph).result()).refused
        assert [each.payload for each in found] == [f"no {number}" for number in range(5, 15)]


@pytest.mark.parametrize("seconds", [0, 0.0, -1, -1e9])
async def test_no_time_takes_what_has_come(seconds: float) -> None:
    """As a sleep of a time that is over: a message that is there is received, and nothing is waited for."""
    graph = hearing(int, timeout_seconds=seconds, default=-1)
    async with Runner() as runner:
        assert (await runner.start(graph, run_id="none").result()).state.value == "-1"
        await runner.start(graph, run_id="some", pause_before=["heard"]).result()
        await runner.send("some", "news", 5)
        assert (await (await runner.answer("some", "yes", graph)).result()).state.value == "5"
        with pytest.raises(RunFailed, match=r"wait_timeout: .* was not answered in time"):
            await runner.start(hearing(int, timeout_seconds=seconds), run_id="raises").result()


@pytest.mark.parametrize("name", ["visits", "tokens", "depth"])
def test_what_is_counted_is_a_whole_number(name: str) -> None:
    """Half a visit would be one more, or one less, without a word."""
    given: Any = {name: 2.5}
    with pytest.raises(DefinitionError, match="whole number"):
        Limits(**given)
