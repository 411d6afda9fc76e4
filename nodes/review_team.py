"""The three agents of the review loop: who they are to a language model, and what stands in for them without one.

What a language model says is looked at before it counts: facts must stand in the sources where they are said to stand,
and a verdict must be that of its score. What does not fit goes back to the model, with what is wrong about it.
"""

from collections.abc import Sequence

from graphengine import Agent, TextFile
from graphengine.prompts import DATA_NOTE, labelled
from nodes import rubric
from nodes.article import Findings, Review
from nodes.evidence import check_findings, numbered
from nodes.researcher import research
from nodes.reviewer import review
from nodes.writer import write


def ask_researcher(task: str, sources: Sequence[TextFile]) -> str:
    """Return the researcher's question: the topic, and the sources with their lines numbered."""
    texts = {f"source_{number}": numbered(source) for number, source in enumerate(sources, start=1)}
    return labelled({"topic": task, **texts}) + "\n\nWhat do these sources say about the topic?"


def check_verdict(review: Review) -> None:
    """See that a review approves of what its score says is good enough, and of nothing else.

    Raises:
        ValueError: it does not.
    """
    if review.approved != (review.score >= rubric.APPROVED_FROM):
        message = (
            f"approved is {review.approved} and the score is {review.score}, "
            f"but a draft is approved from a score of {rubric.APPROVED_FROM} on, and below it is not"
        )
        raise ValueError(message)


researcher = Agent(
    "researcher",
    system=(
        "You gather what is known about a topic from the sources you are given, and nothing else: "
        "what you know yourself does not count here.\n"
        "- A fact is one sentence of a source, word for word, without its markup. Take sentences that can be "
        "understood alone. `file` is the path of the source and `line` the number of the line on which it begins; "
        "the number and the bar before each line are not part of the text.\n"
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
    offline=research,
)

writer = Agent(
    "writer",
    system=(
        "You write briefs for people who know the field and have little time.\n"
        "- Everything you state rests on the findings. Put it into your own short sentences, of at most "
        f"{rubric.LONG_WORDS} words, one to a line, and end each with the finding it rests on as [file:line].\n"
        "- Where there are no findings, say in one sentence that the sources hold nothing on this, and stop.\n"
        "- The form is Markdown: a title after #; a paragraph that says what the brief treats, without claims; "
        "a section after ## for each area, with two claims or more; at the end ## Sources with a list of the files.\n"
        "- Use the key terms where they fit, treat every area, say nothing twice, and keep to the number of words.\n"
        "- Where there is a last draft with its review, mend every point that the review names and leave the rest "
        "as it is.\n"
        "Answer with the brief alone."
    ),
    prompt=(
        "Topic: {task}\nAt most {word_budget} words.\n\nFindings:\n{findings}\n\n"
        "Last draft:\n{draft}\n\nIts review:\n{history[-1]}"
    ),
    offline=write,
)

reviewer = Agent(
    "reviewer",
    system=(
        "You judge the draft of a brief by the findings it should rest on, which are all that counts as true here.\n"
        "- `score` goes from 1 (of no use) to 10 (nothing to mend). Most of it is for content: areas and key terms "
        "that are treated, claims that a finding supports. The rest is for form: short sentences, nothing said twice, "
        f"a title, sections, sources. `approved` is whether the score is {rubric.APPROVED_FROM} or more. A draft with "
        f"less than {rubric.SUPPORT_NEEDED:.0%} of its claims supported by what it cites scores "
        f"{rubric.UNTRACEABLE_SCORE} at most.\n"
        "- `issues` names each fault in a sentence, `suggestions` what to do about it. `missed_topics` are areas of "
        "the findings that the draft leaves out, by their names.\n"
        "- `remarks` has the faults once more for a program: words and topics as the findings have them, sentences as "
        "the draft has them.\n"
        "- `mended` names faults of earlier reviews that are gone. Do not raise again what has been mended, and do "
        "not ask now for the contrary of what you asked for then.\n"
        "- `summary` is the verdict in a sentence or two. Leave out `points` and `measures`: they are for counts that "
        "you do not make."
    ),
    prompt="Topic: {task}\n\nFindings:\n{findings}\n\nDraft:\n{draft}\n\nEarlier reviews:\n{history}",
    output=Review,
    check=check_verdict,
    offline=review,
)
