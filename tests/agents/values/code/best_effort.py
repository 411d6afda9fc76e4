from graphengine import Agent, ScriptedModel
from graphengine.agents import guard

MANY = [["a", "x"], ["b", "y"], ["z"]]


def known(answer, words):
    """Refuse words that are not known."""
    if wrong := [word for word in answer if word not in words]:
        raise ValueError(f"not known: {wrong}")


def kept(answers, words):
    """Keep the known words of all answers."""
    if found := [word for answer in answers for word in answer if word in words]:
        return found
    raise ValueError("none is known")


def clean(text):
    if text == "b":
        raise ValueError(text)
    return text


FINDER = Agent("finder", prompt="Find {words}.", output=list[str], check=known, best_effort=kept)
RULED = Agent("finder", by_rules=lambda words: [*words, "x"], output=list[str], check=known, best_effort=kept)


def found(answers, *words, **options):
    """Return what an agent finds whose model answers so."""
    return FINDER.but(model=ScriptedModel(answers), **options).run_sync(words=[*words])
