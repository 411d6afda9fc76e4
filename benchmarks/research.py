"""The savings of the workflow `parallel_research`: time by reading in parallel, money by cheap readers."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from genai_prices import Usage, calc_price
from genai_prices.types import TieredPrices

from benchmarks.measure import MILLI, Figure, Outcome, Settings, alternate
from benchmarks.model_server import serving
from graphengine import Runner, TextFile
from graphengine.models import Price
from graphengine.models.anthropic import AnthropicModel
from graphs.parallel_research import MODELS, Research, parallel_research

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from benchmarks.measure import Side
    from benchmarks.model_server import Served
    from graphengine import Result

    Models = Mapping[str, AnthropicModel]

SERVER: Final = "benchmarks.reading_server"
KEY: Final = "no-key-is-needed-here"
PAGES: Final = Path(__file__).resolve().parents[1] / "docs" / "use" / "patterns"
SOURCES: Final = 8
DELAY_SECONDS: Final = 1.0
"""How long an answer takes. Real ones take longer, so their ratios are closer to the number of calls in a row."""
QUICK_SECONDS: Final = 0.05
RUNS: Final = 1000
ONE_BY_ONE, SIDE_BY_SIDE = "one source after the other", "side by side"
CHEAP: Final = {"reader": MODELS["anthropic"]["*"], "merger": MODELS["anthropic"]["merger"]}
STRONG: Final = {"reader": MODELS["anthropic"]["merger"], "merger": MODELS["anthropic"]["merger"]}


async def time_saved(settings: Settings) -> Outcome:
    """This program measures how much time `parallel_research` saves by reading 8 sources at the same time.

    The time is taken from the start of a run to its report. Each answer takes 1 s. The sources are pages of this
    project's manual. Each reader's answer is checked against its source and recorded, in memory.
    """
    count = settings.count(SOURCES, 3)
    delay_seconds = QUICK_SECONDS if settings.quick else DELAY_SECONDS
    async with serving(delay_seconds, SERVER) as server, _models(server, CHEAP) as models:
        sides = {
            ONE_BY_ONE: _timed(models, count, concurrency=1),
            SIDE_BY_SIDE: _timed(models, count, concurrency=count),
        }
        found = await alternate(sides, "ms", settings.count(3, 1))
    ratio = found[ONE_BY_ONE].against(found[SIDE_BY_SIDE])
    ratios = {f"{ONE_BY_ONE}, against {SIDE_BY_SIDE}": ratio}
    return Outcome("Parallel research: the time of 8 readers and a merger", found, ratios)


async def cost_saved(settings: Settings) -> Outcome:
    """This program measures how much money `parallel_research` saves with cheap readers, for 1,000 runs.

    The server counts the tokens, and genai-prices provides the prices. Each run reads 8 pages of this project's manual.
    At 4 bytes per token, the numbers of tokens are about these:

    - 600 for a page
    - 450 for the instructions and the schema of a reader
    - 175 for a reader's quotations from a page
    - 1,400 for what the merger reads, and 485 for its report

    On one side, all calls use the strong model that the workflow names for Anthropic. On the other side, the readers
    use its cheap model.
    """
    count = settings.count(SOURCES, 3)
    teams = {"strong model for all": STRONG, "cheap readers, strong merger": CHEAP}
    found: dict[str, Figure] = {}
    for side, names in teams.items():
        async with serving(0.0, SERVER) as server, _models(server, names) as models:
            result = await _run(models, count, concurrency=count)
        usd = result.usage.cost_usd
        if usd is None:
            raise ValueError(f"the price of {names} is not known")
        found[side] = Figure(side, "USD", (usd * RUNS,))
    strong, cheap = found.values()
    ratios = {"strong model for all, against cheap readers": strong.against(cheap)}
    return Outcome("Parallel research: the cost of 1,000 runs", found, ratios)


def _timed(models: Models, count: int, *, concurrency: int) -> Side:
    async def run() -> float:
        began = time.perf_counter()
        await _run(models, count, concurrency=concurrency)
        return (time.perf_counter() - began) * MILLI

    return run


async def _run(models: Models, count: int, *, concurrency: int) -> Result[Research]:
    """Run the workflow once, with its own Runner."""
    graph = parallel_research(concurrency=concurrency)
    async with Runner(models=models) as runner:
        result = await runner.start(graph, Research(task="When to use which pattern", sources=_pages(count))).result()
    failures = [each.failure for each in result.state.outcomes if each.failure]
    if failures:
        raise ValueError(f"some sources were not read: {failures}")
    return result


@asynccontextmanager
async def _models(server: Served, names: Mapping[str, str]) -> AsyncIterator[Models]:
    models = {
        agent: AnthropicModel(
            listed := name.removeprefix("anthropic:"),
            api_key=KEY,
            base_url=server.url,
            price=_price(listed),
            native_schema=True,
        )
        for agent, name in names.items()
    }
    try:
        yield models
    finally:
        for model in models.values():
            await model.close()


def _price(name: str) -> Price:
    """Return the price of a model for short questions, from genai-prices.

    The measured server is not Anthropic's, so graphengine itself does not know a price.
    """
    listed = calc_price(Usage(input_tokens=1), name, provider_id="anthropic").model_price
    prices = (listed.input_mtok, listed.output_mtok, listed.cache_read_mtok, listed.cache_write_mtok)
    return Price(*(float((price.base if isinstance(price, TieredPrices) else price) or 0) for price in prices))


def _pages(count: int) -> list[TextFile]:
    files = sorted(file for file in PAGES.glob("*.md") if file.stem.islower())
    return [TextFile(path=file.name, text=file.read_text(encoding="utf-8")) for file in files[:count]]
