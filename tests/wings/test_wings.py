"""Wings of other packages, as their entry points give them: what can be used, and what is named and left out."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import click
import pytest

from graphengine import Runner, wings
from graphengine.cli.main import COMMANDS, commands, main
from graphengine.cli.schemas import schema_of
from graphengine.kernel.extension import LiveEvent
from graphengine.serve.notifications import OUTBOX
from graphengine.wings import BUILT_IN, Command, Door, Wing
from graphengine.wings.own import SERVE_OPTIONS
from tests.agents.run_kits import one

SHOW = Command("somewhere:show", "Show it.")


@dataclass(frozen=True, slots=True)
class Point:
    """An entry point of another package."""

    name: str
    value: object

    def load(self) -> object:
        """Return what it names, or raise it."""
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Point]]:
    """The entry points that are found."""
    found: list[Point] = []
    monkeypatch.setattr(wings, "_entry_points", lambda: found)
    monkeypatch.setattr(wings, "_LEFT_OUT", {})
    wings.others.cache_clear()
    yield found
    wings.others.cache_clear()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (ImportError("no module"), "ImportError: no module"),
        (SystemExit(3), "SystemExit: 3"),
        ("a text", "TypeError: the entry point of the wing names 'a text', which is not a Wing"),
        (Wing(name="other"), "ValueError: the entry point has the name 'theirs', but the wing has the name 'other'"),
        (
            Wing(name="theirs", commands={"budgets": SHOW}),
            "ValueError: the name 'budgets' belongs to the wing 'budgets' already",
        ),
        (
            Wing(name="theirs", doors=[Door("mcp", "", "", "/x", "x")]),
            "ValueError: the name 'mcp' belongs to the wing 'serve' already",
        ),
        (
            Wing(name="theirs", doors=[Door("port", "", "", "/x", "x")]),
            "ValueError: the door 'port' has the name of an option of `serve`",
        ),
    ],
)
def test_what_cannot_be_used_is_named_once_and_left_out(
    points: list[Point], caplog: pytest.LogCaptureFixture, value: object, reason: str
) -> None:
    """Others are found all the same."""
    points += [Point("good", Wing(name="good")), Point("theirs", value)]
    with caplog.at_level(logging.WARNING, "graphengine"):
        assert list(wings.others()) == ["good"]
        wings.others()
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith(f"the wing 'theirs' is left out: {reason}")
    assert (wings.left_out("theirs") or "").startswith(reason)


def test_a_part_of_another_kind_leaves_the_wing_out(points: list[Point], caplog: pytest.LogCaptureFixture) -> None:
    """A text in place of a command."""
    wrong: Any = {"show it": "somewhere:show"}
    points.append(Point("theirs", Wing(name="theirs", commands=wrong)))
    assert wings.others() == {}
    assert "the wing contains 'somewhere:show', which is not a Command" in caplog.text


def test_the_name_of_a_command_of_ours_stays_ours(points: list[Point], caplog: pytest.LogCaptureFixture) -> None:
    """The other command is named, and what else its wing has is used."""
    points.append(Point("theirs", Wing(name="theirs", commands={"run": SHOW, "show it": SHOW})))
    assert commands() == COMMANDS
    assert "ValueError: graphengine already has a command named run" in caplog.text


@dataclass(frozen=True)
class Sounded(LiveEvent):
    """A bell rang.

    Attributes:
        times: How often.
    """

    event: ClassVar[str] = "sounded"
    times: int


EVENTS = [Sounded]


def test_live_events_of_others_have_schemas(points: list[Point], caplog: pytest.LogCaptureFixture) -> None:
    """Of the lines that watchers get; what is no event leaves its wing out."""
    points.append(Point("bells", Wing(name="bells", events=f"{__name__}:EVENTS")))
    points.append(Point("wrong", Wing(name="wrong", events=f"{__name__}:SHOW")))
    found: Any = schema_of("watch")["$defs"]
    assert found["Sounded"]["properties"]["times"] == {"type": "integer", "description": "How often."}
    assert "the wing 'wrong' is left out" in caplog.text


async def test_what_is_done_to_many_runs_leaves_those_that_a_wing_keeps(points: list[Point]) -> None:
    """Ours keeps the outbox of notifications."""
    points.append(Point("bells", Wing(name="bells", runs=["bells"])))
    assert [run_id for wing in BUILT_IN for run_id in wing.runs] == [OUTBOX]
    async with Runner() as runner:
        for run_id in ("bells", OUTBOX, "other"):
            await runner.start(one(lambda: "text"), run_id=run_id).result()
        assert list((await runner.admin.bulk("tag", "since:1d", tag="seen")).runs) == ["other"]


def test_an_error_of_our_own_wing_is_raised() -> None:
    """Only those of others are left out."""
    with pytest.raises(KeyError), wings.guarded(BUILT_IN[0]):
        raise KeyError("ours")


def test_the_options_of_serve_are_listed() -> None:
    """A new option is added to `SERVE_OPTIONS`."""
    command = main.get_command(click.Context(main), "serve")
    assert command is not None
    doors = {f"--{door.name}" for wing in BUILT_IN for door in wing.doors}
    options = {option for param in command.params for option in param.opts if option.startswith("--")}
    assert options - doors == {f"--{name}" for name in SERVE_OPTIONS} - {"--help"}
