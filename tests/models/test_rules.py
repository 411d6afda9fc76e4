"""The model of rules, and the error without them."""

import pytest

from graphengine import Agent
from graphengine.models import KnowsPrices, Request, RulesModel
from graphengine.models.errors import ModelUnavailable


async def test_the_error_of_an_agent_without_rules_lists_the_alternatives() -> None:
    """The error of an agent without rules lists the alternatives: rules, or a model of either kind."""
    with pytest.raises(ModelUnavailable) as caught:
        await RulesModel().answer(Request("writer", "", []))
    assert "agent 'writer' has no by_rules= function" in str(caught.value)
    for option in ("by_rules=function", "anthropic:MODEL", "openai:MODEL", "openai-chat:MODEL@http://HOST:PORT/v1"):
        assert option in caught.value.repair


async def test_rules_answer_and_cost_nothing() -> None:
    """The value is the agent's own, not text; its price is known."""
    model = RulesModel()
    assert await Agent("n", prompt="{n}", output=int, model=model, by_rules=lambda n: n + 1).run(n=1) == 2
    assert isinstance(model, KnowsPrices)
    assert await model.knows_price()
