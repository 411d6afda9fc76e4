"""Many readers of pages in parallel, and one editor; a reader that fails does not stop the others."""

from graphengine import Agent, SyncRunner
from graphengine.patterns import fan_out_fan_in

reader = Agent("reader", model="anthropic:claude-haiku-4-5", prompt="What does this say on {task}?\n{item}")
editor = Agent("editor", model="openai:gpt-5-mini", prompt="Answer {task} from these notes.\n{outcomes}")
given = {"task": "tides", "items": ["The moon pulls.", "The sun pulls too."]}
graph = fan_out_fan_in(reader, editor, concurrency=8)
with SyncRunner("runs.db") as runner:
    for run in runner.recover(graph) or [runner.start(graph, given)]:
        for event in run.events():
            print(event)
        print(run.result().output)
