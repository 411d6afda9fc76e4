"""What `make dist` builds can be published: its links have addresses, its bytes repeat, its contents are chosen.

tests/test_index.py has what an index makes of it. No test publishes, and none needs a network.
"""

import os
import tarfile
import tomllib
from pathlib import Path
from typing import Any, Final

import pytest
from packaging.requirements import Requirement

from scripts import changes, install, package_metadata, release
from tests.kit.clean_environment import built, metadata_of, own_archive, own_wheel

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY: Final[str] = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
VERSION: Final[str] = PROJECT["project"]["version"]
LABELS: Final = {"source", "documentation", "changelog", "issues"}
"""Labels with a meaning of their own for package indexes, by the specification of well-known project URLs."""


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution there; return the source tree."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return own_wheel(tmp_path_factory)


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this checkout."""
    return own_archive(tmp_path_factory)


def test_code_and_absolute_links_stay_as_they_are() -> None:
    """What only looks like a link, in code, is not changed; a picture that is a link has two addresses."""
    page = "`[a](b)`\n```python\nmake[0](x)\n```\n[c](https://c.example) [d](#d) [![e](e.svg)](f/g.md#h)\n"
    assert package_metadata.absolute(page, "https://code.example/us", "v2.0.0") == page.replace(
        "(e.svg)", "(https://code.example/us/raw/v2.0.0/e.svg)"
    ).replace("(f/g.md#h)", "(https://code.example/us/blob/v2.0.0/f/g.md#h)")


def test_the_links_of_the_project_come_from_one_setting(wheel: Path) -> None:
    """Each has a label that indexes know; no other file has the address."""
    urls = dict(line.split(", ") for line in metadata_of(wheel).metadata.get_all("Project-URL") or [])
    assert {label.lower() for label in urls} == LABELS
    assert all(address.startswith(REPOSITORY) for address in urls.values())
    texts = [
        path
        for path in (*ROOT.glob("*.*"), *ROOT.glob(".github/**/*.*"), *ROOT.glob("docs/**/*.md"))
        if path.suffix in {".md", ".toml", ".yml", ".txt"} and REPOSITORY in path.read_text(encoding="utf-8")
    ]
    assert texts == [ROOT / "pyproject.toml"]


def test_users_see_no_tool_of_those_who_work_on_it(wheel: Path) -> None:
    """The metadata names the extras for users alone: what tests, pages and benchmarks need is in dependency groups."""
    described = metadata_of(wheel).metadata
    assert set(described.get_all("Provides-Extra") or []) == PROJECT["project"]["optional-dependencies"].keys()
    required = {Requirement(line).name for line in metadata_of(wheel).requires or ()}
    groups = [line for group in PROJECT["dependency-groups"].values() for line in group]
    assert all(isinstance(line, str) for line in groups), "scripts/install.py reads groups that include no other"
    assert {"pytest", "mkdocs", "langgraph"} <= {Requirement(line).name for line in groups} - required


def test_an_upload_of_last_year_reads_the_metadata(wheel: Path, archive: Path, tmp_path: Path) -> None:
    """Hatchling's newest version of the metadata is refused by twine 6.2: `findings/hatchling_metadata_version.sh`."""
    assert metadata_of(wheel).metadata["Metadata-Version"] == "2.4"
    assert (unpacked(archive, tmp_path) / "PKG-INFO").read_text(encoding="utf-8").startswith("Metadata-Version: 2.4\n")


def test_a_group_is_installed_with_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip before 25.1 reads no groups: the script passes what they list; extras of the project go to its path."""
    monkeypatch.chdir(ROOT)
    extras, more = install.grouped("dev")
    assert extras.startswith("[a2a,ag-ui,bedrock,")
    assert "durable-graphengine" + extras in PROJECT["dependency-groups"]["dev"]
    assert [f"durable-graphengine{extras}", *more] == PROJECT["dependency-groups"]["dev"]
    assert install.grouped("docs") == ("", PROJECT["dependency-groups"]["docs"])


def test_the_source_distribution_has_what_the_wheel_is_built_from(archive: Path, tmp_path: Path) -> None:
    """It has no tests, pages or recorded runs."""
    tree = unpacked(archive, tmp_path)
    files = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert {path.name for path in tree.iterdir()} == files | {"graphengine", "graphs", "nodes", "recipes", "scripts"}
    assert [path.name for path in (tree / "scripts").iterdir()] == ["package_metadata.py"]


def test_builds_repeat_byte_for_byte(wheel: Path, archive: Path, tmp_path: Path) -> None:
    """The same bytes come from another folder, other times of files, another zone, another order of sets."""
    tree = unpacked(archive, tmp_path / "elsewhere")
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.utime(path, (number, number))
    others = {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    assert built(tmp_path / "again", tree, "sdist", **others).read_bytes() == archive.read_bytes()
    assert built(tmp_path / "again", tree, **others).read_bytes() == wheel.read_bytes()


def test_a_release_is_refused_while_something_is_undone(tmp_path: Path) -> None:
    """The tag, the address of the repository and the day in the changelog must be right."""
    settings = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    (tmp_path / "pyproject.toml").write_text(settings, encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(f"## {VERSION}, unreleased\n", encoding="utf-8")
    undone = " ".join(release.undone("v9.0.0", tmp_path))
    assert all(text in undone for text in ("tag v0.1.0", "`repository`", "CHANGELOG.md"))
    (tmp_path / "pyproject.toml").write_text(settings.replace(REPOSITORY, "https://github.com/us/it"), encoding="utf-8")
    (tmp_path / "CHANGELOG.md").write_text(f"## {VERSION}, 2027-01-31\n", encoding="utf-8")
    assert list(release.undone(f"v{VERSION}", tmp_path)) == []


def test_changes_in_files_of_their_own_must_reach_the_changelog(tmp_path: Path) -> None:
    """They go under the newest version, in the order of their names, and their files go."""
    (tmp_path / "changes").mkdir()
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## 2, now\n\n- a\n\n## 1\n\n- z\n", encoding="utf-8")
    for name in ("c.md", "b.md", "README.md"):
        (tmp_path / "changes" / name).write_text(f"- of {name}\n", encoding="utf-8")
    assert [file.name for file in changes.waiting(tmp_path)] == ["b.md", "c.md"]
    changes.compile_changes(tmp_path)
    text = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert text == "# Changelog\n\n## 2, now\n\n- a\n- of b.md\n- of c.md\n\n## 1\n\n- z\n"
    assert changes.waiting(tmp_path) == []
    (tmp_path / "changes" / "d.md").write_text("### Changed\n\n- of d.md\n", encoding="utf-8")
    changes.compile_changes(tmp_path)
    text = (tmp_path / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "- of c.md\n\n### Changed\n\n- of d.md\n\n## 1\n" in text
