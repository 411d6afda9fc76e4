"""What holds for every bundled workflow, and the pages of each: `UPDATE_PAGES=1` rewrites them."""

from __future__ import annotations

from collections import Counter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from graphengine import Limits, RunFailed, Runner, ScriptedModel
from graphengine.errors import InputError
from graphengine.models import Request, Response, model_of
from graphengine.models.base import KnowsPrices
from graphengine.models.errors import ModelUnavailable
from tests.conformance.model_scenes import Received, Says
from tests.graphs import orchestrator_kit, press_kit, review_kit, scenes
from tests.graphs.scenes import SCENES, Scene
from tests.kit.graph_pages import check_page
from tests.models.edge_server import EdgeServer
from tests.patterns import scripted

PAGES = sorted((Path(__file__).parent / "pages").glob("*.txt"))
ALL = pytest.mark.parametrize("name", SCENES)
SPARED = {("content_queue", "editor"), ("content_queue", "publisher"), ("handoff", "editor")}
"""Agents without whom there is a result."""
REFUSED: dict[str, list[dict[str, object]]] = {
    "line": [{"task": " "}, {"task": None}, {"word_budget": 5}],
    "writers_room": [{"premise": " "}, {"rounds": 13}, {"minutes": 5}, {"acts": 0}],
}


def of(name: str) -> Any:
    """Return the module of a graph."""
    return import_module(f"graphs.{name}")


class Keeping(ScriptedModel):
    """A scripted model that keeps its answers by the beginning of the instructions and the question."""

    kept: dict[tuple[str, str], Response]

    async def answer(self, request: Request) -> Response:
        """Return the next answer."""
        response = await super().answer(request)
        self.kept = {**getattr(self, "kept", {}), (request.system[:40], request.prompt): response}
        return response


async def whole(name: str, scene: Scene) -> tuple[Any, Keeping]:
    """Return the result of a good run, and its model."""
    with Keeping(scene.answers) as model:
        async with Runner(models={"*": model}) as runner:
            result = await runner.start(of(name).graph, scene.given).result()
    assert result.output == scene.output
    return result, model


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
async def test_a_graph_does_what_its_page_says(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Played case by case, it asks its agents what its page has, and ends as it has."""
    monkeypatch.chdir(tmp_path)
    await check_page(path, scripted, press_kit, orchestrator_kit, review_kit, scenes)


@ALL
def test_a_graph_has_no_problems_and_is_drawn(name: str, tmp_path: Path) -> None:
    """Its picture has its nodes and its ends."""
    graph = of(name).graph
    assert graph.check() == []
    graph.render(tmp_path / "graph.mmd")
    drawn = (tmp_path / "graph.mmd").read_text("utf-8").replace("</b><br/><b>", " ").replace("<br/>", " ")
    assert [words for words in SCENES[name].drawn if words not in drawn] == []


@ALL
async def test_the_example_is_a_dry_run_without_a_model(name: str) -> None:
    """Placeholders answer, or rules, at no cost."""
    module = of(name)
    async with Runner(models=module.MODELS["default"]) as runner:
        result = await runner.start(module.graph, module.example()).result()
    assert str(result.output).startswith(SCENES[name].dry)
    assert (result.usage.offline_calls, result.usage.cost_usd) == (result.usage.calls, 0)


@ALL
async def test_stopped_after_any_step_it_has_the_same_result(name: str, tmp_path: Path) -> None:
    """Another Runner continues on the same database, and no call is repeated."""
    scene, graph = SCENES[name], of(name).graph
    found, first = await whole(name, scene)
    for steps in range(1, found.visits, 1 + found.visits // 8):
        with ScriptedModel(scene.answers) as model:
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                stopped = await runner.start(graph, scene.given, limits=Limits(visits=steps)).result()
                assert stopped.status == "stopped"
            async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
                done = await runner.resume(stopped.run_id, graph, limits=Limits()).result()
        assert (done.output, len(model.requests)) == (scene.output, len(first.requests)), steps


@pytest.mark.parametrize(
    ("name", "agent"), sorted({(name, agent) for name in SCENES for agent in SCENES[name].answers} - SPARED)
)
async def test_a_run_whose_model_cannot_be_called_continues_with_another(name: str, agent: str, tmp_path: Path) -> None:
    """It fails, or waits if its agents wait for messages; what was answered is not asked again."""
    scene, graph = SCENES[name], of(name).graph

    def gone(request: Request) -> object:
        raise ModelUnavailable("no key")

    script: dict[str, Any] = {**scene.answers, agent: gone}
    model = ScriptedModel(script)
    async with Runner(tmp_path / "runs.db", models={"*": model}) as runner:
        try:
            result = await runner.start(graph, scene.given, run_id="r").result()
        except RunFailed as failed:
            result = failed.result
    assert (result.status, "no key" in str(result.error)) in {("failed", True), ("waiting", True)}
    made = Counter(request.agent for request in model.requests if request.agent != agent)
    left = {who: script if callable(script) else script[made[who] :] for who, script in scene.answers.items()}
    with ScriptedModel(left) as other:
        async with Runner(tmp_path / "runs.db", models={"*": other}) as runner:
            assert (await runner.resume("r", graph).result()).output == scene.output


@ALL
async def test_it_runs_over_two_wires(name: str, provider: EdgeServer) -> None:
    """Each call is charged once, to its agent, at its price; a price that nobody knows is not 0."""
    scene = SCENES[name]
    _, model = await whole(name, scene)
    unpriced = next(iter(scene.answers))

    def answer(received: Received) -> Says:
        return Says(str(model.kept[received.system[:40], received.turns[-1].text].content))

    provider.answer(answer)
    async with Runner(models={"*": "anthropic:claude-haiku-4-5", unpriced: "openai-chat:own"}) as runner:
        run = runner.start(of(name).graph, scene.given)
        result = await run.result()
        rows = await runner.admin.spending(run.id)
    calls, costs = Counter[str](), dict[str, float | None]()
    for row in rows:
        calls[row.agent] += row.usage.get("calls", 0)
        costs[row.agent] = row.usage.get("cost_usd")
    assert (result.output, result.usage.cost_usd) == (scene.output, None)
    assert calls == Counter(request.agent for request in model.requests)
    assert costs.pop(unpriced) is None
    assert all(costs.values())


@ALL
async def test_its_sets_of_models_have_known_prices(name: str) -> None:
    """So a limit on costs refuses none of them; those who write have a stronger one than the rest."""
    pytest.importorskip("genai_prices")
    for key, models in of(name).MODELS.items():
        if key == "default":
            continue
        assert {*models} - {"*"} <= {*SCENES[name].answers}
        assert models["*"] not in {model for agent, model in models.items() if agent != "*"}
        for each in models.values():
            model = model_of(each)
            assert isinstance(model, KnowsPrices)
            assert await model.knows_price(), each


@pytest.mark.parametrize(("name", "given"), [(name, given) for name in REFUSED for given in REFUSED[name]])
async def test_bad_input_is_refused_before_anything_runs(name: str, given: dict[str, object]) -> None:
    """The error names the field."""
    async with Runner(models="placeholder") as runner:
        with pytest.raises(InputError, match=next(iter(given))):
            await runner.start(of(name).graph, {**SCENES[name].given, **given}).result()
