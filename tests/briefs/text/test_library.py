from collections.abc import Callable

import pytest
from nodes.review.searching import searching_researcher

from graphengine import TextFile
from graphengine.agents import tool
from graphengine.briefs.finding import find
from graphengine.briefs.text.library import MAX_HITS, Library


@pytest.fixture(name="gears")
def gears_fixture(text: Callable[[str], TextFile]) -> Library:
    """Return a library of one text to search, and another one."""
    return Library("How bicycle gears work", [text("gears.md"), text("lighthouses.txt")])


def test_a_hit_has_a_word_of_the_query_and_its_place(gears: Library, text: Callable[[str], TextFile]) -> None:
    """The word can be in any inflection; file and line lead to it."""
    found = gears.search_sources("chains").hits
    assert found
    assert all("chain" in f"{hit.text} {hit.section}".lower() for hit in found)
    lines = text("gears.md").text.splitlines()
    assert all(hit.text.split()[0] in lines[hit.line - 1] for hit in found)


def test_rare_words_count_more_than_common_ones() -> None:
    """Of sentences with one word of the query each, the one with the rarer word comes first, at any place."""
    boats = [f"The boat of harbour {name} sails along the coast." for name in ("Ada", "Bea", "Cleo", "Dora", "Emma")]
    page = TextFile(path="boats.md", text="\n".join([*boats, "An anchor of iron keeps a ship in place."]))
    assert "anchor" in Library("Boats", [page]).search_sources("boat anchor").hits[0].text


def test_no_more_than_asked_for_and_how_many_were_left_out(gears: Library) -> None:
    """The others are counted, not shown."""
    few, many = gears.search_sources("gear", max_results=2), gears.search_sources("gear", max_results=MAX_HITS)
    assert len(few.hits) == 2
    assert few.left_out == len(many.hits) + many.left_out - 2
    assert many.hits[:2] == few.hits


@pytest.mark.parametrize("query", ["", "the of and", "volcano", "???", "火山"])
def test_a_search_without_hits_returns_terms_of_the_sources(gears: Library, query: str) -> None:
    """The next query can be a better one."""
    found = gears.search_sources(query)
    assert (found.hits, found.left_out) == ([], 0)
    assert {"chain", "light"} <= set(found.terms)


def test_the_same_search_gives_the_same(gears: Library, text: Callable[[str], TextFile]) -> None:
    """The same search gives the same result, whatever was searched before."""
    again = Library("How bicycle gears work", [text("gears.md"), text("lighthouses.txt")])
    assert gears.search_sources("light and gear") == again.search_sources("light and gear")


def test_sources_in_other_languages_are_searched(text: Callable[[str], TextFile]) -> None:
    """German works as well as English, with coarser stems."""
    assert Library("Hefe", [text("hefeteig.md")]).search_sources("Hefe").hits


def test_a_model_sees_only_query_and_number(gears: Library) -> None:
    """The schema has their bounds; the sources are the library's own."""
    schema = tool(gears.search_sources).spec().schema
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert list(properties) == ["query", "max_results"]
    assert schema["required"] == ["query"]
    assert '"maximum":10' in str(properties["max_results"]).replace("'", '"').replace(" ", "")


def test_the_rules_find_what_is_asked_for_and_read_no_more(text: Callable[[str], TextFile]) -> None:
    """A question on one of two texts selects facts of that one; what was not found is not a fact."""
    sources = [text("gears.md"), text("sourdough.md")]
    found = find("How sourdough bread is made", sources)
    top = [fact for fact in found.all_facts() if fact.rank <= 10]
    assert top
    assert all(fact.file == "sourdough.md" for fact in top)
    assert "no other was read" in found.notes[-1]


def test_a_topic_without_a_word_in_the_sources_is_reported(text: Callable[[str], TextFile]) -> None:
    """The findings are empty, and have the reason."""
    found = find("Volcanoes", [text("gears.md")])
    assert (found.key_areas, found.sources) == ([], ["gears.md"])
    assert "unrelated" in found.notes[0]
    assert "Volcanoes" in found.notes[0]


@pytest.mark.parametrize("task", ["How", "x", "Zahnräder und Ketten an Fahrrädern", "gear " * 500])
def test_odd_tasks_are_searched_for_too(task: str, text: Callable[[str], TextFile]) -> None:
    """No words, one letter, another language, very many words: there is never an error."""
    found = find(task, [text("gears.md")])
    assert found.notes


async def test_it_is_a_function_that_can_be_called(text: Callable[[str], TextFile]) -> None:
    """It works alone, without a graph, by rules."""
    source = text("gears.md")
    assert await searching_researcher("How bicycle gears work", [source]) == find("How bicycle gears work", [source])
