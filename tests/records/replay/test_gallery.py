"""The runs of the gallery replay under the current workflows."""

import pytest

from graphengine.engine.fold import fold
from graphengine.records.export import read_file
from graphengine.testing import replay
from tests.kit.gallery import GALLERY, NAMES, graph_of


@pytest.mark.parametrize("name", NAMES)
def test_the_current_workflow_replays_its_run(name: str) -> None:
    """No step differs, and the run finished."""
    run = read_file(GALLERY / f"{name}.json")
    found = replay(graph_of(name), GALLERY / f"{name}.json")
    assert found.steps == len(run.steps)
    assert fold(run.steps).status == "finished"


def test_no_file_contains_a_path_of_its_machine() -> None:
    """Every kept file belongs to a workflow, and contains no path of its machine."""
    files = sorted(GALLERY.glob("*"))
    assert [file.name for file in files] == [f"{name}.json" for name in NAMES]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not any(place in text for place in ("/home", "/root", "/tmp", "site-packages", "\\Users")), file  # noqa: S108
