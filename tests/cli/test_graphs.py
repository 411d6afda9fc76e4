import pytest

from graphengine.cli.graphs import first_sentence
from tests.cli.programs import ROOT, call


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ""),
        ("One line without an end", "One line without an end"),
        ("It ends\nhere. Not there.", "It ends here."),
        ("Uses v1.2 of x.py, e.g. this. Then that.", "Uses v1.2 of x.py, e.g. this."),
        ("\n  First.\n\n  Second.\n", "First."),
        ("Why? Because.", "Why?"),
    ],
)
def test_a_file_is_described_by_its_first_sentence(text: str, message: str) -> None:
    """A file is described by its first sentence, however its lines are broken."""
    assert first_sentence(text) == message


def test_the_bundled_workflows_all_have_a_description() -> None:
    """Each bundled workflow in this project has a description."""
    ran = call(ROOT, "graphs")
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    names = {file.stem for file in (ROOT / "graphs").glob("[!_]*.py")}
    assert names <= {line.split()[0] for line in lines}
    assert all(len(line.split()) > 3 and line.endswith(".") for line in lines), ran.stdout
