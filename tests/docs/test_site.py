"""The documentation site builds without a warning, every link leads somewhere, and people and models find its pages."""

import functools
import http.server
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from playwright.sync_api import Page as Opened
from playwright.sync_api import expect, sync_playwright

from scripts import site_pages
from tests.kit.machine import IS_BARE
from tests.serve.inspector.conftest import CHROMIUM

ROOT = Path(__file__).resolve().parents[2]
GROUP = not IS_BARE and importlib.util.find_spec("material") and importlib.util.find_spec("mkdocstrings")
needs_the_group = pytest.mark.skipif(not GROUP, reason="the group docs is not installed: make docs")


class Page(HTMLParser):
    """The links and the anchors of an HTML page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect what the tag refers to, and its id."""
        for name, value in attrs:
            if value and name in ("href", "src"):
                self.links.append(value)
            elif value and name in ("id", "name"):
                self.anchors.add(value)


def test_a_bar_in_code_has_no_backslash_on_the_site() -> None:
    """GitHub needs the backslash in tables, and Python-Markdown would show it."""
    page = "| `a \\| b` | c \\| d |\n`e \\| f`\n"
    assert site_pages.for_site(page, ROOT / "README.md") == "| `a | b` | c \\| d |\n`e \\| f`\n"


def test_models_find_every_page() -> None:
    """`llms.txt` links to each page, also of the reference, and `llms-full.txt` has the texts."""
    index, full = site_pages.index_for_models(), site_pages.text_for_models()
    for page in site_pages.linked(ROOT / "docs" / "README.md"):
        if page.suffix != ".md":
            continue  # the film
        name = page.relative_to(ROOT).with_suffix("").as_posix().removesuffix("/README")
        assert f"]({name}/)" in index
        assert page.read_text(encoding="utf-8") in full
    assert ".md)" not in index
    assert all(f"](api/{module_page(name)}/#{name})" in index for name in site_pages.public())


def module_page(name: str) -> str:
    """The page of the API reference that a public name is on, without the ending of its file."""
    return site_pages.file_of(name.rpartition(".")[0]).removesuffix(".md")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once for all tests of this file."""
    return site(tmp_path_factory.mktemp("site"))


def site(folder: Path) -> Path:
    """Return the site of this checkout: the one that `make docs` built if nothing has changed since, else a new one."""
    ready = ROOT / "build" / "site-ready"
    if ready.exists() and all(source.stat().st_mtime <= ready.stat().st_mtime for source in sources()):
        return ROOT / "build" / "site"
    site_pages.write(folder / "pages")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    env = {**os.environ, "SITE_PAGES": str(folder / "pages"), "PYTHONPATH": str(ROOT)}
    built = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder / "site"


def sources() -> Iterator[Path]:
    """Yield what the site is made from; a folder is newer than the files that were removed from it."""
    yield from (ROOT / name for name in (*site_pages.TOP, "constraints.txt", "mkdocs.yml", "pyproject.toml", "docs"))
    yield from (ROOT / "docs").rglob("*")
    for folder in ("graphengine", "scripts"):
        yield from (ROOT / folder).rglob("*.py")


@needs_the_group
def test_the_site_is_whole(built: Path) -> None:
    """It builds, every internal link leads to a file and an anchor, and the API reference has every public name.

    The links of the navigation are included; the 404 page has absolute links and is not part of this.
    """
    pages = {path: Page(path) for path in built.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > 60
    lost = [
        f"{path.relative_to(built)}: {link}" for path in pages for link in pages[path].links if dead(path, link, pages)
    ]
    missing = [line for module in site_pages.modules() for line in unnamed(module, pages, built / "api")]
    assert (lost, missing) == ([], [])


def unnamed(module: str, pages: Mapping[Path, Page], folder: Path) -> Iterator[str]:
    """Yield names of a module that have no anchor on its page, doctests outside blocks, and inherited names."""
    path = folder / site_pages.file_of(module).removesuffix(".md") / "index.html"
    anchors = pages[path].anchors
    names = [name for name in site_pages.public() if name.rpartition(".")[0] == module]
    yield from (f"{name}: no anchor" for name in names if name not in anchors)
    if module == "graphengine" and "graphengine.SyncRunner.start" not in anchors:
        yield "the methods of SyncRunner"
    if ">>>" in re.sub(r"(?s)<pre>.*?</pre>", "", path.read_text(encoding="utf-8")):
        yield f"{module}: a doctest outside a block"
    inherited = re.compile(r"graphengine\.errors\.\w+\.(where|repair)")
    yield from (f"{name}: inherited" for name in anchors if inherited.fullmatch(name))


def dead(page: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether an internal link leads nowhere."""
    address, anchor = urldefrag(link)
    if re.match(r"[a-z]+:|//", link):
        return False
    target = (page.parent / unquote(address)).resolve() if address else page
    target = target / "index.html" if target.is_dir() else target
    if not target.is_file():
        return True
    return bool(anchor) and target in pages and unquote(anchor) not in pages[target].anchors


@needs_the_group
def test_addresses_of_old_pages_lead_to_the_page_of_the_module(built: Path) -> None:
    """Each subject had a page of its own, and each name an anchor there."""
    for subject in site_pages.pages():
        page = (built / "api" / site_pages.file_of(subject).removesuffix(".md") / "index.html").read_text("utf-8")
        names = site_pages.names_on(subject)
        assert f'location.replace("../{module_page(names[0])}/" + (location.hash || "#{names[0]}"))' in page


def test_the_page_of_a_module_has_a_directive_for_each_name() -> None:
    """Names of several tasks stand below the headings of these, and errors have no members."""
    root = site_pages.reference("graphengine")
    assert root.startswith('# graphengine\n\n## Graphs\n\n::: graphengine.Graph\n    options: {"heading_level": 3}\n')
    errors = site_pages.reference("graphengine.errors")
    brief = '{"heading_level": 2, "members": false, "inherited_members": false}'
    assert f"::: graphengine.errors.UnknownRun\n    options: {brief}\n" in errors
    assert "## Since" not in root
    assert "Since 0." in site_pages.reference("graphengine.kernel.store")


def test_the_pages_keep_their_paths(tmp_path: Path) -> None:
    """The pages keep their paths, so that their links hold unchanged, also those to files outside docs/."""
    site_pages.write(tmp_path)
    for name in ("docs/explain/durability.md", "docs/pictures/review_loop.svg", "tests/scenarios/README.md"):
        assert (tmp_path / name).read_bytes() == (ROOT / name).read_bytes()


def test_links_to_the_reference_of_a_clone_lead_to_the_page_of_the_module() -> None:
    """The anchor of a name there is another."""
    page = ROOT / "docs" / "use" / "patterns" / "README.md"
    text = "[a](../reference.md) [b](../reference.md#agentsapproval) [c](../reference.md#graph)"
    assert site_pages.for_site(text, page) == (
        "[a](../../../api/index.md) [b](../../../api/graphengine.agents.md#graphengine.agents.Approval) "
        "[c](../../../api/graphengine.md#graphengine.Graph)"
    )


def test_the_first_page_has_a_place_for_each_text_of_the_readme() -> None:
    """No sentence is lost, the promise comes before the paths, and three pictures before the example."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    first = site_pages.home(readme)
    lines = [line for line in re.sub(r"(?s)<p>\n<picture>.*?</p>", "", readme).splitlines() if line]
    assert [line for line in lines if line not in first.splitlines()] == []
    assert first.count("#only-light") == first.count("#only-dark") == 3
    pictures = "docs/pictures/today.png"
    order = ["# graphengine", "**Build**", "**Operate**", pictures, "# refund.py", "$ graphengine run", "Kill"]
    assert sorted(order, key=first.index) == order


QUESTIONS: Mapping[str, str] = {
    "Graph": "docs/use/guide",
    "resume a run": "docs/use/runs docs/explain/durability",
    "how to ask a person": "docs/use/runs docs/use/patterns/human_in_the_loop api/Questions_and_choices",
    "retry": "api/Retry",
    "approval": "docs/use/agents docs/use/patterns/human_in_the_loop",
    "timeout": "docs/use/guide docs/use/runs",
    "what happens after a crash": "docs/explain/durability docs/use/nothing-acts-twice",
    "prevent double payments": "docs/use/nothing-acts-twice",
    "how do I limit the cost": "docs/use/budgets",
    "stream the answer": "docs/use/agents docs/use/chat docs/use/front_ends docs/use/runs",
    "parallel branches": "docs/use/guide docs/explain/joins",
    "subgraph": "docs/use/guide",
    "testing without a model": "docs/use/testing",
    "install": "docs/use/tutorial docs/use/systems",
    "LangGraph": "docs/use/from_langgraph",
    "postgres": "docs/use/postgres",
    "deploy to production": "docs/use/deployment docs/use/deploying",
    "cron job": "docs/use/queues",
    "delete old runs": "docs/use/many_runs docs/use/recipes",
    "my run is stuck": "docs/use/does_not_move",
    "webhooks": "docs/use/notifications",
    "opentelemetry": "docs/use/telemetry",
    "error codes": "docs/use/errors",
    "unbounded_loop": "docs/use/errors",
    "RateLimiter": "api/RateLimiter",
    "scriptedmodel": "api/ScriptedModel",
    "changing a graph while runs wait": "docs/use/change docs/use/deploying",
    "is it faster than temporal": "docs/explain/compared",
    "remember things across conversations": "docs/use/memory docs/use/agents",
    "write my own store": "docs/project/maintain/add_a_store docs/use/extensions api/Store",
}
"""What people type, and the pages of which one has to be among the first three that are found."""
ASK = """async ([worker, questions]) => {
  const {config, docs} = await (await fetch("/search/search_index.json")).json();
  const asked = new Worker(worker);
  const answer = (message) => new Promise((done) => {
    asked.onmessage = (event) => done(event.data);
    asked.postMessage(message);
  });
  await answer({type: 0, data: {config, docs, options: {suggest: false}}});
  const found = {};
  for (const data of questions)
    found[data] = (await answer({type: 2, data})).data.items.map(([first]) => first.location.split("#")[0]);
  return found;
}"""
"""Ask the worker of the site, as its page does; `type` is 0 for the index and 2 for a question."""


COUNT = "all => all.map((each) => each.children.length)"


@pytest.fixture(scope="module")
def opened(built: Path) -> Iterator[Opened]:
    """The first page of the site in Chromium."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or name it in CHROMIUM")
    handler = functools.partial(Quiet, directory=str(built))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_context(permissions=["clipboard-read", "clipboard-write"]).new_page()
        page.goto(f"http://127.0.0.1:{server.server_port}/")
        yield page
        browser.close()
        server.shutdown()


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serve files without a line for each."""

    def log_message(self, *_words: object) -> None:  # the name is http.server's
        """Write nothing."""


@needs_the_group
def test_a_search_finds_the_page(opened: Opened) -> None:
    """Among the first three, also if a question has other forms of its words, or words that the page does not have."""
    settings = json.loads(opened.locator("#__config").inner_text())
    worker = opened.evaluate("path => new URL(path, location).href", settings["search"])
    found = opened.evaluate(ASK, [worker, [*QUESTIONS]])
    lost = {
        question: found[question][:3]
        for question, pages in QUESTIONS.items()
        if not {f"{page}/" for page in pages.split()} & {*found[question][:3]}
    }
    assert lost == {}


@needs_the_group
def test_a_search_leaves_out_what_contributors_read(built: Path) -> None:
    """Decisions, findings, the kernel and AGENTS.md: CONTRIBUTING links to them, and the menu does not."""
    index = json.loads((built / "search" / "search_index.json").read_text(encoding="utf-8"))
    inner = re.compile(r"docs/project/(decisions|findings)|api/kernel_|graphengine/AGENTS|docs/use/reference/")
    assert [each["location"] for each in index["docs"] if inner.match(each["location"])] == []
    page = (built / "CONTRIBUTING" / "index.html").read_text(encoding="utf-8")
    menu = page[page.index('<nav class="md-nav md-nav--primary') : page.index('<div class="md-content"')]
    for link in ("docs/project/decisions/", "docs/project/findings/", "api/kernel_store/", "graphengine/AGENTS/"):
        assert f'href="../{link}' not in menu
        assert f'href="../{link}' in page


@needs_the_group
def test_a_group_of_the_menu_has_at_most_twelve_entries(opened: Opened) -> None:
    """So many can be seen at a glance; a longer group is divided."""
    lists = "ul.md-nav__list:not(.md-nav--secondary *)"
    counts = opened.locator(".md-nav--primary").locator(lists).evaluate_all(COUNT)
    assert len(counts) > 10
    assert max(counts) <= 12


@needs_the_group
def test_copy_takes_commands_without_their_prompts(opened: Opened) -> None:
    """Nor what they wrote; a block without prompts is copied whole."""
    opened.goto(opened.url.partition("#")[0])
    copied = []
    for block in opened.locator(".highlight:has(code)").all()[:3]:
        block.locator(".md-code__button").first.click()
        expect(opened.locator(".md-dialog--active")).to_be_visible()
        copied.append(opened.evaluate("navigator.clipboard.readText()"))
    install, program, commands = copied
    assert install.startswith("pip install durable-graphengine")
    assert program.startswith("# refund.py\nfrom pydantic import BaseModel\n")
    typed = [" ".join(line.split()[:2]) for line in commands.splitlines()]
    assert typed == ["graphengine run", "graphengine answer", "graphengine answer"]


@needs_the_group
@pytest.mark.parametrize("width", [390, 1024, 1440])
def test_the_install_command_is_whole(opened: Opened, width: int) -> None:
    """On a phone and beside the paths: its comment says which Python is needed."""
    opened.set_viewport_size({"width": width, "height": 900})
    opened.goto(opened.url.partition("#")[0])
    command = opened.locator(".highlight code", has_text="pip install durable-graphengine").first
    expect(command).to_be_visible()
    assert command.evaluate("each => each.scrollWidth <= each.clientWidth")


@needs_the_group
def test_the_code_of_an_error_is_an_address(built: Path) -> None:
    """`errors/#unbounded_loop`, for each of them."""
    anchors = Page(built / "docs" / "use" / "errors" / "index.html").anchors
    assert {"unbounded_loop", "compile_error", "usage"} <= anchors
