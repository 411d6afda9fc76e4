"""A room that no language model plays: the page that shows its roles, prompts, graph and cost instead of an outline.

Rules cannot invent a story, so they do not pretend to. A role without a model has no view, and says so to the others.
If the chair has no model, the page is the result.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from graphengine import Agent, Model
from nodes.room.outline import Outline

NO_VIEW: Final = "No language model plays this role, so it has no view."
WHY: Final = (
    "Inventing a story needs a language model, and rules do not pretend to. This page shows what the room would do. "
    "To let it work: `graphengine run writers_room --model anthropic --input premise=…`, or `--model openai`."
)
BYTES_A_TOKEN: Final = 4  # English prose

Sets = Mapping[str, Mapping[str, str | Model]]


def silent() -> str:
    """Return the view of a role without a model."""
    return NO_VIEW


def plan(
    roles: Sequence[Agent[str]], chair: Agent[Outline], sets: Sets, rounds: int, drawn: Callable[[], str]
) -> Callable[..., Outline]:
    """Return a stand-in for the chair, which makes the page.

    Args:
        roles: The roles of the room.
        chair: The agent that makes the outline.
        sets: The sets of models that the page prices.
        rounds: The maximum number of rounds, unless a run sets its own.
        drawn: Returns the room's graph as Mermaid.
    """
    held = rounds

    def show(premise: str, tone: str, minutes: int, acts: int, rounds: int | None) -> Outline:
        number = rounds or held
        calls = len(roles) * number + 1
        costs = [f"- `--model {name}`: {_cost(roles, chair, each, number, premise)}" for name, each in sets.items()]
        order = [f"Premise: {' '.join(premise.split())}", f"Tone: {tone}"]
        order += [f"Length: {minutes} minutes, a cold open and {acts} acts"]
        bound = f"At most {calls} calls: {len(roles)} roles in {number} round{'s' * (number > 1)}, and the outline."
        parts = [
            "# No outline: no language model plays this room",
            WHY,
            "\n".join(["## The order", "", *(f"- {each}" for each in order)]),
            f"## Calls and cost\n\n{bound} They end earlier if no view changes.",
            "\n".join(costs),
            "## Roles and prompts",
            *(f"### {name}\n\n{_fenced(text)}" for name, text in _prompts(roles)),
            f"### The question to each role, in each round\n\n{_fenced(str(roles[0].prompt))}",
            f"### The question for the outline, to {chair.name}\n\n{_fenced(str(chair.prompt))}",
            f"## Graph\n\n```mermaid\n{drawn().strip()}\n```",
        ]
        return Outline(title="No outline", throughline=NO_VIEW, made_by_rules=True, plan="\n\n".join(parts) + "\n")

    return show


def _prompts(roles: Sequence[Agent[str]]) -> list[tuple[str, str]]:
    """Return the instructions of each role, and what several of them share, once."""
    parts = {each.name: str(each.system).partition("\n\n") for each in roles}
    shared = {rest for _, _, rest in parts.values() if rest}
    return [
        *((name, duty) for name, (duty, _, _) in parts.items()),
        *(("All roles" if len(shared) == 1 else "Some roles", rest) for rest in sorted(shared)),
    ]


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _cost(
    roles: Sequence[Agent[str]], chair: Agent[Any], models: Mapping[str, str | Model], rounds: int, premise: str
) -> str:
    """Return the cost if every answer is as long as it can be, in words."""
    views = sum(each.max_tokens or 0 for each in roles)
    total = 0.0
    for agent, times in (*((each, rounds) for each in roles), (chair, 1)):
        question = len(f"{agent.system}{agent.prompt}{premise}".encode()) // BYTES_A_TOKEN
        read = views * (times - 1 if times > 1 else agent is chair)
        usd = _price(
            models.get(agent.name, models.get("*", "")), question * times + read, (agent.max_tokens or 0) * times
        )
        if usd is None:
            return f"unknown, because the price of {models.get(agent.name, models.get('*', 'its model'))} is unknown"
        total += usd
    return f"{total:.2f} USD if every answer is as long as it can be"


def _price(model: str | Model, input_tokens: int, output_tokens: int) -> float | None:
    provider, _, name = str(model).partition(":")
    try:
        from genai_prices import Usage, calc_price  # noqa: PLC0415 - optional

        used = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
        return float(calc_price(used, name, provider_id=provider).total_price)
    except (ImportError, LookupError):
        return None
