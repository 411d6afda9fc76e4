"""The programs of the pages are typed: Pyright's strict mode reads each page as one module."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Final

from tests.docs.page import ROOT, blocks, files
from tests.docs.test_skill import MIGRATING, SKILL

OTHERS: Final = ("a2a", "from_langgraph", "mcp_server", "openai_endpoint", "web")
"""Pages whose programs are half those of another package, with its types or without."""
LEFT: Final = {
    "extensions": 2,
    "nothing_acts_twice": 3,
    "patterns_with_limits": 2,
    "postgres": 3,
    "tools": 2,
    "tutorial": 7,
}
"""The errors of pages that show parts of programs, import the reader's files or reuse names; it only shrinks."""
SETTINGS: Final = {
    "include": ["."],
    "typeCheckingMode": "strict",
    "pythonVersion": "3.11",
    "extraPaths": [str(ROOT)],
    **dict.fromkeys(  # a page imports again what it explains, shows expressions, and names modules of its reader
        (
            "reportDuplicateImport",
            "reportRedeclaration",
            "reportUnusedExpression",
            "reportUnusedImport",
            "reportMissingImports",
            "reportMissingTypeStubs",
        ),
        "none",
    ),
}


def test_the_programs_of_pages_are_typed(tmp_path: Path) -> None:
    """No page teaches what strict checkers refuse: no lambda of unknown parameters, no result without a type."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs" / "use").rglob("*.md")), SKILL]
    for page in (page for page in pages if page.stem not in OTHERS):
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix(""))).rpartition("docs_use_")[2]
        (tmp_path / f"{name}.py").write_text("\n\n".join(blocks(page, "python")), encoding="utf-8")
    for skill in MIGRATING:
        (tmp_path / skill.parent.name).mkdir()
        for name, text in files(skill).items():
            (tmp_path / skill.parent.name / name).write_text(text, encoding="utf-8")
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
    checker = [
        sys.executable,
        "-m",
        "basedpyright",
        "--pythonpath",
        sys.executable,
        "-p",
        str(tmp_path),
        "--outputjson",
    ]
    found = json.loads(subprocess.run(checker, capture_output=True, text=True, check=False).stdout)[
        "generalDiagnostics"
    ]
    shown = [each for each in found if "declared as Final" not in each["message"]]
    errors = Counter(Path(each["file"]).stem for each in shown)
    assert errors == LEFT, "\n".join(
        f"{Path(e['file']).stem} {e['range']['start']['line']}: {e['message']}" for e in shown
    )
