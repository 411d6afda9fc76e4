from .alone import NO_ANSWER as NO_ANSWER, run_node as run_node
from .bounds import (
    Bounds as Bounds,
    Forecast as Forecast,
    NeverTaken as NeverTaken,
    NodeBound as NodeBound,
    bounds as bounds,
    forecast as forecast,
)
from .clock import FakeClock as FakeClock
from .coverage import EdgeCoverage as EdgeCoverage
from .done import Asked as Asked, Done as Done, EdgeTaken as EdgeTaken, RecordedCall as RecordedCall
from .executors import ExecutorConformance as ExecutorConformance
from .open_runner import OpenRunner as OpenRunner
from .preflights import Preflight as Preflight, Reason as Reason, RunGroup as RunGroup, preflight as preflight
from .proofs import TriedNode as TriedNode, try_failed_node as try_failed_node
from .recordings import Recordings as Recordings
from .replays import replay as replay
from .scripts import Ended as Ended, Items as Items, Visits as Visits
from .suites import Suite as Suite, SuiteRun as SuiteRun, suite as suite
from .walks import Visit as Visit, Walked as Walked, walk as walk
