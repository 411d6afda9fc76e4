"""A process that runs the scene of a pattern: `victim.py PATTERN DATABASE EFFECTS [DIE]`.

Each call of a model is noted in EFFECTS before anything comes of it. With DIE the run `r` is begun, and at the call of
that number, counted from 1, the process ends by SIGKILL, once all answers that were asked for before are recorded.
Without DIE the run is gone on with.
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
    """Note what is done, for good."""
    with EFFECTS.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
        file.flush()
        os.fsync(file.fileno())


class Noting:
    """A model that notes what it is asked, and answers as the scene does."""

    name = "noting"

    def __init__(self, scene: Scene) -> None:
        self._answers = ScriptedModel(scene.answers)
        self._calls = 0
        self._recorded = asyncio.Semaphore(0)

    async def answer(self, request: Request) -> Response:
        """The scene's answer."""
        self._calls += 1
        note(request.agent)
        if self._calls == DIE:
            for _ in range(DIE - 1):
                await self._recorded.acquire()
            os.kill(os.getpid(), signal.SIGKILL)
        return await self._answers.answer(request)

    async def watch(self, run: Run[Any]) -> None:
        """Count what is recorded."""
        async for event in run.events():
            if isinstance(event, StepRecorded) and event.step.kind == "recorded":
                self._recorded.release()


async def main() -> None:
    """Begin the run, or go on with it."""
    scene = SCENES[PATTERN]()
    model = Noting(scene)
    async with Runner(DATABASE, models={"*": model}) as runner:
        if DIE:
            await model.watch(runner.start(scene.graph, scene.given, run_id="r"))
        result = await to_its_end(runner, scene, await runner.resume(scene.graph, "r").result())
        told = {"status": result.status, "output": result.output, "calls": result.usage.calls}
        sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    asyncio.run(main())
