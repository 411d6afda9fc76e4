"""Agent Skills: folders with a SKILL.md, of which a model reads the parts that a task needs.

A skill is a folder. Its SKILL.md contains the name and the purpose of the skill between two lines `---`, followed by
its instructions, which may refer to further files. The description of the tool `read_skill` lists the names and
purposes. Instructions and files are read when the model asks for them, and are recorded as results of tools. The format
is defined by agentskills.io.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from graphengine.agents.sources.files import files_in, read_source
from graphengine.agents.toolbox.sandbox import run_python
from graphengine.agents.tools import Tool
from graphengine.errors import DefinitionError
from graphengine.kernel.extension import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

_FILE: Final = "SKILL.md"
_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_MOST: Final = {"name": 64, "description": 1024}
"""The largest number of characters of each field."""
_FIELD: Final = re.compile(r"([A-Za-z][\w-]*):(?:\s+(.*))?$")
_READ: Final = """\
Read the instructions of a skill, or a file that they name. Read them before you do what a skill is for.

Skills:
"""
_RUN: Final = """\
Run a Python script of a skill in a sandbox without files, network and third-party packages, and after it, in the same
interpreter, your own code. Returns what is printed, and the value of the last expression."""


class _Skill(NamedTuple):
    """What is known about one skill: a folder with a file SKILL.md. Links in the path of the folder are resolved."""

    folder: Path
    name: str
    description: str
    instructions: str

    def files(self) -> Sequence[str]:
        """Return the paths of the skill's files, relative to its folder. Hidden files and links are left out."""
        return [Path(each).relative_to(self.folder).as_posix() for each in files_in(str(self.folder))]

    def text(self, file: str) -> str:
        """Return the text of one file of the skill.

        `file` must be one of the names that `files` lists. A path such as `../secret` therefore cannot lead out of the
        folder.
        """
        files = self.files()
        if file not in files:
            raise ValueError(f"the skill {self.name!r} has no file {file!r}; its files are {', '.join(files)}")
        return read_source(self.folder / file).text


def skills(folder: str | PathLike[str]) -> list[Tool]:
    """Return the tools with which an agent uses the skills of a folder: `Agent(tools=[*skills("skills")])`.

    `skills` returns the tool `read_skill`, which reads the instructions and the files of a skill. If a skill contains
    Python scripts, `skills` also returns the tool `run_skill_script`. This tool runs a script in the same sandbox as
    the tool `run_python`, so the extra `sandbox` must be installed. Scripts never run outside the sandbox.

    Args:
        folder: A skill, or a folder of skills.

    Raises:
        DefinitionError: The folder contains no skill, or a SKILL.md is invalid. The error names the file and the line.
    """
    root = Path(folder).resolve()
    found = [_skill(each) for each in ([root / _FILE] if (root / _FILE).is_file() else sorted(root.glob(f"*/{_FILE}")))]
    if not found:
        repair = f"name a folder that contains a folder for each skill, each with a file {_FILE}"
        raise DefinitionError(f"the folder {str(root)!r} contains no skill", where="skills", repair=repair)
    known = {each.name: each for each in found}

    def read_skill(skill: str, file: str = "") -> str:
        """Read.

        Args:
            skill: Its name.
            file: The path of a file in the skill; its instructions if not given.
        """
        one = _find_skill(known, skill)
        if file not in ("", _FILE):
            return one.text(file)
        others = [each for each in one.files() if each != _FILE]
        return one.instructions + (f"\n\nFiles of this skill: {', '.join(others)}" if others else "")

    async def run_skill_script(skill: str, file: str, code: str = "") -> str:
        """Run.

        Args:
            skill: Its name.
            file: The path of a Python script in the skill.
            code: Your code, which can use what the script defines.
        """
        if not file.endswith(".py"):
            raise ValueError(f"{file!r} is not a Python script; only Python scripts can be run")
        return await run_python(f"{_find_skill(known, skill).text(file)}\n{code}")

    listed = _READ + "\n".join(f"- {each.name}: {each.description}" for each in found)
    tools: list[Tool] = [Tool(read_skill, description=listed, effect="read")]
    if any(name.endswith(".py") for each in found for name in each.files()):
        tools.append(Tool(run_skill_script, description=_RUN, effect="read"))
    return tools


def _find_skill(known: Mapping[str, _Skill], name: str) -> _Skill:
    if name not in known:
        raise ValueError(f"there is no skill {name!r}: {did_you_mean(name, known)}")
    return known[name]


def _skill(file: Path) -> _Skill:
    if file.is_symlink() or file.parent.is_symlink():
        repair = "copy the folder to this place, or pass the folder that the link leads to"
        raise _build_skill_error(file, 1, "is a link, and links are not followed", repair)
    lines = read_source(file).text.splitlines()
    end = next((n for n, line in enumerate(lines[1:], 1) if line.rstrip() == "---"), 0)
    if not end or lines[0].rstrip() != "---":
        raise _build_skill_error(file, 1, "does not begin with a block of fields between two lines '---'")
    fields = _parse_front_matter(file, lines[1:end])
    for name, most in _MOST.items():
        line, text = fields.get(name, (1, ""))
        if not text or len(text) > most:
            problem = f"has a field {name!r} of {len(text)} characters, but 1 to {most} are allowed"
            raise _build_skill_error(file, line, problem)
    line, name = fields["name"]
    if not _NAME.fullmatch(name):
        raise _build_skill_error(
            file, line, f"has the name {name!r}, but only lowercase letters, digits and single hyphens are allowed"
        )
    if name != file.parent.name:
        raise _build_skill_error(file, line, f"has the name {name!r}, but its folder is called {file.parent.name!r}")
    return _Skill(file.parent, name, fields["description"][1], "\n".join(lines[end + 1 :]).strip())


def _parse_front_matter(file: Path, lines: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Parse the fields at the beginning of a SKILL.md, and return the line number and the text of each field.

    Only the part of YAML that these files use is parsed; lists and maps stay text.
    """
    found: dict[str, tuple[int, list[str]]] = {}
    parts: list[str] = []
    for number, line in enumerate(lines, 2):
        field = _FIELD.match(line)
        if field is not None:
            if field[1] in found:
                raise _build_skill_error(file, number, f"has the field {field[1]!r} twice")
            parts = [(field[2] or "").strip()]
            found[field[1]] = number, parts
        elif not line.strip() or (found and line[0] in " -"):
            parts.append(line.strip())
        elif line[0] != "#":
            raise _build_skill_error(file, number, f"has {line!r} where a field is expected, as in `name: my-skill`")
    return {
        name: (number, _join_lines(file, number, parts)) for name, (number, parts) in found.items() if name in _MOST
    }


def _join_lines(file: Path, number: int, parts: Sequence[str]) -> str:
    """Parse the value of a field in a SKILL.md: plain, quoted, folded with `>` or kept with `|`."""
    first, *more = parts
    if first[:1] in (">", "|"):
        return ("\n" if first[0] == "|" else " ").join(more).strip()
    text = " ".join(each for each in parts if each)
    if text[:1] not in ("'", '"'):
        return text.partition(" #")[0].strip()
    try:
        return text[1:-1].replace("''", "'") if text[0] == text[-1] == "'" else str(json.loads(text))
    except ValueError as error:
        raise _build_skill_error(file, number, f"has a text whose quotes do not match: {text}") from error


def _build_skill_error(file: Path, line: int, problem: str, repair: str = "correct the line") -> DefinitionError:
    return DefinitionError(f"the skill {problem}", where=f"{file}:{line}", repair=repair)


__all__ = ["skills"]
