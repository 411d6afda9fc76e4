"""Endings: which draft is the result, and what a run says of research that failed or found nothing."""

from collections.abc import Iterable, Sequence

from graphengine.briefs.article import Findings, Review
from graphengine.briefs.text.survey import whole_text
from graphengine.media import TextFile
from graphengine.state.failure import Failure

RESEARCHERS = ("research", "doubt")  # the nodes whose failure leaves a brief incomplete
TOO_LONG = "context_full"


def lacks_research(errors: Sequence[Failure]) -> bool:
    """Return whether a researcher failed, so that it is unknown what the brief lacks."""
    return bool(_of_research(errors))


def too_long(errors: Sequence[Failure]) -> bool:
    """Return whether the sources did not fit into the window of a researcher's model."""
    return any(error.kind == TOO_LONG for error in _of_research(errors))


def no_brief(result: Findings, task: str, errors: Sequence[Failure], article: str) -> str:
    """Return why there is no brief, as the result of a run without findings; with findings the article unchanged."""
    if result.key_areas:
        return article
    why = [*(_reason(error) for error in _of_research(errors)), *result.notes]
    reasons = "\n".join(f"- {one}" for one in dict.fromkeys(why)) or "- The sources hold nothing on the task."
    warning = "> **Warning:** there is no brief, because the research found nothing."
    return f"# {' '.join(task.split())}\n\n{warning}\n\n{reasons}\n"


def with_warning(text: str, errors: Sequence[Failure], sources: Sequence[TextFile] = ()) -> str:
    """Return a brief with a warning below its title if a researcher failed, and a note if only excerpts were read."""
    lacking = "; ".join(_reason(error) for error in _of_research(errors))
    warnings = [f"**Warning:** the research is incomplete, and so is this brief. {lacking}."] if lacking else []
    return with_notes(text, map(excerpt_of, sources), warnings)


def with_note(result: str, sources: Sequence[TextFile]) -> str:
    """Return a text with a note below its title on the sources that were read only in excerpts."""
    return with_notes(result, map(excerpt_of, sources))


def with_notes(text: str, notes: Iterable[str], warnings: Sequence[str] = ()) -> str:
    """Return a text with warnings, and the notes that it does not have itself, below its title."""
    plain = text.replace("\\", "")  # without the escapes of Markdown
    read = "; ".join(note for note in dict.fromkeys(notes) if note and note[1:] not in plain)
    shown = [*warnings, *([f"**Note:** {read}."] if read else [])]
    if not shown:
        return text
    warning = "\n>\n".join(f"> {one}" for one in shown)
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{warning}\n\n{rest.lstrip()}" if title.startswith("# ") else f"{warning}\n\n{text}"


def excerpt_of(source: TextFile) -> str:
    """Return how much of a source was read, if it was too long to be read whole; else ""."""
    return whole_text(source)[1]


def best_score(result: Review, history: Sequence[Review]) -> int:
    """Return the score of the best draft."""
    return max(review.score for review in (*history, result))


def best_draft(  # noqa: PLR0913 - the fields of the state
    result: Review,
    history: Sequence[Review],
    draft: str,
    article: str,
    errors: Sequence[Failure],
    sources: Sequence[TextFile] = (),
) -> str:
    """Return the best draft: this one, which profits from the reviews, unless an earlier one scored better."""
    best = max(((review.score, review.points) for review in history), default=(0, 0))
    return with_warning(draft, errors, sources) if (result.score, result.points) >= best else article


def accept(draft: str, errors: Sequence[Failure], sources: Sequence[TextFile] = ()) -> dict[str, str | None]:
    """Accept the draft, because it could not be reviewed."""
    return {"article": with_warning(draft, errors, sources), "final_score": None}


def _of_research(errors: Sequence[Failure]) -> list[Failure]:
    return [error for error in errors if error.path.rpartition("/")[2] in RESEARCHERS]


def _reason(error: Failure) -> str:
    return f"{error.path} gave no usable result ({error.kind}): {error.message}".rstrip(". ")
