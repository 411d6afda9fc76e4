"""The runs of the gallery are decided today as they were."""

import pytest

from graphengine.engine.fold import fold
from graphengine.history.export import read_file
from graphengine.testing import replay
from tests.kit.gallery import GALLERY, NAMES, graph_of


@pytest.mark.parametrize("name", NAMES)
def test_todays_workflow_decides_it_as_it_was(name: str) -> None:
    """No step differs, and the run was finished."""
    run = read_file(GALLERY / f"{name}.json")
    found = replay(graph_of(name), GALLERY / f"{name}.json")
    assert found.steps == len(run.steps)
    assert fold(run.steps).status == "finished"


def test_nothing_tells_of_the_machine_they_were_made_on() -> None:
    """No place of a file system, and every file is of a workflow."""
    files = sorted(GALLERY.glob("*"))
    assert [file.name for file in files] == [f"{name}.json" for name in NAMES]
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert not any(place in text for place in ("/home", "/root", "/tmp", "site-packages", "\\Users")), file  # noqa: S108
