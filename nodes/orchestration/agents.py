"""The orchestrator and its workers: their prompts for a language model, and the rules used without one.

Researcher, writer and reviewer are those of the review loop with other questions: they get their step, the whole job,
and the results of the steps that theirs needs. Their work in earlier runs is passed to them as data.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

from graphengine import Agent, Node, TextFile, Window
from graphengine.agents.prompts import DATA_NOTE, labelled
from graphengine.agents.toolbox import calculate
from graphengine.briefs.article import Findings
from graphengine.briefs.citing import check_brief, check_cited, passages_in, passages_of
from graphengine.briefs.draft import citations
from graphengine.briefs.evidence import check_findings, numbered
from graphengine.briefs.merging import merged
from graphengine.briefs.publishing import CHARACTERS, TAGS
from graphengine.patterns import Outcome, Step
from nodes.briefing import agents as review_team
from nodes.orchestration import judging, planning, specialists
from nodes.orchestration import rules as workers
from nodes.orchestration.handover import Memory, Role, Verdict, drafts_in, findings_in, why_failed
from nodes.orchestration.rules import sources_for

WINDOW = Window(max_tokens=8000, keep=5)  # of the conversation so far, for a worker that is called again
SUMMARY_WORDS = 150

DUTIES = {
    Role.RESEARCHER: "quotes facts from the sources; a step of its may name the sources to read, by their paths",
    Role.CODER: "writes or quotes code that the job asks for",
    Role.WRITER: "writes the text from the findings it needs; given a text and its review, it fixes that text",
    Role.REVIEWER: "judges a text by the findings; it needs both",
    Role.SUMMARIZER: "sums up a text, or findings, in a few points",
    Role.ANALYST: "computes with the figures of the findings it needs: shares, differences, means, comparisons",
    Role.FACT_CHECKER: "compares each claim of a text with the findings; it needs both",
    Role.SEO: "gives a text the title, description and tags for search engines; it needs the text",
}


def ask_planner(  # noqa: PLR0913 - all that a planner can use
    task: str,
    sources: Sequence[TextFile],
    workers: Sequence[str],
    plan: Sequence[Step],
    results: Mapping[str, Outcome],
    reasons: Sequence[str],
    recalled: Mapping[str, Sequence[Memory]],
) -> str:
    """Return the planner's question: the task, the workers, and after an attempt its outcome."""
    duties = {name: DUTIES[Role(name)] if name in DUTIES else "a worker for steps of this name" for name in workers}
    asked: dict[str, object] = {"task": task, "workers": duties, "sources": [source.path for source in sources]}
    if plan or reasons:
        asked |= {"last_plan": plan, "steps_with_a_result": list(results), "what_was_wrong": reasons}
    return labelled({**asked, "earlier_runs": recalled.get(Role.ORCHESTRATOR, [])}) + "\n\nPlan this."


def ask_researcher(task: str, job: str, sources: Sequence[TextFile], recalled: Mapping[str, Sequence[Memory]]) -> str:
    """Return the researcher's question: its step, and the sources named in it, with numbered lines."""
    read = sources_for(task, sources)
    texts = {f"source_{number}": numbered(source) for number, source in enumerate(read, start=1)}
    earlier = {"your_earlier_work": recalled.get(Role.RESEARCHER, [])}
    return labelled({"job": job, "topic": task, **earlier, **texts}) + "\n\nWhat do these sources say about the topic?"


def ask_as(role: Role) -> Callable[..., str]:
    """Return a worker's question: its step, each result that it needs in its own block, its earlier work."""

    def ask(task: str, job: str, needed: Mapping[str, str], recalled: Mapping[str, Sequence[Memory]]) -> str:
        results = {f"result_of_{step}": text for step, text in needed.items()}
        return labelled({"job": job, "your_step": task, **results, "your_earlier_work": recalled.get(role, [])})

    return ask


def ask_coder(
    task: str,
    job: str,
    needed: Mapping[str, str],
    sources: Sequence[TextFile],
    recalled: Mapping[str, Sequence[Memory]],
) -> str:
    """Return the coder's question: that of a worker, and the sources."""
    texts = {f"source_{number}": one.text for number, one in enumerate(sources_for(task, sources), start=1)}
    return f"{ask_as(Role.CODER)(task, job, needed, recalled)}\n\n{labelled(texts)}"


def ask_writer(
    task: str, job: str, needed: Mapping[str, str], word_budget: int, recalled: Mapping[str, Sequence[Memory]]
) -> str:
    """Return the writer's question: that of a worker, and the maximum length."""
    return f"{ask_as(Role.WRITER)(task, job, needed, recalled)}\n\nAt most {word_budget} words."


def ask_about_results(
    task: str, plan: Sequence[Step], results: Mapping[str, Outcome], verdicts: Sequence[Verdict]
) -> str:
    """Return the question for judging results or making one text from them: each result in its own block."""
    texts = {f"result_of_{name}": why_failed(one) or one.text for name, one in results.items()}
    return labelled({"task": task, "plan": plan, **texts, "verdicts_so_far": verdicts})


def is_text(answer: str) -> None:
    """Check that an answer is not blank.

    Raises:
        ValueError: It is blank.
    """
    if not answer.strip():
        message = "the answer is empty"
        raise ValueError(message)


def is_short(answer: str) -> None:
    """Check that a summary is short.

    Raises:
        ValueError: It is blank or too long.
    """
    is_text(answer)
    if (count := len(answer.split())) > SUMMARY_WORDS:
        message = f"the summary has {count} words, more than {SUMMARY_WORDS}"
        raise ValueError(message)


def check_text(answer: str, needed: Mapping[str, str], word_budget: int) -> None:
    """Check that a text is not blank, keeps to its length, and cites the findings that its step needs.

    Raises:
        ValueError: It is blank, or a claim cites something else.
    """
    is_text(answer)
    check_brief(answer, merged(findings_in(needed.values())), word_budget)


def check_summary(answer: str, needed: Mapping[str, str]) -> None:
    """Check that a summary is short, and cites only what the results of its step cite.

    Raises:
        ValueError: It is blank or too long, or cites something else.
    """
    is_short(answer)
    _check_places(answer, needed.values())


def check_analysis(answer: str, needed: Mapping[str, str]) -> None:
    """Check that an answer is not blank, and cites only what the results of its step cite.

    Raises:
        ValueError: It is blank, or cites something else.
    """
    is_text(answer)
    known = passages_of(merged(findings_in(needed.values())))
    if unknown := [place for place in citations(answer) if place not in known]:
        message = f"there is no {unknown[0]} in the findings"
        raise ValueError(message)


def check_answer(answer: str, results: Mapping[str, Outcome]) -> None:
    """Check that an answer is not blank, and cites only what the results cite.

    Raises:
        ValueError: It is blank, or cites something else.
    """
    is_text(answer)
    _check_places(answer, [one.text for one in results.values()])


def _check_places(answer: str, texts: Iterable[str]) -> None:
    """Check that all citations of an answer occur in some texts, with the same figures."""
    known = list(texts)
    passages = passages_of(merged(findings_in(known)))
    for text in drafts_in(known):
        for place, claims in passages_in(text).items():
            passages[place] = [*passages.get(place, []), *claims]
    if citations(answer):
        check_cited(answer, passages)


planner = Agent(
    "planner",
    system=(
        "You lead a team. You break a task down into steps for its workers and do none of them yourself.\n"
        "- A step has an id of its own, the role of one of the workers, an input that tells the worker in plain words "
        "what to do, and needs: the ids of the earlier steps whose results it works with. Workers see the job, their "
        "input and these results, and nothing else.\n"
        "- Steps that do not need each other are done at the same time, so let nothing wait without a reason. "
        "Plan no more steps than the task needs.\n"
        "- After an attempt you see what was wrong. Steps with a result are not done again: repeat them unchanged, so "
        "that others can need them, and add what is missing as steps with new ids.\n"
        "- What you did in earlier runs shows what worked.\n\n" + DATA_NOTE
    ),
    prompt=ask_planner,
    output=list[Step],
    check=planning.check_plan,
    max_tokens=2048,
    memory="conversations[planner]",
    window=WINDOW,
    offline=planning.make_plan,
)

researcher: Agent[Findings] = review_team.researcher.but(
    system=f"{review_team.researcher.system}\nYour work in earlier runs may say where to look; it is not a source.",
    prompt=ask_researcher,
    check=check_findings,
    max_tokens=4096,
    offline=workers.look_up,
)

coder = Agent(
    "coder",
    system=(
        "You write the code that a job asks for, as short as it can be, in fenced blocks, each with a sentence on what "
        "it does. Take names and syntax from the sources where they have them, and say which source. "
        "Say of code that was not run that it was not run.\n\n" + DATA_NOTE
    ),
    prompt=ask_coder,
    check=is_text,
    max_tokens=2048,
    offline=workers.quote_code,
)

writer: Agent[str] = review_team.writer.but(
    system=f"{review_team.writer.system}\n\n{DATA_NOTE}",
    prompt=ask_writer,
    check=check_text,
    max_tokens=4096,
    memory="conversations[writer]",
    window=WINDOW,
    offline=workers.write_up,
)

reviewer = review_team.reviewer.but(
    system=f"{review_team.REVIEWING}\n\n{DATA_NOTE}",
    prompt=ask_as(Role.REVIEWER),
    max_tokens=2048,
    memory="conversations[reviewer]",
    window=WINDOW,
    offline=workers.look_over,
)

summarizer = Agent(
    "summarizer",
    system=(
        f"You sum up what you are given in at most five points of a line each, {SUMMARY_WORDS} words in all. "
        "You add nothing to it. Answer with the points alone.\n\n" + DATA_NOTE
    ),
    prompt=ask_as(Role.SUMMARIZER),
    check=check_summary,
    max_tokens=1024,
    offline=workers.sum_up,
)

analyst = Agent(
    "analyst",
    system=(
        "You compute what a step asks for with the figures of the findings you are given: shares, differences, means, "
        "growth. Never compute in your head: call `calculate`, and write down each expression that you called it with. "
        "End each statement with the places of its figures as [file:line]. Say which figures you would need and do "
        "not have. Do not compare figures of different units, dates or groups without saying so.\n\n" + DATA_NOTE
    ),
    prompt=ask_as(Role.ANALYST),
    check=check_analysis,
    tools=[calculate],
    max_tokens=2048,
    offline=specialists.list_figures,
)

fact_checker = Agent(
    "fact_checker",
    system=(
        "You check a text against findings, claim by claim, and change nothing. For each claim answer with a line\n"
        "- VERDICT: the claim [file:line] (why)\n"
        "where VERDICT is `supported` if a finding says it with the same figures, names, dates and negations, "
        "`contradicted` if a finding says otherwise, and `not found` if none says it. What you know yourself is not "
        "evidence. Answer with these lines alone.\n\n" + DATA_NOTE
    ),
    prompt=ask_as(Role.FACT_CHECKER),
    check=specialists.check_checked,
    max_tokens=4096,
    offline=specialists.check_facts,
)

seo = Agent(
    "seo",
    system=(
        "You say how a text is found. Answer with three lines and nothing else:\n"
        f"Title: under {CHARACTERS['title'][1] + 1} characters, with the words that people would search for\n"
        f"Description: {CHARACTERS['description'][0]} to {CHARACTERS['description'][1]} characters, what a reader "
        "learns, without praise\n"
        f"Tags: {TAGS[0]} to {TAGS[1]} words or phrases in lower case, with commas between them\n"
        "Promise nothing that the text does not hold.\n\n" + DATA_NOTE
    ),
    prompt=ask_as(Role.SEO),
    check=specialists.check_listed,
    max_tokens=512,
    offline=specialists.list_for_search,
)

validator = Agent(
    "validator",
    system=(
        "You say whether the results of a team's work answer the task they were asked.\n"
        "- `outcome` is `accept` where they do, `retry` where another plan could fix what is missing or wrong, and "
        "`give up` where these workers and sources never can.\n"
        "- `reasons` name each thing that is missing or wrong in a sentence, for the next plan. A step that "
        "failed matters only if the answer lacks something for it.\n"
        "- `redo` has the ids of steps whose results are wrong and must not be used.\n"
        "- `score` goes from 1 (of no use) to 10 (nothing to fix).\n\n" + DATA_NOTE
    ),
    prompt=ask_about_results,
    output=Verdict,
    check=judging.check_verdict,
    max_tokens=1024,
    offline=judging.judge,
)

synthesiser = Agent(
    "synthesiser",
    system=(
        "You make one answer of what a team's steps gave. Keep what they state and the sources they name, say nothing "
        "that none of them says, and say at the end what could not be done and why, if anything. "
        "Answer with the text alone, in Markdown.\n\n" + DATA_NOTE
    ),
    prompt=ask_about_results,
    check=check_answer,
    max_tokens=8192,
    offline=judging.put_together,
)

_JOB = {"job": "task"}  # in a step, `task` is the step's own task
WORKERS: Mapping[str, Node] = {
    Role.RESEARCHER: Node(researcher, inputs=_JOB),
    Role.CODER: Node(coder, inputs=_JOB),
    Role.WRITER: Node(writer, inputs=_JOB),
    Role.REVIEWER: Node(reviewer, inputs=_JOB),
    Role.SUMMARIZER: Node(summarizer, inputs=_JOB),
    Role.ANALYST: Node(analyst, inputs=_JOB),
}
SPECIALISTS: Mapping[str, Node] = {  # orchestrator(workers={**WORKERS, **SPECIALISTS})
    Role.FACT_CHECKER: Node(fact_checker, inputs=_JOB),
    Role.SEO: Node(seo, inputs=_JOB),
}
