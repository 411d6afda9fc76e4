"""Write the parts of pages that repeat the code: `python -m scripts.page_parts`; a test compares them.

Each part stands between two comments of its page: the names of other libraries that errors explain, the workflows of
the gallery, the routes of the service, and the page of the chat that `graphengine new --from chat_app` copies.
"""

from __future__ import annotations

import json
import re
import textwrap
from contextlib import chdir
from pathlib import Path
from typing import TYPE_CHECKING, Final

from click.testing import CliRunner
from msgspec.structs import fields

from graphengine.cli.main import main
from graphengine.graph.foreign import COMMON, OWN, entries_of
from graphengine.serve.routes import API

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

ROOT: Final = Path(__file__).resolve().parents[1]
USE: Final = ROOT / "docs" / "use"
CHAT: Final = ROOT / "graphengine" / "cli" / "new_project" / "chat_app" / "app" / "chat.jsx.in"
BEGIN: Final = "<!-- made by python -m scripts.page_parts: begin -->"
END: Final = "<!-- made by python -m scripts.page_parts: end -->"


PLACES: Final = {
    "Graph": "Asked of a graph",
    "Runner": "Asked of a runner",
    "Run": "Asked of a run",
    "Agent": "Asked of an agent",
    "Context": "Asked of the context of a node",
    "Result": "Asked of a result",
    "import": "Imported from graphengine or one of its modules",
    "keyword": "Given as a keyword argument",
    "parameter": "Declared as a parameter of a node",
    "command": "Typed as a command",
    "option": "Typed as an option of a command",
}


def _names_of(place: str, library: str = "") -> str:
    """Return a table of names from other libraries for one place, such as `keyword`, with what to write instead.

    With `library`, the table contains only the names of this library.
    """
    head = ["| names | here |"] if library else ["| names | used by | here |"]
    rows = [*head, "|---|---|" if library else "|---|---|---|"]
    for entry in entries_of(place):
        if OWN in entry.libraries or (library and library not in entry.libraries):
            continue
        names = ", ".join(f"`{_as_written(name, place)}`" for name in entry.names)
        forms = "<br>".join(f"`{form}`" for form in entry.forms)
        used = f" {', '.join(entry.libraries).replace(COMMON, 'several')} |" * (not library)
        rows.append(f"| {names} |{used} {forms} |")
    return "\n".join(rows)


def _as_written(name: str, place: str) -> str:
    """Return a name as it stands in a program: a keyword argument is shown in the call that it belongs to."""
    called, _, last = name.rpartition(".")
    return name if place != "keyword" else f"{called}({last}=)" if called else f"{name}="


def names_of_langgraph() -> str:
    """Return tables of LangGraph's names, with what to write here instead.

    Each table is about one place in a program.
    """
    return "\n\n".join(f"### {title}\n\n{_names_of(place, 'LangGraph')}" for place, title in PLACES.items())


def names_of_all() -> str:
    """Return tables of other libraries' names, with what to write here instead.

    Each table is about one place in a program.
    """
    return "\n\n".join(f"### {title}\n\n{_names_of(place)}" for place, title in PLACES.items())


def workflows() -> str:
    """Return a section for each bundled workflow, with its description and pictures of the graph and of a run."""
    with chdir(ROOT):
        listed = json.loads(CliRunner().invoke(main, ["graphs", "--json"]).stdout)["graphs"]
    about: dict[str, str] = {graph["name"]: graph["about"] for graph in listed}
    return "\n\n".join(
        f"### {name}\n\n{textwrap.fill(about[name], 120)}\n\n![{name}](../pictures/gallery/{name}.svg)\n\n"
        f"![A run](../pictures/gallery/{name}_run.svg)"
        for name in sorted(about)
    )


def routes() -> str:
    """Return a table of the HTTP routes: what each route does, the right that it needs, and its parameters."""
    rows = ["| request | what it does | right | parameters, or fields of the body |", "|---|---|---|---|"]
    for each in sorted(API, key=lambda route: (route.method == "GET", route.path)):
        given = [field for asked in filter(None, (each.query, each.body)) for field in fields(asked)]
        names = dict.fromkeys(f"`{field.encode_name}`" for field in given if f"{{{field.name}}}" not in each.path)
        rows.append(
            f"| `{each.method} {each.path}` | {each.summary} | {each.right or '-'} | {', '.join(names) or '-'} |"
        )
    return "\n".join(rows)


def chat() -> str:
    """Return the source of the bundled chat page as a code block."""
    return f"```jsx\n{CHAT.read_text(encoding='utf-8')}```"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "from_langgraph.md": names_of_langgraph,
    "front_ends.md": chat,
    "gallery.md": workflows,
    "glossary.md": names_of_all,
    "serve.md": routes,
}


def page(name: str) -> str:
    """Return the text of a page, in which the generated part is replaced by what the code says now."""
    text = (USE / name).read_text(encoding="utf-8")
    part = f"{BEGIN}\n\n{PARTS[name]()}\n\n{END}"
    return re.sub(f"{BEGIN}.*?{END}", lambda _: part, text, count=1, flags=re.DOTALL)


if __name__ == "__main__":
    for each in PARTS:
        (USE / each).write_text(page(each), encoding="utf-8")
