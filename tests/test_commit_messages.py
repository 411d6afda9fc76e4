"""`scripts/commit-msg`, the hook of git that checks the message of each commit."""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from shutil import copy, which

import pytest

ROOT = Path(__file__).resolve().parent.parent
HOOK = ROOT / "scripts" / "commit-msg"
GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FORM = "runner: keep the key of a call"
BODY = "A call had two keys. It has one now, as test_keys shows."

Git = Callable[..., "subprocess.CompletedProcess[str]"]

pytestmark = pytest.mark.skipif(which("git") is None, reason="needs git")


@pytest.fixture
def git(tmp_path: Path) -> Git:
    """Return a function that calls git in a repository with the hook, one commit and a staged file of the package."""
    who = {
        f"GIT_{role}_{what}": f"{what}@example.org" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    variables = {name: text for name, text in os.environ.items() if not name.startswith("GIT_")}
    variables |= {**who, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_EDITOR": "true"}

    def call(*words: str, **more: str) -> "subprocess.CompletedProcess[str]":
        given = {**variables, **more}
        return subprocess.run(("git", *words), cwd=tmp_path, env=given, capture_output=True, text=True, check=False)

    call("init", "--quiet", "--initial-branch=main")
    copy(HOOK, tmp_path / ".git" / "hooks")
    assert call("commit", "--allow-empty", "-m", "docs: begin the project").returncode == 0
    (tmp_path / "graphengine").mkdir()
    (tmp_path / "graphengine" / "keys.py").touch()
    call("add", ".")
    return call


@pytest.mark.parametrize(
    ("subject", "repair"),
    [
        ("Keep the key of a call", "does not begin with an area"),
        ("Runner: keep the key of a call", "does not begin with an area"),
        ("feat(runner): keep the key of a call", "does not begin with an area"),
        ("two rooms: keep the key of a call", "does not begin with an area"),
        ("runner:keep the key of a call", "does not begin with an area"),
        ("runner : keep the key of a call", "does not begin with an area"),
        ("runner: keep", '"keep" does not say what changed'),
        ("runner: added the key", '"added" is not an imperative'),
        ("runner: Adding the key", '"Adding" is not an imperative'),
        ("runner: adds the key", '"adds" is not an imperative'),
        ("runner: keep the key of a call.", "ends with a full stop"),
        ("runner: keep " + 60 * "é", "has 73 characters"),
    ],
)
def test_a_subject_without_the_form_is_refused(git: Git, subject: str, repair: str) -> None:
    """The refusal shows the subject, names each problem with its repair, and shows an example."""
    refused = git("commit", "-m", f"{subject}\n\n{BODY}")
    assert refused.returncode == 1
    assert f"\n  {subject}\n" in refused.stderr
    assert len(re.findall("^- ", refused.stderr, re.MULTILINE)) == 1
    assert repair in refused.stderr
    assert "\n  runner: don't re-read a child's result that ended in this process\n" in refused.stderr


@pytest.mark.parametrize(
    "subject",
    [
        FORM,
        "docs: reword unclear sentences; add overviews of three packages",
        "runner: don't re-read a child's result that ended in this process",
        "tests/kit: re-read a file",
        "ci: pass --no-cache to pip",
        "stores: need one lock: that of the owner",
        "runner: keep " + 59 * "é",
        "runner: Keep the key of a call",
        'Revert "runner: keep the key of a call"',
        "Merge branch 'main' into keys",
        *(f"{prefix}! {FORM}" for prefix in ("fixup", "squash", "amend")),
    ],
)
def test_a_subject_of_the_form_is_accepted(git: Git, subject: str) -> None:
    """The form is "area: what changed"; subjects that git writes itself are accepted as they are."""
    accepted = git("commit", "-m", f"{subject}\n\n{BODY}")
    assert accepted.returncode == 0, accepted.stderr


@pytest.mark.parametrize(
    "rest",
    [
        "",
        "\n\n",
        "\n\n# Please enter the commit message.\n",
        "\n\nSigned-off-by: a <a@example.org>\nCo-authored-by: b <b@example.org>",
        "\n\n# ------------------------ >8 ------------------------\ndiff --git a/keys.py b/keys.py\n+KEY = 1",
    ],
)
def test_a_change_of_the_package_needs_a_body(git: Git, rest: str) -> None:
    """Comments, trailers and the diff that `git commit -v` shows are not a body."""
    refused = git("commit", "--cleanup=verbatim", "-m", FORM + rest)
    assert refused.returncode == 1
    assert "the commit changes the package: graphengine/keys.py." in refused.stderr
    assert git("commit", "-m", f"{FORM}\n\n{BODY}").returncode == 0


def test_a_change_outside_the_package_needs_no_body(git: Git, tmp_path: Path) -> None:
    """The hook reads which files the commit changes, not which files differ in the folder."""
    (tmp_path / "notes").touch()
    git("add", "notes")
    assert git("commit", "-m", "docs: add notes", "notes").returncode == 0
    assert git("commit", "-m", FORM).returncode == 1


def test_a_body_begins_after_a_blank_line(git: Git) -> None:
    """The refusal shows a second line that is not blank."""
    refused = git("commit", "-m", f"{FORM}\n{BODY}")
    assert refused.returncode == 1
    assert f'The second line, "{BODY}", is not blank' in refused.stderr


def test_all_problems_are_reported_at_once(git: Git) -> None:
    """One refusal names the area, the length, the full stop and the missing body."""
    refused = git("commit", "-m", f"Keep the key {60 * 'x'}.").stderr
    found = [each for each in ("an area", "74 characters", "full stop", "no body") if each in refused]
    assert (len(found), len(re.findall("^- ", refused, re.MULTILINE))) == (4, 4)


def test_a_refused_message_can_be_corrected(git: Git) -> None:
    """The refusal ends with the command that commits the message again from the file in which git keeps it."""
    refused = git("commit", "-m", f"Runner: keep one key\n\n{BODY}").stderr
    (file,) = re.findall(r'run: git commit --edit --file="(.*)"$', refused, re.MULTILINE)
    editor = "sed -i.before s/Runner/runner/"
    assert git("commit", "--edit", f"--file={file}", GIT_EDITOR=editor).returncode == 0
    assert git("log", "-1", "--format=%B").stdout.strip() == f"runner: keep one key\n\n{BODY}"


def test_an_amended_commit_is_checked_as_a_whole(git: Git, tmp_path: Path) -> None:
    """A commit that replaces another changes what both change: its body stays, also if nothing else is staged."""
    assert git("commit", "-m", f"{FORM}\n\n{BODY}").returncode == 0
    assert git("commit", "--amend", "-m", FORM).returncode == 1
    assert "git commit --amend --edit" in git("commit", "--amend", "-m", FORM).stderr
    assert git("commit", "--amend", "--no-edit").returncode == 0
    (tmp_path / "notes").touch()
    git("add", "notes")
    assert git("commit", "-m", "docs: add notes").returncode == 0
    assert git("commit", "--amend", "-m", "docs: add some notes").returncode == 0


def test_the_first_commit_can_be_amended(git: Git) -> None:
    """The first commit has no parent: everything in it is a change."""
    assert git("commit", "--amend", "-m", FORM).returncode == 1
    assert git("commit", "--amend", "-m", f"{FORM}\n\n{BODY}").returncode == 0


def test_a_merge_needs_no_body(git: Git, tmp_path: Path) -> None:
    """Each merged commit has its own body. A squashed merge is one new commit, which needs a body."""
    git("checkout", "--quiet", "-b", "keys")
    assert git("commit", "-m", f"{FORM}\n\n{BODY}").returncode == 0
    git("checkout", "--quiet", "main")
    git("merge", "--squash", "keys")
    assert git("commit", "-m", FORM).returncode == 1
    git("reset", "--quiet", "--hard")
    assert git("merge", "--no-ff", "-m", "runner: take the keys over", "keys").returncode == 0
    assert git("commit", "--amend", "-m", "runner: take all keys over").returncode == 0


def test_the_example_of_the_guide_is_accepted(git: Git) -> None:
    """CONTRIBUTING.md shows a message that the hook accepts, and the hook's own example has the same subject."""
    (example,) = re.findall(r"^```text\n(runner: .*?)^```", GUIDE, re.DOTALL | re.MULTILINE)
    accepted = git("commit", "-m", example)
    assert accepted.returncode == 0, accepted.stderr
    assert example.partition("\n")[0] in HOOK.read_text(encoding="utf-8")
