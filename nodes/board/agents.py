"""The specialists at the research board: who they are to a language model, and the rules that stand in for them.

Three of them are those of the review loop with other questions: they see the doubts and gaps that the others found.
What the skeptic quotes must stand in the sources, as what the scout quotes; what does not goes back to the model.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.graph.templates import DATA_NOTE, labelled
from nodes.board import rules as board_rules
from nodes.board.entries import Doubt, Gap, with_doubts
from nodes.review import agents as review_team
from nodes.review import citing
from nodes.review.article import Findings
from nodes.review.evidence import check_findings, numbered


def pages(sources: Sequence[TextFile]) -> dict[str, str]:
    """The sources with their lines numbered, under names that a question can label them by."""
    return {f"source_{number}": numbered(source) for number, source in enumerate(sources, start=1)}


def ask_scout(task: str, sources: Sequence[TextFile], findings: Findings, gaps: Sequence[Gap] | None) -> str:
    """Ask for facts on the task; once there are some, for what is missing and nothing that is known."""
    if not findings.key_areas:
        return labelled({"topic": task, **pages(sources)}) + "\n\nWhat do these sources say about the topic?"
    known = [fact.text for fact in findings.all_facts()]
    data = labelled({"topic": task, "known": known, "missing": list(gaps or ()), **pages(sources)})
    return f"{data}\n\nLook for what is missing. Give only facts that are not known; none, if there are none."


def ask_skeptic(task: str, sources: Sequence[TextFile], findings: Findings) -> str:
    """Ask what in the sources speaks against the facts."""
    data = labelled({"topic": task, "facts": [fact.text for fact in findings.all_facts()], **pages(sources)})
    return f"{data}\n\nWhat in these sources limits or contradicts one of the facts?"


def check_doubts(doubts: Sequence[Doubt], findings: Findings, sources: Sequence[TextFile]) -> None:
    """See that each doubt is about a fact on the board and quotes a source.

    Raises:
        ValueError: one does not; says which.
    """
    known = {fact.text for fact in findings.all_facts()}
    strange = [doubt.fact for doubt in doubts if doubt.fact not in known]
    if strange:
        message = "these are no facts on the board, word for word: " + "; ".join(strange)
        raise ValueError(message)
    check_findings(Findings(caveats=[doubt.against for doubt in doubts]), sources)


def check_brief(draft: str, findings: Findings, doubts: Sequence[Doubt] | None) -> None:
    """See that a brief cites what is on the board, in each claim, and says of it what stands there.

    Raises:
        ValueError: it does not; names the places and the sentences.
    """
    citing.check_brief(draft, with_doubts(findings, doubts or ()))


scout = review_team.researcher.but(name="scout", prompt=ask_scout, offline=board_rules.scout, max_tokens=8192)

skeptic = Agent(
    "skeptic",
    system=(
        "You doubt. You get facts that were found in some sources, and the sources.\n"
        "- For each fact ask whether the sources limit it: where it does not hold, what it costs, what denies it.\n"
        "- A doubt has `fact`, the fact's text word for word, and `against`: one sentence of a source, word for word "
        "and without its markup. Its `file` is the path of the source, and its `line` the number of the line on which "
        "it begins.\n"
        "- Doubt only where a source does. Six doubts are enough, the weightiest first; an empty list is a good "
        "answer.\n\n" + DATA_NOTE
    ),
    prompt=ask_skeptic,
    output=list[Doubt],
    check=check_doubts,
    max_tokens=2048,
    offline=board_rules.skeptic,
)

surveyor = Agent(
    "surveyor",
    system=(
        "You look for what is missing. You get a topic and the facts that were found on it.\n"
        "- A gap is something that a reader of the topic will ask and no fact answers. `about` says in at most six "
        "words what to look for, `why` in one sentence who will miss it.\n"
        "- Name at most four gaps, the worst first. Keep the words of gaps you named before while they are open, and "
        "leave out those that are closed.\n"
        "- Where a reader can do with what there is, the list is empty."
    ),
    prompt="Topic: {task}\n\nFacts:\n{findings}\n\nGaps named before:\n{gaps}",
    output=list[Gap],
    max_tokens=1024,
    offline=board_rules.surveyor,
)

writer = review_team.writer.but(
    prompt=(
        "Topic: {task}\nAt most {word_budget} words.\n\nFindings:\n{findings}\n\nWhat limits them, which belongs in a "
        "section of its own:\n{doubts}\n\nWhat nobody found, which the first paragraph names:\n{gaps}\n\n"
        "Last draft:\n{draft}\n\nIts review:\n{history[-1]}"
    ),
    check=check_brief,
    offline=board_rules.compose,
    max_tokens=4096,
)

reviewer = review_team.reviewer.but(
    system=review_team.REVIEWING,
    prompt=(
        "Topic: {task}\n\nFindings:\n{findings}\n\nWhat limits them:\n{doubts}\n\nDraft:\n{draft}\n\n"
        "Earlier reviews:\n{history}"
    ),
    offline=board_rules.judge,
    max_tokens=4096,
)
