"""Move what stands in `changes/` to the end of the newest version in CHANGELOG.md, and remove its files.

python -m scripts.changes
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]


def waiting(root: Path = ROOT) -> list[Path]:
    """Return the files in `changes/`, whose entries are not in the changelog yet, in alphabetical order."""
    return sorted(file for file in (root / "changes").glob("*.md") if file.name != "README.md")


def compile_changes(root: Path = ROOT) -> None:
    """Append the entries of the files in `changes/` to the newest version in CHANGELOG.md, and remove the files."""
    files, changelog = waiting(root), root / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    versions = [found.start() for found in re.finditer(r"^## ", text, re.MULTILINE)]
    end = versions[1] if len(versions) > 1 else len(text)
    added = "".join(f"{file.read_text(encoding='utf-8').strip()}\n" for file in files)
    apart = "\n" if added.startswith("#") else ""  # a heading stands alone
    changelog.write_text(f"{text[:end].rstrip()}\n{apart}{added}\n{text[end:]}".rstrip() + "\n", encoding="utf-8")
    for file in files:
        file.unlink()


if __name__ == "__main__":
    compile_changes()
