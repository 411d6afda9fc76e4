"""Final stops: a run that is cancelled has ended, and nothing continues it; branches of it can begin."""

import pytest

from graphengine import Agent, Runner, ScriptedModel
from graphengine.agents.chats import ChatTurn, TurnFailed


async def test_a_message_to_a_cancelled_conversation_is_refused(runner: Runner) -> None:
    """Its turn is `cancelled`, with a code; an earlier one keeps its answer."""
    clerk = Agent("clerk", prompt="Say it", model=ScriptedModel(["one", "two"]))
    assert await runner.run(clerk, chat="c", idempotency_key="a") == "one"
    (info,) = await runner.store.runs()
    await runner.stop(info.id, "it was abused", final=True)
    with pytest.raises(TurnFailed) as failed:
        await runner.run(clerk, chat="c", idempotency_key="b")
    turn: ChatTurn = failed.value.turn
    assert (turn.key, turn.outcome, turn.code) == ("b", "cancelled", "run_cancelled")
    assert await runner.run(clerk, chat="c", idempotency_key="a") == "one"
