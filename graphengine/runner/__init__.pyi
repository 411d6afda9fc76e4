from .context import Context as Context
from .event_json import event_document as event_document
from .extensions import Extension as Extension, Follower as Follower, OpenRun as OpenRun
from .run_events import Emitted as Emitted, LiveEvent as LiveEvent, NodeBegan as NodeBegan
from .records import Page as Page, RunWait as RunWait
from .result import PastRun as PastRun
from .result import FailedPart as FailedPart, Result as Result, RunFailed as RunFailed, Usage as Usage, Wait as Wait
from .retention import Pruned as Pruned, Vacuumed as Vacuumed
from .run import Run as Run
from .run_events import RunEnded as RunEnded, StatusChanged as StatusChanged, StepRecorded as StepRecorded
