import json
import re
from pathlib import Path

from graphengine.records.export import (
    BadExport,
    check_ids,
    digest_of_content,
    export_run,
    import_run,
    parse,
    read_file,
    to_json_text,
)
from tests.kit.record import RECORDED

MAP = (RECORDED / "map.json").read_text(encoding="utf-8")


def read(text):
    """Return the tags of a file, or what is said of it: all damages have the same repair."""
    try:
        return parse(text, "run.json").info.tags
    except BadExport as error:
        assert (error.where, error.repair) == ("run.json", "export the run again from where it is recorded")
        return re.sub(r"(sha256:.{8})\w+", r"\1…", error.message)


def text_of(*path, signed=True):
    """Return a file in which the last argument is at the path of the others, by default under a digest that fits."""
    content = json.loads(MAP)
    here = content
    for key in path[:-2]:
        here = here[key]
    here[path[-2]] = path[-1]
    if signed:
        content["digest"] = digest_of_content({name: part for name, part in content.items() if name != "digest"})
    return json.dumps(content)


def changed(*path, signed=True):
    """Read such a file."""
    return read(text_of(*path, signed=signed))
