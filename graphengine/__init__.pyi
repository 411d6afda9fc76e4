from .agents import (
    Agent as Agent,
    AnswerReset as AnswerReset,
    PartialAnswer as PartialAnswer,
    TextDelta as TextDelta,
    ThinkingDelta as ThinkingDelta,
    ToolCalled as ToolCalled,
    ToolReturned as ToolReturned,
    Window as Window,
    mcp as mcp,
    tool as tool,
)
from .agents.chats import ChatTurn as ChatTurn, TurnFailed as TurnFailed
from .agents.runs import RunWaits as RunWaits
from .api.logs import NodeLogFilter as NodeLogFilter
from .api.graph import Graph as Graph
from .api.runner import Runner as Runner
from .api.sync import SyncAdmin as SyncAdmin, SyncRun as SyncRun, SyncRunner as SyncRunner
from .budgets import Budget as Budget, Budgets as Budgets, BudgetSpent as BudgetSpent
from .cli.progress import show as show
from .engine.steps import Step as Step
from .errors import (
    ChildFailed as ChildFailed,
    CompileError as CompileError,
    EffectUnknown as EffectUnknown,
    GraphEngineDeprecationWarning as GraphEngineDeprecationWarning,
    GraphEngineError as GraphEngineError,
    NotDone as NotDone,
)
from .graph.conditions import (
    Condition as Condition,
    changed as changed,
    elapsed_seconds as elapsed_seconds,
    failed as failed,
    iterations as iterations,
    plateau as plateau,
    usage as usage,
    value as value,
)
from .graph.definition import (
    Node as Node,
    Runnable as Runnable,
    Writes as Writes,
    choose as choose,
)
from .graph.options import (
    END as END,
    FAIL as FAIL,
    START as START,
    Limits as Limits,
    Migration as Migration,
    Retry as Retry,
)
from .graph.effect import Once as Once
from .graph.endings import ended_with as ended_with
from .graph.options import Retention as Retention, Sizes as Sizes
from .graph.question import ask as ask
from .media import Media as Media, TextFile as TextFile
from .memory import Memory as Memory, MemoryEntry as MemoryEntry
from .models import (
    Cited as Cited,
    RateLimiter as RateLimiter,
    Message as Message,
    Model as Model,
    Router as Router,
    ScriptedModel as ScriptedModel,
    Settings as Settings,
    code_execution as code_execution,
    web_fetch as web_fetch,
    web_search as web_search,
)
from .history.load import Wait as Wait
from .history.map_progress import MapProgress as MapProgress
from .history.published import Published as Published
from .history.refused import RefusedMessage as RefusedMessage
from .history.usage import Usage as Usage
from .output_file import write_file as write_file
from .patterns.debounce import debounced as debounced
from .records import (
    Bulk as Bulk,
    Page as Page,
    Pruned as Pruned,
    RunWait as RunWait,
    Vacuumed as Vacuumed,
)
from .reducers import Replace as Replace
from .render import RenderError as RenderError
from .runner import (
    ChildRun as ChildRun,
    Context as Context,
    Emitted as Emitted,
    FailedPart as FailedPart,
    LiveEvent as LiveEvent,
    NodeBegan as NodeBegan,
    PastRun as PastRun,
    Posted as Posted,
    Result as Result,
    Run as Run,
    RunEnded as RunEnded,
    RunFailed as RunFailed,
    RunRequest as RunRequest,
    StatusChanged as StatusChanged,
    StepRecorded as StepRecorded,
)
from .state.ending import Ending as Ending
from .state.failure import Failure as Failure
from .state.secret import Secret as Secret
from .stores.base import QueueLimits as QueueLimits, RunInfo as RunInfo
from .worker import Admin as Admin, Schedule as Schedule, Worker as Worker

__version__: str
