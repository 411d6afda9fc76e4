# Since 0.1.0. What acts in runs. Moments are added as methods that do nothing.
from graphengine.runner.extensions import Extension as Extension
from graphengine.runner.extensions import OpenRun as OpenRun
from graphengine.runner.followers import Audience as Audience
from graphengine.runner.followers import Follower as Follower
from graphengine.runner.once_effects import Effecting as Effecting
from graphengine.runner.recorded_work import StepJournal as StepJournal
from graphengine.runner.recorded_work import journal_of as journal_of
from graphengine.runner.scope import AttemptFacts as AttemptFacts
from graphengine.runner.scope import CURRENT as CURRENT
from graphengine.runner.scope import StepResult as StepResult

# Since 0.1.0. Runs, and what happens in them while they live.
from graphengine.runner import RunFailed as RunFailed
from graphengine.runner.clock import Clock as Clock
from graphengine.runner.clock import SystemClock as SystemClock
from graphengine.runner.context import Context as Context
from graphengine.runner.result import Result as Result
from graphengine.runner.result import result_of as result_of
from graphengine.runner.run import Run as Run
from graphengine.runner.run_events import Emitted as Emitted
from graphengine.runner.run_events import Event as Event
from graphengine.runner.run_events import LiveEvent as LiveEvent
from graphengine.runner.run_events import NodeBegan as NodeBegan
from graphengine.runner.run_events import RunEnded as RunEnded
from graphengine.runner.run_events import StatusChanged as StatusChanged
from graphengine.runner.run_events import StepRecorded as StepRecorded
from graphengine.runner.runner import Runner as Runner

# Since 0.1.0. Graphs that compile, as checks and pictures see them.
from graphengine.compile.checking import Checks as Checks
from graphengine.compile.checking import Compiling as Compiling
from graphengine.compile.compiler import compiled as compiled
from graphengine.engine.plan import Call as Call
from graphengine.engine.plan import NodePlan as NodePlan
from graphengine.engine.plan import Plan as Plan
from graphengine.graph.definition import GraphDefinition as GraphDefinition
from graphengine.state.field import FieldType as FieldType
from graphengine.state.schema import StateType as StateType
from graphengine.state.view import View as View

# Since 0.1.0. What graphs are made of, for patterns.
from graphengine.graph.conditions import Condition as Condition
from graphengine.graph.conditions import changed as changed
from graphengine.graph.conditions import failed as failed
from graphengine.graph.conditions import iterations as iterations
from graphengine.graph.conditions import value as value
from graphengine.graph.definition import AnyEdge as AnyEdge
from graphengine.graph.definition import Choose as Choose
from graphengine.graph.definition import Fork as Fork
from graphengine.graph.definition import Node as Node
from graphengine.graph.definition import Runnable as Runnable
from graphengine.graph.definition import Switch as Switch
from graphengine.graph.definition import Writes as Writes
from graphengine.graph.options import END as END
from graphengine.graph.options import FAIL as FAIL
from graphengine.graph.options import START as START
from graphengine.graph.question import Answers as Answers
from graphengine.graph.question import ask as ask
from graphengine.state.ending import Ending as Ending
from graphengine.state.failure import Failure as Failure

# Since 0.1.0. Options, and the numbers that they take.
from graphengine.graph.effect import Effects as Effects
from graphengine.graph.options import Limits as Limits
from graphengine.graph.options import Migration as Migration
from graphengine.graph.options import Retention as Retention
from graphengine.graph.options import Retry as Retry
from graphengine.graph.options import Sizes as Sizes
from graphengine.graph.options import is_seconds as is_seconds
from graphengine.graph.options import is_tag as is_tag
from graphengine.graph.ranges import Seconds as Seconds
from graphengine.graph.ranges import SecondsOrZero as SecondsOrZero

# Since 0.1.0. JSON, names and texts.
from graphengine.state.hints import hints_of as hints_of
from graphengine.state.hints import signature_of as signature_of
from graphengine.state.json_values import JsonObject as JsonObject
from graphengine.state.json_values import JsonValue as JsonValue
from graphengine.state.json_values import Op as Op
from graphengine.state.json_values import clipped as clipped
from graphengine.state.json_values import utf8_text as utf8_text
from graphengine.state.path import did_you_mean as did_you_mean

# Since 0.1.0. Ids of what an extension begins, and sums of what it spent.
from graphengine.engine.frame_tree import add_usage as add_usage
from graphengine.engine.frame_tree import spent_since as spent_since
from graphengine.runner.ids import OwnId as OwnId
from graphengine.runner.ids import derive_id as derive_id
from graphengine.runner.ids import tenants_id as tenants_id
from graphengine.state.amounts import dollars as dollars
from graphengine.state.amounts import is_cost_unknown as is_cost_unknown
