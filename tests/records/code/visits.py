from graphengine.engine.fold import fold
from graphengine.records.export import read_file
from graphengine.records.states import find_changed_fields
from graphengine.records.visits import Visits
from tests.kit.facts import altered, made_step
from tests.kit.record import RECORDED
from tests.kit.scenario import Scenario, pages, played
from tests.render.timed import paper_run

PAGES = {path.stem: path for path in pages()}


def log(name):
    """Return the steps of the run of a scenario page."""
    return run_of(name).log


def run_of(name):
    """Return the run of a scenario page."""
    path = PAGES[name]
    return played(Scenario.read(path), path.name)[1]


def page(name):
    """Return the visits of the run of a scenario page."""
    run = run_of(name)
    return shown(Visits.of(run.log, specs=run.specs))


def recorded(name):
    """Return the visits of a recorded run."""
    run = read_file(RECORDED / f"{name}.json")
    return shown(Visits.of(run.steps, specs=run.graph_specs))


def shown(run):
    """Return what happened, and the visits of the run as a tree."""
    start = run.entries[0].step.at
    lines = []
    for turn in run.turns:
        crashed = " after a crash" if turn.crashed else ""
        since = f" ({turn.at - turn.since:g} s after the step before)" if turn.since else ""
        lines.append(
            f"{turn.kind}{crashed} at {turn.at - start:g}{since}, step {turn.seq}: {turn.run_id}, was {turn.status}"
        )
    for entry in run.entries:
        if entry.step.kind == "joined":
            visit = f" in {entry.visit.path}" if entry.visit else ""
            lines.append(f"joined at step {entry.step.seq}{visit}: {left(entry.edge)}")
    return "\n".join([*lines, *of_track(run.tracks[0], start)])


def left(edge):
    """Return where an edge leads."""
    kind = " for failures" if edge.is_failure else ""
    label = f" [{edge.label}]" if edge.label else ""
    why = f" because {edge.why}" if edge.why not in ("", "otherwise") else ""
    return f"{edge.source or 'a join'} -> {', '.join(edge.to)}{label}{kind}{why}"


def with_arms(edge, start):
    """Return an edge with the tracks of its arms."""
    lines = [f"  {left(edge)}"] if edge else []
    for arm in edge.arms if edge else ():
        lines += [f"    {line}" for line in of_track(arm, start)]
    return lines


def until(start, since, end):
    """Return a span of time."""
    return f"{since - start:g} to {'now' if end is None else f'{end - start:g}'}"


def of_track(track, start):
    """Return the visits of a track."""
    graph = " in ".join(reversed([node for node, _ in track.place])) or "the run"
    around = f", around it {track.around.path} {track.around.number}" if track.around else ""
    choice = f", {track.choice}" if track.choice else ""
    lines = [f"{track.kind} {track.index} {track.frame or 'main'} of {graph}{around}{choice}"]
    lines += with_arms(track.edge, start)
    return lines + [f"  {line}" for visit in track.visits for line in of_visit(visit, start)]


def of_visit(visit, start):
    """Return a visit with its parts."""
    done = "" if visit.completed == (visit.status == "done") else ", completed"
    lines = [f"{visit.path} {visit.number}, {until(start, visit.began, visit.ended)}: {visit.status}{done}"]
    lines += [f"  recorded {each.name}" for each in visit.work]
    for each in visit.attempts:
        error = f" {each.failure.kind}: {each.failure.message}" if each.failure else ""
        due = f", due at {each.due - start:g}" if each.due else ""
        kind = " by its fallback" if each.is_fallback else ", to be retried" if each.is_retried else ""
        lines.append(f"  attempt {each.number} ended at {each.ended - start:g}, step {each.seq}{error}{kind}{due}")
    for wait in visit.waits:
        by = f" by {wait.by}" if wait.by else ""
        steps = f"steps {wait.seq} to {wait.end}"
        lines.append(f"  {wait.kind} {wait.question!r} {until(start, wait.since, wait.until)}{by}, {steps}")
    for inside in visit.insides:
        count = f" of {inside.count}" if inside.kind == "map" else ""
        lines.append(
            f"  {inside.kind}{count} {until(start, inside.since, inside.until)}, steps {inside.seq} to {inside.end}"
        )
        for track in inside.tracks.values():
            lines += [f"    {line}" for line in of_track(track, start)]
    return lines + with_arms(visit.edge, start)
