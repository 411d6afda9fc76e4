"""A question that a tool answers, streamed."""

from graphengine import Agent, SyncRunner


def weather(city: str) -> str:
    """Return today's weather in a city."""
    return f"Rain in {city}."


assistant = Agent("assistant", model="anthropic:claude-haiku-4-5", tools=[weather])
with SyncRunner("runs.db") as runner:
    for shown in runner.stream(assistant, question="Do I need an umbrella in Bern?", run_id="bern"):
        print(shown)
