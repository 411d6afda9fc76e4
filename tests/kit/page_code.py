"""The Python of golden pages: a few lines on the page, or a module beside it that linters and type checkers read."""

import re
from pathlib import Path
from typing import Any, Final

_MODULE: Final = re.compile(r"# (tests/\S+\.py)\s*")
_ROOT: Final = Path(__file__).resolve().parents[2]


def run(code: str, name: str, names: dict[str, Any]) -> None:
    """Run the Python of a page with these names; a comment with a path from the root stands for that module's."""
    module = _MODULE.fullmatch(code)
    source = (_ROOT / module[1]).read_text(encoding="utf-8") if module else code
    exec(compile(source, name, "exec", dont_inherit=True), names)  # noqa: S102 - our own pages
