"""One turn of a conversation that any process can go on with; each process prints the text as it comes."""

import sys

from graphengine import Agent, SyncRunner, Window
from graphengine.agents import TextDelta

user, number, question = sys.argv[1:]
friend = Agent("friend", model="anthropic:claude-haiku-4-5", window=Window(8_000))
with SyncRunner("runs.db") as runner:
    for shown in runner.stream(friend, chat=user, question=question, idempotency_key=number):
        print(shown.text if isinstance(shown, TextDelta) else "", end="")
