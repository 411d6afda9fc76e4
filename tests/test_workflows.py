"""The files in .github are right before the first push: their schemas, what they run, may do, and pin."""

import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

ROOT: Final = Path(__file__).resolve().parent.parent
FOLDER: Final = ROOT / ".github"
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
TESTS: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "workflows" / "tests.yml").read_text(encoding="utf-8"))
PUBLISH: Final[dict[str, Any]] = yaml.safe_load((FOLDER / "workflows" / "publish.yml").read_text(encoding="utf-8"))
ON: Final[Any] = True
"""How YAML 1.1 reads the key `on`."""
SCHEMAS: Final = {
    "github-workflows": "workflows/*.yml",
    "github-issue-forms": "ISSUE_TEMPLATE/[!c]*.yml",
    "github-issue-config": "ISSUE_TEMPLATE/config.yml",
    "dependabot": "dependabot.yml",
}


@pytest.mark.skipif(find_spec("check_jsonschema") is None, reason="the group dist is not installed: make dist")
@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_fits_its_schema(schema: str) -> None:
    """Check-jsonschema has the schemas with it."""
    files = sorted(FOLDER.glob(SCHEMAS[schema]))
    assert files
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}", *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


@pytest.mark.skipif(shutil.which("actionlint") is None, reason="actionlint is not installed")
def test_actionlint_finds_nothing() -> None:
    """Where it is installed; a job of the workflow runs it too."""
    done = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_tests_run_on_every_python_and_system() -> None:
    """Those of the classifiers; only Linux can stop anything."""
    matrix = TESTS["jobs"]["tests"]["strategy"]["matrix"]
    classified = [line.rpartition(" ")[2] for line in PROJECT["project"]["classifiers"]]
    assert matrix["python"] == [version for version in classified if re.fullmatch(r"3\.\d+", version)]
    assert {system.partition("-")[0] for system in matrix["system"]} == {"ubuntu", "macos", "windows"}
    assert {"push", "pull_request", "workflow_call"} == TESTS[ON].keys()


def test_the_core_runs_on_the_first_and_the_newest_release_of_each_python() -> None:
    """In their own images, and on the interpreters of distributions, which have patches of their own."""
    matrix = TESTS["jobs"]["interpreters"]["strategy"]["matrix"]
    versions = TESTS["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert matrix["image"] == [f"python:{each}{end}-slim" for each in versions for end in (".0", "")]
    systems = {each["image"].partition(":")[0] for each in matrix["include"]}
    assert systems == {"ubuntu", "debian", "fedora", "alpine"}


def test_only_a_tag_publishes_and_only_what_passed_the_tests() -> None:
    """Each job needs the one before; the last is in an environment, whose rules can ask a person."""
    jobs = PUBLISH["jobs"]
    assert PUBLISH[ON] == {"push": {"tags": ["v*"]}}
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "tests": None,
        "build": "tests",
        "attest": "build",
        "publish": "attest",
    }
    assert jobs["tests"]["uses"] == "./.github/workflows/tests.yml"
    assert jobs["publish"]["environment"] == "pypi"
    runs = [step["run"] for step in jobs["build"]["steps"] if "run" in step]
    assert runs == ['python -m scripts.release "$GITHUB_REF_NAME"', "make dist"]


def test_no_job_may_more_than_it_needs() -> None:
    """No secret is named; what can speak for the project runs no code of the project; nobody may write to it."""
    assert TESTS["permissions"] == {"contents": "read"}
    assert PUBLISH["permissions"] == {}
    for name, job in PUBLISH["jobs"].items():
        trusted = "id-token" in job["permissions"]
        assert trusted == (name in ("attest", "publish"))
        assert not trusted or not any("checkout" in step.get("uses", "") for step in job["steps"])
        assert job["permissions"].get("contents", "read") == "read"
    assert not any("secrets." in path.read_text(encoding="utf-8") for path in FOLDER.glob("workflows/*.yml"))


def test_each_action_is_pinned_to_a_commit() -> None:
    """With its version in a comment, which dependabot keeps right; an action has the same commit everywhere."""
    text = "".join(path.read_text(encoding="utf-8") for path in FOLDER.glob("workflows/*.yml"))
    used = [line for line in re.findall(r"uses: (.*)", text) if not line.startswith("./")]
    pinned = [re.fullmatch(r"([\w.-]+/[\w.-]+)@([0-9a-f]{40}) # v\d+\.\d+\.\d+", line) for line in used]
    assert all(pinned), used
    assert len(set(used)) == len({found[1] for found in pinned if found})
