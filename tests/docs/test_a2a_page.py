"""docs/use/a2a.md: its graph is served, its client and its graph with a remote agent use it."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.kit.extras import skip_without
from tests.serve.service.client import TOKEN, Service

skip_without("a2a", "uvicorn")
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "a2a.md").read_text(encoding="utf-8")
GRAPH, CLIENT, DESK = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_programs_use_its_agent(tmp_path: Path) -> None:
    """The client is asked and gets the result; the graph asks what its remote agent asks."""
    assert len((GRAPH + CLIENT).splitlines()) <= 60
    for name, text in (("posts", GRAPH), ("client", CLIENT), ("desk", DESK)):
        (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
    there = Service(tmp_path / "there.db", "--a2a", graphs=str(tmp_path / "posts.py"))
    address = there.opened["doors"]["a2a"] + "/posts"
    words = [sys.executable, "client.py", address]
    env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    shown = done.stdout.splitlines()
    assert shown[-2:] == ["6 Publish Tides? (yes or no)", "result: All about Tides"]
    here = Service(tmp_path / "here.db", graphs=str(tmp_path / "desk.py"), AGENT=address)
    run = here.settled(here.start("desk", {"title": "Moon"})[1]["run_id"])
    assert [wait["question"] for wait in run["waits"]] == ["Publish Moon? (yes or no)"]
    here.call("POST", f"/runs/{run['run_id']}/answer", {"value": "yes"})
    assert here.settled(run["run_id"], run["seq"] + 1)["output"] == "All about Moon"
    assert (here.end(), there.end()) == (0, 0)
