import tempfile
from pathlib import Path

from graphengine.agents.toolbox import calculate, skills
from graphengine.errors import DefinitionError


def value(expression):
    try:
        return calculate(expression)
    except ValueError as error:
        return f"refused: {str(error).partition(': invalid syntax')[0]}"


def described(fields):
    """Return the description of a skill with these fields."""
    return skill(f"---\n# fields\nname: tides\n{fields}\n---\nText")


def skill(text):
    """Return the description of a skill whose file this is, or the line and the problem."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "tides", "SKILL.md")
        file.parent.mkdir()
        file.write_text(text, encoding="utf-8")
        try:
            return repr(skills(folder)[0].description.partition("- tides: ")[2])
        except DefinitionError as error:
            return f"line {error.where.removeprefix(str(file) + ':')}: {error.message.replace(folder, '')}"
