"""The writers' room as a graph: rounds, roles, tone and models, all from arguments, and its failures."""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import cast

import pytest

from graphengine import Agent, Limits, RunFailed, Runner, ScriptedModel
from graphengine.errors import BadRequest, InputError
from graphengine.models import Request
from graphengine.models.scripted import Script
from graphs.writers_room import MODELS, ROLES, TONE, example, graph, network_exec, writers_room
from nodes.room.agents import role
from nodes.room.outline import Act, Beat, Credit, Outline
from nodes.room.unplayed import NO_VIEW
from tests.patterns.scripted import away, play

NAMES = [agent.name for agent in ROLES]
PREMISE = "Ann finds her late father's second ledger. Episode 2 of 6."
GIVEN: dict[str, object] = {"premise": PREMISE}
OUTLINE = Outline(
    title="The Second Ledger",
    throughline="Ann has to choose.",
    cold_open=Act(minutes=2, beats=[Beat(what="A drawer sticks.", by="staff_writer")]),
    acts=[Act(minutes=10, beats=[Beat(what=f"Turn {n}.", by="showrunner")], ends_on="And now?") for n in range(4)],
    credits=[Credit(role="continuity", gave="the ledger of episode 1")],
)


def views(name: str, count: int) -> list[object]:
    """Return this many views of a role that have no word in common."""
    return [f"{name}-{number}" for number in range(1, count + 1)]


def script(rounds: int, names: Sequence[str] = NAMES) -> dict[str, object]:
    """Return the answers of a room of models that never agrees, and its outline."""
    answers: dict[str, object] = {name: views(name, rounds) for name in names}
    return {**answers, names[0]: [*views(names[0], rounds), OUTLINE]}


async def test_each_role_reads_the_premise_and_the_last_views_and_then_the_chair_concludes() -> None:
    """There are two rounds of four calls and one more; no role sees the views of the current round."""
    played = await play(graph, GIVEN, script(2))
    assert played.calls == {"showrunner": 3, "staff_writer": 2, "script_editor": 2, "continuity": 2}
    for name in NAMES[1:]:
        first, second = played.asked(name)
        assert PREMISE in first
        assert PREMISE in second
        assert not any(f"{other}-1" in first for other in NAMES)
        assert all(f"{other}-1" in second and f"{other}-2" not in second for other in NAMES)
    conclusion = played.requests[-1]
    assert conclusion.agent == "showrunner"
    assert all(f"{name}-2" in conclusion.prompt and f"{name}-1" not in conclusion.prompt for name in NAMES)


async def test_the_result_has_the_outline_the_roles_and_the_rounds() -> None:
    """They are data and a page; the page of a model's outline does not mention rules."""
    played = await play(graph, GIVEN, script(2))
    assert played.state.outline == OUTLINE
    assert (played.state.roles, played.state.rounds_held) == (NAMES, 2)
    assert played.output.startswith("# The Second Ledger\n\nCold open and 4 acts, 42 minutes.")
    assert "- continuity: the ledger of episode 1" in played.output
    assert played.output.endswith("Roles: showrunner, staff_writer, script_editor, continuity. Rounds: 2.")
    assert "rules" not in played.output
    assert played.result.usage.calls == 9


async def test_a_network_role_is_one_more_role() -> None:
    """All roles read it, it reads all of them, and the outline can credit it."""
    names = [*NAMES, "network_exec"]
    answers = script(2, names)
    credited = OUTLINE.model_copy(update={"credits": [Credit(role="network_exec", gave="the breaks")]})
    answers["showrunner"] = [*views("showrunner", 2), credited]
    played = await play(writers_room([*ROLES, network_exec]), GIVEN, answers)
    assert played.calls.total() == 5 * 2 + 1
    assert "network_exec-1" in played.asked("continuity")[1]
    assert "continuity-1" in played.asked("network_exec")[1]
    assert played.state.roles == names
    assert {one.agent for one in played.requests if "standards and practices" in one.system} == {"network_exec"}


async def test_a_role_of_ones_own_and_another_chair() -> None:
    """The first of the roles always makes the outline."""
    poet = role("poet", "You speak in images.")
    outline = OUTLINE.model_copy(
        update={
            "cold_open": Act(minutes=2, beats=[Beat(what="Rain.", by="poet")]),
            "acts": [Act(minutes=10, beats=[Beat(what="Snow.", by="poet")])] * 4,
        }
    )
    answers: dict[str, object] = {"poet": ["poet-1", outline], "continuity": ["continuity-1"]}
    played = await play(writers_room([poet, ROLES[3]], rounds=1), GIVEN, answers)
    assert (played.state.roles, played.state.outline) == (["poet", "continuity"], outline)


async def test_an_agent_that_knows_nothing_of_rooms_may_sit_in_one() -> None:
    """An agent that knows nothing of rooms, for example one that reads only the premise, may sit in one."""
    plain = Agent("plain", prompt="What is odd here?\n{premise}")
    played = await play(writers_room([*ROLES, plain], rounds=1), GIVEN, script(1, [*NAMES, "plain"]))
    assert played.asked("plain") == [f"What is odd here?\n<premise>{PREMISE}</premise>"]


@pytest.mark.parametrize(
    ("room", "run", "received"), [(None, "", TONE), ("grave", "", "grave"), ("grave", "light", "light")]
)
async def test_a_tone_is_the_rooms_unless_the_run_has_its_own(room: str | None, run: str, received: str) -> None:
    """All roles read it, in every round, and it is on the page."""
    one = writers_room(tone=room) if room else writers_room()
    played = await play(one, {**GIVEN, "tone": run}, script(2))
    assert all(f"Tone: <tone>{received}</tone>" in request.prompt for request in played.requests)
    assert f"Tone: {received}." in played.output


@pytest.mark.parametrize(("room", "run", "held"), [(3, None, 3), (2, 4, 4), (4, 1, 1), (1, None, 1)])
async def test_rounds_are_the_rooms_unless_the_run_has_its_own(room: int, run: int | None, held: int) -> None:
    """A run costs roles times rounds, and one call more; the result has the number of rounds."""
    played = await play(writers_room(rounds=room), {**GIVEN, "rounds": run}, script(held))
    assert played.calls.total() == 4 * held + 1
    assert (played.state.rounds_held, played.output.endswith(f"Rounds: {held}.")) == (held, True)


@pytest.mark.parametrize(
    "given", [{"rounds": 0}, {"rounds": 13}, {"minutes": 5}, {"acts": 0}, {"premise": ""}, {"premise": " \n"}]
)
async def test_bounds_are_checked_before_anything_runs(given: dict[str, object]) -> None:
    """Rounds and length are limited, and a premise is needed."""
    with pytest.raises(InputError, match=next(iter(given))):
        await play(graph, {**GIVEN, **given}, {})


async def test_every_room_ends() -> None:
    """Whatever the arguments are, it concludes after twelve rounds."""
    played = await play(writers_room(rounds=99), GIVEN, script(12))
    assert played.state.rounds_held == 12


async def test_strong_and_cheap_models_are_mixed_by_an_argument() -> None:
    """They are given by role, "*" for the others; the chair concludes with its own. A Runner's models come first."""
    strong = ScriptedModel(["showrunner-1", OUTLINE])
    cheap = ScriptedModel({name: [f"{name}-1"] for name in NAMES[1:]})
    room = writers_room(rounds=1, models={"showrunner": strong, "*": cheap})
    async with Runner() as runner:
        assert (await runner.start(room, GIVEN).result()).state.outline == OUTLINE
    assert [request.agent for request in strong.requests] == ["showrunner"] * 2
    assert sorted(request.agent for request in cheap.requests) == sorted(NAMES[1:])
    played = await play(room, GIVEN, script(1))
    assert played.calls.total() == 5


async def test_views_that_stay_end_the_rounds_early() -> None:
    """In the second of nine rounds all views repeat; the result has two rounds."""
    answers: dict[str, object] = {name: [f"{name} stays"] * 2 for name in NAMES}
    played = await play(writers_room(rounds=9), GIVEN, {**answers, "showrunner": ["I stay"] * 2 + [OUTLINE]})
    assert played.calls.total() == 4 * 2 + 1
    assert (played.state.agreement, played.state.rounds_held) == (1.0, 2)


async def test_early_stops_can_be_switched_off() -> None:
    """A threshold above 1 switches early stops off, since agreement cannot exceed 1."""
    answers: dict[str, object] = {name: [f"{name} stays"] * 3 for name in NAMES}
    played = await play(
        writers_room(rounds=3, converged=1.1), GIVEN, {**answers, "showrunner": ["I stay"] * 3 + [OUTLINE]}
    )
    assert played.state.rounds_held == 3


def then_away(text: str) -> Callable[[Request], object]:
    """Return a role that answers in the first round and fails in the second."""
    return lambda request: away(request) if text in request.prompt else text


async def test_a_role_that_fails_keeps_its_view_and_the_others_continue() -> None:
    """The conclusion reads its old view and the new ones of the others; `errors` has the reason."""
    played = await play(graph, GIVEN, {**script(2), "continuity": then_away("continuity-1")})
    assert [failure.path for failure in played.state.errors] == ["continuity"]
    last = played.asked("showrunner")[-1]
    assert all(text in last for text in ("staff_writer-2", "script_editor-2", "continuity-1"))
    assert played.state.roles == NAMES


async def test_a_role_that_never_speaks_is_not_among_the_roles() -> None:
    """If the outline credits it, it goes back to the model, which fixes it."""
    fixed = OUTLINE.model_copy(update={"credits": []})
    answers = {**script(2), "continuity": away, "showrunner": [*views("showrunner", 2), OUTLINE, fixed]}
    played = await play(graph, GIVEN, answers)
    assert (played.state.roles, played.state.outline) == (NAMES[:3], fixed)
    assert "'continuity' is not in the room" in played.requests[-1].messages[-1].text
    assert [failure.path for failure in played.state.errors] == ["continuity"] * 2


async def test_a_room_without_views_fails() -> None:
    """A room without views fails, and invents no outline."""
    with pytest.raises(RunFailed, match="nobody has a view"):
        await play(graph, GIVEN, dict.fromkeys(NAMES, away))


async def test_a_room_without_a_key_can_be_resumed_with_other_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It fails with the reason instead of leaving out every role; here it is resumed by rules."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    async with Runner(tmp_path / "runs.db", models=dict(MODELS["anthropic"])) as runner:
        with pytest.raises(RunFailed, match="ANTHROPIC_API_KEY is not set"):
            await runner.start(graph, GIVEN, run_id="r").result()
    async with Runner(tmp_path / "runs.db", models={"*": "offline"}) as runner:
        result = await runner.resume(graph, "r").result()
    assert (result.status, result.state.roles, result.usage.calls) == ("finished", NAMES, 9)


async def test_a_failed_outline_is_made_anew_without_asking_the_room_again(tmp_path: Path) -> None:
    """The run is resumed after the views, with another model if needed."""
    failing = {**script(2), "showrunner": [*views("showrunner", 2), BadRequest("not today")]}
    first = ScriptedModel(cast("Mapping[str, Script]", failing))
    async with Runner(tmp_path / "runs.db", models={"*": first}) as runner:
        with pytest.raises(RunFailed, match="not today"):
            await runner.start(graph, GIVEN, run_id="r").result()
    with ScriptedModel({"showrunner": [OUTLINE]}) as second:
        async with Runner(tmp_path / "runs.db", models={"*": second}) as runner:
            result = await runner.resume(graph, "r").result()
    assert (result.state.outline, result.state.rounds_held) == (OUTLINE, 2)
    assert "continuity-2" in second.requests[0].prompt


@pytest.mark.parametrize("steps", range(1, 12))
async def test_a_stopped_run_continues_at_its_step(steps: int, tmp_path: Path) -> None:
    """This holds for every step, also within a round: no call is repeated, and the result is the same."""
    with ScriptedModel(script(2)) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            stopped = await runner.start(graph, GIVEN, run_id="r", limits=Limits(steps=steps)).result()
            assert stopped.status == "stopped"
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            result = await runner.resume(graph, "r", limits=Limits()).result()
    assert (result.status, len(model.requests)) == ("finished", 9)
    assert (result.state.outline, result.state.rounds_held) == (OUTLINE, 2)


def test_without_a_model_the_room_shows_its_prompts_and_its_cost_and_invents_nothing() -> None:
    """The result is a page; it has every role, the questions, the graph, and the cost of each set of models."""
    result = graph.run_sync(example())
    page = str(result.output)
    assert page.startswith("# No outline: no language model plays this room")
    assert all(str(agent.system).split("\n\n")[0] in page for agent in ROLES)
    assert str(ROLES[0].prompt) in page
    assert graph.to_mermaid().strip() in page
    assert "At most 9 calls" in page
    assert all(re.search(rf"`--model {name}`: 0\.\d\d USD if every answer", page) for name in MODELS)
    assert result.state.outline is not None
    assert (result.state.outline.acts, result.state.outline.made_by_rules) == ([], True)
    assert (result.usage.calls, result.usage.cost_usd) == (9, 0)


def test_a_cost_that_is_unknown_is_said_to_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It names the model that no list of prices has."""
    monkeypatch.setitem(MODELS, "own", {"*": "openai-chat:mine@http://localhost:1/v1"})
    page = str(writers_room().run_sync(example()).output)
    assert "`--model own`: unknown, because the price of openai-chat:mine@http://localhost:1/v1 is unknown" in page


async def test_a_role_without_a_model_is_said_to_have_no_view() -> None:
    """The others and the outline read that; nothing is made up for it."""
    boss = ScriptedModel([*views("showrunner", 2), OUTLINE])
    async with Runner(models={"showrunner": boss}) as runner:
        result = await runner.start(graph, GIVEN).result()
    assert result.state.outline == OUTLINE
    assert set(result.state.views.values()) == {"showrunner-2", NO_VIEW}
    assert boss.requests[-1].prompt.count(NO_VIEW) == 3


def test_the_room_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The same holds for a room with more roles; every role is in the picture."""
    for room, names in ((graph, NAMES), (writers_room([*ROLES, network_exec], rounds=3), [*NAMES, "network_exec"])):
        assert list(room.check()) == []
        room.render(tmp_path / "room.mmd")
        drawn = (tmp_path / "room.mmd").read_text("utf-8")
        assert all(name in drawn for name in [*names, "conclude", "converged", "out of rounds"])


def test_arguments_change_one_room_and_not_the_other() -> None:
    """Each call makes a graph of its own."""
    one, other = writers_room(rounds=1, tone="grave"), writers_room()
    assert one is not other
    assert one.run_sync(GIVEN).state.rounds_held == 1
    assert other.run_sync(GIVEN).state.rounds_held == 2
