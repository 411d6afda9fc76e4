"""`graphengine run --estimate`: what a run would cost, before any model is called.

The run is rehearsed in memory: agents answer by rules, or by placeholders if they have none, and each question and
answer is counted as the tokens that it would be for a model. A placeholder is counted as the longest answer, and every
later question as if it repeated that. Functions are called, so only a graph that runs without a model is rehearsed: its
file has `MODELS["default"]` of rules and placeholders. An unknown cost is reported as unknown, never as 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from pydantic_core import to_json

from graphengine.cli.documents import Estimated, EstimatedAgent
from graphengine.cli.models import DEFAULT, sets_of
from graphengine.kernel import dollars
from graphengine.models.base import EstimatesCosts, KnowsWindow, RulesModel
from graphengine.models.names import as_model
from graphengine.models.placeholder import PlaceholderModel
from graphengine.records.spending import sum_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from graphengine.cli.report import DriveJob
    from graphengine.kernel.definitions import Limits, Plan
    from graphengine.models.base import Model, Request, Response

_BYTES_A_TOKEN: Final = 4
"""Of English prose; other languages and code have up to twice as many tokens."""
_RULES: Final = "rules"


@dataclass(slots=True)
class _Counted:
    """The calls of one agent to one model.

    Attributes:
        calls: For each, the tokens of its question, of its answer, and of the longest answer that it allows; a
            placeholder's answer has None tokens, and its longest answer None if it has no limit.
    """

    agent: str
    model: str
    asked: Model
    calls: list[tuple[int, int | None, int | None]] = field(default_factory=list)

    async def cost(self, answer: int) -> float | None:
        """Return what its calls cost with answers of the length in this column; None if anything is unknown."""
        if isinstance(self.asked, RulesModel):
            return 0.0
        if not isinstance(self.asked, EstimatesCosts):
            return None
        price = self.asked.price_of
        known = [(call[0], call[answer]) for call in self.calls]
        return sum_of([None if tokens is None else await price(size, tokens) for size, tokens in known])

    async def document(self) -> EstimatedAgent:
        """Return what it adds to the document."""
        return EstimatedAgent(
            agent=self.agent,
            model=self.model,
            calls=len(self.calls),
            input_tokens=sum(call[0] for call in self.calls),
            output_tokens=sum(call[1] or call[2] or 0 for call in self.calls),
            cost_usd=await self.cost(1),
            most_usd=await self.cost(2),
        )


class _Counting(PlaceholderModel):
    """Answers by the agents' rules or with placeholders, and counts what a model would have read and written."""

    def __init__(
        self, own: Mapping[str, str | Model | None], chosen: str | Model | None, rows: dict[tuple[str, str], _Counted]
    ) -> None:
        super().__init__()
        self.name = _RULES
        self._longest = 0  # tokens of all answers so far that placeholders stand for
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
        """Return the rule-based answer or a placeholder, and count it."""
        given = self._chosen or self._own.get(request.agent) or _RULES
        name = given if isinstance(given, str) else given.name
        row = self._rows.setdefault((request.agent, name), _Counted(request.agent, name, as_model(given)))
        has_rules = request.by_rules is not None
        response = await (RulesModel().answer(request) if has_rules else super().answer(request))
        read, most = 0, request.settings.max_tokens
        written: int | None = 0
        if not isinstance(row.asked, RulesModel):
            schemas = [request.schema, *(f"{one.name} {one.description} {dict(one.schema)}" for one in request.tools)]
            read = _tokens(request.system, *(message.text for message in request.messages), *schemas) + self._longest
            written = _tokens(response.content) if has_rules else None
            if written is not None:
                most = max(written, most or written)
        if not has_rules:
            self._longest += most or 0
        row.calls.append((read, written, most))
        return response


def _tokens(*parts: object) -> int:
    whole = sum(len(part.encode() if isinstance(part, str) else to_json(part)) for part in parts if part is not None)
    return -(-whole // _BYTES_A_TOKEN)


def show_estimate(job: DriveJob, state: Any, limits: Limits) -> int:  # noqa: ANN401 - a state of any graph
    """Rehearse a run, and show its expected cost; return the exit code."""
    found = job.context.run(_estimate(job, state, limits))
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


async def _estimate(job: DriveJob, state: Any, limits: Limits) -> Estimated:  # noqa: ANN401
    """Return the document of the expected cost."""
    from graphengine.api.runner import Runner
    from graphengine.cli.places import read_settings
    from graphengine.kernel import RunFailed

    rows: dict[tuple[str, str], _Counted] = {}
    ended = unknown = ""
    visits = 0
    default = sets_of(job.found.module).get(DEFAULT)
    if default is not None and all(isinstance(as_model(model), RulesModel) for model in default.values()):
        own = dict(_own_models(job.found.graph.compile()))
        models = {who: _Counting(own, model, rows) for who, model in job.chosen.items()}
        models.setdefault("*", _Counting(own, None, rows))
        async with Runner(models=models, executors=read_settings("executors", job.found.file), effects={}) as runner:
            try:
                result = await runner.start(job.found.graph, state).result()
                ended, visits = result.status, result.visits
            except RunFailed as failed:
                ended, visits, error = failed.result.status, failed.result.visits, failed.result.error
                unknown = f"the rehearsal failed: {error.message if error else failed}"
    else:
        unknown = (
            f'{job.found.file.name} has no MODELS["{DEFAULT}"] of "rules" and "placeholder", with which a rehearsal '
            "has no effect that a run without a model has not; --limit cost_usd=… bounds the cost of a run"
        )
    agents = [await row.document() for row in rows.values()]
    unpriced = dict.fromkeys(row.model for row in agents if row.most_usd is None)
    unlimited = dict.fromkeys(row.agent for row in rows.values() if any(call[2] is None for call in row.calls))
    if unpriced and not unknown:
        unknown = f"the price of {', '.join(unpriced)} is unknown"
        if unlimited:
            unknown = f"{', '.join(unlimited)} has no max_tokens and answered with a placeholder"
    return Estimated(
        graph=job.found.graph.name,
        agents=agents,
        cost_usd=None if unknown else sum_of(row.cost_usd for row in agents),
        most_usd=None if unknown else sum_of(row.most_usd for row in agents),
        unknown=unknown,
        ended=ended,
        visits=visits,
        cap_usd=limits.cost_usd,
    )


def _own_models(plan: Plan[Any]) -> list[tuple[str, str | Model | None]]:
    """Return the models that agents have of their own, by the agents' names."""
    bodies = [node.call.body for here in plan.nest for node in here.nodes.values() if node.call is not None]
    agents = [getattr(body, "agent", None) for body in bodies if body.kind == "agent"]
    return [(agent.name, agent.model) for agent in agents if agent is not None]


def _usd(amount: float | None) -> str:
    return "unknown" if amount is None else f"{dollars(amount)} USD"


def _in_words(found: Estimated) -> Sequence[str]:
    if found.unknown:
        return [f"expected cost: unknown, because {found.unknown}"]
    if all(isinstance(as_model(row.model), RulesModel) for row in found.agents):
        return ["expected cost: 0 USD, since no language model answers; name models with --model"]
    about = "" if found.cost_usd is None else f"about {_usd(found.cost_usd)}, "
    calls = sum(row.calls for row in found.agents)
    lines = [f"expected cost: {about}at most {_usd(found.most_usd)} if every answer is as long as it may be"]
    lines.append(
        f"of the path that was rehearsed, {found.visits} visits and {calls} calls; models may need more calls, as to "
        "correct an answer, or for more rounds"
    )
    cap = "no cap is set; --limit cost_usd=… sets one" if found.cap_usd is None else f"capped at {_usd(found.cap_usd)}"
    lines.append(f"{cap}, at which the run stops and can be resumed")
    if found.ended == "waiting":
        lines.append("the run then waits; what follows the answer is not included")
    return lines


__all__ = ["show_estimate"]
