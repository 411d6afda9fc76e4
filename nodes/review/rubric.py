"""The rubric: what a score is made of, and what it means.

Each component gives points between a `floor`, where it is worth nothing, and a `full` mark, where it is worth all its
points; in between it grows evenly. The points add up to 100, and the score is the tens of that sum: 70 points are a 7.
Three quarters of the points are for what the brief says, one quarter for how.

Points measure coverage and form. That a brief is right and on its task is no matter of points: an approved brief has
no claim that the passage it cites does not support, speaks of four in five things that the task names, and has the
fact that takes up most of the task. What breaks one of these limits the score, however many points there are.
"""

from dataclasses import dataclass

APPROVED_FROM = 7  # the score from which a draft is good enough to pass on
SUPPORT_NEEDED = 0.5  # a brief most of whose claims cannot be traced must not be passed on, however polished
UNTRACEABLE_SCORE = 3  # so this is the most it can get
FLAWED_SCORE = APPROVED_FROM - 1  # the most where a claim is not supported, or something of the task is left out

BESIDE_THE_TASK_SCORE = 3  # the most for a brief that is on something else:
TASK_NEEDED = 0.5  # it has fewer of the task's words than this, or lacks more than
MISSED_SUBJECTS = 1 / 3  # of the things that the task names
FORGIVEN_SUBJECTS = 0.2  # of five things that it names one may go by another name

LONG_WORDS = 30  # guides to plain English put the limit of a readable sentence at 25 to 30 words
REPEATED_LIKENESS = 0.7  # two sentences that share this part of all their stems say the same
SUPPORT_SHARE = 0.6  # a fact supports a sentence that takes this part of its stems from it
MAX_NAMED = 4  # a reviewer names the weightiest gaps first; a longer list does not get read
FEW_CLAIMS = 10  # below this the draft is told to say more


@dataclass(frozen=True, slots=True)
class Component:
    """One line of the rubric.

    Args:
        points: the most it is worth.
        floor: the value at and below which it is worth nothing.
        full: the value at and beyond which it is worth everything; below `floor` where less is better.
    """

    points: int
    floor: float
    full: float

    def earned(self, value: float) -> float:
        """Return the points for a measured value."""
        share = (value - self.floor) / (self.full - self.floor)
        return self.points * min(1.0, max(0.0, share))


# Content, 75 points.

# Any text on the subject uses half of its terms; one rare term may be left out.
TERMS = Component(22, 0.5, 0.95)
# With less than half of the topics it is no overview.
TOPICS = Component(20, 0.4, 1.0)
# A brief must speak of what was asked; the title alone does not.
TASK = Component(10, 0.25, 1.0)
# Supported claims: five are a note, fourteen fill a page.
SUBSTANCE = Component(23, 5, 14)

# Form, 25 points: all of them only for a draft of FEW_CLAIMS supported claims or more, fewer in proportion,
# since three tidy sentences are not yet a tidy brief.

# Every claim is to be traced; at one half SUPPORT_NEEDED takes over.
SUPPORT = Component(10, 0.5, 1.0)
# Share of long sentences: with two in five a text is hard to read.
LENGTH = Component(8, 0.4, 0.0)
# Share of repeated sentences: one in four makes a reader stop.
REPETITION = Component(4, 0.25, 0.0)
# How many of these there are: a title, two sections of two claims or more, a list of sources.
STRUCTURE = Component(3, 0, 3)
