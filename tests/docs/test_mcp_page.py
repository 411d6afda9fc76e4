"""docs/use/mcp_server.md: its graph is served, and its client calls the tool, over stdio and over HTTP."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.service.client import TOKEN, Service

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "mcp_server.md").read_text(encoding="utf-8")
GRAPH, CLIENT = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("is_http", [False, True])
def test_its_client_calls_the_tool(tmp_path: Path, *, is_http: bool) -> None:
    """It is asked, shown progress, and gets the result; the second call gets the same run and is asked nothing."""
    assert len((GRAPH + CLIENT).splitlines()) <= 60
    (tmp_path / "posts.py").write_text(GRAPH, encoding="utf-8")
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    service = Service(tmp_path / "runs.db", "--mcp", graphs=str(tmp_path / "posts.py")) if is_http else None
    words = [service.opened["doors"]["mcp"]] if service is not None else []
    env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN, "PYTHONPATH": str(ROOT)}
    shown = [
        subprocess.run(
            [sys.executable, "client.py", *words],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        ).stdout.splitlines()
        for _ in range(2)
    ]
    assert shown[0][:2] == ["progress: run tides-1: write", "progress: run tides-1: approve"]
    assert "asked: Publish Tides?" in shown[0]
    assert shown[0][-1] == "result: All about Tides"
    assert shown[1] == ["result: All about Tides"]
    assert service is None or service.end() == 0
