"""Write the sources of the documentation site into build/pages; `make docs` builds the site from them.

The pages of the repository are copied to the same relative paths, so that their links hold unchanged, together with the
other files that they link to. The pages of the API reference are written here: one for each module, with a directive
for each name, which mkdocstrings replaces by the signature and the docstring. Each subject of the reference, such as
`Retry`, also has a short page that leads to its place on the page of the module, so that a search finds the subject by
its name. `llms.txt` lists the pages for language models, and `llms-full.txt` has the texts of all of them.

mkdocs imports this file too, as a hook that puts the reference into the navigation, and says what a search finds.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
import re
import shutil
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, MutableMapping

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = ROOT / "build" / "pages"
TOP: Final = ("README.md", "CONTRIBUTING.md", "CODE_OF_CONDUCT.md", "SECURITY.md", "CHANGELOG.md")

API: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "Graphs": {
            "Graph": "Graph",
            "Start and end": "START END FAIL",
            "Node": "Node Runnable Writes",
            "Conditions": "value changed plateau iterations elapsed_seconds usage failed ended_with Condition",
            "Questions and choices": "ask choose",
            "Retry": "Retry",
            "Effects": "Once",
            "Limits": "Limits",
            "Retention": "Retention",
            "Sizes": "Sizes",
            "Reducers": "reducers.append reducers.extend reducers.merge reducers.add reducers.maximum Replace",
            "Secret": "Secret",
            "Migration": "Migration",
        },
        "Runs": {
            "Runner": "Runner",
            "Admin": "Admin SyncAdmin",
            "Run": "Run",
            "Context": "Context",
            "ChildRun": "ChildRun",
            "Result": "Result",
            "Ending": "Ending",
            "Wait": "Wait RunWait Posted RefusedMessage",
            "Published": "Published RunRequest MapProgress",
            "Usage": "Usage",
            "Failures": "Failure FailedPart RunFailed RunWaits TurnFailed ChatTurn",
            "Events": "StepRecorded StatusChanged RunEnded NodeBegan Emitted LiveEvent records.event_document",
            "Step": "Step",
            "RunInfo": "RunInfo Page",
            "PastRun": "PastRun",
            "Pruned": "Pruned Vacuumed Bulk",
            "SyncRunner": "SyncRunner",
            "SyncRun": "SyncRun",
            "show": "show",
            "NodeLogFilter": "NodeLogFilter",
            "Exported runs": "records.export_run records.to_json_text records.Exported",
        },
        "Agents": {
            "Agent": "Agent",
            "Answer": "agents.Answer agents.result_of",
            "block": "agents.block agents.labelled agents.DATA_NOTE",
            "Tools": "tool agents.Tool agents.toolset agents.external_tool agents.ToolContext agents.ToolSource mcp "
            "agents.remote_agent "
            "agents.toolbox.calculate agents.toolbox.sql_reader agents.toolbox.run_python agents.toolbox.skills",
            "Approval": "agents.Approval agents.Edit agents.Refuse agents.file_diff",
            "Guards and hooks": "agents.guard agents.Guard agents.bare_markdown agents.Hooks",
            "Memory": "Memory MemoryEntry memory.erase memory.Erased",
            "Budgets": "Budget Budgets BudgetSpent",
            "Window": "Window agents.effective agents.without_tools",
            "Live text": "TextDelta ThinkingDelta PartialAnswer ToolCalled ToolReturned AnswerReset",
            "TextFile": "TextFile",
            "Media": "Media",
            "Cited": "Cited models.Citation",
            "Sources": "agents.sources.read_source agents.sources.read_sources agents.sources.source_from_bytes "
            "agents.sources.read_resources agents.sources.read_page agents.sources.read_media "
            "agents.sources.PageRefused "
            "agents.sources.quoted_at agents.sources.Sources agents.sources.MAX_FILE_BYTES "
            "agents.sources.MAX_TEXT_CHARACTERS",
            "pydantic_ai_node": "agents.pydantic_ai_node",
        },
        "Models": {
            "Settings": "Settings",
            "RateLimiter": "RateLimiter",
            "Router": "Router",
            "ScriptedModel": "ScriptedModel models.calls models.cited models.OffScript",
            "RecordedModel": "models.RecordedModel models.NotRecorded models.BadRecording",
            "RulesModel": "models.RulesModel models.PlaceholderModel",
            "AnthropicModel": "models.AnthropicModel",
            "BedrockModel": "models.BedrockModel",
            "VertexModel": "models.VertexModel",
            "OpenAIModel": "models.OpenAIModel",
            "OpenAIChatModel": "models.OpenAIChatModel",
            "AzureModel": "models.AzureModel",
            "PydanticAIModel": "models.PydanticAIModel",
            "Hosted tools": "web_search web_fetch code_execution models.HostedTool",
            "Names of models": "models.model_of models.as_model",
            "Model": "Model models.Closes models.KnowsPrices models.HostsTools",
            "Message": "Message models.ToolCall models.ToolSpec",
            "Request": "models.Request",
            "Response": "models.Response",
            "Price": "models.Price",
        },
        "Workers and stores": {
            "Worker": "Worker",
            "Schedule": "Schedule",
            "debounced": "debounced",
            "QueueLimits": "QueueLimits",
            "ProcessExecutor": "executors.ProcessExecutor",
            "RayExecutor": "executors.RayExecutor",
            "NodeExecutor": "executors.NodeExecutor executors.run_packed executors.facts_of executors.DetachedContext",
            "Telemetry": "telemetry.Telemetry",
            "Signatures": "serve.is_signed serve.secret_for",
            "Notifications": "serve.Notifications serve.Webhook serve.delegate",
            "InMemoryStore": "kernel.store.InMemoryStore",
            "SQLiteStore": "databases.SQLiteStore",
            "PostgresStore": "databases.PostgresStore",
            "Store": "kernel.store.Store kernel.store.RunStore kernel.store.QueueStore",
            "Records of a store": "kernel.store.Append kernel.store.Post kernel.store.Loaded kernel.store.InboxMessage",
            "Extension": "kernel.extension.Extension kernel.extension.OpenRun kernel.extension.Follower",
            "Wing": "wings.Wing wings.Command wings.Kind wings.Door wings.Settings wings.Readiness wings.Table "
            "wings.Delivers wings.WingBroken wings.ProjectBroken serve.Opening serve.PublicRoute "
            "cli.command cli.CommandContext records.Document",
            "StoreConformance": "kernel.testing.StoreConformance",
            "ExecutorConformance": "testing.ExecutorConformance",
            "write_file": "write_file",
        },
        "Testing": {
            "run_node": "testing.run_node testing.NO_ANSWER",
            "Done": "testing.Done testing.Asked testing.EdgeTaken testing.RecordedCall",
            "walk": "testing.walk testing.Visits testing.Items testing.Ended",
            "Walked": "testing.Walked testing.Visit",
            "EdgeCoverage": "testing.EdgeCoverage",
            "replay": "testing.replay",
            "bounds": "testing.bounds testing.Bounds testing.NodeBound testing.NeverTaken testing.forecast "
            "testing.Forecast",
            "suites": "testing.suite testing.Suite testing.SuiteRun",
            "failed nodes": "testing.try_failed_node testing.TriedNode",
            "preflight": "testing.preflight testing.Preflight testing.RunGroup testing.Reason",
            "FakeClock": "testing.FakeClock",
            "OpenRunner": "testing.OpenRunner",
            "Recordings": "testing.Recordings",
            "evaluate": "testing.evaluation.evaluate testing.evaluation.evaluation testing.evaluation.EvaluationState "
            "testing.evaluation.Trial",
            "Cases": "testing.evaluation.Case testing.evaluation.read_cases testing.evaluation.check_cases",
            "Scores": "testing.evaluation.Score testing.evaluation.judge",
            "what_if": "testing.evaluation.what_if testing.evaluation.WhatIf",
            "Report": "testing.evaluation.Report testing.evaluation.VersionReport testing.evaluation.TrialReport "
            "testing.evaluation.report_of",
        },
        "Patterns": {
            "blackboard": "patterns.blackboard patterns.Board patterns.Entry patterns.Subscriber",
            "fan_out_fan_in": "patterns.fan_out_fan_in patterns.FanOut patterns.Outcome",
            "human_in_the_loop": "patterns.human_in_the_loop patterns.Desk patterns.Decision",
            "orchestrator_workers": "patterns.orchestrator_workers patterns.Job patterns.Step",
            "pipeline": "patterns.pipeline patterns.Passage",
            "role_based": "patterns.role_based patterns.Room patterns.View",
            "supervisor": "patterns.supervisor patterns.Supervised patterns.Route patterns.Report",
            "swarm": "patterns.swarm patterns.Swarm patterns.Turn patterns.Handed",
        },
        "Errors": {
            "GraphEngineError": "GraphEngineError",
            "CompileError": "CompileError errors.Problem",
            "Deprecations": "GraphEngineDeprecationWarning",
            "All errors": "errors.* models.* agents.* RenderError",
        },
    }
)
"""The API reference: tasks, their subjects, and the public names of each, without `graphengine.` before them.

These names are public, and so are their members with a docstring; no other name is. `errors.*` are all of a module.
"""

BRIEF: Final = ("InMemoryStore", "SQLiteStore", "PostgresStore", "All errors")
"""Subjects without members: those of a store are `Store`'s, those of an error `GraphEngineError`'s."""


MENU: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Build": "reducers agents agents.sources agents.toolbox memory models patterns",
        "Operate": "databases executors records serve telemetry",
        "Test": "testing testing.evaluation",
        "Extend": "cli wings",
    }
)
"""The modules of the reference in the menu, by task, below `graphengine` and its errors."""

KERNEL: Final = ("kernel.reader", "kernel.store", "kernel.extension")
"""The tiers of names by which extensions, stores and other wings import the core, as stubs."""

ABOUT: Final = """\
# API reference

Each public name by task, with the path from which it is imported. What is not here can change in any release: see
[what is public](../docs/project/versions.md#what-is-public). The codes of errors have [a
page](../docs/use/errors.md)."""


DRAWN: Final = ("A graph with the number of times that its newest runs took each way", "docs/pictures/graph")
"""The third picture of the first page, beside those of the README: its text and its file."""

PATHS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Build": """\
- [Tutorial](docs/use/tutorial.md)
- [Guide](docs/use/guide.md)
- [Agents](docs/use/agents.md)
- [Patterns](docs/use/patterns/README.md)
- [Testing](docs/use/testing.md)""",
        "Operate": """\
- [Ready for production](docs/use/deployment.md)
- [Runs](docs/use/runs.md)
- [Inspector](docs/use/inspector.md)
- [HTTP service](docs/use/serve.md)
- [Change](docs/use/change.md)""",
    }
)
"""The two paths that begin on the first page."""

MOVED: Final = """\
# Reference

<script>location.replace("../../../api/")</script>

The [API reference](../../api/index.md) has a page for each module.
"""
"""What the site has at the address of docs/use/reference.md."""


def pages() -> list[str]:
    """Return the titles of all subjects of the API reference."""
    return [page for pages_of_task in API.values() for page in pages_of_task]


def names_on(page: str) -> list[str]:
    """Return the public names on the page of a subject, as they are imported, such as `graphengine.Graph`."""
    (names,) = (pages_of_task[page] for pages_of_task in API.values() if page in pages_of_task)
    return [path for name in names.split() for path in _paths(f"graphengine.{name}")]


def modules() -> dict[str, dict[str, list[str]]]:
    """Group the public names by the module from which they are imported, and in each module by their task."""
    found: dict[str, dict[str, list[str]]] = {}
    for task, subjects in API.items():
        for path in (path for subject in subjects for path in names_on(subject)):
            found.setdefault(path.rpartition(".")[0], {}).setdefault(task, []).append(path)
    return found


def _paths(name: str) -> list[str]:
    """Return the name, or, for a name that ends with `.*`, all error classes of the module.

    GraphEngineError and CompileError are left out, because they have pages of their own.
    """
    module, _, last = name.rpartition(".")
    if last != "*":
        return [name]
    others, names = {"GraphEngineError", "CompileError"}, importlib.import_module(module)
    return [
        f"{module}.{each}"
        for each in dir(names)
        if isinstance(kind := getattr(names, each), type)
        and issubclass(kind, Exception)
        and kind.__module__ in (module, f"{module}.errors")
        and each not in others
    ]


def public() -> dict[str, Any]:
    """Return all public names with the objects that they name, in the order of the reference."""
    paths = [path for page in pages() for path in names_on(page)]
    return {path: getattr(importlib.import_module(path.rpartition(".")[0]), path.rpartition(".")[2]) for path in paths}


def public_classes() -> dict[str, type[Any]]:
    """Return the public classes by the names under which they are imported."""
    return {path: made for path, made in public().items() if isinstance(made, type)}


def reference(module: str) -> str:
    """Return the page about a module for the API reference. mkdocstrings replaces each directive by a documented name.

    If the module's names belong to several tasks, each task has a heading.
    """
    tasks = modules().get(module, {})
    parts = [f"# {module}"] if module.removeprefix("graphengine.") not in KERNEL else [tier(module)]
    for task, names in tasks.items():
        parts += [f"## {task}"] if len(tasks) > 1 else []
        parts += [_directive(name, 3 if len(tasks) > 1 else 2) for name in names]
    return "\n\n".join(parts) + "\n"


def _directive(name: str, level: int) -> str:
    brief = any(name in names_on(subject) for subject in BRIEF)
    options = {"heading_level": level, **({"members": False, "inherited_members": False} if brief else {})}
    return f"::: {name}\n    options: {json.dumps(options)}"


def place_of(name: str) -> str:
    """Return the link to a public name, relative to the folder of the API reference."""
    return f"{file_of(name.rpartition('.')[0])}#{name}"


def subject(page: str) -> str:
    """Return the short page about a subject, which leads readers to the page of the module.

    The page lists the names for the site's search, and a script redirects to the module's page. The page must stay,
    because other sites link to it, also with a name, as in `Graph/#graphengine.Graph`.
    """
    names = names_on(page)
    module, first = names[0].rpartition(".")[0], names[0]
    target = f"../{file_of(module).removesuffix('.md')}/"
    script = f'<script>location.replace("{target}" + (location.hash || "#{first}"))</script>'
    lines = "\n".join(f"- [`{name}`]({place_of(name)}){_about(public()[name])}" for name in names)
    typed = " ".join(name.rpartition(".")[2].lower() for name in names)  # as people type them
    return f"# {page}\n\n{script}\n\n{lines}\n\n<p hidden>{typed}</p>\n"


def file_of(page: str) -> str:
    """Return the file name of the page about a subject or a module."""
    if page.startswith("graphengine.kernel."):
        return f"{page.removeprefix('graphengine.').replace('.', '_')}.md"
    return f"{page.replace(' ', '_')}.md"


def overview() -> str:
    """Return the first page of the API reference: what is public, and a line about each subject, grouped by task."""
    sections = (f"## {task}\n\n" + "\n".join(map(_line, pages)) for task, pages in API.items())
    authors = "\n".join(f"- [`{page}`]({file_of(page)}): {_first_line(page)}" for page in kernel())
    return "\n\n".join([ABOUT, *sections, f"## For authors of extensions and stores\n\n{authors}"]) + "\n"


def kernel() -> list[str]:
    """Return the modules of the kernel that have pages: its three tiers, and the tests that a store must pass."""
    return [*(f"graphengine.{page}" for page in KERNEL), "graphengine.kernel.testing"]


def _line(page: str) -> str:
    names = names_on(page)
    links = [f"[`{name.rpartition('.')[2]}`]({place_of(name)})" for name in names]
    if page != names[0].rpartition(".")[2]:
        return f"- {page}: " + ", ".join(links)
    more = f" With {', '.join(links[1:])}." if links[1:] else ""
    return f"- {links[0]}{_about(public()[names[0]])}{more}"


def tier(page: str) -> str:
    """Return the page about a tier of the kernel: its names, since which version they exist, and their stability."""
    module = importlib.import_module(page)
    parts = [f"# {page}\n\n{inspect.getdoc(module)}"]
    for since, promise, names in promises(page.removeprefix("graphengine.")):
        lines = (f"- `{name}`{_about(getattr(module, name))}" for name in names)
        parts.append(f"## {promise}\n\nSince {since}.\n\n" + "\n".join(lines))
    return "\n\n".join(parts)


def promises(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """Yield each part of a tier of the kernel: since which version it exists, how stable it is, and its names.

    Raises:
        ValueError: A name stands below no heading of a part.
    """
    stub = (ROOT / "graphengine" / f"{page.replace('.', '/')}.pyi").read_text(encoding="utf-8")
    for part in stub.strip().split("\n\n"):
        head, *lines = part.splitlines()
        found = re.fullmatch(r"# Since (\d+\.\d+\.\d+)\. (.+)", head)
        if found is None:
            message = f"{page}: no “# Since …” above {head}"
            raise ValueError(message)
        yield found[1], found[2], [line.rpartition(" ")[2] for line in lines]


def _first_line(page: str) -> str:
    """Return the first sentence about a module of the kernel."""
    about = (inspect.getdoc(importlib.import_module(page)) or "").partition("\n")[0]
    return about.removesuffix(" See `graphengine.kernel`.")


def _about(given: object) -> str:
    """Return the first sentence about a class or a function of graphengine; "" for any other object."""
    is_ours = str(getattr(given, "__module__", "")).startswith("graphengine.")
    about = (inspect.getdoc(given) or "").partition("\n\n")[0] if is_ours and callable(given) else ""
    return f": {' '.join(about.split())}" if about else ""


def on_config(config: MutableMapping[str, Any]) -> None:
    """Add the pages of the API reference to the navigation. mkdocs calls this hook after reading its settings."""
    tasks = [{task: [_entry(f"graphengine.{name}") for name in names.split()]} for task, names in MENU.items()]
    (section,) = (section for section in config["nav"] if "API reference" in section)
    first = [_entry("graphengine"), _entry("graphengine.errors")]
    section["API reference"] = [{"Overview": "api/index.md"}, *first, *tasks]


def _entry(module: str) -> dict[str, str]:
    return {module: f"api/{file_of(module)}"}


def on_page_markdown(markdown: str, page: Any, config: Any, **_others: object) -> str:  # noqa: ANN401 - no types of mkdocs
    """Set how the site's search treats a page, as mkdocs.yml configures it. mkdocs calls this hook for each page."""
    path, said = page.file.src_uri, dict[str, Any]()
    for start in sorted(config["extra"]["search"], key=len):
        said |= config["extra"]["search"][start] if path.startswith(start) else {}
    page.meta["tags"] = said.pop("words", [])
    page.meta["search"] = said
    return markdown


def index_for_models() -> str:
    """Return `llms.txt`, which lists for language models what the project is and the pages of the site."""
    about = (ROOT / "README.md").read_text(encoding="utf-8").split("\n\n")[1]
    pages = (ROOT / "docs" / "README.md").read_text(encoding="utf-8").partition("\n\n")[2]
    address = re.sub(r"\]\((?:\.\./([A-Z_]+)|([\w/-]+?))(?:/README)?\.md\)", _address, pages)
    names = re.sub(r"\]\(([\w.]+)\.md(#[\w.]+)?\)", r"](api/\1/\2)", overview().partition("\n\n## ")[2])
    head = f"# graphengine\n\n> {' '.join(about.split())}\n\n[All pages in one text](llms-full.txt)"
    return f"{head}\n\n{address}\n## API reference: {names}"


def _address(link: re.Match[str]) -> str:
    return f"]({link[1]}/)" if link[1] else f"](docs/{link[2]}/)"


def text_for_models() -> str:
    """Return `llms-full.txt`, which contains the texts of all pages and the list of public names, for language models.

    The pages are those that docs/README.md links to, in that order.
    """
    pages = [ROOT / "README.md", *(page for page in linked(ROOT / "docs" / "README.md") if page.suffix == ".md")]
    texts = (f"<!-- {page.relative_to(ROOT).as_posix()} -->\n\n{page.read_text(encoding='utf-8')}" for page in pages)
    return "\n\n".join([*texts, f"<!-- api/index.md -->\n\n{overview()}"])


def linked(page: Path) -> Iterator[Path]:
    """Yield the files of the repository that a page links to."""
    for target in re.findall(r"\]\(([^)#:\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if (path := (page.parent / target).resolve()).is_file():
            yield path


def for_site(text: str, path: Path = ROOT / "README.md") -> str:
    r"""Change the text of a page of the repository for the site.

    In a table, `\|` in code becomes `|`: GitHub needs the backslash, but Python-Markdown would show it. Links to
    docs/use/reference.md lead to the API reference of the site instead.
    """
    text = re.sub(r"(?m)^\|.*$", lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), row[0]), text)
    folder = Path(os.path.relpath(ROOT / "api", path.parent)).as_posix()
    places = {"": "index.md", **{slug_of(name): place_of(name) for name in reversed(public())}}
    return re.sub(
        r"\]\((?:\.\./|docs/)?(?:use/)?reference\.md(?:#([\w-]+))?\)",
        lambda link: f"]({folder}/{places[link[1] or '']})",
        text,
    )


def home(readme: str) -> str:
    """Return the first page of the site, which arranges the texts of the README in columns.

    The project's promise stands beside two links for readers, then come the pictures, then the example beside its
    output.
    """
    promise, example, rest = _parts(readme)
    pictures = re.search(r"(?s)<p>\n(<picture>.*?)</p>\n", rest)
    code, _, printed = example.partition("```\n\n")
    shown = [*re.findall(r'alt="(.+)" src="(.+)\.png"', pictures[1] if pictures else ""), DRAWN]
    lines = (f"![{alt}]({path}.png#only-light) ![{alt}]({path}_dark.png#only-dark)" for alt, path in shown)
    paths = "".join(_box(f"**{name}**\n\n{links}") for name, links in PATHS.items())
    return "\n\n".join(
        [
            "---\nhide: [navigation, toc]\n---",
            _box("".join([_box(promise), _box(paths, "paths")]), "columns"),
            _box("".join(map(_box, lines)), "pictures"),
            _box("".join([_box(f"{code}```"), _box(printed)]), "columns"),
            rest.replace(pictures[0] if pictures else "", ""),
        ]
    )


def _parts(readme: str) -> list[str]:
    """Split the README into the promise with the install command, the example, and the rest."""
    install = readme.index("```\n\n", readme.index("```")) + len("```\n\n")
    claims = readme.index("\n- **")
    return [readme[:install], readme[install:claims], readme[claims:]]


def _box(text: str, name: str = "box") -> str:
    return f'<div class="{name}" markdown>\n\n{text.strip()}\n\n</div>\n\n'


def slug_of(name: str) -> str:
    """Return the anchor of a public name in docs/use/reference.md."""
    return name.removeprefix("graphengine.").replace(".", "").lower()


def write(folder: Path = PAGES) -> None:
    """Write the sources of the whole site into a folder, whose earlier contents are removed."""
    shutil.rmtree(folder, ignore_errors=True)
    texts = [*(ROOT / name for name in TOP), *(ROOT / "docs").rglob("*.md")]
    files = {*texts, *(path for path in (ROOT / "docs").rglob("*") if path.is_file())}
    files |= {path for text in texts for path in linked(text)}
    for path in sorted(files):
        copy = folder / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            copy.write_text(for_site(path.read_text(encoding="utf-8"), path), encoding="utf-8")
        else:
            shutil.copyfile(path, copy)
    first = folder / "README.md"
    first.write_text(home(first.read_text(encoding="utf-8")), encoding="utf-8")
    (folder / "docs" / "use" / "reference.md").write_text(MOVED, encoding="utf-8")
    (folder / "llms.txt").write_text(index_for_models(), encoding="utf-8")
    (folder / "llms-full.txt").write_text(text_for_models(), encoding="utf-8")
    texts_of_api = {"index.md": overview()}
    texts_of_api |= {file_of(page): subject(page) for page in pages()}
    texts_of_api |= {file_of(module): reference(module) for module in (*modules(), *kernel())}
    (folder / "api").mkdir()
    for name, text in texts_of_api.items():
        (folder / "api" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
    print(f"written: {PAGES}")
