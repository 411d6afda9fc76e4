// What the server answers, by the route of the read. `python -m scripts.page_types` writes this file.

export interface About {
  /** The id of the question. */
  id: string;
  /** The agent that asks; "" if a node asks without an agent. */
  agent: string;
  /** The question that the agent was given, or the last message of a person to it. */
  said: string;
  /** What the agent wrote together with the tool call. */
  writes: string;
  /** The last tool calls that the agent made before it asked, with their results. */
  found: Found[];
  /** The tool that the agent wants to call; "" if the question is not about a call. */
  tool: string;
  /** The arguments of this tool call. */
  arguments: Record<string, unknown>;
  /** The text of the question, without the parts that other attributes contain. */
  words: string;
  /** Fields of the run's state that distinguish this question from similar questions of other runs. */
  differs: Record<string, unknown>;
}

export interface Above {
  run_id: string;
  title: string;
  graph: string;
}

export interface Account {
  /** The number of the step in the run. */
  seq: number;
  /** The kind of the step, as the log names it. */
  kind: string;
  /** When the step was recorded, epoch seconds. */
  at: number;
  /** The path of the node, such as `article/review`; "" for the run itself. */
  path?: string;
  /** The number of the visit of the node, from 1; 0 for the run itself. */
  visit?: number;
  /** The number of the attempt of the visit. */
  attempt?: number;
  took?: number | null;
  tone?: "" | "broken" | "call" | "ended" | "failed" | "fallback" | "rejected" | "retry" | "waiting";
  /** A few words that name what happened; "" for the end of a visit. */
  text?: string;
  /** The reply of a model, the result of a tool or function, the answer of a person, or the text of a message. */
  said?: string;
  /** Other things that the step records, one line each. */
  facts?: string[];
  /** The messages that the step sent and the data that it emitted, one line each. */
  sent?: string[];
  /** The ids of questions that the node no longer asks. */
  withdrawn?: string[];
  /** A short list of changes of the state; "" if the step also did something else. */
  changes?: string;
  /** How the graph changed before this resume or branch, one line for each change. */
  shifts?: string[];
  /** The kind and message of the error; "" for an edge to FAIL. */
  error?: string;
  /** Why the previous answer of the model was rejected, in the words that the model received. */
  sent_back?: string;
  /** The nodes to which the step leads. */
  targets?: string[];
  /** The label of the edge that was taken. */
  edge?: string;
  /** The choice that `choose` made at the node. */
  choice?: string;
  /** The label with which the graph inside the node ended. */
  inside?: string;
  /** When the next attempt is due, epoch seconds. */
  due?: number | null;
  /** The comparisons that decided which edge was taken; "" if the edge has no condition. */
  why?: string;
  /** The agent that asked a model. */
  agent?: string;
  /** The model that answered. */
  model?: string;
  /** The function or tool that was called. */
  name?: string;
  /** The person who answered. */
  by?: string;
  /** How a wait ended: `answer`, `message`, `time` or `default`. */
  ended_by?: string;
  usage?: Record<string, number | null>;
  /** The child run that the step started, or the child run whose end the step reports. */
  child?: string;
  /** The number of items of the map that this step begins. */
  count?: number;
  losses?: Record<string, number>;
}

export interface Arrow {
  edges: number[];
  to: string;
}

export interface AsIf {
  /** The step after which the branch begins. */
  at: number;
  /** The place of the state to change: the run itself, an inner graph or an arm. */
  path: string;
  /** The fields and values with which the edge's condition is true; empty if no values can be named. */
  update: Record<string, unknown>;
  /** What the update does, and what it cannot guarantee. */
  note: string;
}

export interface AtWork {
  /** The nodes at work, at most 20. */
  nodes: NodeAtWork[];
  /** How many more nodes are at work. */
  more: number;
  /** The last step that the run recorded. */
  last_step: LastStep;
  /** The process that drives the run. Null if the caller has a tenant, or if the process has just ended. */
  process: DrivingProcess | null;
}

export interface Attempt {
  number: number;
  seq: number;
  took: number | null;
  error: Failure | null;
  fallback: boolean;
  lost: Lost[];
}

export interface Box {
  spot: number | null;
  name: string;
  shape: string;
  folded: boolean;
}

export interface BranchForm {
  states: BranchState[];
}

export interface BranchResult {
  /** The id of the branch. */
  run_id: string;
  /** The number of the last step that the branch shares with the run. */
  seq: number;
  /** The status of the branch. */
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The reason for its end, or the open question; "" while the branch runs. */
  reason: string;
  /** When the branch began, epoch seconds. */
  created_at: number;
  /** The first 5 differences between the state of the run and the state of the branch. */
  changes: Difference[];
}

export interface BranchState {
  /** The place of the inner graph or the arm that has the state; "" for the state of the run. */
  path: string;
  /** The JSON Schema of the state. */
  schema: Record<string, unknown>;
  /** The fields, without secret fields. */
  values: Record<string, unknown>;
  /** For each field, the `operation` by which an update changes the field. */
  fields: Record<string, Record<string, string>>;
  /** The names of the secret fields. */
  secrets: string[];
}

export interface Bulked {
  /** the version of the documents */
  schema: 2;
  /** The number of runs that were selected. */
  found: number;
  /** The number of runs that were changed, or would be changed. */
  runs: number;
  /** The titles of some of these runs. */
  titles: string[];
  /** The number of runs that could not be changed, by the reason. */
  refused: Record<string, number>;
  /** The cost of the changed runs so far, as far as it is known. */
  cost_usd: number;
  run_ids: string[];
  /** How many states were read to find the runs; omitted if the search compares no field of a state. */
  looked_at?: number;
  unseen?: number | null;
}

export interface Call {
  account: Account;
  step: Step;
  asked: Said[];
}

export interface Chart {
  svg: string;
  words: string;
}

export interface CheckedGraph {
  /** The name of the graph. */
  name: string;
  /** The file of the graph, as given on the command line or relative to the project's folder. */
  file: string;
  /** The errors and warnings, in the order in which they were found. */
  problems: Problem[];
}

export interface Compared {
  /** the version of the documents */
  schema: 2;
  /** The last step that both runs share; null if there is none. */
  shared: Shared | null;
  /** How many steps after the shared step are the same in both runs. */
  alike: number;
  /** The first run. */
  first: Side;
  /** The second run. */
  second: Side;
  /** All differences between their states, however large. */
  differences: Difference[];
  /** How their graphs (with prompts), limits and models differ, one line each. */
  setup: string[];
}

export interface ComparedRun {
  /** The first step of this run that the other run does not have; null if there is none. */
  parted: Row | null;
  /** The last step at which each agent called a model, by the name of the agent. */
  asked: Record<string, number>;
  /** How often each node was visited, by the number of the node. */
  visits: Record<string, number>;
  /** How often each edge was taken, by the number of the edge. */
  edges: Record<string, number>;
}

export interface Comparison {
  diff: Compared;
  heads: Head[];
  sides: ComparedRun[];
  same: boolean;
}

export interface CountsBelow {
  /** The number of runs below that are in the store. */
  runs: number;
  /** How many of these runs failed. */
  failed: number;
}

export interface Culprit {
  /** The graph. */
  graph: string;
  /** The failures of the graph's newest version, or of today. */
  now: Rate;
  /** The failures of the version before, or of yesterday. */
  was: Rate;
  /** Whether two versions are compared, instead of two days. */
  is_version: boolean;
  /** The most frequent error message of the runs that failed today. */
  error: NewError | null;
}

export interface Decided {
  /** The id of the run. */
  run_id: string;
  /** The name of the run's graph. */
  graph: string;
  /** What the run is about. */
  title: string;
  /** The name of the question in the graph. */
  wait: string;
  /** The id of the question; "" if it is not known. */
  id: string;
  /** The text of the question. */
  question: string;
  /** The answer. */
  value: unknown;
  /** The name of the person who answered; "" if it is not known. */
  by: string;
  /** When the person answered. */
  at: number;
  /** The reason that the person gave. */
  reason: string;
  /** Whether the run has used the answer. If not, the run waits for a worker or a resume. */
  is_taken: boolean;
  /** The current status of the run. */
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** Why the run ended; "" if it has not ended. */
  ended: string;
}

export interface Decision {
  /** The number of the step. */
  seq: number;
  /** The number of the visit to the node. */
  visit: number;
  how: "earlier" | "missed" | "taken";
  why: string;
  /** For `earlier`: the label or the target of the edge that was taken. Otherwise "". */
  before: string;
}

export interface Detail {
  /** node, item: the choice that `choose` made. */
  choice?: string;
  /** node, item: whether the node's fallback gave the result. */
  fallback?: boolean;
  /** attempt: `fallback`, if the fallback runs next. */
  then?: string;
  /** attempt: when the next attempt is due, epoch seconds. */
  due_at?: number;
  /** node: how the graph inside this node ended. */
  inside?: Ending;
  /** joined: the arms that were still running and were cancelled. */
  cancelled?: string[];
  /** mapped: the number of items. */
  count?: number;
  /** mapped: how many items run at a time. */
  concurrency?: number;
  /** mapped: how many items may be started and not ended, if the number is not 1,000. */
  max_open?: number;
  /** item: the updates that the item adds to the updates of the map. */
  writes?: unknown[];
  /** started, entered: the graph that begins. */
  graph?: string;
  /** recorded: the function that was called. */
  name?: string;
  /** recorded: the value that the function returned. */
  value?: unknown;
  /** waiting: the questions, messages and times for which the run waits. */
  waits?: Wait[];
  /** waiting: the ids of questions that the node no longer asks. */
  withdrawn?: string[];
  /** answered, refused, node: the name of the wait that ended, or the topic of a refused message. */
  wait?: string;
  /** answered, refused, node: the id of the answered question. */
  id?: string;
  by?: string | Record<string, string>;
  /** answered, refused, node: the answer. */
  answer?: unknown;
  /** refused: why the answer or message was refused. */
  message?: string;
  /** message: the topic of the message. */
  topic?: string;
  /** message: the payload of the message. */
  payload?: unknown;
  /** node, item: the messages that the node sent, as [topic, payload]. */
  sent?: unknown[];
  /** node, item: the values that the node emitted to be recorded. */
  emitted?: unknown[];
  outputs?: Record<string, unknown>;
  /** node: results that an earlier attempt recorded and that the last attempt did not ask for again. */
  unused?: string[];
  /** attempt, failed: recorded results that caused the failure. The next attempt does not use them. */
  refused?: string[];
  lost?: Record<string, unknown>;
  /** started, resumed, branched: the nodes before which the run pauses. */
  pause?: string[];
  /** resumed: whether failed parts are retried although other parts wait. */
  retries?: boolean;
  /** resumed, branched: maps with `on_item_error="keep"` whose failed items are not retried. */
  settled?: string[];
  /** resumed: whether the process also drove other runs, so that a third crash does not fail a node. */
  shared_process?: boolean;
  /** resumed: whether a process died while nodes of the run were executing. */
  crashed?: boolean;
  cut_until?: number;
  /** resumed, branched: changes of the graph. */
  changes?: string[];
  /** resumed, branched: updates by defaults and migrations, by frame. */
  field_changes?: Record<string, unknown>;
  /** resumed, branched: renamed nodes, by the frame of their graph. */
  renamed?: Record<string, unknown>;
  /** resumed, branched: frames that continue at another node. */
  moved?: Record<string, string>;
  /** resumed, branched: frames whose question is asked again. */
  asks?: string[];
  /** started: the earlier run with whose final state this run begins. */
  after?: string;
}

export interface Difference {
  /** The path of the value in the state. */
  path: string;
  /** The value in the second state; None if the second state has no value there. */
  before: unknown;
  /** The value in the second state; None if the second state has no value there. */
  after: unknown;
}

export interface Doing {
  /** The nodes at work. */
  nodes: NodeBegan[];
  /** The new pieces of the texts that running model calls stream. */
  texts: LiveText[];
  /** Why the run could not be driven further; null if nothing is wrong. */
  trouble: Error | null;
  /** Whether the run is driven in the inspector's process. */
  here: boolean;
}

export interface Drivable {
  graphs: string[];
  left_out: string[];
}

export interface DrivingProcess {
  /** The name of the host on which the process runs. */
  host: string;
  /** The number of the process on its host. */
  pid: number;
}

export interface Ending {
  /** `end` (an edge to END), `failed`, `limit`, `asked`, or `above` (a run above this run was stopped). */
  reason: "above" | "asked" | "end" | "failed" | "limit";
  /** The label of the edge that led to the end. */
  label: string;
  /** The condition of that edge, as text. */
  condition: string;
  /** The results of the conditions, with their values, as text. */
  why: string;
}

export interface Error {
  /** The kind of the error, such as `invalid_input`. Codes do not change from version to version. */
  code: string;
  /** A sentence that says what happened, with the values. */
  message: string;
  /** The place of the error, such as a file or a run; "" if there is no place. */
  where: string;
  /** How to fix the error; "" if that is not known. */
  repair: string;
}

export interface FailedPart {
  /** The values of the item, by their names in `each`; empty for an arm. */
  item: Record<string, unknown>;
  /** The failure. Its `path` includes the position of the item, as in `research[3]`. */
  error: Failure;
}

export interface Failure {
  /** The kind of the error, such as `invalid_input`. Codes do not change from version to version. */
  code: string;
  /** A sentence that says what happened, with the values. */
  message: string;
  /** The place of the error, such as a file or a run; "" if there is no place. */
  where: string;
  /** How to fix the error; "" if that is not known. */
  repair: string;
  /** The path of the node. */
  path: string;
  /** The number of the attempt, from 1. */
  attempt: number;
  /** The traceback of the exception, if it is recorded. */
  traceback?: string;
}

export interface Found {
  tool: string;
  arguments: Record<string, unknown>;
  text: string;
  is_error: boolean;
}

export interface Graph {
  fingerprint: string;
  is_changed: boolean;
  counted: number;
  edges: Record<string, number>;
  visits: Record<string, number>;
  unused: Unused[];
  runs: ListedRun[];
  command: string;
}

export interface Group {
  /** The name of the graph, version, tenant or agent. */
  name: string;
  /** The graph. */
  graph: string;
  /** The newest version of the graph; "" for a tenant or agent. */
  version: string;
  /** When this version had its first run; null if the graph has no other version to compare with. */
  since: number | null;
  /** The numbers of today's runs. */
  today: Numbers;
  /** The numbers of yesterday's runs that began before this time of day. */
  yesterday: Numbers;
  /** The number of runs and of failures that are compared: of the newest version, or of today. */
  now: Rate;
  /** The failures that they are compared with: of the version before, or of yesterday. */
  was: Rate;
  /** The number of standard errors by which the failure rate `now` is above the rate `was`. */
  errors_off: number;
  verdict: "better" | "few" | "new" | "noise" | "worse";
  /** The median of the driven times of the runs that ended today. */
  median_seconds: number | null;
  /** The 95th percentile of these driven times. */
  p95_seconds: number | null;
  /** The number of runs, and of failed runs, in each hour of today. */
  hours: number[][];
  /** The most frequent error message of today. */
  error: NewError | null;
}

export interface Groups {
  by: "agent" | "graph" | "tenant" | "version";
  groups: Group[];
}

export interface Head {
  /** The id of the run. */
  run_id: string;
  /** The name of its graph. */
  graph: string;
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The run from which it was branched; null if it is no branch. */
  parent: Parent | null;
  /** The tags of the run. */
  tags: string[];
  /** Why the run ended; null before its end. */
  ending: Ending | null;
  /** The error with which the run failed. */
  error: Failure | null;
  /** What the run waits for. */
  waits: Wait[];
  /** The usage of models in all steps, including the steps that the run shares with its parent. */
  usage: Usage;
  /** The part of `usage` from the steps that the run shares with its parent. */
  inherited: Usage;
  losses: Record<string, number>;
  deaths: number;
  /** The values that nodes published, with the newest value of each name and item of a map; at most 20. */
  published: PublishedPart[];
  /** For each map that is running, how many of its items are done. */
  progress: MapProgress[];
  /** The newest 10 messages that nodes refused, because the messages had a wrong type. */
  refused: RefusedMessage[];
  /** What the run is doing now; null unless a live process drives the run. */
  at_work: AtWork | null;
  shown: string;
  title: string;
  driver: string | null;
  starter: string | null;
  at: number;
  seq: number;
  began: number;
  updated_at: number;
  took: number;
  fingerprint: string;
  standings: Record<string, PlaceState>;
  version: string;
  about: About[];
  is_chat: boolean;
}

export interface InCommon {
  /** the version of the documents */
  schema: 2;
  /** The graph. */
  graph: string;
  /** The path of the node; "" if no failed run could be read. */
  node: string;
  /** The error of one of the failed runs. */
  error: string;
  /** The number of failed runs that were compared. */
  failed: number;
  /** The number of other runs that were compared. */
  others: number;
  /** The time when the first of all these runs began, in epoch seconds; 0 if no run was compared. */
  since: number;
  /** The time when the last of these runs began. */
  until: number;
  /** The features that nearly all failed runs and few other runs have, the most likely cause first. */
  features: SharedFeature[];
  /** The node, the numbers and the features as a sentence. */
  text: string;
  /** A sentence that says which runs were compared. */
  sample: string;
  /** Whether some runs were not read, because the number of runs or of bytes is limited. */
  is_cut: boolean;
}

export interface InResult {
  run: ListedRun;
  field: string;
  text: string;
}

export interface InResults {
  looked_at: number;
  found: InResult[];
  is_cut: boolean;
}

export interface LastStep {
  /** The number of the step. */
  seq: number;
  /** The kind of the step, as the log names it. */
  kind: string;
  /** The path of the node; "" for the run itself. */
  path: string;
  /** When the step was recorded, epoch seconds. */
  at: number;
  /** How many seconds ago the step was recorded. */
  age_seconds: number;
}

export interface Line {
  shown: string;
  updated_at: number;
  summary: Summary | null;
  at: string[];
  below: CountsBelow;
}

export interface ListedRun {
  /** The id of the run. */
  run_id: string;
  /** The name of its graph. */
  graph: string;
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The number of its last step. */
  seq: number;
  /** When the run began, epoch seconds. */
  created_at: number;
  /** When its last step was recorded, epoch seconds. */
  updated_at: number;
  /** The run from which it was branched; null if it is no branch. */
  parent: Parent | null;
  /** The tags of the run. */
  tags: string[];
  /** The process that drives the run now; null if none does. */
  driver: string | null;
  /** When the first timer of the run is due, epoch seconds. */
  due_at: number | null;
  /** The queue from which workers take the run. */
  queue: string;
  /** The priority in the queue; runs with a higher number are taken earlier. */
  priority: number;
  /** The tenant for whom the run is executed. The tenants of a queue take turns. */
  tenant: string | null;
  /** Whether no process has driven the run yet. */
  queued: boolean;
  /** What the run is about. */
  title: string;
  /** The user who started the run; null if no user did. */
  user: string | null;
  /** The id of the run whose node started this run; null if no node did. */
  starter: string | null;
  root: string | null;
  /** How many runs are above this run in the tree of child runs. */
  depth: number;
  /** The fingerprint of the graph with which the run began. */
  began_with: string;
  /** The label of the deploy that began the run; "" for none. */
  deploy: string;
  /** When the run ended, epoch seconds; null before its end. */
  ended_at: number | null;
  /** What lists show of the run's content and result; null before its status first changed. */
  summary: Summary | null;
  /** What the run waits for. */
  waits: Wait[];
  /** What the run is doing now; null unless a live process drives the run. */
  at_work: AtWork | null;
}

export interface LiveText {
  /** A number that identifies the text. All pieces of one text have the same number. */
  number: number;
  /** The path of the node. */
  path: string;
  /** The name of the agent. */
  agent: string;
  /** The position in the text at which the piece begins. */
  at: number;
  /** The piece. */
  text: string;
}

export interface Lost {
  agent: string;
  model: string;
  asked: Said[];
}

export interface MapProgress {
  /** The path of the map's node, such as `research`. */
  path: string;
  /** The number of items. */
  of: number;
  /** How many items are done. */
  done: number;
  /** How many items have failed. They stay failed unless the run is resumed. */
  failed: number;
  waiting: number;
  /** When the map began, epoch seconds. */
  began: number;
}

export interface Moment {
  /** The number of the step. */
  seq: number;
  /** The status of the run after this step. */
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The cost of the model calls until then; null if it is not known. */
  cost_usd: number | null;
  /** What the run did at each node. The keys are the numbers of the nodes in the picture. */
  standings: Record<string, PlaceState>;
  tokens: Record<string, number>;
  /** The value of the chosen field, if the step changed it; null if the field has no value. */
  value?: unknown;
}

export interface Moments {
  /** the version of the documents */
  schema: 2;
  fields: string[];
  /** The field that the reader follows; "" if none was chosen. */
  field: string;
  /** The value of the followed field before the first of the steps. */
  before: unknown;
  /** The position after each step. */
  moments: Moment[];
}

export interface NewError {
  example: string;
  like: string;
  runs: number;
  since: number;
  last: number;
  versions: string[];
  tenants: string[];
}

export interface NodeAtWork {
  /** The path of the node, such as `article/review` or `pieces[3]`. */
  path: string;
  /** The name of the node. */
  node: string;
  /** The number of the visit of the node, from 1. */
  visit: number;
  /** The number of the attempt of the visit, from 1. */
  attempt: number;
  /** When this attempt began, epoch seconds. */
  since: number;
  /** When this attempt will begin, if a retry has to wait; null if the attempt has begun. */
  due: number | null;
}

export interface NodeBegan {
  /** The path of the node. */
  path: string;
  /** The name of the node. */
  node: string;
  /** The number of the visit of the node, from 1. */
  visit: number;
  /** The number of the attempt of the visit, from 1. */
  attempt: number;
  /** When the attempt began, in epoch seconds. */
  at: number;
  /** The number (`seq`) of the last step before the attempt. */
  after: number;
}

export interface NodeSum {
  /** The name of the runs' graph. */
  graph: string;
  /** The path of the node, without the numbers of items. */
  node: string;
  /** How often the node was visited. All items of a map together count as one visit. */
  visits: number;
  /** How many of these visits failed. */
  failed: number;
  median_seconds: number | null;
  /** The duration that 95 % of these visits did not exceed; null if no duration is known. */
  p95_seconds: number | null;
  /** The calls, tokens and cost of models at the node. */
  usage: Usage;
}

export interface Numbers {
  runs: number;
  failed: number;
  lost: number;
  cost_usd: number;
  unknown_costs: number;
}

export interface Overview {
  statuses: Record<string, number>;
  questions: number;
  width: number;
  bars: [number, string, number][];
}

export interface Page {
  /** the version of the documents */
  schema: 2;
  /** The runs. */
  runs: ListedRun[];
  /** The value of the parameter `before` for the next page; null if this is the last page. */
  next: string | null;
  /** How many runs' states were read to find the runs of this page; omitted if the search compares no state field. */
  looked_at?: number;
  unseen?: number | null;
}

export interface Parent {
  /** The id of the parent run. */
  run_id: string;
  /** The number of the last step that the branch shares with its parent. */
  seq: number;
}

export interface Picture {
  words: string;
  legend: string[];
  boxes: Record<string, Box>;
  arrows: Record<string, Arrow>;
  nodes: Record<string, string>;
  svg?: string;
  trouble?: string;
}

export interface PlaceState {
  /** The most severe state of these parts, such as failed. */
  how: "ended" | "failed" | "here" | "waiting";
  /** The states of the parts, in words. */
  notes: string[];
  /** For END or FAIL, the nodes from which these parts of the run came. */
  sources: string[];
}

export interface PostedAnswer {
  /** The answer, as JSON. */
  value: unknown;
  /** The person who answered; "" if the person is not known. */
  by: string;
  /** When the answer was given, in epoch seconds. */
  at: number;
  /** The interface through which the answer came, such as `cli`; "" for a program's own call. */
  through: string;
  /** The reason that the person gave. */
  reason: string;
}

export interface Previewed {
  /** the version of the documents */
  schema: 2;
  /** The differences between the state of the run and the state with which the branch would begin. */
  changes: Difference[];
}

export interface Problem {
  /** The kind of the problem. */
  code: string;
  /** The place in the graph, such as a node, an edge of a node, or a field of the state. */
  where: string;
  /** What is wrong, with the values that are concerned. */
  message: string;
  /** How to solve the problem. */
  repair: string;
  /** Whether the graph can run in spite of the problem. */
  warning: boolean;
  /** The file that contains the declaration with the problem; None if the file is not known. */
  file: string | null;
  /** The line in this file, counted from 1. */
  line: number | null;
}

export interface PublishedPart {
  /** The name under which the value was published. */
  name: string;
  /** The value; omitted if it has more than 2,000 characters as JSON. The step contains the whole value. */
  value?: unknown;
  /** The number of the step that contains the value. */
  seq: number;
  /** When the value was published, epoch seconds. */
  at: number;
  /** The path of the node. */
  path: string;
  /** The item of a map in which the value was published; "" outside of maps. */
  item: string;
}

export interface Questions {
  /** the version of the documents */
  schema: 2;
  /** The runs. */
  runs: ListedRun[];
  /** The context of each run's open questions, by the id of the run. */
  about: Record<string, About[]>;
  /** The answers. */
  done: Decided[];
  /** The names of the users who may answer; empty if the server has no users. */
  answerers: string[];
  /** The number of runs whose logs were searched for answers; null if the logs of all runs were searched. */
  looked_at: number | null;
}

export interface Rate {
  name: string;
  runs: number;
  failed: number;
}

export interface RefusedMessage {
  /** The topic of the message. */
  topic: string;
  /** The first 1,000 characters of the reason. */
  reason: string;
  /** The path of the node, such as `article/review` or `research[3]`. */
  path: string;
  /** The step that records the refusal. */
  seq: number;
  /** When the message was refused, epoch seconds. */
  at: number;
  payload: unknown;
}

export interface ResultFields {
  /** The path that the graph names with `result=`; "" if the graph names none, or if the state has no such field. */
  declared: string;
  written: string[];
}

export interface RetriedRuns {
  /** The graph of the runs. */
  graph: string;
  /** The error message of one of the runs. */
  example: string;
  /** The part that all messages have in common. */
  like: string;
  /** The number of runs. */
  runs: number;
  /** When the first of the runs failed. */
  since: number;
  /** When the last of the runs failed. */
  last: number;
  /** The number of runs by their current status. */
  statuses: Record<string, number>;
}

export interface Row {
  /** The description of the step. */
  account: Account;
  /** The numbers of the picture's nodes that the step visits. */
  spots?: number[];
  /** The numbers of the picture's edges that the step takes. */
  edges?: number[];
  compared?: Record<string, number>;
}

export interface Run {
  /** The id of the run. */
  run_id: string;
  /** The name of its graph. */
  graph: string;
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The run from which it was branched; null if it is no branch. */
  parent: Parent | null;
  /** The tags of the run. */
  tags: string[];
  /** Why the run ended; null before its end. */
  ending: Ending | null;
  /** The error with which the run failed. */
  error: Failure | null;
  /** What the run waits for. */
  waits: Wait[];
  /** The usage of models in all steps, including the steps that the run shares with its parent. */
  usage: Usage;
  /** The part of `usage` from the steps that the run shares with its parent. */
  inherited: Usage;
  losses: Record<string, number>;
  deaths: number;
  /** The values that nodes published, with the newest value of each name and item of a map; at most 20. */
  published: PublishedPart[];
  /** For each map that is running, how many of its items are done. */
  progress: MapProgress[];
  /** The newest 10 messages that nodes refused, because the messages had a wrong type. */
  refused: RefusedMessage[];
  /** What the run is doing now; null unless a live process drives the run. */
  at_work: AtWork | null;
  shown: string;
  title: string;
  driver: string | null;
  starter: string | null;
  at: number;
  seq: number;
  began: number;
  updated_at: number;
  took: number;
  fingerprint: string;
  standings: Record<string, PlaceState>;
  version: string;
  about: About[];
  is_chat: boolean;
  above: Above[];
  branches: BranchResult[];
  rows: Row[];
  result: ResultFields;
  commands: Record<string, string>;
}

export interface RunNow {
  /** the version of the documents */
  schema: 2;
  /** The id of the run. */
  run_id: string;
  /** The name of its graph. */
  graph: string;
  status: "cancelled" | "failed" | "finished" | "interrupted" | "queued" | "running" | "stopped" | "waiting";
  /** The number of its last step. */
  seq: number;
  /** When the run began, epoch seconds. */
  created_at: number;
  /** When its last step was recorded, epoch seconds. */
  updated_at: number;
  /** The run from which it was branched; null if it is no branch. */
  parent: Parent | null;
  /** The tags of the run. */
  tags: string[];
  /** The process that drives the run now; null if none does. */
  driver: string | null;
  /** When the first timer of the run is due, epoch seconds. */
  due_at: number | null;
  /** The queue from which workers take the run. */
  queue: string;
  /** The priority in the queue; runs with a higher number are taken earlier. */
  priority: number;
  /** The tenant for whom the run is executed. The tenants of a queue take turns. */
  tenant: string | null;
  /** Whether no process has driven the run yet. */
  queued: boolean;
  /** What the run is about. */
  title: string;
  /** The user who started the run; null if no user did. */
  user: string | null;
  /** The id of the run whose node started this run; null if no node did. */
  starter: string | null;
  root: string | null;
  /** How many runs are above this run in the tree of child runs. */
  depth: number;
  /** The fingerprint of the graph with which the run began. */
  began_with: string;
  /** The label of the deploy that began the run; "" for none. */
  deploy: string;
  /** When the run ended, epoch seconds; null before its end. */
  ended_at: number | null;
  /** What lists show of the run's content and result; null before its status first changed. */
  summary: Summary | null;
  /** What the run waits for. */
  waits: Wait[];
  /** What the run is doing now; null unless a live process drives the run. */
  at_work: AtWork | null;
  /** Why the run ended; null before its end. */
  ending: Ending | null;
  /** The error with which the run failed. */
  error: Failure | null;
  /** The fields of the state, as they were recorded. Secret fields are encrypted. */
  state: Record<string, unknown>;
  /** The version of the graph that recorded the state; omitted if the store does not have the spec of that graph. */
  version?: number;
  /** The items of maps and arms of forks that failed and were not repeated since. */
  failures: FailedPart[];
  /** The value of the graph's `result=` once the run has finished; omitted if there is none. */
  output?: unknown;
  /** The usage of models. */
  usage: Usage;
  /** The values that nodes published, with the newest value of each name and item of a map; at most 20. */
  published: PublishedPart[];
  /** For each map that is running, how many of its items are done. */
  progress: MapProgress[];
  /** The newest 10 messages that nodes refused, because the messages had a wrong type. */
  refused: RefusedMessage[];
  cursor: string;
}

export interface Runs {
  /** the version of the documents */
  schema: 2;
  /** The runs. */
  runs: ListedRun[];
  /** How many states were read to find the runs; omitted if the search compares no field of a state. */
  looked_at?: number;
  unseen?: number | null;
}

export interface Said {
  role: string;
  text: string;
}

export interface Saying {
  /** `user`, `assistant` or `tool`. */
  role: string;
  /** The text of the message, or the tool call in words. */
  text: string;
  /** The name of the agent; "" for a person and for a tool. */
  who: string;
  /** The message or the result of the tool, if it is a JSON object or list; otherwise null. */
  value: unknown;
}

export interface Session {
  version: string;
  database: string;
  read_only: boolean;
  drives: Drivable | null;
  user: string;
  tenant: string | null;
  rights: string[];
}

export interface Shared {
  /** The run that recorded the step. */
  run_id: string;
  /** The number of the step. */
  seq: number;
}

export interface SharedFeature {
  /** The path of the value, e.g. `order.country`. */
  place: string;
  /** The feature, e.g. `order.country = CH`. */
  text: string;
  /** How many of the failed runs have the feature. */
  failed: number;
  /** How many of the other runs have the feature. */
  others: number;
  /** Whether callers or people gave the value; otherwise nodes wrote it. */
  is_given: boolean;
}

export interface Side {
  /** The id of the run. */
  run_id: string;
  /** The name of its graph. */
  graph: string;
  /** The status of the run at the compared step. */
  status: "cancelled" | "failed" | "finished" | "running" | "stopped" | "waiting";
  /** The number of the compared step. */
  seq: number;
  /** The number of the first step that the other run did not take; null if there is none. */
  parted_at: number | null;
  /** The changes of the state with which the run was branched, as operations on fields. */
  begins: unknown[] | null;
  /** The same changes, as old and new values. */
  changed: Difference[];
  /** The steps after the last shared step, without steps that choose no edge. */
  way: Waypoint[];
  /** The usage of models of the whole run. */
  usage: Usage;
  /** The usage of models after the last shared step. */
  spent: SpentSince;
}

export interface Spender {
  name: string;
  runs: number;
  cost_usd: number;
}

export interface Spending {
  calls: number;
  /** How many of these answers came from rules or a script instead of a language model. */
  offline_calls: number;
  /** The tokens of all requests. */
  input_tokens: number;
  /** The tokens of all answers. */
  output_tokens: number;
  /** The cost in US dollars; None if the price of any call is not known. */
  cost_usd: number | null;
  /** The part of the input tokens that providers read from their caches. */
  cache_read_tokens: number;
  /** The part of the input tokens that providers wrote to their caches. */
  cache_write_tokens: number;
  /** The part of the output tokens that was reasoning. */
  reasoning_tokens: number;
  /** The cost of the calls whose price is known, if `cost_usd` is None. */
  priced_usd: number;
  unknown_calls: number;
  /** The name of the agent; "" if rules answered in its place. */
  agent: string;
  /** The model that answered; "" if it is not recorded. */
  model: string;
  /** The path of the node. */
  node: string;
  /** Whether the calls were made before the run branched off from its parent. */
  inherited: boolean;
}

export interface SpendingOfRun {
  /** the version of the documents */
  schema: 2;
  /** The id of the run. */
  run_id: string;
  /** The usage of all model calls of the run. */
  usage: Usage;
  /** The part of `usage` from before the run branched off from its parent. */
  inherited: Usage;
  /** What the child runs of the run cost. The other figures of this document do not include this cost. */
  children: SpentBelow;
  /** The same calls as in `usage`, by agent, model and node. */
  spending: Spending[];
}

export interface SpentBelow {
  runs: number;
  /** The cost of their own steps so far, in US dollars; null if the cost of one run is unknown. */
  cost_usd: number | null;
  /** How many of these runs failed. */
  failed: number;
}

export interface SpentSince {
  calls: number;
  /** How many of these answers came from rules or a script instead of a language model. */
  offline_calls: number;
  /** The tokens of all requests. */
  input_tokens: number;
  /** The tokens of all answers. */
  output_tokens: number;
  /** The cost in US dollars; None if the price of any call is not known. */
  cost_usd: number | null;
  /** The part of the input tokens that providers read from their caches. */
  cache_read_tokens: number;
  /** The part of the input tokens that providers wrote to their caches. */
  cache_write_tokens: number;
  /** The part of the output tokens that was reasoning. */
  reasoning_tokens: number;
  /** The cost of the calls whose price is known, if `cost_usd` is None. */
  priced_usd: number;
  unknown_calls: number;
  /** The number of visits that the run completed since then. */
  steps: number;
  /** How many seconds processes drove the run since then. */
  seconds: number;
}

export interface StartForm {
  /** The JSON Schema of the state. */
  schema: Record<string, unknown>;
  /** The fields of the example in the graph's file, without secret fields and fields with default values. */
  example: Record<string, unknown>;
  /** The file that contains the graph. */
  file: string;
}

export interface State {
  /** the version of the documents */
  schema: 2;
  /** The fields of the run's state. Secret fields are encrypted. */
  state: Record<string, unknown>;
  inside: Record<string, Record<string, unknown>>;
}

export interface Step {
  /** The number of the step in the run, from 1. */
  seq: number;
  /** The path of the node, such as `article/review`. */
  path: string;
  /** The kind of the step: `node`, `attempt`, `failed`, `waiting`, … */
  kind: string;
  /** The name of the node; "" for the run itself. */
  node: string;
  /** The number of the visit of the node, from 1. */
  visit: number;
  /** The number of the attempt of the visit, from 1. */
  attempt: number;
  /** The label of the edge that was taken. */
  edge: string | null;
  /** The nodes to which the edge leads. */
  targets: string[];
  /** Operations on fields of the state, such as `["set", "draft", "…"]`; `graphengine.engine.steps` lists them. */
  update: unknown[];
  /** Why this edge was taken: the conditions with the values that they compared. */
  why: string | null;
  /** The error, if the step failed. */
  error: Failure | null;
  /** The keys that only this kind of step has. */
  detail: Detail;
  /** The usage of models in the step. */
  usage: Usage | null;
  /** When the work of the step began, epoch seconds. */
  started_at: number;
  /** When the step was recorded, epoch seconds. */
  finished_at: number;
}

export interface StepDetails {
  /** the version of the documents */
  schema: 2;
  /** The description of the step. */
  account: Account;
  /** The step. */
  step: Step;
  /** The time between this step and the step before, during which the run waited, in seconds. */
  waited: number;
  /** The edges whose conditions were evaluated at this step, with the results. */
  tried: Tried[];
  /** The changes of the state by this step. */
  changes: Difference[];
  /** All attempts of the visit. */
  attempts: Attempt[];
  /** All recorded results of model calls and tool calls in the visit. */
  calls: Call[];
  /** The settings of the node's agents. */
  agents: Record<string, Record<string, string>>;
  /** Command lines for the run as of this step; empty if the reader has no command line. */
  commands: Record<string, string>;
}

export interface Story {
  /** the version of the documents */
  schema: 2;
  /** The command line that writes this story. */
  command: string;
  /** When the story was written. */
  written: string;
  /** The runs. */
  runs: StoryRun[];
  /** The differences between two runs; null in the story of one run. */
  compared: Compared | null;
  /** The last visit that two runs share, in words. */
  parted_after: string;
  /** How many visits two runs share. */
  shared_visits: number;
}

export interface StoryFields {
  /** The title. */
  title: string;
  /** The name of the most important field; "" if no field is more important than the others. */
  name: string;
  /** The value of this field. */
  lead: unknown;
  /** The other fields. */
  rest: Record<string, unknown>;
}

export interface StoryQuestion {
  /** The name of the wait, in words. */
  name: string;
  /** The kind of the wait. */
  kind: string;
  /** The question. */
  text: string;
  /** When the question times out, epoch seconds; null for never. */
  due_at: number | null;
  /** The values that a person needs to answer the question. */
  facts: Record<string, unknown>;
  /** The proposed changes. Each contains the name of a field, its old value and its proposed value. */
  proposed: [string, unknown, unknown][];
  /** The possible answers. Each contains the name of a field or "", the values that fit, and a description. */
  answers: [string, string, string][];
}

export interface StoryRun {
  /** The id of the run. */
  run_id: string;
  /** The name of the run's graph, in words. */
  graph: string;
  /** The title of the run. */
  title: string;
  /** When the run began, epoch seconds. */
  created_at: number;
  /** The status of the run. */
  status: string;
  /** How many seconds a process drove the run. */
  took: number;
  /** How many visits of nodes the run made. */
  visits: number;
  /** The usage of models in the run's own steps. */
  usage: Usage;
  /** The usage of models in the steps that the run shares with its parent. */
  inherited: Usage;
  /** The number of failed items, retries, fallbacks and other losses, by kind. */
  losses: Record<string, number>;
  /** The label with which the run ended. */
  label: string;
  /** The reason for the end of the run. */
  why: string;
  /** What the run waits for: the kinds of its open waits. */
  awaited: string[];
  /** The cost of the child runs, and how many of them failed. */
  below: SpentBelow | null;
  /** The failed child runs, at any depth, each with its title and the reason. */
  failed: [string, string][];
  /** The node that failed and the message; null if the run did not fail. */
  error: [string, string] | null;
  /** The open questions. */
  questions: StoryQuestion[];
  /** The input of the run. */
  question: StoryFields | null;
  /** The messages of a conversation; null if the run is not a conversation. */
  said: Saying[] | null;
  /** How many earlier messages are left out. */
  earlier: number;
  /** The result that the graph declares, or the fields that were written last. */
  answer: StoryFields | null;
  /** The other fields that nodes wrote. */
  besides: StoryFields | null;
  /** The descriptions of the steps. */
  accounts: Account[];
  /** How many steps in the middle of the run are left out. */
  left_out: number;
  /** The numbers that conditions compared last, by their paths in words. */
  numbers: Record<string, number>;
  /** The cost of models in the run's own steps. */
  spent: Spending[];
  /** A picture of the graph with the path that the run took, as SVG. */
  picture: string;
}

export interface Summary {
  reason: string;
  kind: string;
  /** How many things the run waits for. A list that also reads posted messages does not count answered questions. */
  waits: number;
  cost_usd: number | null;
  /** The tokens of all model calls in the run's own steps. */
  tokens: number;
  /** How many node visits are completed. */
  visits: number;
  /** For how many seconds processes have driven the run. */
  seconds: number;
  losses: Record<string, number>;
  agents: Record<string, number | null>;
  /** The input and result fields that the graph declares with `search=`, as texts by field name. */
  fields: Record<string, string>;
}

export interface Sums {
  /** the version of the documents */
  schema: 2;
  /** The totals of each of the seven days, the newest first. Days without runs are included. */
  days: Trend[];
  /** The totals of the seven days together. */
  week: Trend;
  /** How many runs began in these days. */
  runs: number;
  /** The totals of the nodes of the runs that were read, the slowest nodes first. */
  nodes: NodeSum[];
  /** How many of these runs were read for `nodes`. The newest runs are read first. */
  read: number;
  /** How many other runs were left out, because they have too many steps or cannot be read. */
  skipped: number;
  /** Which runs were read, as a sentence. */
  sample: string;
  /** How many states were read to find the runs; omitted if the search compares no field of a state. */
  looked_at?: number;
  unseen?: number | null;
}

export interface Table {
  /** The title of the table. */
  title: string;
  /** The headings of the columns. */
  columns: string[];
  /** The rows, each with a text for each column. */
  rows: string[][];
  /** A note that *Today* shows below the amount spent; "" for none. */
  spent: string;
}

export interface Tables {
  tables: Table[];
}

export interface Tally {
  runs: number | null;
  lossy: number | null;
}

export interface Today {
  /** the version of the documents */
  schema: 2;
  /** When today began. */
  midnight: number;
  /** The time up to which runs are counted. */
  now: number;
  /** The numbers of today's runs. */
  today: Numbers;
  /** The numbers of yesterday's runs that began before this time of day. */
  yesterday: Numbers;
  forecast_usd: number | null;
  /** For each hour: today's runs, today's failed runs, yesterday's runs, and yesterday's failed runs. */
  hours: number[][];
  marks: [number, string, string][];
  /** The comparison by graph, version, tenant or agent. */
  groups: Groups;
  /** Error messages of today that no run of yesterday had. */
  errors: NewError[];
  /** The graph that most likely broke; null if none got worse. */
  culprit: Culprit | null;
  /** Runs that had failed and were retried today. */
  retried: RetriedRuns[];
  /** The agent that cost most; null if no agent cost anything. */
  dearest: Spender | null;
  /** Whether there are too many runs to read, so that only those of the last hours are counted. */
  is_cut: boolean;
}

export interface Trend {
  /** The name of the graph or tag; "" for the runs of all graphs. */
  name: string;
  /** When the interval begins, epoch seconds. */
  since: number;
  /** How many runs began in the interval. */
  runs: number;
  /** The number of runs by status. Queued and interrupted runs count as `running`. */
  statuses: Record<string, number>;
  /** In how many runs something went wrong on the way, such as a retry or a failed item. */
  with_losses: number;
  /** How often things went wrong, by kind. */
  losses: Record<string, number>;
  /** The cost of models in US dollars, as far as prices are known. */
  cost_usd: number;
  /** How many runs called a model whose price is not known. */
  unknown_costs: number;
  /** How many seconds processes drove these runs in total. */
  seconds: number;
  /** The median of this time over the runs that ended; null if none did. */
  median_seconds: number | null;
  /** The time that 95 % of the runs that ended did not exceed; null if none did. */
  p95_seconds: number | null;
}

export interface Tried {
  to: string;
  label: string;
  condition: string;
  why: string;
  taken: boolean;
}

export interface Unused {
  from: string;
  to: string;
  label: string;
  condition: string;
}

export interface Usage {
  calls: number;
  /** How many of these answers came from rules or a script instead of a language model. */
  offline_calls: number;
  /** The tokens of all requests. */
  input_tokens: number;
  /** The tokens of all answers. */
  output_tokens: number;
  /** The cost in US dollars; None if the price of any call is not known. */
  cost_usd: number | null;
  /** The part of the input tokens that providers read from their caches. */
  cache_read_tokens: number;
  /** The part of the input tokens that providers wrote to their caches. */
  cache_write_tokens: number;
  /** The part of the output tokens that was reasoning. */
  reasoning_tokens: number;
  /** The cost of the calls whose price is known, if `cost_usd` is None. */
  priced_usd: number;
  unknown_calls: number;
}

export interface Wait {
  name: string;
  kind: "ask" | "pause" | "receive" | "sleep" | "tool" | "unknown";
  /** The question, as text. */
  question: string;
  /** The JSON Schema of the answer; None if the wait is not ended by an answer. */
  schema: Record<string, unknown> | null;
  /** The topic of the message. */
  topic: string | null;
  due_at: number | null;
  answered: PostedAnswer | null;
  facts?: Record<string, unknown>;
  /** The value that `ask(proposed=…)` names; left out if the question proposes no value. */
  proposed?: unknown;
  /** The value that the proposed value would replace, which `ask(was=…)` names; left out if none is named. */
  old?: unknown;
  id: string;
}

export interface Waypoint {
  /** The number of the step in the run, from 1. */
  seq: number;
  /** The path of the node, such as `article/review`. */
  path: string;
  /** The kind of the step: `node`, `attempt`, `failed`, `waiting`, … */
  kind: string;
  /** The name of the node; "" for the run itself. */
  node: string;
  /** The number of the visit of the node, from 1. */
  visit: number;
  /** The number of the attempt of the visit, from 1. */
  attempt: number;
  /** The label of the edge that was taken. */
  edge: string | null;
  /** The nodes to which the edge leads. */
  targets: string[];
}

export interface WhyNot {
  /** The number of the edge in the picture. */
  edge: number;
  /** The node at which the edge begins. */
  source: string;
  /** The node to which the edge leads. */
  to: string;
  /** The label of the edge. */
  label: string;
  /** The condition of the edge, in words. */
  condition: string;
  /** How often the run took the edge. */
  taken: number;
  /** The last steps at which the run chose among the node's edges, newest first. */
  decisions: Decision[];
  /** The number of the graph's newest runs that were examined. */
  runs: number;
  /** How many of these runs took the edge. */
  took: number;
  /** How many of these runs had a version of the graph without this edge. */
  unmapped: number;
  /** A branch of the run in which the edge would be taken; null if there is no suggestion. */
  as_if: AsIf | null;
}

export interface Answers {
  "all_graphs": Record<string, Record<string, number>>;
  "branches": Runs;
  "compare": Comparison;
  "fields": BranchForm;
  "find": number[];
  "form": StartForm;
  "graph": Graph;
  "in_common": InCommon;
  "in_results": InResults;
  "lines": Record<string, Line>;
  "moments": Moments;
  "overview": Overview;
  "picture": Picture;
  "problems": CheckedGraph;
  "questions": Questions;
  "rows": Row[];
  "run": Run;
  "runs": Page;
  "runs/{run_id}/below": Runs;
  "runs/{run_id}/state": State;
  "runs/{run_id}/steps/{seq}": StepDetails;
  "runs/{run_id}/usage": SpendingOfRun;
  "scores": Chart;
  "session": Session;
  "sums": Sums;
  "tables": Tables;
  "tally": Tally;
  "today": Today;
  "why_not": WhyNot[];
}
