"""`graphengine run --estimate`: what a run would cost, before any model is called.

The run is rehearsed in memory: agents answer by their rules, and each question and answer is counted as the tokens that
it would be for a model. Only a graph whose file has `ESTIMATE_BY_RULES = True` is rehearsed, because its functions are
called. A cost that nothing is known of is reported as unknown, never as 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.cli.documents import Estimated, EstimatedAgent
from graphengine.models.base import EstimatesCosts, KnowsWindow, OfflineModel
from graphengine.models.names import as_model
from graphengine.state.amounts import dollars

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.report import DriveJob
    from graphengine.engine.plan import Plan
    from graphengine.models.base import Model, Request, Response

_DECLARES: Final = "ESTIMATE_BY_RULES"
"""The variable of a graph file that allows rehearsals: its functions have no effects before the first wait."""
_BYTES_A_TOKEN: Final = 4
"""Of English prose; other languages and code have up to twice as many tokens."""
_RULES: Final = "offline"


@dataclass(slots=True)
class _Counted:
    """The calls of one agent to one model.

    Attributes:
        calls: For each, the tokens of its question, of its answer, and of the longest answer that it allows.
    """

    agent: str
    model: str
    asked: Model
    calls: list[tuple[int, int, int]] = field(default_factory=list)

    async def cost(self, answer: int) -> float | None:
        """Return what its calls cost with answers of the length in this column; None if a price is unknown."""
        if self.model == _RULES:
            return 0.0
        if not isinstance(self.asked, EstimatesCosts):
            return None
        each = [await self.asked.price_of(call[0], call[answer]) for call in self.calls]
        return None if None in each else sum(usd for usd in each if usd is not None)

    async def document(self) -> EstimatedAgent:
        """Return what it adds to the document."""
        return EstimatedAgent(
            agent=self.agent,
            model=self.model,
            calls=len(self.calls),
            input_tokens=sum(call[0] for call in self.calls),
            output_tokens=sum(call[1] for call in self.calls),
            cost_usd=await self.cost(1),
            most_usd=await self.cost(2),
        )


class _Counting(OfflineModel):
    """Answers by the agents' rules, and counts what a model would have read and written."""

    def __init__(
        self, own: Mapping[str, str | Model], chosen: str | Model | None, rows: dict[tuple[str, str], _Counted]
    ) -> None:
        self.name = _RULES
        self._own = own
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
        given = self._chosen or self._own.get(request.agent, _RULES)
        name = given if isinstance(given, str) else given.name
        response = await super().answer(request)
        row = self._rows.setdefault((request.agent, name), _Counted(request.agent, name, as_model(given)))
        read = written = most = 0
        if name != _RULES:
            schemas = [request.schema, *(f"{one.name} {one.description} {dict(one.schema)}" for one in request.tools)]
            read = _tokens(request.system, *(message.text for message in request.messages), *schemas)
            written = _tokens(response.content)
            most = max(written, request.settings.max_tokens or written)
        row.calls.append((read, written, most))
        return response


def _tokens(*parts: object) -> int:
    whole = sum(len(part.encode() if isinstance(part, str) else to_json(part)) for part in parts if part is not None)
    return -(-whole // _BYTES_A_TOKEN)


def show_estimate(job: DriveJob, state: Any) -> int:  # noqa: ANN401 - a state of any graph
    """Rehearse a run, and show its expected cost; return the exit code."""
    found = job.context.run(_estimate(job, state))
    if job.context.json:
        job.context.document(found)
        return 0
    rows = [
        (
            *(row.agent, row.model, str(row.calls), f"{row.input_tokens:,}", f"{row.output_tokens:,}"),
            *(_usd(row.cost_usd), _usd(row.most_usd)),
        )
        for row in found.agents
    ]
    headings = ("agent", "model", "calls", "tokens in", "tokens out", "cost", "at most")
    if rows:
        job.context.out.table(headings, rows, expendable=("tokens in", "tokens out"))
    for line in _in_words(found):
        job.context.out.line(line)
    return 0


async def _estimate(job: DriveJob, state: Any) -> Estimated:  # noqa: ANN401
    """Return the document of the expected cost."""
    from graphengine.api.runner import Runner
    from graphengine.cli.project import executors_of
    from graphengine.runner import RunFailed

    rows: dict[tuple[str, str], _Counted] = {}
    ended = unknown = ""
    if getattr(job.found.module, _DECLARES, False):
        own = dict(_own_models(job.found.graph.compile()))
        models = {who: _Counting(own, model, rows) for who, model in job.chosen.items()}
        models.setdefault("*", _Counting(own, None, rows))
        async with Runner(models=models, executors=executors_of(job.found.file)) as runner:
            try:
                ended = (await runner.start(job.found.graph, state).result()).status
            except RunFailed as failed:
                ended, error = failed.result.status, failed.result.error
                unknown = f"the rehearsal failed: {error.message if error else failed}"
    else:
        unknown = (
            f"{job.found.file.name} does not declare {_DECLARES} = True, which allows a rehearsal by rules; "
            "--limit cost_usd=… bounds the cost of a run"
        )
    agents = [await row.document() for row in rows.values()]
    unpriced = [row.model for row in agents if row.cost_usd is None]
    if unpriced and not unknown:
        unknown = f"the price of {', '.join(dict.fromkeys(unpriced))} is unknown"
    usd, most = (sum(row.cost_usd or 0.0 for row in agents), sum(row.most_usd or 0.0 for row in agents))
    return Estimated(
        graph=job.found.graph.name,
        agents=agents,
        cost_usd=None if unknown else usd,
        most_usd=None if unknown else most,
        unknown=unknown,
        ended=ended,
    )


def _own_models(plan: Plan[Any]) -> list[tuple[str, str | Model]]:
    """Return the models that agents have of their own, by the agents' names."""
    bodies = [node.call.body for here in plan.nest for node in here.nodes.values() if node.call is not None]
    agents = [getattr(body, "agent", None) for body in bodies if body.kind == "agent"]
    return [(agent.name, agent.model) for agent in agents if agent is not None]


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{dollars(amount)} USD"


def _in_words(found: Estimated) -> Sequence[str]:
    if found.unknown:
        return [f"expected cost: unknown, because {found.unknown}"]
    if all(row.model == _RULES for row in found.agents):
        return ["expected cost: 0 USD, since rules answer; name models with --model"]
    usd, most = _usd(found.cost_usd), _usd(found.most_usd)
    lines = [f"expected cost: about {usd}, at most {most} if every answer is as long as it may be"]
    lines.append("counted in a rehearsal by rules; models may need more calls, for example to correct an answer")
    if found.ended == "waiting":
        lines.append("the run then waits; what follows the answer is not included")
    return lines


__all__ = ["show_estimate"]
