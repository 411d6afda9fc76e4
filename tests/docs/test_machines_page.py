"""docs/use/machines.md: its service and worker run over PostgreSQL, its files are checked against their schemas."""

import hmac
import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from graphengine.cli.main import main
from tests.kit import forks

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "use" / "machines.md").read_text(encoding="utf-8")
COMPOSE, KUBERNETES = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
JOBS, SERVICE = (
    re.findall(
        r"^```python\n(.*?)^```", (ROOT / "docs" / "use" / page).read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )[0]
    for page in ("deployment.md", "machines.md")
)
(WORKER,) = re.findall(r"^\$ (graphengine worker --graph .*?) +#", PAGE, re.MULTILINE)


def call(address: str, body: bytes | None = None, **headers: str) -> tuple[int, Any]:
    """Return the status and the document of an answer."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(address, body, {"Content-Type": "application/json", **named})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310 - loopback
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None


def test_its_service_records_runs_and_its_worker_drives_them(tmp_path: Path, postgres: str) -> None:
    """A request that is sent again, and a webhook with a wrong signature, start nothing."""
    (tmp_path / "jobs.py").write_text(JOBS, encoding="utf-8")
    (tmp_path / "service.py").write_text(SERVICE, encoding="utf-8")
    variables = {"PYTHONPATH": f"{ROOT}{os.pathsep}{tmp_path}", "DATABASE": postgres, "HOOK_SECRET": "secret"}
    loads = (*forks.SERVER, "graphengine.stores.postgres")
    words = WORKER.replace("$DATABASE", postgres).split()
    service = forks.start("uvicorn", "service:app", "--port", "0", folder=tmp_path, variables=variables, loads=loads)
    worker = forks.start(*words, "--json", folder=tmp_path, variables=variables, loads=loads)
    try:
        found = (re.search(r"running on (http://127\.0\.0\.1:\d+)", line) for line in service.stderr)
        url = next(each[1] for each in found if each)
        starts = [call(f"{url}/jobs", b'{"text": "one two three"}', Idempotency_Key="7") for _ in range(2)]
        assert starts == [(202, {"id": "jobs@7"})] * 2
        signature = hmac.digest(b"secret", b"one two", "sha256").hex()
        assert call(f"{url}/hook", b"one", X_Signature=signature)[0] == 401
        assert call(f"{url}/hook", b"one two", X_Signature=signature)[0] == 202
        ended = 0
        for line in worker.stdout:
            ended += json.loads(line).get("status") == "finished"
            if ended == 2:
                break
        runs = [call(f"{url}/jobs/{name}")[1] for name in ("jobs@7", f"jobs@{signature}")]
        assert [(run["status"], run["state"]["words"]) for run in runs] == [("finished", 3), ("finished", 2)]
        assert call(f"{url}/jobs/none")[0] == 404
        worker.terminate()
        assert worker.wait(60) == 0
    finally:
        service.kill()
        worker.kill()
        service.communicate()
        worker.communicate()


def check_command(words: list[str]) -> None:
    """Check that a command line of ours has only options that exist."""
    assert words[0] == "graphengine"
    found = main.get_command(main.make_context("graphengine", [], resilient_parsing=True), words[1])
    assert found is not None
    found.make_context(words[1], words[2:])


def test_its_compose_file_is_valid() -> None:
    """The compose file follows the Compose Specification, and our commands in it exist."""
    import compose_spec  # noqa: PLC0415 - each process collects these tests, and one runs them
    import yaml  # noqa: PLC0415

    compose = compose_spec.PyCompose.from_yaml(COMPOSE)
    compose.validate()
    assert set(compose.service_names()) == {"db", "service", "worker"}
    check_command(yaml.safe_load(COMPOSE)["services"]["worker"]["command"])


def test_its_manifests_are_valid() -> None:
    """The manifests describe resources as Kubernetes does, without unknown keys, and our commands in them exist."""
    import kubernetes_validate  # noqa: PLC0415
    import yaml  # noqa: PLC0415

    manifests = list(yaml.safe_load_all(KUBERNETES))
    assert [each["kind"] for each in manifests] == ["Deployment", "Service", "Deployment"]
    for each in manifests:
        kubernetes_validate.validate(each, "1.37", strict=True)
        for container in each["spec"].get("template", {"spec": {"containers": []}})["spec"]["containers"]:
            check_command(container["args"])
