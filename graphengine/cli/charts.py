"""The charts that `graphengine render` draws of runs: the choice of a chart, and reading its data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from graphengine.cli.places import Place
    from graphengine.cli.session import Session
    from graphengine.render.charts import Chart
    from graphengine.stores.base import Store

F = TypeVar("F", bound="Callable[..., Any]")

Kind: TypeAlias = Literal["timeline", "scores", "branches", "comparison"]

_KINDS: Final[tuple[Kind, ...]] = ("timeline", "scores", "branches", "comparison")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The chart to draw.

    Attributes:
        kind: The kind of chart.
        run: The run, as given by the user.
        other: The run to draw next to it.
        path: The path of the scores, "" for those of the conditions.
    """

    kind: Kind
    run: str
    other: str = ""
    path: str = ""


def options(command: F) -> F:
    """Add the options that select a chart."""
    for option in (
        click.option(
            "--branches", is_flag=True, help="Draw the run's family: every branch, where it branches off, its cost."
        ),
        click.option(
            "--scores",
            metavar="[PATH]",
            is_flag=False,
            flag_value="",
            help="Draw how a number of the state changed, e.g. history[-1].score, step by step; without PATH, those "
            "that the graph's conditions compare or watch. Put it after the run.",
        ),
        click.option(
            "--timeline", is_flag=True, help="Draw a timeline of the run, with the duration and cost of each node."
        ),
    ):
        command = option(command)
    return command


def wanted(run: str, other: str | None, **chosen: str | bool | None) -> Wanted | None:
    """Return the selected chart; None for none, so that the graph is drawn.

    Raises:
        UsageError: Several are selected.
    """
    asked = {**chosen, "comparison": other}
    kinds: list[Kind] = [kind for kind in _KINDS if asked[kind] not in (None, False)]
    if len(kinds) > 1:
        names = [f"--{kind}" if kind != "comparison" else "a second run" for kind in kinds]
        raise click.UsageError(f"{' and '.join(names)} are separate pictures: draw one at a time")
    if not kinds:
        return None
    return Wanted(kinds[0], run, other or "", str(asked["scores"] or ""))


def draw(session: Session, place: Place, what: Wanted, output: Path) -> None:
    """Draw a chart into a file.

    Raises:
        UnknownRun; StoreError: It cannot be read; RenderError: It cannot be drawn.
    """
    from graphengine.cli.recorded import read
    from graphengine.render.charts import write_chart

    run_id = _run_id(session, place, what.run)
    other = _run_id(session, place, what.other) if what.other else ""
    write_chart(output, lambda: read(place, lambda store: _chart(store, what, run_id, other)))


def _run_id(session: Session, place: Place, given: str) -> str:
    """Return the id of the run.

    Raises:
        UnknownRun: There is no such run; the error mentions if it is the name of a graph.
    """
    from graphengine.cli.folders import may_find
    from graphengine.cli.recorded import run_id_of
    from graphengine.errors import UnknownRun

    try:
        return run_id_of(session, place, given)
    except UnknownRun as error:
        if not may_find(given):
            raise
        message = f"{error.message}; {given!r} is a graph, but this picture needs a run"
        raise UnknownRun(message, where=error.where, repair=error.repair) from error


async def _chart(store: Store, what: Wanted, run_id: str, other: str) -> Chart:
    from graphengine.history.load import outline_of
    from graphengine.render.charts import branches, comparison, family_of, pair_of, scores, timeline

    if what.kind == "branches":
        return branches(await family_of(store, run_id))
    if what.kind == "comparison":
        return comparison(await pair_of(store, run_id, other))
    info, steps = await store.info(run_id), await store.steps(run_id)
    if what.kind == "timeline":
        return timeline(steps)
    return scores(await outline_of(store, info.fingerprint) or {}, steps, what.path)
