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

OTHERS: Final = ("a2a", "executors", "first_week", "from_langgraph", "mcp_server", "openai_endpoint", "web")
"""Pages whose programs are half those of another package, with its types or without, or are wrong on purpose."""
FILE: Final = re.compile(r"# ([\w/]+\.py)(?:, above (.+))?\n")
"""The first line of a block that is a file of its reader, or goes into one above a line."""
RECIPE: Final = re.compile(rf"from graphs\.({'|'.join(each.stem for each in (ROOT / 'recipes').glob('*.py'))}) import")
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
    written: dict[Path, str] = {}
    for page in (page for page in pages if page.stem not in OTHERS):
        name = re.sub(r"\W", "_", str(page.relative_to(ROOT).with_suffix(""))).rpartition("docs_use_")[2]
        (tmp_path / name).mkdir()
        rest = [block for block in blocks(page, "python") if not FILE.match(block)]
        (tmp_path / name / f"{name}.py").write_text("\n\n".join(rest), encoding="utf-8")
        for recipe in {each for block in rest for each in RECIPE.findall(block)}:  # which the page lets its reader copy
            text = (ROOT / "recipes" / f"{recipe}.py").read_text(encoding="utf-8")
            written[tmp_path / name / "graphs" / f"{recipe}.py"] = text
        for block in blocks(page, "python"):
            if header := FILE.match(block):
                path, line = tmp_path / name / header[1], header[2]
                written[path] = written[path].replace(line, f"{block}\n\n{line}") if line else block
    for skill in MIGRATING:
        written |= {tmp_path / skill.parent.name / name: text for name, text in files(skill).items()}
    for path, text in written.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()  # or graphs/ of the repository would be found first
        path.write_text(text, encoding="utf-8")
    places = [{"root": path.name, "extraPaths": [str(ROOT)]} for path in tmp_path.iterdir()]
    settings = json.dumps({**SETTINGS, "executionEnvironments": places})
    (tmp_path / "pyrightconfig.json").write_text(settings, encoding="utf-8")
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
    errors = Counter(Path(each["file"]).relative_to(tmp_path).parts[0] for each in shown)
    assert not errors, "\n".join(f"{Path(e['file']).stem} {e['range']['start']['line']}: {e['message']}" for e in shown)
