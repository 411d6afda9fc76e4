"""The texts that the bundled workflows run on where no input is given."""

from pathlib import Path

from graphengine import TextFile

_FOLDER = Path(__file__).resolve().parents[2] / "graphs" / "samples"


def sample(name: str) -> tuple[str, list[TextFile]]:
    """Read a sample.

    Args:
        name: a folder of `graphs/samples`, as `write_ahead_log`.

    Returns:
        Its topic and its texts.
    """
    folder = _FOLDER / name
    texts = [TextFile(path=file.name, text=file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.md"))]
    return (folder / "topic.txt").read_text(encoding="utf-8").strip(), texts
