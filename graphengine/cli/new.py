"""`graphengine new`: create a project that runs and passes its tests.

The files of a project are templates in the folder `new_project` next to this module. They have the suffix `.in`, so
that no tool treats them as modules of this package. Placeholders such as `{{name}}` are filled in. The folder `common`
contains the files of every project, `own` a small workflow with its tests, `chat_app` a chat with its page, and
`bundled` the tests of copied workflows.

The bundled workflows are in the folder `workflows` next to this module in a wheel, and in `graphs` and `nodes` next to
the package in a checkout. The patterns that can be copied are in the folder `recipes` beside the workflows. Each
pattern is one module, which becomes the graph of the project.

A copied workflow consists of its graph, the agents with their prompts, types and checks, and its example. The rules
that replace a model in the bundled workflow (`nodes/review/offline.py`) are left out: without a model, a copy is a dry
run.
"""

from __future__ import annotations

import ast
import re
import shlex
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from graphengine.cli import options
from graphengine.cli.places import program
from graphengine.errors import GraphEngineError
from graphengine.kernel.inside import DISTRIBUTION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from importlib.resources.abc import Traversable

    from graphengine.cli.context import CommandContext

_SUFFIX: Final = ".in"
_ALLOWED: Final = {".git"}
"""The entries that a folder may contain and still count as empty."""
_NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
"""The valid names of packages. Source: https://packaging.python.org/en/latest/specifications/name-normalization/."""
_UNNAMED: Final = "workflows"
_OWN: Final = "review_loop"
"""The workflow of a project that does not copy a bundled workflow."""
_APPS: Final = ("chat_app",)
"""The projects with their own templates, besides the workflows that can be copied."""
_ISORT: Final = '\n[tool.ruff.lint.isort]\nknown-first-party = ["graphengine", "graphs", "nodes"]\n'
"""Settings in pyproject.toml that sort the imports of a copied workflow as in this checkout."""
_DRY: Final = {"nodes.review.offline": "nodes.review.agents", '"rules"': '"placeholder"'}
"""The replacements in a copied module. Its agents have no rules, and placeholders answer for them."""
_RULES: Final = "Agents answer by rules (`by_rules=` in `nodes/`) until they are given a model:"
_PLACEHOLDERS: Final = (
    "Without a model it is a dry run: placeholders answer, so that one sees path, rounds and picture. With a model:"
)
_TAKEN: Final = ("graphengine", DISTRIBUTION)
"""The names that a project cannot have, because it depends on the packages with these names."""
_HERE: Final = Path(__file__).parent
_PACKAGES: Final = ("graphs", "nodes")
RECIPES: Final = "recipes"
"""The folder of the patterns that can be copied."""
_IN_NODES: Final = (
    "prompts, types and checks are in `nodes/`; the order of the nodes and when a run ends are in `graphs/`"
)


def _root() -> Path:
    """Return the folder with the bundled workflows and patterns, in its folders `graphs`, `nodes` and `recipes`.

    In a checkout of this project, this is the root of the repository.
    """
    installed = _HERE / "workflows"
    return installed if installed.is_dir() else _HERE.parents[1]


def names(folder: str = "graphs") -> list[str]:
    """Return the names of the bundled workflows, or of the patterns in the folder `recipes`, in alphabetical order."""
    return sorted(file.stem for file in (_root() / folder).glob("*.py") if not file.stem.startswith("_"))


def _is_recipe(name: str) -> bool:
    return (_root() / RECIPES / f"{name}.py").is_file()


def files_of(name: str) -> dict[str, str]:
    """Return the files of a bundled workflow or pattern, as texts by path.

    A workflow consists of its graph and the nodes that the graph imports. A pattern is one module, to which the
    packages `graphs` and `nodes` are added, because every project has them.

    Args:
        name: A name in `names()` or in `names(RECIPES)`.
    """
    if _is_recipe(name):
        inits = {f"{package}/__init__.py": f'"""The {package} of this project."""\n' for package in _PACKAGES}
        return inits | {f"graphs/{name}.py": (_root() / RECIPES / f"{name}.py").read_text(encoding="utf-8")}
    found = {
        file.relative_to(_root()).as_posix(): _read_module_text(file)
        for file in sorted(_find_modules(f"graphs.{name}"))
    }
    if "sample(" in found[f"graphs/{name}.py"]:
        samples = sorted(file for file in (_root() / "nodes" / "samples").rglob("*.*") if file.is_file())
        found |= {file.relative_to(_root()).as_posix(): file.read_text(encoding="utf-8") for file in samples}
    return found


def _read_module_text(file: Path) -> str:
    """Read a bundled module, and make its agents answer with placeholders (see `_DRY`) instead of rules."""
    text = file.read_text(encoding="utf-8")
    for here, there in _DRY.items():
        text = text.replace(here, there)
    return text


def _find_modules(name: str) -> set[Path]:
    """Return the files that a project needs to import a bundled module.

    These are the file of the module, the modules of `graphs` and `nodes` that it imports directly or indirectly, and
    their packages.
    """
    found: set[Path] = set()
    open_names = {name}
    while open_names:
        parts = open_names.pop().split(".")
        if len(parts) > 1:
            open_names.add(".".join(parts[:-1]))
        base = _root().joinpath(*parts)
        file = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
        if file.is_file() and file not in found:
            found.add(file)
            open_names |= set(_iter_imported_names(_read_module_text(file)))
    return found


def _iter_imported_names(text: str) -> Iterator[str]:
    """Yield the names that a bundled module imports from the packages `graphs` and `nodes`.

    A name can belong to a module or to an object in it.
    """
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in _PACKAGES:
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in _PACKAGES)


@options.command(
    "new",
    examples="""
        graphengine new my_flows
        graphengine new --list
        graphengine new my_room --from writers_room
        graphengine new my_debate --from debate
    """,
)
@click.argument("path", type=click.Path(path_type=Path, readable=False), required=False)
@click.option(
    "--from",
    "workflow",
    metavar="NAME",
    type=options.Choice([*names(), *names(RECIPES), *_APPS]),
    help=f"Copy one of the bundled workflows with its agents and prompts: {', '.join(names())}. "
    f"Or copy a pattern, which is one module: {', '.join(names(RECIPES))}. "
    f"{', '.join(_APPS)} creates an application instead, which is a chat in a web page.",
)
@click.option("--list", "is_list", is_flag=True, help="List what --from can copy, and create nothing.")
def new(context: CommandContext, path: Path | None, workflow: str | None, *, is_list: bool) -> int:
    """Create a project at PATH, a folder that does not exist or is empty.

    The new project contains a workflow that runs without an API key, with its nodes, its tests and a .gitignore. By
    default, the workflow is a small review loop. The files are in the folders nodes, graphs, checkpoints and tests.
    Existing files are never overwritten.
    """
    if is_list:
        return _show_workflows(context)
    if path is None:
        raise click.UsageError("Missing argument 'PATH'.")
    folder = Path(path.absolute())
    name = name_of(folder.resolve().name)
    files = project_files(name, workflow)
    write(folder, files, again=path / "flows")
    steps = _list_next_commands(path, workflow)
    if context.json:
        from graphengine.cli.documents import Made

        context.document(Made(path=str(folder), name=name, files=sorted(files), next=steps))
        return 0
    for file in sorted(files):
        context.out.line(("created ", "green"), str(path / file))
    if name != folder.resolve().name:
        context.err.line(f"{folder.resolve().name!r} is not a valid package name; pyproject.toml uses {name!r}")
    context.err.line("next steps:")
    for step in steps:
        context.err.line("  ", (step, "bold"))
    return 0


def _show_workflows(context: CommandContext) -> int:
    """List the workflows and patterns that can be copied, with the first sentence of each file."""
    from graphengine.cli.documents import Workflow, Workflows
    from graphengine.cli.graphs import first_sentence, show_described

    texts = {name: files_of(name)[f"graphs/{name}.py"] for name in (*names(), *names(RECIPES))}
    about = {name: first_sentence(ast.get_docstring(ast.parse(text)) or "") for name, text in texts.items()}
    rows = [*about.items(), *((name, "An application: a chat in a web page.") for name in _APPS)]
    if context.json:
        context.document(Workflows(workflows=[Workflow(*row) for row in rows]))
    else:
        show_described(context, rows)
    return 0


def name_of(folder: str) -> str:
    """Turn the name of a folder into a valid package name. A name that is already valid is returned unchanged.

    >>> name_of("my_flows"), name_of("My flows, 2nd try")
    ('my_flows', 'my-flows-2nd-try')
    """
    plain = re.sub(r"[^a-z0-9]+", "-", folder.lower()).strip("-") or _UNNAMED
    if plain in _TAKEN:
        return f"{plain}-project"
    return folder if _NAME.fullmatch(folder) else plain


def project_files(name: str, workflow: str | None = None) -> dict[str, str]:
    """Return all files of a new project, as texts by path.

    Args:
        name: The name of the project's package.
        workflow: The bundled workflow, the pattern or the application to copy; None for the small default workflow.
    """
    from importlib.resources import files

    from graphengine import __version__

    is_bundled = workflow is not None and workflow not in _APPS
    found = files_of(workflow) if workflow is not None and is_bundled else {}
    templates = dict(_iter_template_files(files("graphengine.cli").joinpath("new_project", "common"), ""))
    folder = "bundled" if is_bundled else workflow or "own"
    own = dict(_iter_template_files(files("graphengine.cli").joinpath("new_project", folder), ""))
    test = f"tests/test_{workflow}.py.in"
    templates |= {test: own.get(test, own["tests/test_workflow.py.in"])} if is_bundled else own
    graph = workflow or _OWN
    words = {"name": name, "version": __version__, "distribution": DISTRIBUTION, "graph": graph}
    words |= {"line_length": "120" if is_bundled else "100", "isort": _ISORT if is_bundled else ""}
    words |= {"without": _PLACEHOLDERS if is_bundled else _RULES}
    words |= {"where": f"everything is in `graphs/{graph}.py`" if _is_recipe(graph) else _IN_NODES}
    texts = {path: file.read_text(encoding="utf-8") for path, file in templates.items()}
    words["about"] = _read_docstring(
        found[f"graphs/{graph}.py"] if is_bundled else texts[f"graphs/{graph}.py{_SUFFIX}"]
    )
    found |= {path.removesuffix(_SUFFIX): _fill_placeholders(text, words) for path, text in texts.items()}
    modules = {path: text for path, text in found.items() if path.endswith(".py") and not path.endswith("__init__.py")}
    rows = [f"| `{path}` | {_read_docstring(text).partition(chr(10))[0]} |" for path, text in sorted(modules.items())]
    found["README.md"] = _fill_placeholders(found["README.md"], {"files": "\n".join(rows)})
    return found


def _fill_placeholders(text: str, words: Mapping[str, str]) -> str:
    for word, meaning in words.items():
        text = text.replace("{{" + word + "}}", meaning)
    return text


def _read_docstring(text: str) -> str:
    return ast.get_docstring(ast.parse(text)) or ""


def _iter_template_files(folder: Traversable, path: str) -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _iter_template_files(entry, f"{path}{entry.name}/")
        elif entry.name.endswith(_SUFFIX):
            yield f"{path}{entry.name}", entry


def write(folder: Path, files: Mapping[str, str], again: Path) -> None:
    """Write the files of a new project. If a file cannot be written, remove the files that were written before.

    Args:
        folder: The project's folder.
        files: The texts by their paths in the folder.
        again: Another folder to suggest if this folder is taken.

    Raises:
        GraphEngineError: The folder is not empty, or a file cannot be written.
    """
    created: list[Path] = []
    try:
        _check_empty(folder, again)
        for path, text in files.items():
            file = folder / path
            missing = [each for each in file.parents if not each.exists()]
            file.parent.mkdir(parents=True, exist_ok=True)
            created += reversed(missing)
            with file.open("x", encoding="utf-8", newline="\n") as stream:
                created.append(file)
                stream.write(text)
    except OSError as error:
        _remove_created(created)
        message = f"{error.filename or folder} cannot be written: {error.strerror or error}"
        repair = "choose a folder that you can write to"
        raise GraphEngineError(message, where=str(folder), repair=repair, code="no_place_for_project") from error
    except BaseException:
        _remove_created(created)
        raise


def _check_empty(folder: Path, again: Path) -> None:
    message, repair = "", "choose a new folder"
    if folder.is_dir():
        entries = sorted(entry.name for entry in folder.iterdir() if entry.name not in _ALLOWED)
        if entries:
            listed = ", ".join([*entries[:3], *["…"] * (len(entries) > 3)])  # noqa: PLR2004
            message = f"the folder is not empty: it contains {listed}"
            repair = f"choose a new folder, e.g. {again}"
    elif folder.exists() or folder.is_symlink():
        message = "there is a file of this name, and a project needs a folder"
    if message:
        raise GraphEngineError(message, where=str(folder), repair=repair, code="no_place_for_project")


def _remove_created(created: list[Path]) -> None:
    """Remove the files and folders that were already created for a new project, after an error.

    An entry that cannot be removed is left.
    """
    for path in reversed(created):
        with suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()


def _list_next_commands(path: Path, workflow: str | None) -> list[str]:
    from importlib.util import find_spec

    own = list(program())
    enter = [] if path.resolve() == Path.cwd() else [shlex.join(["cd", str(path)])]
    graph = workflow or _OWN
    first = ["serve", "--ai-sdk", "--pages", "app/built"] if workflow in _APPS else ["run", graph]
    return [
        *enter,
        shlex.join([*own, *first]),
        shlex.join([*own, "render", graph, "-o", f"{graph}.svg"]),
        *([] if find_spec("pytest") else ["python -m pip install pytest"]),
        "python -m pytest",
    ]
