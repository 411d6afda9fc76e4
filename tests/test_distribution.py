"""What `make dist` builds can be published: its links lead out of the index, its bytes repeat, its contents are listed.

No test publishes, and none needs a network.
"""

import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
from hashlib import sha256
from html.parser import HTMLParser
from importlib.metadata import PathDistribution
from pathlib import Path
from typing import Any, Final
from zipfile import Path as ZipPath

import cyclonedx.schema
import pytest
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from readme_renderer import markdown
from referencing import Registry, Resource

from scripts import install, package_metadata, release, sbom
from tests.kit.clean_environment import built

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
REPOSITORY: Final[str] = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
VERSION: Final[str] = PROJECT["project"]["version"]
LABELS: Final = {"source", "documentation", "changelog", "issues"}
"""Labels with a meaning of their own for package indexes, by the specification of well-known project URLs."""


def sdist(folder: Path, source: Path = ROOT, **variables: str) -> Path:
    """Build the source distribution of a source tree there; return its path."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True, env={**os.environ, **variables})
    (archive,) = folder.glob("*.tar.gz")
    return archive


def unpacked(archive: Path, folder: Path) -> Path:
    """Unpack a source distribution there; return the source tree."""
    with tarfile.open(archive) as opened:
        opened.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    built(folder)
    sdist(folder)
    return folder


def wheel_in(folder: Path) -> Path:
    """The wheel there."""
    (found,) = folder.glob("*.whl")
    return found


def metadata(folder: Path) -> PathDistribution:
    """The metadata of the wheel there."""
    return PathDistribution(ZipPath(wheel_in(folder), f"durable_graphengine-{VERSION}.dist-info/"))


class Links(HTMLParser):
    """The addresses in a rendered page, and those of its pictures."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.pictures: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep what the tag refers to."""
        given = dict(attrs)
        self.links += [address for address in [given.get("href")] if address and tag == "a"]
        self.pictures += [address for address in [given.get("src")] if address]


def test_each_link_of_the_rendered_page_leads_to_a_file_of_the_version(dist: Path) -> None:
    """The package index renders the README of the wheel: each picture and link names a file here, by the version's tag.

    The README itself has relative links, as many.
    """
    rendered = markdown.render(str(metadata(dist).metadata.json["description"]))
    assert rendered is not None
    page = Links(rendered)
    links = [link for link in page.links if not link.startswith("#")]
    assert len(page.pictures) == 2
    assert len(links) > 10
    for kind, addresses in (("raw", page.pictures), ("blob", links)):
        start = f"{REPOSITORY}/{kind}/v{VERSION}/"
        assert [address for address in addresses if not address.startswith(start)] == []
        assert [address for address in addresses if not (ROOT / address.removeprefix(start)).is_file()] == []
    assert REPOSITORY not in (ROOT / "README.md").read_text(encoding="utf-8")


def test_code_and_absolute_links_stay_as_they_are() -> None:
    """What only looks like a link, in code, is not changed; a picture that is a link has two addresses."""
    page = "`[a](b)`\n```python\nmake[0](x)\n```\n[c](https://c.example) [d](#d) [![e](e.svg)](f/g.md#h)\n"
    assert package_metadata.absolute(page, "https://code.example/us", "v2.0.0") == page.replace(
        "(e.svg)", "(https://code.example/us/raw/v2.0.0/e.svg)"
    ).replace("(f/g.md#h)", "(https://code.example/us/blob/v2.0.0/f/g.md#h)")


def test_the_links_of_the_project_come_from_one_setting(dist: Path) -> None:
    """Each has a label that indexes know; no other file has the address."""
    urls = dict(line.split(", ") for line in metadata(dist).metadata.get_all("Project-URL") or [])
    assert {label.lower() for label in urls} == LABELS
    assert all(address.startswith(REPOSITORY) for address in urls.values())
    texts = [
        path
        for path in (*ROOT.glob("*.*"), *ROOT.glob(".github/**/*.*"), *ROOT.glob("docs/**/*.md"))
        if path.suffix in {".md", ".toml", ".yml", ".txt"} and REPOSITORY in path.read_text(encoding="utf-8")
    ]
    assert texts == [ROOT / "pyproject.toml"]


def test_users_see_no_tool_of_those_who_work_on_it(dist: Path) -> None:
    """The metadata names the extras for users alone: what tests, pages and benchmarks need is in dependency groups."""
    described = metadata(dist).metadata
    assert set(described.get_all("Provides-Extra") or []) == PROJECT["project"]["optional-dependencies"].keys()
    required = {Requirement(line).name for line in metadata(dist).requires or ()}
    groups = [line for group in PROJECT["dependency-groups"].values() for line in group]
    assert all(isinstance(line, str) for line in groups), "scripts/install.py reads groups that include no other"
    assert {"pytest", "mkdocs", "langgraph"} <= {Requirement(line).name for line in groups} - required


def test_a_group_is_installed_with_its_extras(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pip before 25.1 reads no groups: the script passes what they list; extras of the project go to its path."""
    monkeypatch.chdir(ROOT)
    extras, more = install.grouped("dev")
    assert extras.startswith("[bedrock,")
    assert "durable-graphengine" + extras in PROJECT["dependency-groups"]["dev"]
    assert [f"durable-graphengine{extras}", *more] == PROJECT["dependency-groups"]["dev"]
    assert install.grouped("docs") == ("", PROJECT["dependency-groups"]["docs"])


def test_the_source_distribution_has_what_the_wheel_is_built_from(dist: Path, tmp_path: Path) -> None:
    """It has no tests, pages or recorded runs."""
    (archive,) = dist.glob("*.tar.gz")
    tree = unpacked(archive, tmp_path)
    files = {".gitignore", "CHANGELOG.md", "LICENSE", "PKG-INFO", "README.md", "pyproject.toml"}
    assert {path.name for path in tree.iterdir()} == files | {"graphengine", "graphs", "nodes", "scripts"}
    assert [path.name for path in (tree / "scripts").iterdir()] == ["package_metadata.py"]


def test_builds_repeat_byte_for_byte(dist: Path, tmp_path: Path) -> None:
    """The same bytes come from another folder, other times of files, another zone, another order of sets."""
    (archive,) = dist.glob("*.tar.gz")
    tree = unpacked(archive, tmp_path / "elsewhere")
    for number, path in enumerate(sorted(tree.rglob("*"))):
        os.utime(path, (number, number))
    others = {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
    (tmp_path / "again").mkdir()
    assert sdist(tmp_path / "again", tree, **others).read_bytes() == archive.read_bytes()
    assert built(tmp_path / "again", tree, **others).read_bytes() == wheel_in(dist).read_bytes()


def test_the_checks_of_an_index_pass(dist: Path) -> None:
    """`twine check --strict`, which renders the README too, and check-wheel-contents find nothing."""
    for words in (["twine", "check", "--strict", *dist.iterdir()], ["check_wheel_contents", wheel_in(dist)]):
        done = subprocess.run(
            [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, "WARN" in done.stdout) == (0, False), done.stdout + done.stderr


def test_the_sbom_fits_the_schema_of_cyclonedx(dist: Path) -> None:
    """Of version 1.6."""
    folder = Path(cyclonedx.schema.__file__).parent / "_res"
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.schema.json")]
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    (schema,) = [each for each in schemas if each["$id"].endswith("bom-1.6.schema.json")]
    made = json.loads(sbom.document(wheel_in(dist)))
    assert [error.message for error in Draft7Validator(schema, registry=registry).iter_errors(made)] == []


def test_the_sbom_lists_what_the_wheel_requires(dist: Path) -> None:
    """The core's requirements with their versions as `required`, those of extras as `optional`, and what needs what."""
    text = sbom.document(wheel_in(dist))
    made = json.loads(text)
    assert text == sbom.document(wheel_in(dist))
    subject = made["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("durable-graphengine", VERSION)
    assert subject["hashes"] == [{"alg": "SHA-256", "content": sha256(wheel_in(dist).read_bytes()).hexdigest()}]
    listed = {each["name"]: each for each in made["components"]}
    core = {canonicalize_name(Requirement(line).name) for line in PROJECT["project"]["dependencies"]}
    assert {listed[name]["scope"] for name in core} == {"required"}
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.]+", listed[name]["purl"]) for name in core)
    assert {listed["openai"]["scope"], listed["ray"]["scope"]} == {"optional"}
    assert "pytest" not in listed
    (needs,) = [each["dependsOn"] for each in made["dependencies"] if each["ref"] == listed["pydantic"]["bom-ref"]]
    assert listed["pydantic-core"]["bom-ref"] in needs


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
