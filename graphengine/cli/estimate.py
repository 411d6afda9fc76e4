"""`graphengine run --estimate`: what a run would cost, before any model is called.

The run is rehearsed in memory: agents answer by their rules, and each question and answer is counted as the tokens that
it would be for a model. Only a graph whose file has `ESTIMATE_BY_RULES = True` is rehearsed, because its functions are
called. A cost that nothing is known of is reported as unknown, never as 0.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from pydantic_core import to_json

from graphengine.cli.tables import aligned
from graphengine.models.base import EstimatesCosts, KnowsWindow
from graphengine.models.names import as_model
from graphengine.models.offline import OfflineModel
from graphengine.state.amounts import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.report import Job
    from graphengine.engine.plan import Plan
    from graphengine.history.json_document import Document
    from graphengine.models.base import Model, Request, Response

DECLARES: Final = "ESTIMATE_BY_RULES"
"""The variable of a graph file that allows rehearsals: its functions have no effects before the first wait."""
BYTES_A_TOKEN: Final = 4
"""Of English prose; other languages and code have up to twice as many tokens."""
RULES: Final = "offline"
Tokens: TypeAlias = "list[tuple[int, int]]"
"""The tokens of each call: of its question, and of its answer."""


@dataclass(slots=True)
class Counted:
    """The calls of one agent to one model."""

    agent: str
    model: str
    asked: Model
    calls: int = 0
    spent: Tokens = field(default_factory=list)
    longest: Tokens = field(default_factory=list)


@dataclass(slots=True)
class Estimate:
    """What a rehearsal counted.

    Attributes:
        rows: The calls by agent and model.
        ended: How the rehearsal ended, in words; "" if there was none.
        unknown: Why the cost is unknown; "" if it is known.
    """

    rows: Sequence[Counted] = ()
    ended: str = ""
    unknown: str = ""


class _Counting(OfflineModel):
    """Answers by the agents' rules, and counts what a model would have read and written."""

    def __init__(
        self, models: Mapping[str, str | Model], chosen: str | Model | None, rows: dict[tuple[str, str], Counted]
    ) -> None:
        self.name = RULES
        self._own = models
        self._chosen = chosen
        self._rows = rows

    async def window_tokens(self) -> int | None:
        """Return the window of the model; None if it is unknown, or rules answer."""
        if self._chosen is None:
            return None
        model = as_model(self._chosen)
        return await model.window_tokens() if isinstance(model, KnowsWindow) else None

    async def answer(self, request: Request) -> Response:
        """Return the stand-in's answer, and count it."""
        given = self._chosen or self._own.get(request.agent, RULES)
        name = given if isinstance(given, str) else given.name
        response = await super().answer(request)
        row = self._rows.setdefault((request.agent, name), Counted(request.agent, name, as_model(given)))
        row.calls += 1
        if row.model != RULES:
            schemas = [request.schema, *(f"{one.name} {one.description} {dict(one.schema)}" for one in request.tools)]
            texts = [request.system, *(message.text for message in request.messages)]
            read, written = _tokens(*texts, *schemas), _tokens(response.content)
            row.spent.append((read, written))
            row.longest.append((read, max(written, request.settings.max_tokens or written)))
        return response


def _tokens(*parts: object) -> int:
    whole = sum(len(part.encode() if isinstance(part, str) else to_json(part)) for part in parts if part is not None)
    return -(-whole // BYTES_A_TOKEN)


def show_estimate(job: Job, state: Any) -> int:  # noqa: ANN401 - a state of any graph
    """Rehearse a run, and show its expected cost; return the exit code."""
    estimate, costs = asyncio.run(_estimate(job, state))
    if job.session.json:
        job.session.document(_document(job.found.graph.name, estimate, costs))
        return 0
    out = job.session.out
    if estimate.rows:
        headings = ("agent", "model", "calls", "tokens in", "tokens out", "cost", "at most")
        rows = [_cells(row, *costs[at]) for at, row in enumerate(estimate.rows)]
        for line in aligned(headings, rows, columns=out.columns, expendable=("tokens in", "tokens out")):
            out.line(line)
    for line in _in_words(estimate, costs):
        out.line(line)
    return 0


Costs: TypeAlias = "list[tuple[float | None, float | None]]"


async def _estimate(job: Job, state: Any) -> tuple[Estimate, Costs]:  # noqa: ANN401
    from graphengine.api.runner import Runner
    from graphengine.cli.executors import executors_of
    from graphengine.runner import RunFailed

    plan = job.found.graph.compile()
    if not getattr(job.found.module, DECLARES, False):
        why = (
            f"{job.found.file.name} does not declare {DECLARES} = True, which allows a rehearsal by rules; "
            "--limit cost_usd=… bounds the cost of a run"
        )
        return Estimate(unknown=why), []
    rows: dict[tuple[str, str], Counted] = {}
    own = dict(_own_models(plan))
    models = {who: _Counting(own, model, rows) for who, model in job.chosen.items()}
    models.setdefault("*", _Counting(own, None, rows))
    unknown = ""
    async with Runner(models=models, executors=executors_of(job.found.file)) as runner:
        try:
            result = await runner.start(job.found.graph, state).result()
        except RunFailed as failed:
            result = failed.result
            unknown = f"the rehearsal failed: {failed.result.error.message if failed.result.error else failed}"
    costs = [(await _cost(row.asked, row.spent), await _cost(row.asked, row.longest)) for row in rows.values()]
    unpriced = [row.model for row, (usd, _) in zip(rows.values(), costs, strict=True) if usd is None]
    if unpriced and not unknown:
        unknown = f"the price of {', '.join(dict.fromkeys(unpriced))} is unknown"
    return Estimate(list(rows.values()), result.status, unknown), costs


def _own_models(plan: Plan[Any]) -> list[tuple[str, str | Model]]:
    """Return the models that agents have of their own, by the agents' names."""
    bodies = [node.call.body for here in plan.nest for node in here.nodes.values() if node.call is not None]
    agents = [getattr(body, "agent", None) for body in bodies if body.kind == "agent"]
    return [(agent.name, agent.model) for agent in agents if agent is not None]


async def _cost(model: Model, tokens: Tokens) -> float | None:
    if model.name == RULES:
        return 0.0
    each = [await model.price_of(*one) if isinstance(model, EstimatesCosts) else None for one in tokens]
    return None if None in each else sum(usd for usd in each if usd is not None)


def _cells(row: Counted, usd: float | None, most: float | None) -> tuple[str, ...]:
    read, written = (sum(one[at] for one in row.spent) for at in (0, 1))
    return (row.agent, row.model, str(row.calls), f"{read:,}", f"{written:,}", _usd(usd), _usd(most))


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{dollars(amount)} USD"


def _in_words(estimate: Estimate, costs: Costs) -> list[str]:
    if estimate.unknown:
        return [f"expected cost: unknown, because {estimate.unknown}"]
    if all(row.model == RULES for row in estimate.rows):
        return ["expected cost: 0 USD, since rules answer; name models with --model"]
    usd, most = (sum(one[at] or 0.0 for one in costs) for at in (0, 1))
    lines = [f"expected cost: about {_usd(usd)}, at most {_usd(most)} if every answer is as long as it may be"]
    lines.append("counted in a rehearsal by rules; models may need more calls, for example to correct an answer")
    if estimate.ended == "waiting":
        lines.append("the run then waits; what follows the answer is not included")
    return lines


def _document(graph: str, estimate: Estimate, costs: Costs) -> Document:
    from graphengine.cli.graph_documents import Estimated, EstimatedAgent

    agents = [
        EstimatedAgent(
            agent=row.agent,
            model=row.model,
            calls=row.calls,
            input_tokens=sum(read for read, _ in row.spent),
            output_tokens=sum(written for _, written in row.spent),
            cost_usd=usd,
            most_usd=most,
        )
        for row, (usd, most) in zip(estimate.rows, costs, strict=True)
    ]
    known = not estimate.unknown
    return Estimated(
        graph=graph,
        agents=agents,
        cost_usd=sum(usd or 0.0 for usd, _ in costs) if known else None,
        most_usd=sum(most or 0.0 for _, most in costs) if known else None,
        unknown=estimate.unknown,
        ended=estimate.ended,
    )


__all__ = ["DECLARES", "show_estimate"]
