from .approvals import Decision as Decision, Desk as Desk, human_in_the_loop as human_in_the_loop
from .blackboards import Board as Board, Entry as Entry, Subscriber as Subscriber, blackboard as blackboard
from .fan_outs import FanOut as FanOut, fan_out_fan_in as fan_out_fan_in
from .orchestrators import Job as Job, Step as Step, orchestrator_workers as orchestrator_workers
from .outcomes import Outcome as Outcome
from .pipelines import Passage as Passage, pipeline as pipeline
from .rooms import Room as Room, View as View, role_based as role_based
from .supervisors import Report as Report, Route as Route, Supervised as Supervised, supervisor as supervisor
from .swarms import Handed as Handed, Swarm as Swarm, Turn as Turn, swarm as swarm
