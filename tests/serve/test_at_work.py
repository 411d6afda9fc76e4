"""Every door has the same document of what a running run is doing; a tenant does not see the process."""

import asyncio
import os
import socket
from pathlib import Path
from typing import Any

from graphengine import END, START, Graph
from tests.serve.two_tenants import MARK, Post, place


async def test_every_door_says_what_a_run_is_doing_to_those_who_may_see_it(tmp_path: Path) -> None:
    """The process is named to callers who see all runs, and to no tenant; another tenant finds no run."""
    began, let_go = asyncio.Event(), asyncio.Event()

    async def write() -> bool:
        began.set()
        await let_go.wait()
        return True

    graph = Graph("desk", Post)
    graph.add_node(write, writes="approved")
    graph.add_path(START, "write", END)
    async with place(tmp_path, tmp_path / "runs.db", {"desk": graph}) as found:
        started = await found.send("acme", "POST", "/graphs/desk/runs", {"text": MARK})
        run_id = started.json["run_id"]
        await began.wait()

        async def ask(who: str) -> list[Any]:
            paths = f"/runs/{run_id}", "/runs", f"/api/run?run_id={run_id}", "/api/runs"
            answers = [await found.send(who, "GET", path) for path in paths]
            runs = [answer.json if answer.status == 200 else None for answer in answers]
            return [run.get("runs", [run])[0]["at_work"] if run and run.get("runs", [run]) else None for run in runs]

        chief, acme = await ask("chief"), await ask("acme")
        assert await ask("globex") == [None] * 4
        for works, process in ((chief, {"host": socket.gethostname(), "pid": os.getpid()}), (acme, None)):
            for each in works:
                assert each["process"] == process
                assert (each["nodes"][0]["path"], each["more"], each["last_step"]["kind"]) == ("write", 0, "resumed")
                assert MARK not in str(each)
        let_go.set()
        assert (await found.send("acme", "GET", f"/runs/{run_id}?wait=30")).json["at_work"] is None
