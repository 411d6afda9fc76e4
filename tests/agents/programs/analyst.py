"""A question to a database, within limits of tokens and of calls."""

from graphengine import Agent, Limits, SyncRunner
from graphengine.agents.toolbox import calculate, sql_reader

analyst = Agent(
    "analyst",
    model="anthropic:claude-haiku-4-5",
    tools=[sql_reader("shop.db"), calculate],
    output=float,
    max_tool_calls=10,
)
with SyncRunner("runs.db") as runner:
    for shown in runner.stream(analyst, question="What is tea's share?", run_id="tea", limits=Limits(tokens=50_000)):
        print(shown)
