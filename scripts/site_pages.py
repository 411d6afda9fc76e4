"""Write the sources of the documentation site into build/pages; `make docs` builds the site from them.

The pages of the repository are copied to the same relative paths, so that their links hold unchanged, together with the
other files that they link to. The pages of the API reference are written here: one for each public module, with a
directive for each public name, which mkdocstrings replaces by the signature and the docstring. `llms.txt` lists the
pages for language models, and `llms-full.txt` has the texts of all of them.
"""

from __future__ import annotations

import importlib
import re
import shutil
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = ROOT / "build" / "pages"
TOP: Final = ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")

API: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = MappingProxyType(
    {
        "graphengine": ("Graphs, conditions, runners, agents: the names of every day.", ()),
        "graphengine.runner": (
            "Events of runs, and less frequent names around a Runner.",
            (
                "event_document",
                "StepRecorded",
                "StatusChanged",
                "RunEnded",
                "NodeBegan",
                "Emitted",
                "LiveEvent",
                "Extension",
                "Follower",
                "OpenRun",
                "Vacuumed",
            ),
        ),
        "graphengine.worker": ("Runs at given times; `graphengine.Worker` drives them.", ("Schedule",)),
        "graphengine.agents": (
            "What an agent shows while it works.",
            ("TextDelta", "ThinkingDelta", "PartialAnswer", "ToolCalled", "ToolReturned", "AnswerReset"),
        ),
        "graphengine.testing": ("Run one node, or walk a graph.", ()),
        "graphengine.testing.evaluation": ("Run a graph on a data set, and compare two versions.", ()),
        "graphengine.patterns": ("Functions that return a graph.", ()),
        "graphengine.models": ("Models of providers, and models for tests.", ()),
        "graphengine.reducers": (
            "How updates of one field are combined.",
            ("Replace", "append", "extend", "merge", "add", "maximum"),
        ),
        "graphengine.agents.sources": ("Files and folders as texts for agents.", ()),
        "graphengine.agents.toolbox": ("Ready tools of agents.", ()),
        "graphengine.stores": (
            "Where runs are recorded.",
            (
                "base.Store",
                "base.RunStore",
                "base.QueueStore",
                "base.RunInfo",
                "base.Append",
                "base.Loaded",
                "base.Message",
                "memory.MemoryStore",
                "sqlite.store.SQLiteStore",
            ),
        ),
    }
)
"""The public modules: what each is for, and its names if it has no `__all__`."""


def public_names(module: str) -> list[str]:
    """Return the public names of a module, each with its path from the module."""
    return list(API[module][1]) or list(importlib.import_module(module).__all__)


def reference(module: str) -> str:
    """Return the page of the API reference on one module."""
    directives = "\n\n".join(f"::: {module}.{name}" for name in public_names(module))
    return f"# {module}\n\n{API[module][0]}\n\n{directives}\n"


def overview() -> str:
    """Return the first page of the API reference."""
    rows = "\n".join(f"- [`{module}`]({module}.md): {about}" for module, (about, _) in API.items())
    text = "Generated from the docstrings. Errors have [a page of their own](../docs/use/errors.md)."
    return f"# API reference\n\n{text}\n\n{rows}\n"


def index_for_models() -> str:
    """Return `llms.txt`: what the project is, and each page of docs/README.md with its address on the site."""
    about = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")[1]
    pages = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("\n\n")[2]
    address = re.sub(r"\]\((?:\.\./([A-Z]+)|([\w/]+?))(?:/README)?\.md\)", _address, pages)
    return f"# graphengine\n\n> {' '.join(about.split())}\n\n[All pages in one text](llms-full.txt)\n\n{address}"


def _address(link: re.Match[str]) -> str:
    return f"]({link[1]}/)" if link[1] else f"](docs/{link[2]}/)"


def text_for_models() -> str:
    """Return `llms-full.txt`: the texts of the pages that docs/README.md links to, in its order."""
    pages = [ROOT / "README.md", *(page for page in linked(ROOT / "docs" / "README.md") if page.suffix == ".md")]
    texts = (f"<!-- {page.relative_to(ROOT).as_posix()} -->\n\n{page.read_text(encoding='utf-8')}" for page in pages)
    return "\n\n".join(texts)


def linked(page: Path) -> Iterator[Path]:
    """Yield the files that a page of the repository links to."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if (path := (page.parent / target).resolve()).is_file():
            yield path


def for_site(page: str) -> str:
    r"""Return a page of the repository for the site: in a table, `\|` in code becomes `|`.

    GitHub needs the backslash, which Python-Markdown shows.
    """
    return re.sub(r"(?m)^\|.*$", lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), row[0]), page)


def write(folder: Path = PAGES) -> None:
    """Replace the sources in the folder by new ones."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = [*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md")]
    files = {*pages, *(path for path in (ROOT / "docs").rglob("*") if path.is_file())}
    files |= {path for page in pages for path in linked(page)}
    for path in sorted(files):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            copy.write_text(for_site(path.read_text(encoding="utf-8")), encoding="utf-8")
        else:
            shutil.copyfile(path, copy)
    (folder / "llms.txt").write_text(index_for_models(), encoding="utf-8")
    (folder / "llms-full.txt").write_text(text_for_models(), encoding="utf-8")
    (folder / "api").mkdir()
    (folder / "api" / "index.md").write_text(overview(), encoding="utf-8")
    for module in API:
        (folder / "api" / f"{module}.md").write_text(reference(module), encoding="utf-8")


if __name__ == "__main__":
    write()
    print(f"written: {PAGES}")
