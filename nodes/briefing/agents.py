"""The agents of the review loop: their prompts for a language model, and the rules used without one.

A language model's answer is checked before it counts: facts must be in the sources at their places, a brief must cite
facts and have their figures, and a verdict must agree with its score. A wrong answer goes back to the model with what
is wrong. Each agent sees only what it needs, so that its question does not grow with the rounds of the loop.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.agents.prompts import DATA_NOTE, block, labelled
from graphengine.briefs import rubric
from graphengine.briefs.article import Doubts, Findings, Review
from graphengine.briefs.citing import check_brief
from graphengine.briefs.doubts import doubt
from graphengine.briefs.evidence import check_doubts, check_findings, numbered
from graphengine.briefs.researcher import research
from graphengine.briefs.reviewer import review
from graphengine.briefs.text.words import stem_sequence
from graphengine.briefs.writer import write

EARLIER_REVIEWS = 3  # that a reviewer sees; more would not change its verdict
SHOWN_POINTS = 8  # of each list of an earlier review
SHOWN_CHARACTERS = 300  # of each point; a sentence or two

_HOW_TO_QUOTE = (
    "- A fact is one sentence of a source, word for word, without its markup. Take sentences that can be "
    "understood alone. `file` is the path of the source and `line` the number of the line on which it begins; "
    "the number and the bar before each line are not part of the text.\n"
)


def ask_researcher(task: str, sources: Sequence[TextFile]) -> str:
    """Return the researcher's question: the topic, and the sources with numbered lines."""
    return f"{_material(task, sources)}\n\nWhat do these sources say about the topic?"


def ask_sceptic(task: str, sources: Sequence[TextFile]) -> str:
    """Return the sceptic's question: the same material, and the request for doubts."""
    return f"{_material(task, sources)}\n\nWhat limits do these sources name, and what speaks against it?"


def _material(task: str, sources: Sequence[TextFile]) -> str:
    texts = {f"source_{number}": numbered(source) for number, source in enumerate(sources, start=1)}
    return labelled({"topic": task, **texts})


def ask_reviewer(task: str, findings: Findings, draft: str, history: Sequence[Review]) -> str:
    """Return the reviewer's question: the draft, the findings, and the earlier reviews.

    It has only the newest reviews, each reduced to its points in words, so that its length is bounded.
    """
    return "\n\n".join(
        (
            f"Topic: {block('task', task)}",
            f"Findings:\n{block('findings', findings)}",
            f"Draft:\n{block('draft', draft)}",
            f"Earlier reviews:\n{block('history', [_in_short(review) for review in history[-EARLIER_REVIEWS:]])}",
        )
    )


def _in_short(review: Review) -> dict[str, object]:
    """Return the parts of a review that a later one needs."""
    lists = {
        "issues": review.issues,
        "missed_topics": review.missed_topics,
        "suggestions": review.suggestions,
        "mended": review.mended,
    }
    cut = {name: [point[:SHOWN_CHARACTERS] for point in points[:SHOWN_POINTS]] for name, points in lists.items()}
    return {"score": review.score, **cut}


def check_verdict(review: Review) -> None:
    """Check that a review is consistent: its approval with its score, its issues with the ones it calls fixed.

    Raises:
        ValueError: It is not.
    """
    if review.approved != (review.score >= rubric.APPROVED_FROM):
        message = (
            f"approved is {review.approved} and the score is {review.score}, "
            f"but a draft is approved from a score of {rubric.APPROVED_FROM} on, and below it is not"
        )
        raise ValueError(message)
    mended = {tuple(stem_sequence(point)) for point in review.mended}
    again = [issue for issue in review.issues if tuple(stem_sequence(issue)) in mended]
    if again:
        message = f"{again[0]!r} is both in issues and in mended: it belongs in one of them"
        raise ValueError(message)


researcher = Agent(
    "researcher",
    system=(
        "You gather what is known about a topic from the sources you are given, and nothing else: "
        "what you know yourself does not count here.\n"
        f"{_HOW_TO_QUOTE}"
        "- `rank` 1 is the fact that says most about the topic, 2 the next one, and so on over all facts.\n"
        "- Sort the facts into three to six areas, in the order in which the sources treat them. `key_areas` names "
        "the areas, `facts` has the facts of each, four to eight where there are so many, the most central first.\n"
        "- `caveats` are facts that limit or warn, at most four.\n"
        "- `key_terms` are up to twelve words, or pairs of words, that a text on the topic has to use.\n"
        "- `sources` are the paths of what you read; `notes` say what a reader should know of the research itself, "
        "for instance that a source has nothing to say.\n"
        "Where the sources say nothing about the topic, leave areas and facts empty and say so in the notes.\n\n"
        + DATA_NOTE
    ),
    prompt=ask_researcher,
    output=Findings,
    check=check_findings,
    max_tokens=16_384,
    offline=research,
)

sceptic = Agent(
    "sceptic",
    system=(
        "You look for the other side of a topic in the sources you are given, and nothing else: what limits it, what "
        "it costs, where it does not hold, what people get wrong about it, what speaks for doing otherwise.\n"
        f"{_HOW_TO_QUOTE}"
        "- `limits` are facts that limit, warn or name an exception, `objections` those that set something against "
        "the topic: at most four of each, the weightiest first, with `rank` from 1 on over all of them.\n"
        "- `notes` say what a reader should know of this search.\n"
        "Leave both empty where the sources name nothing of the kind; do not make objections of your own.\n\n"
        + DATA_NOTE
    ),
    prompt=ask_sceptic,
    output=Doubts,
    check=check_doubts,
    max_tokens=8_192,
    offline=doubt,
)

writer = Agent(
    "writer",
    system=(
        "You write briefs for people who know the field and have little time.\n"
        "- Everything you state rests on the findings. Put it into your own short sentences, of at most "
        f"{rubric.LONG_WORDS} words, one to a line, and end each with the finding it rests on as [file:line].\n"
        "- Where there are no findings, say in one sentence that the sources hold nothing on this, and stop.\n"
        "- The form is Markdown: a title after #; a paragraph that says what the brief treats and, if the "
        "notes of the findings say so, what was not read whole, without claims; "
        "a section after ## for each area, with two claims or more; at the end ## Sources with a list of the files.\n"
        "- Use the key terms where they fit, treat every area, say nothing twice, and keep to the number of words. "
        "What a caveat limits is not stated without it.\n"
        "- Where there are earlier briefs, do not go over their ground at length; the opening paragraph may name one "
        "by its title. They are not evidence, and nothing rests on them.\n"
        "- Where there is a last draft with its review, fix every point that the review names and leave the rest "
        "as it is.\n"
        "Answer with the brief alone."
    ),
    prompt=(
        "Topic: {task}\nAt most {word_budget} words.\n\nFindings:\n{findings}\n\n"
        "Earlier briefs on like subjects:\n{earlier}\n\nLast draft:\n{draft}\n\nIts review:\n{history[-1]}"
    ),
    check=check_brief,
    max_tokens=16_384,
    offline=write,
)

REVIEWING = (
    "You judge the draft of a brief by the findings it should rest on, which are all that counts as true here.\n"
    "- `score` goes from 1 (of no use) to 10 (nothing to fix). Most of it is for content: areas and key terms "
    "that are treated, claims that a finding supports. The rest is for form: short sentences, nothing said twice, "
    f"a title, sections, sources. `approved` is whether the score is {rubric.APPROVED_FROM} or more. A draft with "
    f"less than {rubric.SUPPORT_NEEDED:.0%} of its claims supported by what it cites scores "
    f"{rubric.UNTRACEABLE_SCORE} at most.\n"
    "- `issues` names each fault in a sentence, `suggestions` what to do about it. `missed_topics` are areas of "
    "the findings that the draft leaves out, by their names.\n"
    "- `remarks` has the faults once more for a program: words and topics as the findings have them, sentences as "
    "the draft has them.\n"
    "- `mended` names faults of earlier reviews that are gone. Do not raise again what has been fixed, and do "
    "not ask now for the contrary of what you asked for then.\n"
    "- `summary` is the verdict in a sentence or two. Leave out `points` and `measures`: they are for counts that "
    "you do not make."
)
"""A reviewer's instructions, without the sentence on data that an agent adds if its prompt is a text."""

reviewer = Agent(
    "reviewer",
    system=f"{REVIEWING}\n\n{DATA_NOTE}",
    prompt=ask_reviewer,
    output=Review,
    check=check_verdict,
    max_tokens=8_192,
    offline=review,
)
