"""Roles around one table."""

import pytest
from pydantic import BaseModel

from graphengine import Agent, Graph, Node, RunFailed
from graphengine.models import Request
from graphengine.models.errors import BadRequest
from graphengine.patterns.rooms import Room, View, role_based
from tests.patterns.scripted import away, named, play

READS = "{premise}\n{views}"
CONCLUDE = named("conclude", READS)


def room(count: int, rounds: int) -> Graph[Room]:
    """Return a room of this many roles."""
    roles = {f"role{number}": named(f"role{number}", READS) for number in range(count)}
    return role_based(roles, CONCLUDE, rounds=rounds)


def new_each_time() -> object:
    """Return answers that have no word in common."""
    numbers = iter(range(1000))
    return lambda request: f"{request.agent}-{next(numbers)}"


@pytest.mark.parametrize(("count", "rounds"), [(1, 1), (2, 1), (3, 2), (4, 3)])
async def test_each_role_is_asked_once_a_round_and_one_concludes(count: int, rounds: int) -> None:
    """A run costs roles times rounds, and one call more."""
    answer = new_each_time()
    answers = {f"role{number}": answer for number in range(count)} | {"conclude": answer}
    played = await play(room(count, rounds), {"premise": "rain"}, answers)
    assert played.calls.total() == count * rounds + 1
    assert len(played.state.views) == count
    assert played.state.output.startswith("conclude")


async def test_a_role_sees_the_views_of_the_round_before() -> None:
    """There are none in the first round; later a role reads those of the previous round, including its own."""
    answers = {"role0": ["old north", "new north"], "role1": ["old south", "new south"], "conclude": ["so be it"]}
    played = await play(room(2, 2), {"premise": "rain"}, answers)
    first, second = played.asked("role1")
    assert "old" not in first
    assert "old north" in second
    assert "old south" in second
    assert "new" not in second
    (last,) = played.asked("conclude")
    assert "new north" in last
    assert "old" not in last


def held(count: int = 2) -> dict[str, Agent[View]]:
    """Return roles that say when they are done."""
    return {f"role{number}": named(f"role{number}", READS, View) for number in range(count)}


async def test_the_rounds_end_once_all_say_that_they_are_done() -> None:
    """One that is done is asked again while another is not; other words do not keep the room open."""
    answers = {
        "role0": [View(text="guilty", done=True), View(text="guilty, as I said", done=True)],
        "role1": [View(text="unsure"), View(text="guilty", done=True)],
        "conclude": ["guilty"],
    }
    played = await play(role_based(held(), CONCLUDE, rounds=9), {"premise": "rain"}, answers)
    assert (played.calls.total(), played.state.rounds_held) == (2 * 2 + 1, 2)


async def test_almost_equal_words_end_nothing() -> None:
    """A view that turns into its opposite by one word of many is not the same view."""
    long = "on all the evidence that was heard in this long trial the jury finds the accused to be"
    answers = {"role0": [f"{long} guilty", f"{long} not guilty", f"{long} guilty"], "conclude": ["d"]}
    played = await play(room(1, 3), {"premise": "rain"}, answers)
    assert played.calls["role0"] == 3


async def test_one_that_has_failed_is_not_done() -> None:
    """Its last word was that it is not done, so the rounds are used up."""
    answers = {
        "role0": [View(text="a", done=True)] * 2,
        "role1": [View(text="b"), BadRequest("away")],
        "conclude": ["d"],
    }
    played = await play(role_based(held(), CONCLUDE, rounds=2), {"premise": "rain"}, answers)
    assert (played.state.rounds_held, played.state.done) == (2, {"role0": True, "role1": False})


async def test_a_role_that_fails_keeps_its_view_and_the_others_continue() -> None:
    """The failure is in the state, and the room has its output."""

    def once(request: Request) -> object:
        return "early view" if "early view" not in request.prompt else away(request)

    answers = {"role0": once, "role1": ["one", "two"], "conclude": ["both"]}
    played = await play(room(2, 2), {"premise": "rain"}, answers)
    assert played.state.views == {"role0": "early view", "role1": "two"}
    assert [failure.path for failure in played.state.errors] == ["role0"]
    assert played.state.output == "both"


async def test_a_room_without_a_view_fails() -> None:
    """The run says so, and the conclusion does not run."""
    with pytest.raises(RunFailed, match="nobody has a view"):
        await play(room(2, 2), {"premise": "rain"}, {"role0": away, "role1": away, "conclude": []})


class Tone(Room):
    """A room with a tone."""

    tone: str = "dry"


async def test_fields_of_the_callers_own_state_reach_the_roles() -> None:
    """So does a graph that is a role, but it gets none of the pattern's bookkeeping."""
    inner = role_based({"a": named("a", "{premise} {tone} {views}")}, named("b", "{tone}"), rounds=1, state=Tone)
    graph = role_based({"team": inner, "solo": named("solo", "{tone}")}, CONCLUDE, rounds=2, state=Tone)
    answer = new_each_time()
    answers = dict.fromkeys(("a", "b", "solo", "conclude"), answer)
    played = await play(graph, {"premise": "rain", "tone": "warm"}, answers)
    assert played.calls == {"a": 2, "b": 2, "solo": 2, "conclude": 1}
    assert all("warm" in asked for asked in [*played.asked("a"), *played.asked("b"), *played.asked("solo")])
    assert not any("solo-" in asked for asked in played.asked("a"))


class Menu(BaseModel):
    """A structured conclusion."""

    courses: list[str]


class Dinner(Room):
    """A room with a structured conclusion and its own number of rounds."""

    rounds: int = 1
    menu: Menu | None = None


async def test_the_conclusion_can_be_written_to_a_field() -> None:
    """A typed conclusion goes into the caller's field, and a text of it into the output."""
    cook = Agent("conclude", prompt=READS, output=Menu)
    conclude = Node(cook, writes={"menu": ".", "output": lambda result: ", ".join(result.courses)})
    graph = role_based({"a": named("a", READS)}, conclude, rounds=1, state=Dinner)
    played = await play(graph, {"premise": "rain"}, {"a": ["soup"], "conclude": [Menu(courses=["soup", "bread"])]})
    assert (played.state.menu, played.state.output) == (Menu(courses=["soup", "bread"]), "soup, bread")


@pytest.mark.parametrize("rounds", [1, 3])
async def test_a_condition_ends_the_rounds(rounds: int) -> None:
    """Here the state has the number of rounds to hold."""
    answer = new_each_time()
    over = lambda rounds_held, rounds: rounds_held >= rounds  # noqa: E731 - as callers write it
    graph = role_based({"a": named("a", READS)}, CONCLUDE, rounds=over, state=Dinner)
    played = await play(graph, {"premise": "rain", "rounds": rounds}, {"a": answer, "conclude": answer})
    assert (played.state.rounds_held, played.calls["a"]) == (rounds, rounds)
