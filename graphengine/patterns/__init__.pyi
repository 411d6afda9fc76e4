from .advisors import Advice as Advice, Advised as Advised, Attempt as Attempt, advisor as advisor
from .approvals import Decision as Decision, Desk as Desk, human_in_the_loop as human_in_the_loop
from .blackboards import Board as Board, Entry as Entry, Subscriber as Subscriber, blackboard as blackboard
from .circuits import Circuit as Circuit, Guarded as Guarded, circuit_breaker as circuit_breaker
from .critiques import Critique as Critique
from .cross_reflections import CrossReflection as CrossReflection, cross_reflection as cross_reflection
from .debates import Debate as Debate, Position as Position, debate as debate
from .escalations import escalation as escalation
from .evaluators import Attempts as Attempts, Evaluation as Evaluation, evaluator_optimizer as evaluator_optimizer
from .fan_outs import FanOut as FanOut, fan_out_fan_in as fan_out_fan_in
from .hierarchies import (
    Assignment as Assignment,
    Company as Company,
    TeamReport as TeamReport,
    hierarchical as hierarchical,
)
from .layers import Layers as Layers, layered as layered
from .limits import with_limits as with_limits
from .orchestrators import Job as Job, Step as Step, orchestrator_workers as orchestrator_workers
from .outcomes import Outcome as Outcome
from .pipelines import Passage as Passage, pipeline as pipeline
from .reasonings import Observation as Observation, Reasoning as Reasoning, Thought as Thought, react as react
from .rooms import Room as Room, View as View, role_based as role_based
from .self_reflections import SelfReflection as SelfReflection, self_reflection as self_reflection
from .supervisors import Report as Report, Route as Route, Supervised as Supervised, supervisor as supervisor
from .swarms import Handed as Handed, Swarm as Swarm, Turn as Turn, swarm as swarm
from .talkers import Reply as Reply, Talk as Talk, talker_reasoner as talker_reasoner
from .topologies import Network as Network, topology as topology
from .votes import Poll as Poll, voting as voting
