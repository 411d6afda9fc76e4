"""A process that runs the scene of a pattern: `victim.py PATTERN DATABASE EFFECTS [DIE]`.

Each model call is noted in EFFECTS before its answer. With DIE the process starts the run `r`, and at the model call of
that number, counted from 1, ends by SIGKILL, once all earlier answers are recorded. Without DIE it continues the run.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from graphengine import Run, Runner, ScriptedModel
from graphengine.models import Request, Response
from graphengine.runner import StepRecorded
from tests.patterns.kits import Scene
from tests.patterns.scenes import SCENES, to_its_end

PATTERN, DATABASE, EFFECTS = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
DIE = int(sys.argv[4]) if len(sys.argv) > 4 else 0


def note(line: str) -> None:
    """Append a line to EFFECTS durably."""
    with EFFECTS.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


class Noting:
    """A model that notes each request, and answers as in the scene."""

    name = "noting"

    def __init__(self, scene: Scene) -> None:
        self._answers = ScriptedModel(scene.answers)
        self._calls = 0
        self._recorded = asyncio.Semaphore(0)

    async def answer(self, request: Request) -> Response:
        """Return the scene's answer."""
        self._calls += 1
        note(request.agent)
        if self._calls == DIE:
            for _ in range(DIE - 1):
                await self._recorded.acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        return await self._answers.answer(request)

    async def watch(self, run: Run[Any]) -> None:
        """Count the recorded answers."""
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "recorded":
                self._recorded.release()


async def main() -> None:
    """Start the run, or continue it."""
    scene = SCENES[PATTERN]()
    model = Noting(scene)
    async with Runner(DATABASE, models={"*": model}) as runner:
        if DIE:
            await model.watch(runner.start(scene.graph, scene.given, run_id="r"))
        result = await to_its_end(runner, scene, await runner.resume("r", scene.graph).result())
        summary = {"status": result.status, "output": result.output, "calls": result.usage.calls}
        sys.stdout.write(json.dumps(summary))


if __name__ == "__main__":
    asyncio.run(main())
