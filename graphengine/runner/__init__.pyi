from .context import Context as Context
from .extensions import Extension as Extension, OpenRun as OpenRun
from .followers import Follower as Follower
from .run_events import Emitted as Emitted, LiveEvent as LiveEvent, NodeBegan as NodeBegan
from .result import PastRun as PastRun
from .result import FailedPart as FailedPart, Result as Result, RunFailed as RunFailed
from .run import Posted as Posted, Run as Run
from .run_requests import RunRequest as RunRequest
from .scope import ChildRun as ChildRun
from .run_events import RunEnded as RunEnded, StatusChanged as StatusChanged, StepRecorded as StepRecorded
