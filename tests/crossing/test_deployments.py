"""Small programs whose process dies, and whose code is another one from then on, at each of their writes.

The ledger of the world judges: what was promised when something began holds, a call that was made is not made again, a
person's no stays one, and every run comes to its end.
"""

from collections.abc import Iterator

import pytest

from tests.crossing import program as p
from tests.crossing.drive import Play

PROGRAMS: dict[str, tuple[p.Graph | p.Chat, tuple[tuple[p.Change, ...], ...]]] = {
    "a node that acts once": (p.Graph((p.Node((p.Act(),), "once"),)), (("effects",), ("edges", "types"))),
    "a node that can be looked up": (p.Graph((p.Node((p.Act(),), "reconcile"),)), (("effects",),)),
    "a call that acts once": (p.Graph((p.Node((p.Call("once"), p.Ask())),)), (("effects",), ("edges", "types"))),
    "a call that can be looked up": (p.Graph((p.Node((p.Call("reconcile"),)),)), (("effects",),)),
    "a tool that acts once": (
        p.Graph((p.Node(p.Talk((p.Tool("once"), p.Tool("once")))),)),
        (("effects",), ("words",), ("tools",), ("limits",), ("approvals", "words")),
    ),
    "tools that act at once": (
        p.Graph((p.Node(p.Talk((p.Tool("once"), p.Tool("reconcile")), at_once=True)),)),
        (("effects", "words"), ("tools", "effects"), ("limits",)),
    ),
    "a tool that is approved": (
        p.Graph((p.Node(p.Talk((p.Tool("once", "yes"),))),)),
        (("effects",), ("words",), ("tools",), ("approvals",), ("approvals", "effects", "tools")),
    ),
    "a tool that is refused": (p.Graph((p.Node(p.Talk((p.Tool("", "no"),))),)), (("approvals",), ("words", "tools"))),
    "a chat": (
        p.Chat((p.Turn(tool=p.Tool("once")), p.Turn(tool=p.Tool("once", "no")))),
        (("effects",), ("words",), ("tools",), ("approvals", "words")),
    ),
    "questions": (p.Graph((p.Node((p.Ask(), p.Act(), p.Ask())),)), (("questions",), ("questions", "edges"))),
    "rounds": (p.Graph((p.Node((p.Ask(),)), p.Node((p.Call("once"),))), rounds=2), (("edges",), ("edges", "types"))),
}


def wrong(main: p.Graph | p.Chat, changes: tuple[p.Change, ...]) -> Iterator[str]:
    """Yield what goes wrong: with the code of a resting run changed, and with a death at each write before that."""
    yield from failure(Play(p.Program(main, (p.Deploy(0, changes),))))
    for ends in (False, True):
        for at in range(1, 100):
            play = Play(p.Program(main, (p.Kill(at, ends), p.Deploy(at, changes))))
            yield from failure(play)
            if "kill" not in play.world.happened:  # it makes no write of this number
                break


def failure(play: Play) -> Iterator[str]:
    """Play a program, and yield how it fails, if it does."""
    try:
        play.run()
    except Exception as error:  # noqa: BLE001 - any failure counts
        yield f"{type(error).__name__} {error}: {p.written(play.program)}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_another_deployment_changes_nothing_that_has_happened(name: str) -> None:
    """Whichever write the process makes last, whether it is durable, and also where the code changes as a run rests."""
    main, deployments = PROGRAMS[name]
    assert [found for changes in deployments for found in wrong(main, changes)] == []
