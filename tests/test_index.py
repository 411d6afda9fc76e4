"""What a package index makes of the wheel: its page, with links that lead to files, its checks, and the wheel's SBOM.

The group `dist` of pyproject.toml has the packages that this needs: `make dist` installs them.
"""

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

import pytest
from jsonschema import Draft7Validator
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from referencing import Registry, Resource

from tests.kit.clean_environment import metadata_of, own_archive, own_wheel
from tests.kit.extras import skip_without

skip_without("check_wheel_contents", "comrak", "cyclonedx", "readme_renderer", "twine")

ROOT: Final = Path(__file__).resolve().parent.parent
PROJECT: Final[dict[str, Any]] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
document: Final[Callable[[Path], str]] = pytest.importorskip("scripts.sbom").document
render: Final[Callable[[str], str | None]] = pytest.importorskip("readme_renderer.markdown").render
SCHEMAS: Final = Path(pytest.importorskip("cyclonedx.schema").__file__).parent / "_res"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    return own_wheel(tmp_path_factory)


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


def test_each_link_of_the_rendered_page_leads_to_a_file_of_the_version(wheel: Path) -> None:
    """The package index renders the README of the wheel: each picture and link names a file here, by the version's tag.

    The README itself has relative links, as many.
    """
    rendered = render(str(metadata_of(wheel).metadata.json["description"]))
    assert rendered is not None
    repository = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    page = Links(rendered)
    links = [link for link in page.links if not link.startswith("#")]
    assert len(page.pictures) == 3
    assert len(links) > 10
    for kind, addresses in (("raw", page.pictures), ("blob", links)):
        start = f"{repository}/{kind}/v{metadata_of(wheel).version}/"
        assert [address for address in addresses if not address.startswith(start)] == []
        files = [address.removeprefix(start).partition("#")[0] for address in addresses]
        assert [file for file in files if not (ROOT / file).is_file()] == []
    assert repository not in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_checks_of_an_index_pass(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`twine check --strict`, which renders the README too, and check-wheel-contents find nothing."""
    archive = own_archive(tmp_path_factory)
    for words in (["twine", "check", "--strict", wheel, archive], ["check_wheel_contents", wheel]):
        done = subprocess.run(
            [sys.executable, "-m", *map(str, words)], capture_output=True, text=True, check=False, timeout=120
        )
        assert (done.returncode, "WARN" in done.stdout) == (0, False), done.stdout + done.stderr


def test_the_sbom_fits_the_schema_of_cyclonedx(wheel: Path) -> None:
    """Of version 1.6."""
    schemas = [json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.glob("*.schema.json")]
    registry: Registry[Any] = Registry().with_resources(
        (schema["$id"], Resource.from_contents(schema)) for schema in schemas
    )
    (schema,) = [each for each in schemas if each["$id"].endswith("bom-1.6.schema.json")]
    made = json.loads(document(wheel))
    assert [error.message for error in Draft7Validator(schema, registry=registry).iter_errors(made)] == []


def test_the_sbom_lists_what_the_wheel_requires(wheel: Path) -> None:
    """The core's requirements with their versions as `required`, those of extras as `optional`, and what needs what."""
    text = document(wheel)
    made = json.loads(text)
    assert text == document(wheel)
    subject = made["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("durable-graphengine", metadata_of(wheel).version)
    assert subject["hashes"] == [{"alg": "SHA-256", "content": sha256(wheel.read_bytes()).hexdigest()}]
    listed = {each["name"]: each for each in made["components"]}
    wanted = map(Requirement, PROJECT["project"]["dependencies"])
    core = {canonicalize_name(each.name) for each in wanted if each.marker is None or each.marker.evaluate()}
    assert {listed[name]["scope"] for name in core} == {"required"}
    assert all(re.fullmatch(r"pkg:pypi/[a-z0-9-]+@[\w.]+", listed[name]["purl"]) for name in core)
    assert {listed["openai"]["scope"], listed["ray"]["scope"]} == {"optional"}
    assert "pytest" not in listed
    (needs,) = [each["dependsOn"] for each in made["dependencies"] if each["ref"] == listed["pydantic"]["bom-ref"]]
    assert listed["pydantic-core"]["bom-ref"] in needs
