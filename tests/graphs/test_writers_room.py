"""The writers' room: rounds, roles, tone and length, its outline, and its failures."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel
from graphengine.errors import InputError
from graphengine.models import model_of
from graphengine.models.base import KnowsPrices
from graphengine.models.errors import BadRequest, ModelUnavailable
from graphengine.patterns import View
from graphs.writers_room import MODELS, example, graph, writers_room
from nodes.room.agents import ROLES, check_outline, network_exec, role
from tests.conformance.model_scenes import Received, Says
from tests.models.edge_server import EdgeServer
from tests.patterns.scripted import away, play

NAMES = [agent.name for agent in ROLES]
PREMISE = "Ann finds her late father's second ledger. Episode 2 of 6."
GIVEN: dict[str, object] = {"premise": PREMISE}
OUTLINE = "# The Second Ledger\n\nAnn has to choose.\n\n" + "\n".join(
    f"## {name} ({minutes} min)\n\n- Turn {minutes}. (staff_writer)\n- Ends on: and now?\n"
    for name, minutes in [("Cold open", 2), *((f"Act {number}", 10) for number in (1, 2, 3, 4))]
)
VIEWS = dict.fromkeys(NAMES, "a view")


def views(name: str, count: int) -> list[object]:
    """Return this many views of a role that is never done."""
    return [View(text=f"{name}-{number}") for number in range(1, count + 1)]


def script(rounds: int, names: Sequence[str] = NAMES) -> dict[str, Any]:
    """Return the answers of a room that uses all of its rounds, and its outline."""
    answers: dict[str, Any] = {name: views(name, rounds) for name in names}
    return {**answers, "showrunner": [*views("showrunner", rounds), OUTLINE]}


def test_it_has_no_problems_and_is_drawn(tmp_path: Path) -> None:
    """The picture has every role."""
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text("utf-8")
    assert all(name in drawn for name in (*NAMES, "all are done", "out of rounds", "nobody has a view"))


async def test_each_role_reads_the_premise_and_the_last_views_and_then_one_concludes() -> None:
    """There are two rounds of four calls and one more; no role sees the views of the current round."""
    played = await play(graph, GIVEN, script(2))
    assert played.calls == {"showrunner": 3, "staff_writer": 2, "script_editor": 2, "continuity": 2}
    for name in NAMES[1:]:
        first, second = played.asked(name)
        assert PREMISE in first
        assert not any(f"{other}-1" in first for other in NAMES)
        assert all(f"{other}-1" in second and f"{other}-2" not in second for other in NAMES)
    conclusion = played.requests[-1].prompt
    assert all(f"<{name}>{name}-2</{name}>" in conclusion for name in NAMES)


async def test_the_result_is_the_outline_with_roles_and_rounds() -> None:
    """As the room's output."""
    played = await play(graph, GIVEN, script(2))
    assert played.output == f"{OUTLINE}\nRoles: showrunner, staff_writer, script_editor, continuity. Rounds: 2.\n"


async def test_the_rounds_end_early_once_all_are_done() -> None:
    """A role that is done is asked again while another is not."""
    done = View(text="as it is", done=True)
    answers: dict[str, Any] = {name: [done, done] for name in NAMES}
    answers["continuity"] = [View(text="who knows?"), done]
    played = await play(graph, {**GIVEN, "rounds": 9}, {**answers, "showrunner": [done, done, OUTLINE]})
    assert played.state.rounds_held == 2


@pytest.mark.parametrize("rounds", [1, 3])
async def test_rounds_tone_and_length_are_inputs(rounds: int) -> None:
    """Every role reads them."""
    given = {**GIVEN, "rounds": rounds, "tone": "dry", "minutes": 42, "acts": 4}
    played = await play(graph, given, script(rounds))
    assert played.state.rounds_held == rounds
    assert all("Tone: dry\nLength: 42 minutes, a cold open and 4 acts." in each.prompt for each in played.requests)


async def test_one_more_role_is_one_more_role() -> None:
    """All roles read it, it reads all of them, and the outline can have its beats."""
    clown = role("clown", "You find what is funny.")
    names = [*NAMES, "network_exec", "clown"]
    answers = script(2, names)
    answers["showrunner"][-1] = OUTLINE.replace("Turn 2. (staff_writer)", "She slips. (clown)")
    played = await play(writers_room([*ROLES, network_exec, clown]), GIVEN, answers)
    assert played.calls.total() == 6 * 2 + 1
    assert "clown-1" in played.asked("continuity")[1]
    assert "Roles: " + ", ".join(names) in played.output


@pytest.mark.parametrize(
    ("outline", "fault"),
    [
        ("I'm sorry, but I can't help with that.", "no title"),
        (OUTLINE.replace("(10 min)", "(9 min)"), "38 minutes, but the episode has 42"),
        (OUTLINE.replace("## Act 4 (10 min)", ""), "not a cold open and 4 acts"),
        (OUTLINE.replace("(staff_writer)", "(nobody)"), "'nobody' is not in the room"),
        (OUTLINE.replace(" (staff_writer)", ""), "no beat has its author"),
    ],
)
async def test_an_outline_with_a_fault_goes_back(outline: str, fault: str) -> None:
    """The room is not asked again."""
    answers = script(1)
    answers["showrunner"] = [*views("showrunner", 1), outline, OUTLINE]
    played = await play(graph, {**GIVEN, "rounds": 1}, answers)
    assert fault in played.asked("showrunner")[-1]
    assert played.calls.total() == 4 + 2


def test_a_minute_more_or_less_is_no_fault() -> None:
    """The parts may differ from the length by one."""
    check_outline(OUTLINE, 43, 4, VIEWS)
    with pytest.raises(ValueError, match="42 minutes"):
        check_outline(OUTLINE, 44, 4, VIEWS)


@pytest.mark.parametrize("given", [{"premise": " "}, {"rounds": 13}, {"minutes": 5}, {"acts": 0}])
async def test_bounds_are_checked_before_anything_runs(given: dict[str, object]) -> None:
    """The error names the field."""
    async with Runner(models="placeholder") as runner:
        with pytest.raises(InputError, match=next(iter(given))):
            await runner.start(graph, {**GIVEN, **given}).result()


# -- failures


async def test_a_role_that_fails_keeps_its_view_and_the_others_continue() -> None:
    """The failure is in the state; one that never speaks is not among the roles."""
    answers = script(2)
    answers["continuity"] = [View(text="continuity-1"), BadRequest("away")]
    answers["script_editor"] = away
    played = await play(graph, GIVEN, answers)
    assert played.state.views["continuity"] == "continuity-1"
    assert sorted(failure.path for failure in played.state.errors) == ["continuity", "script_editor", "script_editor"]
    assert "Roles: showrunner, staff_writer, continuity." in played.output


async def test_a_room_without_views_fails() -> None:
    """Nothing is concluded from nothing."""
    with pytest.raises(RunFailed, match="nobody has a view"):
        await play(graph, GIVEN, dict.fromkeys(NAMES, away))


async def test_a_room_without_a_key_can_be_resumed_with_other_models(tmp_path: Path) -> None:
    """A model that cannot be called fails the run; what others said is not asked again."""
    gone: dict[str, Any] = {**script(1), "continuity": [ModelUnavailable("no key")]}
    async with Runner(tmp_path / "runs.db", models={"*": ScriptedModel(gone)}) as runner:
        with pytest.raises(RunFailed, match="no key"):
            await runner.start(graph, {**GIVEN, "rounds": 1}, run_id="r").result()
    with ScriptedModel({"continuity": views("continuity", 1), "showrunner": [OUTLINE]}) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            assert (await runner.resume("r", graph).result()).state.views.keys() == {*NAMES}


@pytest.mark.parametrize("steps", [1, 4, 7])
async def test_a_stopped_run_continues_at_its_step(steps: int, tmp_path: Path) -> None:
    """No role is asked twice in a round."""
    with ScriptedModel(script(2)) as model:
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            stopped = await runner.start(graph, GIVEN, limits=Limits(visits=steps)).result()
        async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
            result = await runner.resume(stopped.run_id, graph, limits=Limits()).result()
    assert result.state.rounds_held == 2


# -- models


async def test_without_a_model_it_is_a_dry_run() -> None:
    """It invents nothing: path and rounds are those of a room, and the texts say what they are."""
    async with Runner(models=MODELS["default"]) as runner:
        result = await runner.start(graph, example()).result()
    assert str(result.output).startswith("[placeholder: showrunner, call 3]\n\nRoles: ")
    assert (result.usage.calls, result.usage.offline_calls, result.usage.cost_usd) == (9, 9, 0)


async def test_strong_models_write_and_cheap_ones_review_at_known_prices() -> None:
    """Senior roles have the strong model of a set."""
    pytest.importorskip("genai_prices")
    for key in ("anthropic", "openai"):
        strong = {MODELS[key][name] for name in ("showrunner", "staff_writer")}
        assert len(strong) == 1
        assert MODELS[key]["*"] not in strong
        for name in MODELS[key].values():
            model = model_of(name)
            assert isinstance(model, KnowsPrices)
            assert await model.knows_price(), name


async def test_a_room_over_two_wires_is_counted_by_role(provider: EdgeServer) -> None:
    """Each call is in the usage once, under its role and model, with what the server charges."""

    def answer(received: Received) -> Says:
        if received.system.startswith("You run a television series"):
            return Says(OUTLINE)
        return Says(View(text=received.system[:20]).model_dump_json())

    provider.answer(answer)
    models = {"showrunner": "anthropic:claude-haiku-4-5", "*": "openai-chat:gpt-5-mini"}
    async with Runner(models=models) as runner:
        run = runner.start(graph, example())
        result = await run.result()
        calls = Counter[str]()
        for row in await runner.spending(run.id):
            calls[row.agent] += row.usage.get("calls", 0)
    assert calls == {"showrunner": 3, "staff_writer": 2, "script_editor": 2, "continuity": 2}
    assert (result.usage.calls, result.usage.offline_calls) == (9, 0)
