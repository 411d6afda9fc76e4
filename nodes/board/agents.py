"""The specialists at the research board: their prompts for a language model, and the rules used without one.

Three of them are those of the review loop with other questions: they see the doubts and gaps that the others found.
Quotes of the skeptic and the scout must be in the sources; other quotes are sent back to the model.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE, labelled
from graphengine.briefs import citing
from graphengine.briefs.article import Findings
from graphengine.briefs.evidence import check_findings, numbered
from nodes.board import rules as board_rules
from nodes.board.entries import Doubt, Gap, with_doubts
from nodes.briefing import agents as review_team


def pages(sources: Sequence[TextFile]) -> dict[str, str]:
    """Return the sources with numbered lines, by the labels that a question uses for them."""
    return {f"source_{number}": numbered(source) for number, source in enumerate(sources, start=1)}


def ask_scout(task: str, sources: Sequence[TextFile], findings: Findings, gaps: Sequence[Gap] | None) -> str:
    """Return the question for facts on the task, or once there are some, for what is still missing."""
    if not findings.key_areas:
        return labelled({"topic": task, **pages(sources)}) + "\n\nWhat do these sources say about the topic?"
    known = [fact.text for fact in findings.all_facts()]
    data = labelled({"topic": task, "known": known, "missing": list(gaps or ()), **pages(sources)})
    return f"{data}\n\nLook for what is missing. Give only facts that are not known; none, if there are none."


def ask_skeptic(task: str, sources: Sequence[TextFile], findings: Findings) -> str:
    """Return the question for what in the sources contradicts or limits the facts."""
    data = labelled({"topic": task, "facts": [fact.text for fact in findings.all_facts()], **pages(sources)})
    return f"{data}\n\nWhat in these sources limits or contradicts one of the facts?"


def check_doubts(doubts: Sequence[Doubt], findings: Findings, sources: Sequence[TextFile]) -> None:
    """Check that each doubt is about a fact on the board and quotes a source.

    Raises:
        ValueError: A doubt does not; the message says which.
    """
    known = {fact.text for fact in findings.all_facts()}
    unknown = [doubt.fact for doubt in doubts if doubt.fact not in known]
    if unknown:
        message = "these are not facts on the board, word for word: " + "; ".join(unknown)
        raise ValueError(message)
    check_findings(Findings(caveats=[doubt.against for doubt in doubts]), sources)


def check_brief(draft: str, findings: Findings, doubts: Sequence[Doubt] | None, word_budget: int) -> None:
    """Check that every claim of a brief cites the board, and agrees with the cited place.

    Raises:
        ValueError: A claim does not; the message names the places and the sentences.
    """
    citing.check_brief(draft, with_doubts(findings, doubts or ()), word_budget)


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
        "section of its own:\n{doubts}\n\nWhat was not found, which the first paragraph names:\n{gaps}\n\n"
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
