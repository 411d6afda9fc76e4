#!/bin/sh
# Agent Framework writes no checkpoint while a message of a type of one's own is under way, and only warns of it.
#
# Three executors pass a str, an own dataclass and a str on, with FileCheckpointStorage. Of the supersteps 0 to 3 the
# one whose message is the dataclass has no checkpoint: the storage decodes what it encodes, and refuses types that are
# not in allowed_checkpoint_types. The workflow ends as if nothing were wrong, so that its author learns of it after the
# first crash: the executor that had sent the message runs again. With the type named, all four checkpoints are there.
#
# Seen with Python 3.11, agent-framework-core 1.23.0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv venv
venv/bin/pip install --quiet --disable-pip-version-check agent-framework-core==1.23.0 2>/dev/null
cat >program.py <<'PY'
import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path

from agent_framework import Executor, FileCheckpointStorage, WorkflowBuilder, WorkflowContext, handler


@dataclass
class Draft:
    text: str


class Write(Executor):
    @handler
    async def run_it(self, message: str, ctx: WorkflowContext[Draft]) -> None:
        await ctx.send_message(Draft(message))


class Review(Executor):
    @handler
    async def run_it(self, message: Draft, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(message.text)


class Publish(Executor):
    @handler
    async def run_it(self, message: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(message)


async def main(folder: str, types: list[str]) -> None:
    storage = FileCheckpointStorage(Path(folder), allowed_checkpoint_types=types)
    write, review, publish = Write("write"), Review("review"), Publish("publish")
    builder = WorkflowBuilder(start_executor=write, checkpoint_storage=storage, name="flow")
    result = await builder.add_edge(write, review).add_edge(review, publish).build().run("a text")
    checkpoints = await storage.list_checkpoints(workflow_name="flow")
    print(result.get_outputs(), *sorted(each.iteration_count for each in checkpoints))


asyncio.run(main(sys.argv[1], sys.argv[2:]))
PY
plain=$(venv/bin/python program.py plain 2>/dev/null)
named=$(venv/bin/python program.py named __main__:Draft 2>/dev/null)
echo "supersteps with a checkpoint: $plain; with the type named: $named"
test "$plain" = "['a text'] 0 2 3"
test "$named" = "['a text'] 0 1 2 3"
