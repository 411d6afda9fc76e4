"""Ranking: which sentences are central to a collection of texts, given a topic.

Sentences are the nodes of a graph, connected if they share rare words. A personalised PageRank finds those that many
others are connected to and that are near the topic (the idea of TextRank, Mihalcea and Tarau 2004, and LexRank, Erkan
and Radev 2004). networkx computes PageRank with NumPy and SciPy; its Katz centrality on the row-normalised graph solves
the same equation, x = damping * M x + (1 - damping) * p, in plain Python, so neither is needed.
"""

import math
from collections import Counter
from collections.abc import Sequence
from typing import cast

DAMPING = 0.85  # the usual value for PageRank
NEIGHBOURS = 12  # the closest sentences of each: the graph stays sparse, and distant ones add only noise


def rank(sentences: Sequence[Sequence[str]], pulls: Sequence[float]) -> list[float]:
    """Weigh sentences by their centrality.

    Args:
        sentences: The stems of each sentence, each once.
        pulls: The own importance of each sentence, above 0, for example its closeness to a topic; its neighbours profit
            from it too.

    Returns:
        A weight above 0 for each sentence; they add up to about 1.
    """
    import networkx  # noqa: PLC0415 - 110 ms, needed for research only

    if not sentences:
        return []
    total = sum(pulls)
    graph: networkx.DiGraph[int] = networkx.DiGraph()
    graph.add_nodes_from(range(len(sentences)))
    graph.add_weighted_edges_from(_edges(sentences))
    start = {at: (1.0 - DAMPING) * pull / total for at, pull in enumerate(pulls)}
    normal = networkx.stochastic_graph(graph)  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    rows = cast("networkx.DiGraph[int]", normal)
    weights = networkx.katz_centrality(rows, alpha=DAMPING, beta=start, normalized=False, weight="weight", tol=1e-9)
    return [float(weights[at]) for at in range(len(sentences))]


def _edges(sentences: Sequence[Sequence[str]]) -> list[tuple[int, int, float]]:
    """Connect each sentence in both directions with its closest neighbours, by the cosine of rare-word weights."""
    frequency = Counter(one for sentence in sentences for one in sentence)
    rarity = {one: math.log(1 + len(sentences) / count) for one, count in frequency.items()}
    norms = [math.sqrt(sum(rarity[one] ** 2 for one in sentence)) or 1.0 for sentence in sentences]
    holders: dict[str, list[int]] = {}
    closest: dict[int, list[tuple[float, int]]] = {at: [] for at in range(len(sentences))}
    for at, sentence in enumerate(sentences):
        products: dict[int, float] = {}
        for one in sentence:
            for other in holders.setdefault(one, []):
                products[other] = products.get(other, 0.0) + rarity[one] ** 2
            holders[one].append(at)
        for other, product in products.items():
            cosine = product / (norms[at] * norms[other])
            closest[at].append((-cosine, other))
            closest[other].append((-cosine, at))
    pairs: dict[tuple[int, int], float] = {}
    for at, found in closest.items():
        for cosine, other in sorted(found)[:NEIGHBOURS]:
            pairs[at, other] = pairs[other, at] = -cosine
    return [(at, other, weight) for (at, other), weight in sorted(pairs.items())]
