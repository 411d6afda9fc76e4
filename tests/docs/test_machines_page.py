"""docs/use/machines.md: its manifests are checked against their schemas; test_backups.py and others run its recipes."""

from graphengine.cli.main import main
from tests.docs.page import USE, blocks

(KUBERNETES,) = blocks(USE / "machines.md", "yaml")


def check_command(words: list[str]) -> None:
    """Check that a command line of ours has only options that exist."""
    assert words[0] == "graphengine"
    found = main.get_command(main.make_context("graphengine", [], resilient_parsing=True), words[1])
    assert found is not None
    found.make_context(words[1], words[2:])


def test_its_manifests_are_valid() -> None:
    """The manifests describe resources as Kubernetes does, without unknown keys, and our commands in them exist."""
    import kubernetes_validate  # noqa: PLC0415 - each process collects these tests, and one runs them
    import yaml  # noqa: PLC0415

    manifests = list(yaml.safe_load_all(KUBERNETES))
    assert [each["kind"] for each in manifests] == ["Deployment", "Deployment"]
    for each in manifests:
        kubernetes_validate.validate(each, "1.37", strict=True)
        for container in each["spec"].get("template", {"spec": {"containers": []}})["spec"]["containers"]:
            check_command(container["args"])
