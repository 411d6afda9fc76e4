"""Types inside a state that change while a run waits: what was recorded of them is kept, or its loss is said."""

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import AliasChoices, BaseModel, Field, TypeAdapter, create_model

from graphengine import END, START, Context, Graph, Runner, ask, changed
from graphengine.errors import GraphChanged, RunExists
from graphengine.history.load import load_snapshot
from graphengine.state.encoded import encode, opened
from graphengine.testing import preflight
from tests.kit.facts import said
from tests.state.drawn_types import annotation_of, changed_types, lost_leaves

Types = type[BaseModel]


def customer(**fields: Any) -> Types:
    """Return a form of the type that changes."""
    return create_model("Customer", **fields)


OLD = customer(name=(str, ""), age=(int, 0))
REMOVED = customer(age=(int, 0))
ALIASED = customer(full_name=(str, Field("", validation_alias=AliasChoices("full_name", "name"))), age=(int, 0))
SWAPPED = customer(
    name=(str, Field("", validation_alias="age")),
    age=(int, Field(0, validation_alias="name")),
    nick=(str, Field("", validation_alias="name")),
)
ADDED = customer(name=(str, ""), age=(int, 0), note=(str, "none"))
TRUTH = customer(name=(str, ""), age=(bool, False))


def desk(kind: Types, node: Callable[..., object] = lambda: None) -> Graph[Any]:
    """Return a graph that asks, and whose state has customers."""
    made: Graph[Any] = Graph("desk", create_model("Desk", who=(kind, ...), many=(list[kind], []), ok=(bool, False)))  # type: ignore[valid-type]
    made.add_node("ask", ask("Well?", bool), writes="ok")
    made.add_node("end", node)
    made.add_path(START, "ask", "end", END)
    return made


async def resumed(runner: Runner, kind: Types) -> Any:
    """Return the customers after a run that waited has gone on under a changed type."""
    ada = {"name": "Ada", "age": 36}
    await runner.start(desk(OLD), {"who": ada, "many": [ada, ada]}, run_id="r").result()
    ended = await (await runner.answer("r", True, desk(kind))).result()  # noqa: FBT003 - an answer
    return ended.state


async def test_a_field_that_is_gone_inside_a_type_is_said_in_the_log_and_in_the_step(
    runner: Runner, caplog: pytest.LogCaptureFixture
) -> None:
    """Its path is named once for all items of a list."""
    with caplog.at_level(logging.WARNING):
        await resumed(runner, REMOVED)
    (step,) = [step for step in await runner.history("r") if step.kind == "resumed" and "left" in said(step)]
    assert said(step)["left"] == [
        "field 'who.name' is gone, and its value with it",
        "field 'many[].name' is gone, and its value with it",
    ]
    assert all(any(text in line for line in caplog.messages) for text in said(step)["left"])


async def test_a_field_with_an_alias_takes_the_recorded_value(runner: Runner) -> None:
    """The value is recorded under its new name, so that the alias can be removed once no run needs it."""
    state = await resumed(runner, ALIASED)
    assert (state.who.full_name, [each.full_name for each in state.many]) == ("Ada", ["Ada", "Ada"])
    later = customer(full_name=(str, ""), age=(int, 0))
    assert (await runner.get("r", desk(later)).result()).state.who.full_name == "Ada"


async def test_an_alias_that_is_the_name_of_another_field_does_not_count(runner: Runner) -> None:
    """Two fields whose aliases are each other's names keep their values, and no value is taken twice."""
    state = await resumed(runner, SWAPPED)
    assert (state.who.name, state.who.age, state.who.nick) == ("Ada", 36, "")


async def test_a_field_of_the_state_takes_a_value_by_its_alias(runner: Runner) -> None:
    """What holds inside a type holds for the fields of the state."""

    def graph(**fields: Any) -> Graph[Any]:
        made: Graph[Any] = Graph("desk", create_model("Desk", ok=(bool, False), **fields))
        made.add_node("ask", ask("Well?", bool), writes="ok")
        made.add_path(START, "ask", END)
        return made

    await runner.start(graph(who=(str, "")), {"who": "Ada"}, run_id="r").result()
    renamed = graph(customer=(str, Field("", validation_alias=AliasChoices("customer", "who"))))
    ended = await (await runner.answer("r", True, renamed)).result()  # noqa: FBT003 - an answer
    assert ended.state.customer == "Ada"


async def test_a_value_that_becomes_another_one_is_said(runner: Runner) -> None:
    """A number that is read as a truth value is no error, and no secret either."""
    await runner.start(desk(OLD), {"who": {"name": "Ada", "age": 1}}, run_id="r").result()
    found = await preflight([desk(TRUTH)], runner.store)
    assert [(each.code, each.text) for group in found.groups for each in group.reasons] == [
        ("value_changed", "'who.age' is read as True, recorded as 1")
    ]
    assert found.fits


async def test_the_preflight_names_what_runs_would_lose(runner: Runner) -> None:
    """`check --store` tells it before the deployment, with the path."""
    await runner.start(desk(OLD), {"who": {"name": "Ada"}}, run_id="r").result()
    found = await preflight([desk(REMOVED)], runner.store)
    reasons = [each for group in found.groups for each in group.reasons]
    assert [(each.code, each.text) for each in reasons] == [
        ("field_removed", "field 'who.name' is gone, and its value with it")
    ]
    assert "if it was renamed, migrate the run" in reasons[0].repair
    assert found.fits


async def test_a_default_that_is_new_inside_a_type_is_recorded_once(runner: Runner) -> None:
    """Nobody is told, and a later default does not change what the run has gone on with."""
    state = await resumed(runner, ADDED)
    assert state.who.note == "none"
    later = customer(name=(str, ""), age=(int, 0), note=(str, "other"))
    assert (await runner.get("r", desk(later)).result()).state.who.note == "none"
    assert not any("left" in said(step) for step in await runner.history("r") if step.kind == "resumed")


class Card(BaseModel):
    number: str = ""


class Cash(BaseModel):
    note: str = ""


HOLDER = create_model("Card", number=(str, ""), holder=(str, ...))
BOTH = create_model("Cash", note=(str, ""), number=(str, ""))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Card | Cash, HOLDER | Cash),
        (Card | Cash, HOLDER | BOTH),
        (Card | dict[str, str], HOLDER | dict[str, str]),
        (list[Card] | list[Cash], list[HOLDER] | list[Cash]),  # type: ignore[valid-type]
    ],
)
async def test_a_value_that_would_be_another_member_of_a_union_stops_the_run(
    runner: Runner, before: Any, after: Any
) -> None:
    """A payment by card does not become one in cash because today's Card refuses it."""

    def graph(kind: Any) -> Graph[Any]:
        made: Graph[Any] = Graph("pay", create_model("Pay", pay=(kind, ...), ok=(bool, False)))
        made.add_node("ask", ask("Well?", bool), writes="ok")
        made.add_path(START, "ask", END)
        return made

    given = [Card(number="42")] if before == list[Card] | list[Cash] else Card(number="42")
    await runner.start(graph(before), {"pay": given}, run_id="r").result()
    with pytest.raises(GraphChanged, match="was recorded as Card, and would be read as"):
        await runner.answer("r", True, graph(after))  # noqa: FBT003 - an answer


async def test_a_value_has_not_changed_because_its_type_has(runner: Runner) -> None:
    """`changed` compares with the recorded value: a new default inside a model is no change, another value is one."""

    def graph(kind: Types) -> Graph[Any]:
        made: Graph[Any] = Graph("desk", create_model("Desk", who=(kind, ...), ok=(bool, False), again=(bool, False)))
        made.add_node("look", lambda who: None)
        made.add_node("ask", ask("Well?", bool), writes="ok")
        made.add_node("note", lambda: True, writes="again")
        made.add_path(START, "look", "ask")
        made.add_edge("ask", "note", when=changed("who", since="look"))
        made.add_edge("ask", END)
        made.add_edge("note", END)
        return made

    await runner.start(graph(OLD), {"who": {"name": "Ada"}}, run_id="r").result()
    ended = await (await runner.answer("r", True, graph(ADDED))).result()  # noqa: FBT003 - an answer
    assert not ended.state.again


async def test_the_same_start_returns_the_run_after_a_type_has_gained_a_default(runner: Runner) -> None:
    """A start that is repeated after a harmless deployment finds the run that it began; another input is refused."""
    given = {"who": {"name": "Ada"}, "many": [{"name": "Bob", "age": 2}]}
    begun = await runner.run(desk(OLD), given, run_id="r")
    again = await runner.run(desk(ADDED), given, run_id="r")
    assert (again.run_id, again.status) == (begun.run_id, "waiting")
    for other in ({"name": "Ada", "note": "urgent"}, {"name": "Eve"}):
        with pytest.raises(RunExists, match="began with"):
            await runner.run(desk(ADDED), {**given, "who": other}, run_id="r")


async def test_the_same_start_returns_the_run_after_a_field_has_an_alias(runner: Runner) -> None:
    """The value is that of the field under its old name."""
    await runner.run(desk(OLD), {"who": {"name": "Ada"}}, run_id="r")
    again = await runner.run(desk(ALIASED), {"who": {"full_name": "Ada"}}, run_id="r")
    assert again.state.who.full_name == "Ada"


@pytest.mark.parametrize("kind", [ALIASED, REMOVED], ids=["with an alias", "without"])
async def test_a_recorded_result_keeps_its_values_or_they_are_named(
    runner: Runner, caplog: pytest.LogCaptureFixture, kind: Types
) -> None:
    """What holds for the state holds for the results of calls, if the run goes on under another graph spec."""

    def graph(kind: Types) -> Graph[Any]:
        async def load() -> kind:  # type: ignore[valid-type]
            return kind(name="Ada")

        async def node(ctx: Context) -> str:
            found = await ctx.call(load)
            await ctx.ask("Well?", bool)
            return repr(found)

        made: Graph[Any] = Graph("desk", create_model("Desk", many=(list[kind], []), got=(str, "")))  # type: ignore[valid-type]
        made.add_node("node", node, writes="got")
        made.add_path(START, "node", END)
        return made

    await runner.start(graph(OLD), run_id="r").result()
    with caplog.at_level(logging.WARNING):
        ended = await (await runner.answer("r", True, graph(kind))).result()  # noqa: FBT003 - an answer
    is_named = any("field 'load().name' is gone, and its value with it" in line for line in caplog.messages)
    assert ("Ada" in ended.state.got, is_named) == ((True, False) if kind is ALIASED else (False, True))


async def test_a_sequel_begins_with_the_migrated_state_of_another_version(runner: Runner) -> None:
    """`after=` hands a state to code that goes on: it is migrated once, and the start records what it became."""

    def graph(version: int) -> Graph[Any]:
        field = {1: {"euros": (int, 0)}, 2: {"cents": (int, 0)}}[version]
        options: Any = {"version": 2, "migrate": {1: lambda old: {"cents": old["euros"] * 100}}} if version > 1 else {}
        made: Graph[Any] = Graph("account", create_model("Account", **field), **options)  # type: ignore[call-overload]
        made.add_node("end", lambda: None)
        made.add_path(START, "end", END)
        return made

    await runner.start(graph(1), {"euros": 7}, run_id="one").result()
    assert (await runner.start(graph(2), {}, after="one", run_id="two").result()).state.cents == 700
    await runner.start(graph(2), {"cents": 5}, run_id="newer").result()
    with pytest.raises(GraphChanged, match="version 2"):
        await runner.start(graph(1), {}, after="newer").result()


async def test_a_sequel_says_what_it_begins_without(runner: Runner, caplog: pytest.LogCaptureFixture) -> None:
    """A field that is gone inside a type is named in the log, as at a resume."""
    made, without = (Graph[Any]("desk", create_model("Desk", who=(kind, ...))) for kind in (OLD, REMOVED))
    for graph in (made, without):
        graph.add_node("end", lambda: None)
        graph.add_path(START, "end", END)
    await runner.start(made, {"who": {"name": "Ada"}}, run_id="one").result()
    with caplog.at_level(logging.WARNING):
        await runner.start(without, {}, after="one").result()
    assert any("field 'who.name' is gone" in line for line in caplog.messages)


async def recorded_and_read_again(before: Any, after: Any, json: Any) -> tuple[Any, Any, list[str], list[str]] | None:
    """Let a run wait under one type, and resume the run under another; None if the run cannot go on.

    Returns:
        The record of the value, the record under the other type, the texts that `resumed` has of what was lost, and
        those of `check --store`.
    """

    def graph(kind: Any) -> Graph[Any]:
        made: Graph[Any] = Graph("desk", create_model("Desk", __module__=__name__, held=(kind, ...), ok=(bool, False)))
        made.add_node("ask", ask("Well?", bool), writes="ok")
        made.add_path(START, "ask", END)
        return made

    async with Runner() as runner:
        given = TypeAdapter(before).validate_json(encode(json))
        await runner.start(graph(before), {"held": given}, run_id="r").result()
        record = opened((await load_snapshot(runner.store, "r", None)).root.values["held"])
        changed = graph(after)
        found = await preflight([changed], runner.store)
        if not found.fits:
            with pytest.raises(GraphChanged):
                await runner.answer("r", True, changed)  # noqa: FBT003 - an answer
            return None
        await (await runner.answer("r", True, changed)).result()  # noqa: FBT003 - an answer
        again = opened((await load_snapshot(runner.store, "r", None)).root.values["held"])
        steps = [step for step in await runner.history("r") if step.kind == "resumed"]
        foreseen = [each.text for group in found.groups for each in group.reasons]
        return record, again, [text for step in steps for text in said(step).get("left", ())], foreseen


@settings(max_examples=20)
@given(st.data())
def test_a_run_keeps_each_value_or_names_it_or_stops(data: st.DataObject) -> None:
    """No leaf of a state vanishes under a changed type unless the step and `check --store` name its path."""
    before, after, json = changed_types(data.draw)
    found = asyncio.run(recorded_and_read_again(annotation_of(before), annotation_of(after), json))
    if found is not None:
        record, again, left, foreseen = found
        assert {*left} <= {*foreseen}
        assert not lost_leaves(
            record, again, [each[1] for each in map(re.compile(r"[^']*'([^']+)'").match, left) if each]
        )
