"""docs/use/users.md: its commands about users work as they are typed."""

import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from graphengine.cli.main import main
from graphengine.serve.users import read_users

PAGE = Path(__file__).resolve().parents[2] / "docs" / "use" / "users.md"


def test_the_commands_of_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They leave a file with the users and the provider of the page; each token is shown, and only its hash kept."""
    monkeypatch.chdir(tmp_path)
    typed = re.findall(r"^\$ graphengine (users .*)$", PAGE.read_text(), re.MULTILINE)
    shown = [CliRunner().invoke(main, shlex.split(line)) for line in typed]
    assert [each.exit_code for each in shown] == [0] * len(typed)
    file = read_users(tmp_path / "users.json")
    assert [(each.name, each.tenant) for each in file.users] == [("ada", "acme"), ("bob", "globex"), ("chief", None)]
    assert file.oidc is not None
    tokens = re.findall(r"ge_\S+", "".join(each.output for each in shown))
    assert len(tokens) == 3
    assert not any(token in (tmp_path / "users.json").read_text() for token in tokens)
