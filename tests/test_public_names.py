"""What autocompletion shows of a public class is what the API reference explains."""

import inspect
import re
from typing import Any

import pytest
from pydantic import BaseModel

from graphengine import END, START, Context, Graph, Runner, SyncRunner
from scripts import site_pages

CLASSES = site_pages.public_classes()
FUNCTIONS = {path: each for path, each in site_pages.public().items() if inspect.isfunction(each)}


def ours(made: type[Any]) -> list[type[Any]]:
    """Return a class and those classes of the project that it inherits from."""
    return [each for each in made.__mro__ if each.__module__.startswith("graphengine")]


def shown(given: Any) -> set[str]:
    """Return the names of an object, or a class, that autocompletion shows, without those of other libraries."""
    made = given if isinstance(given, type) else type(given)
    foreign = {name for each in made.__mro__ if each not in ours(made) for name in dir(each)}
    return {name for name in dir(given) if not name.startswith("_")} - foreign


def explained(made: type[Any]) -> set[str]:
    """Return the names that the reference explains: members with a docstring, and those listed in its class's."""
    found = set()
    for each in ours(made):
        found |= {name for name, member in vars(each).items() if is_member(member) and member.__doc__}
        text = inspect.getdoc(each) or ""
        for section in re.findall(r"^(?:Attributes|Args):\n((?:[ \n].*\n?)+)", text, re.MULTILINE):
            found |= set(re.findall(r"^    (\w+):", section, re.MULTILINE))
    return found


def is_member(member: object) -> bool:
    """Return whether a docstring of this member is its own, and not that of a value's class."""
    return inspect.isroutine(member) or isinstance(member, property | type | classmethod | staticmethod)


@pytest.mark.parametrize("path", CLASSES)
def test_a_class_shows_what_the_reference_explains(path: str) -> None:
    """A name without an explanation begins with an underscore, or leaves the class."""
    made = CLASSES[path]
    assert made.__doc__
    assert shown(made) - explained(made) == set()


@pytest.mark.parametrize("path", FUNCTIONS)
def test_a_public_function_has_a_docstring(path: str) -> None:
    """Ruff demands no docstrings, because helpers inside the package need none; what users call does."""
    assert FUNCTIONS[path].__doc__


class Empty(BaseModel):
    """A state without fields."""


async def test_objects_show_no_more_than_their_classes_explain() -> None:
    """What a program gets from a Runner has no attributes of its own that nobody explains."""
    given: list[Any] = []

    def node(ctx: Context) -> None:
        given.append(ctx)

    graph = Graph("shown", Empty)
    graph.add_node("node", node)
    graph.add_path(START, "node", END)
    async with Runner() as runner:
        run = runner.start(graph)
        given += [graph, runner, run, await run.result(), *await runner.history(run.id), *await runner.runs()]
    assert [(type(each).__name__, shown(each) - explained(type(each))) for each in given] == [
        (type(each).__name__, set()) for each in given
    ]


def test_objects_of_a_script_show_no_more_either() -> None:
    """They have the methods of the async ones."""
    with SyncRunner() as runner:
        run = runner.get("r")
        for each in (runner, run):
            assert shown(each) - explained(type(each)) == set()
