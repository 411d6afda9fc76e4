import pytest

from graphengine.briefs.text.ranking import rank

SENTENCES = [
    ["log", "record", "disk"],
    ["log", "record", "page"],
    ["log", "page", "disk"],
    ["tea", "pot"],
]


def test_sentences_that_others_share_words_with_are_central() -> None:
    """With equal pulls an isolated sentence weighs least, and the weights add up to at most one."""
    weights = rank(SENTENCES, [1.0] * 4)
    assert min(weights) == weights[3] > 0
    assert sum(weights) <= 1.0 + 1e-6


def test_a_pull_raises_a_sentence_and_its_neighbours() -> None:
    """A pull lifts a sentence above its equals, and its neighbours above the others."""
    even, pulled = rank(SENTENCES, [1.0] * 4), rank(SENTENCES, [5.0, 1.0, 1.0, 1.0])
    assert max(pulled) == pulled[0] > even[0]
    assert pulled[3] < even[3]


def test_it_is_the_pagerank_of_the_same_graph() -> None:
    """The weights are a fixed point of PageRank's equation, calculated by hand for a pair and a single node."""
    weights = rank([["a"], ["a"], ["b"]], [2.0, 1.0, 1.0])
    first, second = 0.15 * (0.5 + 0.85 * 0.25) / (1 - 0.85**2), 0.15 * (0.25 + 0.85 * 0.5) / (1 - 0.85**2)
    assert weights == pytest.approx([first, second, 0.15 * 0.25], abs=1e-6)


def test_no_sentences_have_no_weights() -> None:
    """No sentences have no weights."""
    assert rank([], []) == []
    assert len(rank([[]], [1.0])) == 1
