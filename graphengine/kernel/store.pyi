# Since 0.1.0. The protocols, and a store in memory. Methods are added with a default where one is possible.
from graphengine.stores.base import QueueStore as QueueStore
from graphengine.stores.base import RunStore as RunStore
from graphengine.stores.base import Store as Store
from graphengine.stores.memory import InMemoryStore as InMemoryStore

# Since 0.1.0. What stores are given and return. Fields are added with defaults.
from graphengine.stores.base import Append as Append
from graphengine.stores.base import ClaimQuery as ClaimQuery
from graphengine.stores.base import ClaimedRun as ClaimedRun
from graphengine.stores.base import Code as Code
from graphengine.stores.base import Count as Count
from graphengine.stores.base import DEFAULT_QUEUE as DEFAULT_QUEUE
from graphengine.stores.base import EndedRun as EndedRun
from graphengine.stores.base import InboxMessage as InboxMessage
from graphengine.stores.base import LARGEST_PRIORITY as LARGEST_PRIORITY
from graphengine.stores.base import Loaded as Loaded
from graphengine.stores.base import MIN_ROWS as MIN_ROWS
from graphengine.stores.base import OwnerInfo as OwnerInfo
from graphengine.stores.base import PAGE_LIMIT as PAGE_LIMIT
from graphengine.stores.base import Page as Page
from graphengine.stores.base import Post as Post
from graphengine.stores.base import QueueCount as QueueCount
from graphengine.stores.base import QueueLimits as QueueLimits
from graphengine.stores.base import RunInfo as RunInfo
from graphengine.stores.base import Sort as Sort
from graphengine.stores.base import Status as Status
from graphengine.stores.base import StopMark as StopMark
from graphengine.stores.base import StopOver as StopOver
from graphengine.stores.base import StoredSchedule as StoredSchedule
from graphengine.stores.base import Summary as Summary
from graphengine.stores.base import check_page as check_page

# Since 0.1.0. How the next run of a queue is chosen, for a store that chooses in Python.
from graphengine.stores.base import summary_text as summary_text
from graphengine.stores.dispatch import Candidate as Candidate
from graphengine.stores.dispatch import Load as Load
from graphengine.stores.dispatch import NO_LOAD as NO_LOAD
from graphengine.stores.dispatch import choose as choose
from graphengine.stores.dispatch import left_of as left_of

# Since 0.1.0. What a row is made of.
from graphengine.engine.ready import next_due as next_due
from graphengine.stores.summaries import begun_as as begun_as
from graphengine.stores.summaries import summary_of as summary_of
from graphengine.stores.summaries import wait_words as wait_words

# Since 0.1.0. Words by which runs are found.
from graphengine.stores.words import INPUT_WORDS as INPUT_WORDS
from graphengine.stores.words import has_all as has_all
from graphengine.stores.words import input_text as input_text
from graphengine.stores.words import joined as joined
from graphengine.stores.words import sought_words as sought_words
from graphengine.stores.words import words_of as words_of

# Since 0.1.0. What stores refuse, in the words that all of them use.
from graphengine.stores.refusals import check_not_cancelled as check_not_cancelled
from graphengine.stores.refusals import lease_lost as lease_lost
from graphengine.stores.refusals import not_dense as not_dense
from graphengine.stores.refusals import not_open as not_open
from graphengine.stores.refusals import reason_to_stay as reason_to_stay
from graphengine.stores.refusals import run_exists as run_exists
from graphengine.stores.refusals import step_removed as step_removed
from graphengine.stores.refusals import tree_stopped as tree_stopped
from graphengine.stores.refusals import unknown_run as unknown_run
from graphengine.stores.refusals import unknown_step as unknown_step

# Since 0.1.0. What is stored, as bytes.
from graphengine.engine.fold import evolve as evolve
from graphengine.engine.steps import is_removed as is_removed
from graphengine.engine.steps import strip_removed as strip_removed
from graphengine.engine.stored import decode_snapshot as decode_snapshot
from graphengine.engine.stored import to_record as to_record
