"""The API reference has an entry for each documented name, and each entry says what it is and takes."""

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from types import ModuleType
from typing import Any

from scripts import reference_docs, site_pages
from tests.docs.page import ROOT, blocks
from tests.docs.test_docstrings import FILES
from tests.docs.test_documentation import PAGES, named
from tests.docs.test_skill import FOLDER, SKILLS

PUBLIC = site_pages.public()
TEMPLATES = sorted((FOLDER / "cli" / "new_project").rglob("*.py.in"))
PACKAGES = re.findall(r"\| `(graphengine(?:\.\w+)*)` \|", (ROOT / "docs" / "use" / "imports.md").read_text("utf-8"))
"""The modules from which programs import; a name that is in several has its place in the first of them."""
KERNEL = [f"graphengine.{page}" for page in site_pages.KERNEL]
"""The pages of names of the core, which list what is defined elsewhere."""


def used(program: str) -> Iterator[str]:
    """Yield the names that a program imports from graphengine, or reads from a module of it."""
    modules: dict[str, str] = {}
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "graphengine":
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.Import):
            ours = [name for name in node.names if name.name.partition(".")[0] == "graphengine"]
            modules |= {name.asname or "graphengine": name.name if name.asname else "graphengine" for name in ours}
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            yield f"{modules[node.value.id]}.{node.attr}"


def documented() -> Iterator[tuple[str, str]]:
    """Yield each name that a page for users, a template or the example of a public name uses, and where."""
    for page in (*(each for each in PAGES if each.parent.name != "maintain"), *SKILLS):
        yield from ((name, named(page)) for program in blocks(page, "python") for name in used(program))
    for template in TEMPLATES:
        yield from ((name, named(template)) for name in used(re.sub(r"\{\{(\w+)\}\}", r"\1", template.read_text())))
    for path, given in described():
        examples = doctest.DocTestParser().get_examples(inspect.getdoc(given) or "")
        yield from ((name, path) for name in used("".join(example.source for example in examples)))


def named_in_text() -> Iterator[tuple[str, str]]:
    """Yield each class and function that a page for users names by its path, and where."""
    made = reference_docs.PAGE  # of docstrings, which also name what is not public
    for page in (ROOT / "README.md", *sorted({*(ROOT / "docs" / "use").rglob("*.md")} - {made}), *SKILLS):
        for path in re.findall(r"`(graphengine(?:\.\w+)+)", page.read_text(encoding="utf-8")):
            module, _, name = path.rpartition(".")
            if callable(found(module, name)):
                yield path, named(page)


def found(module: str, name: str) -> object:
    """Return what a path names, None if there is no such thing, as of an attribute of telemetry."""
    try:
        return getattr(importlib.import_module(module), name, None)
    except ImportError:
        return None


def described() -> Iterator[tuple[str, Any]]:
    """Yield each public name, and each function of a public class that is ours, with what it names."""
    brief = {name for page in site_pages.BRIEF for name in site_pages.names_on(page)}
    for path, given in PUBLIC.items():
        yield path, given
        if path in brief:
            continue
        members = [(name, getattr(given, name)) for name in dir(given) if not name.startswith("_")]
        for name, member in members if isinstance(given, type) else ():
            if callable(member) and (getattr(member, "__module__", None) or "").startswith("graphengine"):
                yield f"{path}.{name}", member


def has_entry(name: str) -> bool:
    """Whether a name is in the reference, itself, under the shorter name of the same thing, or for authors."""
    module, _, last = name.rpartition(".")
    if name in PUBLIC or (module in KERNEL and last in dir(importlib.import_module(module))):
        return True
    given = getattr(importlib.import_module(module), last)
    return module in PACKAGES and any(given is entry for entry in PUBLIC.values())


def test_every_documented_name_has_an_entry() -> None:
    """A page imports only what the reference explains: export the name, or write the page without it."""
    names = {*documented(), *named_in_text()}
    assert sorted((name, where) for name, where in names if not has_entry(name)) == []


def test_a_documented_name_is_imported_from_its_place() -> None:
    """From the first module of `imports.md` that has it, on each page, in templates, examples and bundled workflows."""
    bundled = [file for folder in ("graphs", "nodes", "evals") for file in (ROOT / folder).rglob("*.py")]
    names = [*documented(), *named_in_text()]
    names += [(name, named(file)) for file in bundled for name in used(file.read_text(encoding="utf-8"))]
    assert sorted({(name, where) for name, where in names if place(name) not in (name, None)}) == []


def place(name: str) -> str | None:
    """Return where a name is to be imported from; None for a module."""
    module, _, last = name.rpartition(".")
    given = found(module, last)
    if isinstance(given, ModuleType):
        return None
    offers = (each for each in PACKAGES if last in dir(importlib.import_module(each)))
    return next((f"{each}.{last}" for each in offers if found(each, last) is given), "nowhere")


def test_every_exported_name_has_an_entry() -> None:
    """What a module offers to programs is public; `graphengine.wings` also has what the command line needs of it."""
    modules = {each: importlib.import_module(each) for each in PACKAGES if each != "graphengine.wings"}
    exported = {f"{each}.{name}" for each, module in modules.items() for name in getattr(module, "__all__", ())}
    assert sorted(name for name in exported if not has_entry(name)) == []


def test_the_reference_can_be_read_without_the_site() -> None:
    """Its page has each public name with its signature and its docstring."""
    page = reference_docs.PAGE.read_text(encoding="utf-8")
    assert page == reference_docs.written(), "run python -m scripts.reference_docs"


def test_a_name_has_one_entry() -> None:
    """And files of pages differ by more than case."""
    names = [name for page in site_pages.pages() for name in site_pages.names_on(page)]
    assert len(names) == len(set(names))
    assert len(site_pages.pages()) == len({site_pages.file_of(page).lower() for page in site_pages.pages()})


def constants() -> Iterator[str]:
    """Yield the names of constants and types of the package that have a docstring below them."""
    for file in FILES:
        for made, text in pairwise(ast.parse(file.read_text(encoding="utf-8")).body):
            if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                targets = made.targets if isinstance(made, ast.Assign) else [getattr(made, "target", None)]
                yield from (target.id for target in targets if isinstance(target, ast.Name))


def test_every_entry_is_explained() -> None:
    """A class or function has a docstring; a constant or a type has one below it."""
    named_below = set(constants())
    functions = {path for path, given in PUBLIC.items() if isinstance(given, type) or inspect.isroutine(given)}
    silent = [path for path in functions if not inspect.getdoc(PUBLIC[path])]
    silent += [path for path in PUBLIC.keys() - functions if path.rpartition(".")[2] not in named_below]
    assert silent == []


def test_signatures_are_real() -> None:
    """`help()` shows each parameter by name; `**names` are those of the user, which the docstring explains."""
    unclear = []
    for path, given in described():
        if not callable(given) or is_protocol(given) or (isinstance(given, type) and issubclass(given, Warning)):
            continue  # the constructor of a warning is Python's, without a signature
        for name, parameter in inspect.signature(given).parameters.items():
            explained = f" {name}: " in (inspect.getdoc(given) or "") and "Unpack" not in str(parameter.annotation)
            if parameter.kind is parameter.VAR_KEYWORD and not explained:
                unclear.append(f"{path}(**{name}: {parameter.annotation})")
    assert unclear == []


def is_protocol(given: object) -> bool:
    """Whether it is a protocol, which nobody calls."""
    return getattr(given, "_is_protocol", False)
