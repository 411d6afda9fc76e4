"""docs/use/openai_endpoint.md: its graphs are served, and its client talks to them."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.kit.extras import skip_without
from tests.serve.service.client import TOKEN, Service

skip_without("openai", "uvicorn")
ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "openai_endpoint.md").read_text(encoding="utf-8")
GRAPHS, CLIENT = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


def test_its_client_talks_to_its_graphs(tmp_path: Path) -> None:
    """It is asked, answers, and continues a response; the same program again gets the same replies."""
    assert len((GRAPHS + CLIENT).splitlines()) <= 60
    (tmp_path / "flows.py").write_text(GRAPHS, encoding="utf-8")
    (tmp_path / "client.py").write_text(CLIENT, encoding="utf-8")
    service = Service(tmp_path / "runs.db", "--openai", graphs=str(tmp_path / "flows.py"))
    env = {**os.environ, "GRAPHENGINE_TOKEN": TOKEN}
    words = [sys.executable, "client.py", service.opened["doors"]["openai"]]
    for _ in range(2):
        done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
        assert done.stdout.splitlines() == [
            "models: posts helper-chat",
            "Publish Tides? (yes or no)",
            "All about Tides",
            "You said: Again",
        ]
    assert service.end() == 0
