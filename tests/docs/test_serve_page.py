"""docs/use/serve.md: its graph is served, and its requests are sent by a shell."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serve.service.client import TOKEN, Service

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "use" / "serve.md").read_text(encoding="utf-8")
(SOURCE,) = re.findall(r"^```python\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
(REQUESTS,) = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32" or shutil.which("curl") is None, reason="no shell, or no curl")
def test_its_requests_start_answer_and_follow_a_run(tmp_path: Path) -> None:
    """The page's requests work in its order; the stream ends with the run."""
    (tmp_path / "posts.py").write_text(SOURCE, encoding="utf-8")
    service = Service(tmp_path / "runs.db", graphs=str(tmp_path / "posts.py"))
    env = {"URL": service.opened["url"], "AUTH": f"Authorization: Bearer {TOKEN}", "PATH": "/usr/bin:/bin"}
    shown = REQUESTS.replace("curl ", "curl -sS --fail-with-body ")
    done = subprocess.run(["sh", "-e", "-c", shown], env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"question":"Publish Tides?"' in done.stdout
    assert '"graph":"posts","event":"ended","status":"finished"' in done.stdout
    assert service.end() == 0
