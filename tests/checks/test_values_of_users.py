"""Values as users write them go where they went, and come back as they were: what a review of the marks found."""

import datetime as dt
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Generic, TypeVar
from zoneinfo import ZoneInfo

import pytest
from pydantic import BaseModel, ConfigDict, Field, FilePath, computed_field, create_model
from typing_extensions import TypedDict

from graphengine import END, START, Context, Graph, Runner
from graphengine.errors import DefinitionError, InputError, NotRecordable
from graphengine.graph.question import Answers
from graphengine.state.given import as_record
from graphengine.state.marks import bare
from graphengine.state.same import is_same
from tests.docs.values import Unique, verdict

T = TypeVar("T")


class Patch(BaseModel):
    name: str = "x"
    phone: str | None = None


class Dated(TypedDict):
    a: int
    b: dt.date


class Two(TypedDict):
    a: Patch
    b: Patch


class Box(BaseModel, Generic[T]):
    v: T


@dataclass
class Counts:
    counts: dict[str, int]


class Aliased(BaseModel):
    when: dt.datetime = Field(alias="startsAt")
    patch: Patch = Field(default=Patch(), alias="thePatch")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)
    a: int = 1
    b: int = Field(default=2, alias="B")

    @computed_field
    def c(self) -> int:
        return self.a


def joined(old, new):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201 - as users write it
    """Append, without annotations."""
    return [*old, new]


@pytest.mark.parametrize("extra", ["forbid", "allow", "ignore"])
async def test_a_reducer_without_annotations_joins_models_in_a_map(extra: Any) -> None:
    """It gets what each item wrote, with its set fields."""
    kind = create_model("V", __config__=ConfigDict(extra=extra), name=(str, "x"), phone=(str | None, None))
    state = create_model("S", made=(Annotated[list[kind], joined], []), items=(list[str], ["p", "q"]))  # type: ignore[valid-type,arg-type]
    graph = Graph("joined", state)
    graph.add_node("make", lambda item: kind(name=item), writes="made", each={"item": "items"})
    graph.add_path(START, "make", END)
    async with Runner() as runner:
        result: Any = (await runner.start(graph, {}).result()).state
    assert [(each.name, each.model_fields_set) for each in result.made] == [("p", {"name"}), ("q", {"name"})]


def counted() -> dict[str, int]:
    """Return a Counter."""
    return Counter("aab")


def grouped() -> dict[str, list[int]]:
    """Return a defaultdict."""
    found = defaultdict(list)
    found["a"].append(1)
    return found


def ordered() -> Mapping[str, int]:
    """Return an OrderedDict."""
    return OrderedDict(a=1)


def dated() -> Dated:
    """Return keys in another order."""
    return {"b": dt.date(2026, 1, 1), "a": 1}


def boxed() -> Box:  # type: ignore[type-arg]
    """Return an instance of a class that was made of the declared one."""
    return Box[int](v=1)


@pytest.mark.parametrize("function", [counted, grouped, ordered, dated, boxed], ids=lambda each: each.__name__)
async def test_a_call_returns_what_its_annotation_declares(function: Callable[[], Any]) -> None:
    """A subclass of what is declared becomes that, as a validation makes it."""
    graph = Graph("calls", create_model("S", seen=(str, "")))

    async def work(ctx: Context) -> str:
        return str(await ctx.call(function))

    graph.add_node("work", work, writes="seen")
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        result: Any = (await runner.start(graph, {}).result()).state
    assert result.seen


def listed() -> list[int]:
    """Return another kind than is declared."""
    return (1, 2)  # type: ignore[return-value]


async def test_an_error_of_a_recorded_call_says_what_is_wrong() -> None:
    """The type that was declared and the one that came, and an argument that contains itself."""
    given: list[object] = []
    given.append(given)
    graph = Graph("calls", create_model("S", seen=(str, "")))

    async def work(ctx: Context) -> str:
        found = []
        for function, *args in ((listed,), (len, given)):
            with pytest.raises(NotRecordable) as raised:
                await ctx.call(function, *args)
            found.append(str(raised.value))
        return " ".join(found)

    graph.add_node("work", work, writes="seen")
    graph.add_path(START, "work", END)
    async with Runner() as runner:
        result: Any = (await runner.start(graph, {}).result()).state
    for words in ("Expected `list[int]`", "input_type=tuple", "len cannot identify the call", "recursion"):
        assert words in result.seen


def test_an_answer_that_cannot_be_carried_is_refused_with_its_reason() -> None:
    """Neither an error of the schema's maker, nor the words for another number."""
    with pytest.raises(DefinitionError, match="cannot be the type of an answer"):
        Answers(Unique)
    with pytest.raises(InputError, match="number out of range"):
        as_record(10**5000, "the answer")
    with pytest.raises(InputError, match="JSON has no nan and inf"):
        as_record([float("-inf")], "the answer")


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (Counts, Counts(Counter("aab"))),
        (Box, Box[int](v=1)),
        (Box[Dated], Box[Dated].model_construct(v={"b": dt.date(2026, 1, 1), "a": 1})),
        (Box[dict[str, int]], Box[dict[str, int]].model_construct(v=Counter("a"))),
    ],
    ids=["a dataclass", "a generic model", "another order", "not validated"],
)
def test_what_was_never_validated_is_taken_as_it_is_declared(kind: Any, value: object) -> None:
    """Attributes of dataclasses and models may hold what a validation would make of it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tests.docs.values.seen", lambda _: "")
        assert verdict(kind, value, ConfigDict()) == "kept"


async def test_a_state_may_have_cached_properties_and_any_order() -> None:
    """What else its instance holds is no difference, and the caller's objects stay as they were."""

    class State(BaseModel):
        a: int = 1
        days: list[dt.date] = []

        @cached_property
        def total(self) -> int:
            return 5

    @dataclass
    class Data:
        patch: Patch = field(default_factory=Patch)

    given, mine = State(), Patch(name="x")
    assert given.total == 5
    del given.a
    given.a = 2
    async with Runner() as runner:
        for kind, begins in ((State, given), (Data, Data(mine))):
            graph: Graph[Any] = Graph("states", kind)
            graph.add_node("work", dict)
            graph.add_path(START, "work", END)
            assert (await runner.start(graph, begins).result()).status == "finished"
    assert mine.model_fields_set == {"name"}
    assert not is_same(mine, Patch())
    assert mine.model_fields_set == {"name"}


@pytest.mark.parametrize("text", ["2024[US]", "2024[" + "A" * 300 + "]", "17[rev_17]", "12:00[" + "A" * 300 + "]"])
def test_a_text_in_brackets_is_a_text(text: str) -> None:
    """No file is looked for unless a time stands before it."""
    assert bare([text]) == [text]


def test_marks_belong_to_their_keys_whatever_the_order_and_the_aliases() -> None:
    """A TypedDict is read in the order of its declaration, and a message is written by alias."""
    answers: Any = Answers(Two)
    read = answers.read(answers.record({"b": Patch(name="B"), "a": Patch(name="A", phone="1")}))
    assert (read["a"].model_fields_set, read["b"].model_fields_set) == ({"name", "phone"}, {"name"})
    value = Aliased(startsAt=dt.datetime(2026, 7, 1, tzinfo=ZoneInfo("Europe/Berlin")), thePatch=Patch(name="q"))
    again: Any = Answers(Aliased).read(as_record(value, "it", marks=True))
    assert again.when.tzinfo == ZoneInfo("Europe/Berlin")
    assert again.patch.model_fields_set == {"name"}
    assert verdict(frozenset[Frozen], frozenset({Frozen(a=5)}), ConfigDict()) == "kept"


async def test_a_deleted_file_leaves_its_state_readable_with_a_set_beside_it(tmp_path: Path) -> None:
    """The order of a set is no reason to say that a record is another one."""
    file = tmp_path / "a file"
    file.touch()

    class Found(BaseModel):
        path: FilePath
        tags: set[str]

    graph = Graph("files", create_model("S", found=(Found | None, None), seen=(int, 0)))
    graph.add_node("find", lambda: Found(path=file, tags=set("abcdefgh")), writes="found")
    graph.add_node("drop", file.unlink)
    graph.add_node("look", lambda found: len(found.tags), writes="seen")
    graph.add_path(START, "find", "drop", "look", END)
    database = tmp_path / "runs.db"
    async with Runner(database) as runner:
        await runner.start(graph, {}, run_id="r").result()
    async with Runner(database) as runner:
        state: Any = (await runner.get("r", graph).result()).state
    assert (state.found.path, len(state.found.tags), state.seen) == (file, 8, 8)
