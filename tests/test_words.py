"""The script that hints at constructions which readers had to read twice."""

import subprocess
from pathlib import Path

import pytest

words = pytest.importorskip("scripts.words")


def committed(folder: Path, **files: str) -> None:
    """Commit files in a new repository."""
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text, encoding="utf-8")
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
    commit = [*who, "commit", "--quiet", "--no-verify", "-m", "tests: add"]
    for arguments in (["init", "--quiet"], ["add", "."], commit):
        subprocess.run(["git", *arguments], cwd=folder, check=True, timeout=60)


def test_only_added_prose_gets_a_hint(tmp_path: Path) -> None:
    """A hint names the file, the line and the better form; code, short texts and older lines get no hints."""
    old_code, old_page = '"""Return what is there of it, as before."""\n', "The runs are those that failed.\n"
    committed(tmp_path, page_md=old_page, code_py=old_code)
    new_page = f"{old_page}\nThis is no run.\n\n```python\nthose that = 1\n```\n"
    new_code = f'{old_code}\nlabel = "what is"\nmessage = f"The run was told {{label}} by others."\n'
    comment = "# A comment of one line says what it\n# means.\n"
    (tmp_path / "page.md").write_text(new_page, encoding="utf-8")
    (tmp_path / "code.py").write_text(new_code + comment, encoding="utf-8")
    found = sorted((hint.file, hint.line, hint.words) for hint in words.hints("HEAD", tmp_path))
    assert found == [
        ("code.py", 4, "was told"),
        ("code.py", 5, "says what"),
        ("code.py", 5, "what it"),
        ("page.md", 3, "is no"),
    ]


def test_each_better_form_gets_no_hint() -> None:
    """The recommended forms contain none of the constructions."""
    assert [
        (better, pattern)
        for better in words.CONSTRUCTIONS.values()
        for pattern in words.CONSTRUCTIONS
        if words.re.search(pattern, better)
    ] == []
