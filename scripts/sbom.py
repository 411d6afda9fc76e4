"""Write a CycloneDX SBOM next to a built wheel: what it requires, as resolved and tested in this environment.

    python -m scripts.sbom dist

`make dist` calls it. Packages of the core have the scope `required`, those of extras `optional`. A package that is not
installed here, such as those of the extra `ray`, is listed without a version. Two calls write the same bytes.
"""

from __future__ import annotations

import hashlib
import sys
import uuid
import zipfile
from datetime import UTC, datetime
from importlib.metadata import Distribution, PackageNotFoundError, PathDistribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense, LicenseExpression
from cyclonedx.output.json import JsonV1Dot6
from hatchling.builders.utils import get_reproducible_timestamp
from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_LICENSE: Final = "License :: OSI Approved :: "


def document(wheel: Path) -> str:
    """Return the software bill of materials (SBOM) of a wheel as JSON."""
    content = wheel.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    described = _metadata(wheel)
    root = _component(described.name, described, None)
    root.type = ComponentType.FRAMEWORK
    root.hashes.add(HashType(alg=HashAlgorithm.SHA_256, content=digest))
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, f"{root.purl}#{digest}"),
        metadata=BomMetaData(component=root, timestamp=datetime.fromtimestamp(get_reproducible_timestamp(), UTC)),
    )
    extras = described.metadata.get_all("Provides-Extra") or []
    core, every = list(required(described, [])), list(required(described, extras))
    in_core, needs = closure(core), closure(every)
    made = {
        name: _component(
            name, _installed(name), ComponentScope.REQUIRED if name in in_core else ComponentScope.OPTIONAL
        )
        for name in needs
    }
    bom.components.update(made.values())
    bom.register_dependency(root, [made[canonicalize_name(each.name)] for each in every])
    for name, component in made.items():
        bom.register_dependency(component, [made[each] for each in needs[name]])
    text: str = JsonV1Dot6(bom).output_as_string(indent=2)
    return f"{text}\n"


def required(of: Distribution | None, extras: Iterable[str]) -> Iterator[Requirement]:
    """Yield what a package requires on this platform, with some of its extras; nothing if it is not installed."""
    for line in (of.requires if of else None) or ():
        requirement = Requirement(line)
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": each}) for each in ("", *extras)):
            yield requirement


def closure(start: Iterable[Requirement]) -> dict[str, set[str]]:
    """Return all packages that are required, directly or indirectly.

    Each name is followed by what the package requires.
    """
    needs: dict[str, set[str]] = {}
    seen: set[tuple[str, frozenset[str]]] = set()
    left = [(canonicalize_name(each.name), frozenset(each.extras)) for each in start]
    while left:
        name, extras = one = left.pop()
        if one not in seen:
            seen.add(one)
            more = list(required(_installed(name), extras))
            needs.setdefault(name, set()).update(canonicalize_name(each.name) for each in more)
            left += [(canonicalize_name(each.name), frozenset(each.extras)) for each in more]
    return needs


def _metadata(wheel: Path) -> Distribution:
    name = "-".join(wheel.name.split("-")[:2])
    return PathDistribution(zipfile.Path(wheel, f"{name}.dist-info/"))


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None


def _component(name: str, of: Distribution | None, scope: ComponentScope | None) -> Component:
    version = of.version if of else None
    purl = PackageURL("pypi", name=canonicalize_name(name), version=version)
    return Component(
        name=name, version=version, purl=purl, bom_ref=purl.to_string(), scope=scope, licenses=_licenses(of)
    )


def _licenses(of: Distribution | None) -> list[LicenseExpression | DisjunctiveLicense]:
    """Return the licenses that the metadata of a package states.

    A license expression is preferred, then the classifiers, then the field License if it is a single line.
    """
    if of is None:
        return []
    expressions = of.metadata.get_all("License-Expression")
    if expressions:
        return [LicenseExpression(each) for each in expressions]
    classifiers = of.metadata.get_all("Classifier") or []
    named = [each.removeprefix(_LICENSE) for each in classifiers if each.startswith(_LICENSE)]
    lines = [each for each in of.metadata.get_all("License") or [] if "\n" not in each]
    return [DisjunctiveLicense(name=each) for each in named or lines]


def main(folder: Path) -> None:
    """Write the SBOM of the wheel in a folder, which must contain exactly one wheel."""
    (wheel,) = folder.glob("*.whl")
    target = folder / ("-".join(wheel.name.split("-")[:2]) + ".cdx.json")
    target.write_text(document(wheel), encoding="utf-8")
    print(f"{target}: {len(target.read_bytes()):,} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
