from graphengine.briefs.text.language import language_of
from graphengine.briefs.text.terms import MAX_TERMS, key_terms

SENTENCES = [
    "The Fresnel lens gathers light in a tower.",
    "A Fresnel lens is lighter than glass.",
    "Every Fresnel lens turns in its tower.",
    "Keepers clean the tower on Mondays.",
    "The keeper sleeps in the tower at noon.",
    "Light guides a ship at night.",
    "The ship passes the light at night.",
    "Fog hides what shines.",
]


def test_terms_come_weightiest_first_as_they_are_written() -> None:
    """Frequent words come first, frequent pairs are one phrase, rare words are not terms."""
    terms = key_terms(SENTENCES, [1.0] * len(SENTENCES))
    assert terms[:2] == ["Fresnel lens", "tower"]
    assert {"light", "ship", "night"} <= set(terms)
    assert not {"Fresnel", "lens", "fog", "Mondays", "the"} & set(terms)


def test_weights_of_sentences_count() -> None:
    """A term of important sentences comes before a term of as many unimportant ones."""
    terms = key_terms(SENTENCES, [0.1, 0.1, 0.1, 5.0, 5.0, 0.1, 0.1, 0.1])
    assert terms.index("tower") < terms.index("ship")
    terms = key_terms(SENTENCES, [0.1, 0.1, 0.1, 0.1, 0.1, 5.0, 5.0, 0.1])
    assert terms.index("ship") < terms.index("tower")


def test_forms_of_verbs_come_after_nouns() -> None:
    """Of two equally frequent words the one that looks like a verb weighs less."""
    assert key_terms([f"The oil that a pump had emitted at {hour}." for hour in range(8)], [1.0] * 8)[-1] == "emitted"


def test_a_short_text_has_terms_too() -> None:
    """In a text of a few sentences one occurrence makes a term."""
    assert "kettle" in key_terms(["A kettle boils water."], [1.0])


def test_there_is_an_end_to_terms() -> None:
    """For any length of text, the terms fit on a page."""
    many = [f"word{number}x stands with other{number}x." for number in range(100) for _ in range(2)]
    assert len(key_terms(many, [1.0] * len(many))) == MAX_TERMS


def test_short_frequent_words_of_other_languages_are_no_terms() -> None:
    """The stop words of the sentences' language are not terms."""
    german = [f"Der Teig {verb} und das Mehl {verb} auch." for verb in ("ruht", "klebt", "wartet", "steht")] * 2
    with language_of(german[0]):
        terms = key_terms(german, [1.0] * len(german))
    assert "Teig" in terms
    assert not {"der", "das", "und"} & {term.lower() for term in terms}
