"""The sample texts of the bundled workflows."""

from pathlib import Path

from graphengine.media import TextFile

_FOLDER = Path(__file__).resolve().parents[1] / "samples"


def sample(name: str) -> tuple[str, list[TextFile]]:
    """Read a sample.

    Args:
        name: A folder of `graphengine/briefs/samples`, for example `write_ahead_log`.

    Returns:
        Its topic and its texts.
    """
    folder = _FOLDER / name
    texts = [TextFile(path=file.name, text=file.read_text(encoding="utf-8")) for file in sorted(folder.glob("*.md"))]
    return (folder / "topic.txt").read_text(encoding="utf-8").strip(), texts
