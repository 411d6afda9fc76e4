import pytest

from graphengine.briefs.text.quoting import stands_alone, without_opener


@pytest.mark.parametrize(
    "sentence",
    [
        "A kettle boils water for tea in about three minutes.",
        "However, the keeper wound up its weight every few hours.",
        "This guide shows how to install the package on a server.",
        "`fsync` asks the operating system to send all data to the device.",
        "Der Bäcker knetet den Teig zehn Minuten lang.",
        "The default is ten minutes.",
        "The baker takes the dough from the bowl and shapes it.",
    ],
)
def test_statements_are_self_contained(sentence: str) -> None:
    """A whole sentence that refers to nothing outside itself can be quoted."""
    assert stands_alone(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "It boils the water for tea in three minutes.",
        "This makes the water boil in about three minutes.",
        "However, this makes the water boil in three minutes.",
        "Otherwise the server throws the entry away at once.",
        "The second is the path of the file on the server.",
        "See the manual for the other options of the tool.",
        "The table below lists the options that the tool takes.",
        "Does the kettle boil the water in three minutes?",
        "Run the tool with the following options of the shell:",
        "The file size in bytes.",
        "Only four words here.",
        "A second rule belongs to it.",
        "Accepting Warranty or Additional Liability.",
        "`size` - the number of bytes in the buffer of the tool.",
        "run the tool on the file and wait for the result.",
        "THE SOFTWARE IS PROVIDED AS IS WITHOUT ANY WARRANTY AT ALL.",
        "The tool takes x = (a + b) / {c} && [d] || !e == <f>.",
        "The keeper (who was alone lit the lamp at dusk.",
        "word " * 70 + "end.",
        "A full description of the tool can be found here.",
    ],
)
def test_what_leans_on_its_surroundings_does_not(sentence: str) -> None:
    """Pronouns, references, questions, labels, fragments, capitals and symbols are not quoted."""
    assert not stands_alone(sentence)


def test_entries_of_a_list_need_no_stop() -> None:
    """A list item can lack its full stop, a sentence of a paragraph cannot."""
    entry = "A derailleur can only shift while the chain moves forward"
    assert stands_alone(entry, closed=False)
    assert not stands_alone(entry)


@pytest.mark.parametrize(
    ("sentence", "bare"),
    [
        ("However, the keeper slept.", "The keeper slept."),
        ("Databases therefore prefer old files.", "Databases prefer old files."),
        ("However hard he tried, he slept.", "However hard he tried, he slept."),
        ("He slept and therefore missed the ship.", "He slept and therefore missed the ship."),
    ],
)
def test_openers_go(sentence: str, bare: str) -> None:
    """Only words that link a sentence to the previous one are removed."""
    assert without_opener(sentence) == bare
