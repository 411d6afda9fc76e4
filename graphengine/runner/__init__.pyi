from .context import Context as Context
from .extensions import Extension as Extension, Follower as Follower, OpenRun as OpenRun
from .run_events import Emitted as Emitted, LiveEvent as LiveEvent, NodeBegan as NodeBegan
from .result import PastRun as PastRun
from .result import FailedPart as FailedPart, Result as Result, RunFailed as RunFailed, Usage as Usage, Wait as Wait
from .run import Posted as Posted, Run as Run
from .scope import ChildRun as ChildRun
from .run_events import RunEnded as RunEnded, StatusChanged as StatusChanged, StepRecorded as StepRecorded
