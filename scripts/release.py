"""Say what must still be done before a version can be published; the workflow that publishes calls it with its tag.

python -m scripts.release v0.1.0
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from scripts.changes import waiting

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]


def undone(tag: str, root: Path = ROOT) -> Iterator[str]:
    """Yield a sentence about each thing that must still be done before the version with this tag can be published."""
    content: dict[str, Any] = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    version = content["project"]["version"]
    repository = content["tool"]["hatch"]["metadata"]["hooks"]["custom"]["repository"]
    if tag != f"v{version}":
        yield f"the tag is {tag}, and pyproject.toml has version {version}: use the tag v{version}"
    if re.match(r"https?://[^/]*\.example/", repository):
        yield f"{repository} is a placeholder: set `repository` in pyproject.toml"
    changes = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)}, \d{{4}}-\d\d-\d\d$", changes, re.MULTILINE):
        yield f"CHANGELOG.md has no line `## {version}, YYYY-MM-DD`: write the day of the release"
    if files := waiting(root):
        yield f"changes/ has {', '.join(file.name for file in files)}: run `python -m scripts.changes`"


if __name__ == "__main__":
    sys.exit("\n".join(undone(sys.argv[1])) or None)
