"""What is learned of a guest in one conversation is known in the next."""

from graphengine import Agent, SyncRunner
from graphengine.memory import Memory

memory = Memory("runs.db")
host = Agent(
    "host",
    model="anthropic:claude-haiku-4-5",
    system="Recall what you know of the guest first. Remember what will be useful.",
    prompt="{question}",
    tools=memory.tools("users", of="user"),
)
with SyncRunner("runs.db") as runner:
    print(runner.run(host, user="ada", question="I like tea.", run_id="ada-1"))
    print(runner.run(host, user="ada", question="What may I drink?", run_id="ada-2"))
