# Since 0.1.0. Steps, as they were recorded. Fields are added; none goes, or changes its meaning.
from graphengine.engine.steps import Answered as Answered
from graphengine.engine.steps import Attempt as Attempt
from graphengine.engine.steps import AttemptEnded as AttemptEnded
from graphengine.engine.steps import Branched as Branched
from graphengine.engine.steps import Continued as Continued
from graphengine.engine.steps import Decided as Decided
from graphengine.engine.steps import Entered as Entered
from graphengine.engine.steps import Failed as Failed
from graphengine.engine.steps import Item as Item
from graphengine.engine.steps import Joined as Joined
from graphengine.engine.steps import Kind as Kind
from graphengine.engine.steps import Left as Left
from graphengine.engine.steps import Mapped as Mapped
from graphengine.engine.steps import Message as Message
from graphengine.engine.steps import Removed as Removed
from graphengine.engine.steps import Resumed as Resumed
from graphengine.engine.steps import Started as Started
from graphengine.engine.steps import Step as Step
from graphengine.engine.steps import Stopped as Stopped
from graphengine.engine.steps import Waiting as Waiting

# Since 0.1.0. What stands in steps.
from graphengine.engine.steps import AnswerRecord as AnswerRecord
from graphengine.engine.steps import FailureRecord as FailureRecord
from graphengine.engine.steps import Node as Node
from graphengine.engine.steps import OVER as OVER
from graphengine.engine.steps import Outcome as Outcome
from graphengine.engine.steps import Recorded as Recorded
from graphengine.engine.steps import Refused as Refused
from graphengine.engine.steps import RunStatus as RunStatus
from graphengine.engine.steps import WaitRecord as WaitRecord
from graphengine.engine.steps import outcome_of as outcome_of
from graphengine.engine.steps import path_of as path_of
from graphengine.engine.steps import usage_of as usage_of

# Since 0.1.0. Where a run is after a step. Phases are added: treat one that you do not know as a frame that goes on.
from graphengine.engine.phases import Collecting as Collecting
from graphengine.engine.phases import Ended as Ended
from graphengine.engine.phases import Fallback as Fallback
from graphengine.engine.phases import Forked as Forked
from graphengine.engine.phases import GivenUp as GivenUp
from graphengine.engine.phases import Inside as Inside
from graphengine.engine.phases import Leaving as Leaving
from graphengine.engine.phases import Ready as Ready
from graphengine.engine.snapshot import Frame as Frame
from graphengine.engine.snapshot import Snapshot as Snapshot

# Since 0.1.0. How runs are read.
from graphengine.engine.fold import fold as fold
from graphengine.engine.step_json import decode_step as decode_step
from graphengine.engine.step_json import encode_step as encode_step
from graphengine.history.load import At as At
from graphengine.history.load import Wait as Wait
from graphengine.history.load import load_snapshot as load_snapshot
from graphengine.history.load import waits_of as waits_of
from graphengine.stores.base import status_of as status_of

# Since 0.1.0. Graphs, as runs were begun on them.
from graphengine.compile.code import TodaysCode as TodaysCode
from graphengine.engine.graph_spec import EdgeSpec as EdgeSpec
from graphengine.engine.graph_spec import GraphSpec as GraphSpec
from graphengine.engine.graph_spec import NodeSpec as NodeSpec
from graphengine.graph.condition_spec import ConditionSpec as ConditionSpec
from graphengine.history.load import graph_spec_of as graph_spec_of

# Since 0.1.0. What was spent, and what was lost.
from graphengine.history.usage import usage_from as usage_from
from graphengine.state.amounts import Usage as Usage
from graphengine.state.amounts import losses_of as losses_of

# Since 0.1.0. Values as people read them.
from graphengine.state.recorded_text import show as show
