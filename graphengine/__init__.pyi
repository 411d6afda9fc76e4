from .agents import Agent as Agent, Window as Window, mcp as mcp, tool as tool
from .agents.chats import ChatTurn as ChatTurn, TurnFailed as TurnFailed
from .agents.runs import RunWaits as RunWaits
from .api.graph import Graph as Graph
from .api.runner import Runner as Runner
from .api.sync import SyncAdmin as SyncAdmin, SyncRun as SyncRun, SyncRunner as SyncRunner
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
    END as END,
    FAIL as FAIL,
    START as START,
    Limits as Limits,
    Migration as Migration,
    Node as Node,
    Retry as Retry,
    Runnable as Runnable,
    choose as choose,
)
from .graph.effect import Once as Once
from .graph.endings import ended_with as ended_with
from .graph.options import Retention as Retention, Sizes as Sizes
from .graph.question import ask as ask
from .media import Media as Media, TextFile as TextFile
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
from .patterns.debounce import debounced as debounced
from .records import Pruned as Pruned
from .reducers import Replace as Replace
from .runner import (
    ChildRun as ChildRun,
    Context as Context,
    FailedPart as FailedPart,
    PastRun as PastRun,
    Result as Result,
    Run as Run,
    RunFailed as RunFailed,
    Usage as Usage,
    Wait as Wait,
)
from .state.ending import Ending as Ending
from .state.failure import Failure as Failure
from .state.secret import Secret as Secret
from .worker import Admin as Admin, Worker as Worker

__version__: str
