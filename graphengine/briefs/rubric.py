"""The rubric: the parts of a score, and what it means.

Each component earns nothing at its `floor`, all its points at its `full` mark, and a proportional part in between. The
points add up to 100, and the score is a tenth of that sum, rounded down: 70 points are a 7. Three quarters of the
points are for content, one quarter is for form.

Points measure coverage and form, not whether a brief is right and on its task. So there are limits: an approved brief
has no claim that its cited passage does not support, mentions four in five things that the task names, and has the fact
that covers most of the task. A brief that breaks one of these has a limited score, whatever its points. The lowest
limit is for a claim that its source contradicts: one wrong figure or "not" makes a brief useless, good as the rest is.
"""

from dataclasses import dataclass

APPROVED_FROM = 7  # the score from which a draft is good enough to pass on
SUPPORT_NEEDED = 0.5  # a brief with fewer supported claims must not pass, however polished
UNTRACEABLE_SCORE = 3  # the most that it can get
FALSE_SCORE = 3  # the most with a claim that has another figure than its source, or says the contrary
FLAWED_SCORE = APPROVED_FROM - 1  # the most if a claim is not supported, or a part of the task is left out

OFF_TASK_SCORE = 3  # the most for a brief on something else, which
TASK_NEEDED = 0.5  # has fewer of the task's words than this, or lacks more than
MISSED_SUBJECTS = 1 / 3  # this share of the things that the task names
FORGIVEN_SUBJECTS = 0.2  # one in five of these things can be named differently

LONG_WORDS = 30  # guides to plain English limit a readable sentence to 25 to 30 words
REPEATED_LIKENESS = 0.7  # two sentences that share this part of their stems are repetitions
SUPPORT_SHARE = 0.6  # share of a sentence's stems that a supporting fact has
MAX_NAMED = 4  # the most important gaps first; a longer list is not read
FEW_CLAIMS = 10  # with fewer the review asks for more


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the rubric.

    Args:
        points: The most it is worth.
        floor: The value at and below which it is worth nothing.
        full: The value at and beyond which it is worth everything; lower than `floor` if less is better.
    """

    points: int
    floor: float
    full: float

    def earned(self, value: float) -> float:
        """Return the points for a measured value."""
        share = (value - self.floor) / (self.full - self.floor)
        return self.points * min(1.0, max(0.0, share))


# Content, 75 points.

# Any text on the subject uses half of its terms; one rare term can be left out.
TERMS = Component(22, 0.5, 0.95)
# With less than half of the topics it is not an overview.
TOPICS = Component(20, 0.4, 1.0)
# A brief must cover the task; its title alone does not.
TASK = Component(10, 0.25, 1.0)
# Supported claims: five are a note, fourteen fill a page.
SUBSTANCE = Component(23, 5, 14)

# Form, 25 points: in full only for a draft with at least FEW_CLAIMS supported claims, otherwise in proportion,
# because three tidy sentences are not yet a tidy brief.

# Every claim should be supported; below one half SUPPORT_NEEDED applies.
SUPPORT = Component(10, 0.5, 1.0)
# Share of long sentences: with two in five a text is hard to read.
LENGTH = Component(8, 0.4, 0.0)
# Share of repeated sentences: one in four makes a reader stop.
REPETITION = Component(4, 0.25, 0.0)
# The number of these: a title, two sections with at least two claims, a list of sources.
STRUCTURE = Component(3, 0, 3)
