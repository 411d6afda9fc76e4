"""The names of other libraries, each with the form that does the same here.

`TABLE` is the only list of these names. Errors about unknown attributes, imports, keyword arguments, commands and
options look names up in it, and a section of the glossary is generated from it.

A block of `TABLE` belongs to one place where a name can be asked for. An entry of a block begins with names, followed
by a colon and the libraries that use at least one of these names. Each indented line below is one form, which runs as
pasted; several lines are alternatives. `own` marks names of graphengine that are asked for in the wrong place.

`tests/api/test_foreign_names.py` runs every form.
"""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

LIBRARIES: Final = (
    "LangGraph",
    "Temporal",
    "DBOS",
    "Prefect",
    "pydantic-ai",
    "OpenAI",
    "networkx",
    "Burr",
    "LlamaIndex",
    "Celery",
    "Airflow",
    "Dagster",
    "CrewAI",
    "AutoGen",
    "Haystack",
    "Restate",
    "Inngest",
    "AWS",
    "Luigi",
    "transitions",
    "asyncio",
)
COMMON: Final = "common"
"""Marks words that several libraries use, or that people try first."""
OWN: Final = "own"
OR: Final = "\n      or: "
"""Stands between forms in an error: each has a line of its own, under the first, so that it can be copied."""

_GRAPH: Final = """
add_conditional_edges, add_router, add_decision, decision, attach_branch, match, match_node: LangGraph pydantic-ai
    graph.add_switch('a', route, {'x': 'b', 'y': END})
    graph.add_edge('a', 'b', when=value('n') >= 1)
add_branch, branch_on, add_condition, switch, case, if_, when, add_choice, choice, add_choice_rule: common AWS
    graph.add_switch('a', route, {'x': 'b', 'y': END})
    graph.add_edge('a', 'b', when=value('n') >= 1)
add_sequence, add_chain, chain, s, si, signature, subtask, pipe, then, sequence, pipeline, add_edges, connect, link,
next, add_ordered_transitions: LangGraph Celery Airflow transitions
    graph.add_path('a', 'b', 'c')
add_edges_from, add_weighted_edges_from, add_transition, with_transitions: networkx Burr
    graph.add_path('a', 'b', 'c')
    graph.add_edge('a', 'b', when=value('n') >= 1)
cross_downstream, set_downstream, set_upstream, attach_edge, edge, edge_from, add_edge_from, requires, add_dependency,
depends_on, after, add_flow, otherwise, set_next, edge_info: Airflow LangGraph pydantic-ai Luigi AWS
    graph.add_edge('a', 'b')
add_nodes_from, with_actions, add_workflows, add_step, add_action, add_vertex, attach_node, add_component, add_op,
add_executor, add_participant, add_handler, with_nodes, add_stage, add_job, add_task, add_operator: networkx Burr
Haystack Dagster transitions
    graph.add_node('b', work, writes='n')
node, step, task, action, activity, register, add, add_function, add_state, state_node: common
    graph.add_node('b', work, writes='n')  # there is no decorator: a node is a plain function
add_agent, agent: common
    graph.add_node('b', Agent('writer', model='placeholder', prompt='Write about {n}'), writes='text')
add_subgraph, add_graph, add_group, add_child, subflow, add_workflow, add_tasks, task_group: common
    graph.add_node('inner', inner, inputs={'n': 'n'}, writes='n')  # a Graph is a node
add_tool, tool, bind_tools: common
    graph.add_node('b', Agent('writer', model='placeholder', tools=[search]), writes='text')
add_map, map, add_mapping_edge, each, foreach, for_each, expand, starmap, parallel_map, map_reduce: Prefect Airflow
Celery
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes')
add_parallel, parallel, add_fan_out, fan_out, group, chunks, add_to_chord, with_parallel_executor, chord, gather,
broadcast, add_join, join, branch_all: common
    graph.add_fork('a', ['b', 'c'], join='d')
add_loop, loop, while_, repeat, add_cycle: common
    graph.add_edge('a', 'a', when=iterations('a') < 3)
add_interrupt, interrupt, add_human, human_input, add_approval, approve, add_question, ask, input: common
    graph.add_node('approve', ask('Publish {text}?', bool), writes='is_approved')
add_retry, with_retry, set_retry, with_retry_policy, add_retry_policy, retry, set_node_defaults: LangGraph Prefect
Celery Dagster
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))
with_fallbacks, add_fallback: LangGraph
    graph.add_node('b', work, writes='n', fallback=0)
add_error_edge, on_error, on_crashed, catch_error, add_exception_edge, on_failure, link_error, errback, catch,
on_exception, add_catch, on_error_do, on_rollback: common AWS Prefect
    graph.add_edge('a', 'b', when=failed(Exception))
set_entry_point, set_start, reset_to_entrypoint, set_entry, start_at, with_entrypoint, set_start_node, entrypoint,
entry_point: LangGraph Burr
    graph.add_edge(START, 'a')
set_finish_point, set_end, set_exit, set_end_node, finish, add_end, set_final, end, halt_after: LangGraph Burr
    graph.add_edge('c', END)
set_conditional_entry_point, set_conditional_entry: LangGraph
    graph.add_switch(START, route, {'x': 'a', 'y': 'b'})
with_config, assign, pick, with_options, configure, configurable_fields, configurable_alternatives, bind, configured,
alias, with_metadata, set_immutable, stamp: LangGraph Prefect Dagster Celery
    graph.but(limits=Limits(visits=50))
    runner.start(graph, state, limits=Limits(visits=50))
with_state, fn, set_state, state_schema, schema, channels, with_typing: Burr LangGraph
    graph = Graph('name', State)
with_hooks, on_success, on_completion, on_running, on_retry, after_return, on_cancellation, add_hook, add_listener,
with_listeners, on_event, subscribe, add_callback, on, pre_execute, post_execute, on_skipped_callback,
has_on_success_callback, has_on_failure_callback, on_commit, on_execute_callback, hook_defs, add_hooks, callback,
*callback*, *hook*, *listener*, on_enter, on_exit, on_final: Burr LangGraph Prefect Airflow Dagster
    async for event in runner.start(graph, state).events(): print(event)
with_tracker, uid, parent_pointer, store, builder, conf, with_state_persister, with_persister, initialize_from,
with_identifiers, checkpointer, persist, save_state: Burr AutoGen
    runner = Runner('runs.db')
build, freeze, finalize, compiled, validate_setup_teardown: Burr pydantic-ai
    graph.check()  # a Graph needs no build: run it as it is
invoke, run_job, run_step, arun_graph, execute, call, kickoff, process, launch, run_until_complete, run_async, perform,
execute_in_process, kickoff_async, run_local, run_pipeline, materialize, initiate_chat, akickoff, apply, aio_run,
run_process, add_model, run_task, start_process, test, test_mode_run: LangGraph common Dagster CrewAI Haystack AutoGen
Celery
    result = await graph.run(state)
    result = graph.run_sync(state)
    result = await runner.start(graph, state).result()  # recorded in the database of the runner
delay, to_deployment, send_to_queue, apply_async, send_task, submit, enqueue, start_workflow, trigger, deploy,
async_run, apply_async_on_commit, send_with_options, run_no_wait, start_new, enqueue_in, enqueue_at: Celery Prefect
Airflow
    await runner.start(graph, state, queue='default').begun()  # a Worker runs it
batch, batch_as_completed, run_many, kickoff_for_each, kickoff_for_each_async, run_for_each: LangGraph CrewAI
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes')
    results = await asyncio.gather(*(graph.run(each) for each in (state, state)))
stream, stream_iterate, astream_events, astream_log, iter, iterate, stream_events, stream_result, events, transform,
run_stream, run_async_generator, stream_values, stream_updates: LangGraph AutoGen Haystack
    async for event in runner.start(graph, state).events(): print(event)
get_state, state_snapshot, load_state: LangGraph
    await runner.state_at(run_id)
    await runner.state_at(run_id, 1)
get_state_history, checkpoints, get_history: LangGraph
    await runner.history(run_id)
    await runner.state_at(run_id, 1)
update_state, bulk_update_state, patch_state: LangGraph
    runner.branch(run_id, graph, at=1, update={'n': 2})
get_graph, draw_mermaid, draw_mermaid_png, draw_png, draw_ascii, print_ascii, to_png, plot, show, picture: LangGraph
    graph.render('graph.svg')
    print(graph.to_mermaid())
    print(graph.to_dot())
draw, visualize, visualise, draw_networkx, draw_all_possible_flows, view, display, to_svg, export_png, spring_layout,
style_attributes, *color*, *style*, *layout*, *png*: networkx Burr Prefect
    graph.render('graph.svg')
    print(graph.to_mermaid())
mermaid_code, mermaid_image, mermaid, as_mermaid, generate_mermaid: pydantic-ai
    print(graph.to_mermaid())
graphviz, dot, to_graphviz, to_agraph, write_dot, to_pydot: networkx
    print(graph.to_dot())
validate, verify, is_valid, lint: LangGraph LlamaIndex
    problems = graph.check()
get_subgraphs: LangGraph
    [node.name for node in graph.nodes if isinstance(node.runnable, Graph)]
get_input_schema, parameters, validate_parameters, serialize_parameters, get_context_jsonschema, input_channels,
output_channels, stream_channels, with_types, get_input_jsonschema, get_output_schema, config_schema,
get_output_jsonschema, inputs, outputs, input_sockets, get_config_jsonschema, config_specs, state_type, InputType,
input_mappings, output_mappings, input_defs, output_defs, input_dict, output_dict, get_input_mapping,
get_output_mapping, run_config_schema, input_types, *schema*, *output*, *input*, input_schema, output_schema: LangGraph
Haystack Dagster
    graph.state.model_json_schema()
has_node, contains, node_exists: networkx
    'a' in graph.to_networkx()
has_edge, has_successor, has_predecessor, get_edge_data, edge_exists: networkx
    graph.to_networkx().has_edge('a', 'approve')
number_of_nodes, order, size, len, node_count, count_nodes: networkx
    len(graph.nodes)
__len__: networkx
    len(graph.nodes)
__contains__: networkx
    'a' in graph.to_networkx()
__getitem__: networkx
    graph.to_networkx()['a']
number_of_edges, edge_count: networkx
    len(graph.edges)
list_nodes, get_nodes, node_names, get_component, get_node, get_step, get_task, get_participants, walk, node_defs,
all_node_defs, node_dict, components, is_state, *task*, *node*, *step*, *component*, *participant*, *op*, *member*:
networkx Haystack AutoGen Dagster
    [node.name for node in graph.nodes]
list_edges, get_edges, in_edges, out_edges, edges_iter, incoming, outgoing, get_transitions, get_triggers, transitions,
outbound, edges_by_source, branches, get_nested_transitions, dependency_structure, dependencies, set_dependency, *edge*,
*transition*, *dependency*, *successor*: networkx transitions
    list(graph.to_networkx().in_edges('approve'))
    list(graph.to_networkx().out_edges('a'))
predecessors, successors, neighbors, neighbours, adj, adjacency, pred, succ, children, parents, upstream, downstream,
leaves, roots, get_flat_relatives, get_direct_relatives: networkx Airflow
    list(graph.to_networkx().successors('a'))
    list(graph.to_networkx().predecessors('approve'))
degree, in_degree, out_degree: networkx
    graph.to_networkx().out_degree('a')
topological_sort, topological_generations, topological_order, toposort, layers: networkx
    import networkx; list(networkx.topological_sort(networkx.condensation(graph.to_networkx())))
shortest_path, all_simple_paths, has_path, paths, ancestors, descendants, simple_cycles, cycles, is_dag: networkx
    import networkx; networkx.shortest_path(graph.to_networkx(), 'a', 'approve')
nbunch_iter, nodes_iter, to_directed, to_undirected, reverse, edge_subgraph, is_directed, is_multigraph, subgraph,
weakly_connected_components, bfs_tree, find_cycle, density, pagerank, isolates, is_frozen, path_graph,
set_node_attributes, *subset*, *subgraph*, *adjacency*, partial_subset, sub_dag, transitive_closure,
transitive_reduction, *closure*, *centrality*, *connected*, strongly_*, weakly_*, transitive_*, nodes_with_*: networkx
    graph.to_networkx()  # has all methods of a networkx graph
remove_node, remove_nodes_from, remove_edge, remove_edges_from, clear, clear_edges, delete_node, remove, update,
remove_transition, remove_task, remove_component, remove_state, delete_edge, drop_node: networkx
    graph = Graph('name', State)  # a graph only grows: declare it without the node
copy, clone, replace, deepcopy: networkx Airflow
    graph.but(name='copy')
get_name, dag_id, graph_id, get_id, get_task_family, get_global_name, sequence_id: LangGraph Airflow Inngest Luigi
transitions
    graph.name
to_json, to_dict, serialize, as_dict, model_dump, dumps, to_definition, to_asl, to_yaml, get_definition, node_link_data,
dump_component, to_str_params, serialize_*, export_*: common Haystack AWS networkx AutoGen
    print(graph.to_mermaid())
    graph.to_networkx()
serve, to_a2a, to_web, to_api, as_server: Prefect pydantic-ai
    graphengine serve GRAPH
as_tool, to_mcp, as_mcp: LangGraph
    graphengine mcp GRAPH
from_source, from_spec, with_graph, with_spawning_parent, load, from_file, from_yaml, from_dict, loads, from_definition,
from_yaml_file, node_link_graph, read_graphml, load_component, from_str_params: Prefect Haystack networkx
    graph = Graph('name', State)
get_prompts, clear_cache, set_cache, cache: LangGraph
    await ctx.call(work, 1)  # in a node: recorded, so a resumed run does not call it again
next_node, get_next_action, has_next_action: Burr pydantic-ai
    walked = await walk(graph, {'a': {'n': 1}, 'approve': {'is_approved': True}})
schedule, cron, set_schedule, create_schedule, scheduled, schedule_interval, *schedule*, *timetable*, *cron*: Prefect
Airflow DBOS
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
test_case, dry_run, simulate, debug_run: common
    walked = await walk(graph, {'a': {'n': 1}, 'approve': {'is_approved': True}})
set_timeout, with_timeout, timeout: common
    graph.add_node('b', work, writes='n', timeout_seconds=60)
add_reducer, reducer, add_field, with_reducer: common
    notes: Annotated[list[str], extend] = []  # a field of the state
run: own
    await graph.run(state)
run_sync: own
    graph.run_sync(state)
check: own
    graph.check()
render: own
    graph.render('graph.svg')
to_mermaid: own
    graph.to_mermaid()
to_dot: own
    graph.to_dot()
warm_up, with_resources, add_resource, with_services, provide, inject, resource_defs, with_top_level_resources,
get_resource_requirements, required_resource_keys: Haystack Dagster
    graph = Graph('name', State, resources={'accounts': dict})  # called once, before the first run that needs it
template_fields, template_ext, template_searchpath, template_undefined, user_defined_macros, render_template_fields,
resolve_template_files, input_values, get_params, param_args, param_kwargs, get_param_names, *template*, *param*,
*macro*, requires_input, input_vars: Airflow Luigi
    graph.add_node('b', work, inputs={'n': 'n'}, writes='n')
"""

_RUNNER: Final = """
signal, notify, put, post, publish_message, send_message, send_event, message, raise_event, trigger_event,
publish_event, fire, dispatch_event, send_bulk, reject_signal, resolve_signal, send_scheduler_message: Temporal
LlamaIndex DBOS Restate Inngest
    await runner.send(run_id, 'topic', 'value')
signal_with_start, start_update_with_start_workflow, send_with_start: Temporal
    await runner.start_or_send(graph, 'r-new', 'topic', 'value')
update, execute_update, start_update, execute_update_with_start_workflow, send_task_success, send_task_failure,
resolve_awakeable, reject_awakeable, resolve_promise, complete_activity, complete_task, get_async_activity_handle,
get_update_handle, get_update_handle_for: Temporal AWS Restate
    await runner.answer(run_id, True, graph)
    await runner.send(run_id, 'topic', 'value')
set_state, modify, edit, patch: Prefect
    runner.branch(run_id, graph, at=1, update={'n': 2})  # a run keeps its steps: a branch has other values
query, get_event, read_stream, get_value, get_progress, poll: Temporal DBOS
    await runner.get(run_id).published('progress', int)
    await runner.state_at(run_id)
cancel, revoke, abort, interrupt, kill, request_cancel: DBOS Temporal Celery Prefect OpenAI
    await runner.stop(run_id)  # a resume continues it
    await runner.stop(run_id, final=True)  # nothing continues it
terminate, cancel_now, force_stop, force_cancel, mark_failed, fail: Temporal
    await runner.stop(run_id, now=True, final=True)
pause, suspend, hold: Prefect
    await runner.stop(run_id)  # a resume continues it
    runner.start(graph, state, pause_before=['approve'])
unpause, continue_run, resume_workflow, continue_as_new, wake, restart_from_checkpoint, resume_workflows, resume_run:
Prefect DBOS
    runner.resume(run_id, graph)
retry, rerun, retry_failed, clear, redrive, requeue, reprocess, resubmit: common Celery AWS
    runner.resume(run_id, graph, retry_failed=True)
restart, run_again, repeat: common
    runner.branch(run_id, graph, at=1)
    runner.start(graph, state)
fork, reset, rewind, clone, copy_run, rollback, time_travel, backtrack, replay_from, copy, copy_thread: DBOS Temporal
    runner.branch(run_id, graph, at=1)
    runner.branch(run_id, graph, at=1, update={'n': 2})
replay: Temporal
    replay(graph, await export_run(runner.store, run_id))
invoke, execute, run_workflow, call, run_graph, run_flow, run_until_complete, kickoff, run_async, execute_job,
materialize, run_and_wait, invoke_sync, generic_call, workflow_call, service_call, object_call, do_call: Temporal
LangGraph Dagster Inngest Restate
    result = await runner.start(graph, state).result()
run_sync, run_blocking: OpenAI pydantic-ai
    answer = agent.run_sync(text='Hi')
    result = graph.run_sync(state)
run_streamed, run_stream, run_stream_events, stream_agent: OpenAI pydantic-ai
    async for event in runner.stream(agent, text='Hi'): print(event)
start_workflow, create_run, new_run, launch, trigger, begin, spawn: Temporal DBOS
    run = runner.start(graph, state, run_id='order-7')
start_workflow_async, start_async, start_soon, create_task, background, start_activity, object_send, workflow_send,
service_send, generic_send, trigger_schedule: DBOS Restate
    run = runner.start(graph, state)
submit, enqueue, delay, apply_async, send_task, push, schedule_run, dispatch, queue, add_to_queue, run_later,
execute_later, send_task_message: Celery DBOS Prefect common
    run = runner.start(graph, state, queue='default')  # a Worker runs it
run_deployment, trigger_dag, create_dagrun: Prefect Airflow
    run = runner.start(graph, state, queue='default')  # a Worker runs it
batch, map, run_many, start_many, execute_many, gather: LangGraph Prefect
    results = await asyncio.gather(*(runner.start(graph, each).result() for each in (state, state)))
get_handle, get_workflow_handle, get_workflow_handle_for, retrieve_workflow, get_run, get_thread, handle, attach,
find, AsyncResult, load, fetch, lookup, connect_run, get_external_workflow_handle, open: Temporal DBOS Celery
    run = runner.get(run_id, graph)
list_runs, get_flow_runs, partition_key, list_workflows, get_runs, list_threads, list_flow_runs, read_flow_runs, search,
query_runs, find_runs, list_executions, all_runs, workflows, list, ls, filter, list_dags, list_open, active,
get_task_instances, list_sessions, get_run_records, read_flow, flows, inspect: DBOS Prefect Temporal
    await runner.runs()
    await runner.runs('status:failed tag:nightly')
list_queued_workflows, list_queue, reserved, pending, inspect_queue: DBOS Celery
    await runner.runs('status:queued')
list_failed, failures, dead_letters, dlq: common
    await runner.runs('status:failed')
count, count_workflows, count_runs, stats, statistics, metrics, summary, get_dr_count, count_activities, get_run_stats,
report, get_runs_count: Temporal Airflow
    await runner.admin.trends()
describe, get_workflow_status, read_flow_run, get_info, details, get_flow_run, get_dag_run, is_running, is_done,
job_status, poll_status, get_run_by_id, get_dagrun_state, get_task_states, get_run_tags, update_flow_run,
get_run_record_by_id, *status*, *info*, *record*: Temporal DBOS Prefect Dagster Airflow
    await runner.info(run_id)
get_result, result, wait, wait_for, await_result, join, output, wait_until_done, wait_for_completion: DBOS Temporal
Celery Prefect
    result = await runner.get(run_id, graph).result()
fetch_history, list_workflow_steps, get_events, event_history, log, trace, list_checkpoints, get_task_runs,
read_task_runs, list_activities, get_records_for_run, all_logs, logs_after, get_records, *history*, *step*, *task*,
*activity*, *log*: Temporal DBOS Dagster
    await runner.history(run_id)
    graphengine show RUN_ID
get_state, get_values, load_state, get_checkpoint, get_tuple, snapshot, memory, state, *state*, *checkpoint*: LangGraph
    await runner.state_at(run_id)
    await runner.state_at(run_id, 1)
events, stream_events, subscribe, follow, listen, tail, on_event, add_listener, stream_run, observe: LlamaIndex
LangGraph
    async for event in runner.watch(run_id, graph): print(event)
delete, remove, forget, purge, destroy, drop, erase, cleanup, clean_up, gc, garbage_collect, prune_runs, adelete_thread,
delete_workflows, wipe, wipe_assets, delete_artifact, delete_for_runs: DBOS LangGraph Celery Prefect
    await runner.admin.prune(keep_last=100)
    await runner.admin.bulk('prune', f'id:{run_id}')
approve, reject, respond, reply, resume_with, provide_input, answer_question, submit_answer, human_input, complete,
resolve, submit_human_input, send_answer, *approval*: LangGraph pydantic-ai LlamaIndex
    await runner.answer(run_id, True, graph)
interrupts, pending_interrupts, questions, inbox, pending_approvals, tasks, list_waits, approvals, list_interrupts,
waiting, get_waits: LangGraph OpenAI
    await runner.waits()
recover_pending_workflows, recover_all, resume_all, resume_pending, restore: DBOS
    await runner.recover(graph)
set_event, close_stream, publish, emit, write_stream, report_progress, update_progress, upsert_memo,
get_task_progress_percentage, log_event, set_current_details, report_engine_event, *progress*: DBOS
    await ctx.publish('progress', 1)  # in a node
upsert_search_attributes, set_tags, add_tag, label, annotate, set_metadata, rename, flow_run_labels, labels, run_tags,
add_labels, *tag*, *label*, *metadata*, *attribute*: Temporal Prefect
    await runner.tag(run_id, add=['nightly'])
remove_tag, untag: common
    await runner.tag(run_id, remove=['nightly'])
create_schedule, update_schedule, add_schedule, cron, periodic_task, add_periodic_task, beat, scheduled, every,
apply_schedules, add_job, scheduled_job, run_every, schedule_job, add_cron, automation, automations, create_automation,
deployment_schedule, deployment_schedules: Temporal DBOS Celery Prefect common
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
list_schedules, get_schedule, get_schedules, get_schedule_handle, schedules, get_jobs, get_job, print_jobs: Temporal
DBOS common
    await runner.admin.schedules()
delete_schedule, remove_schedule, unschedule: Temporal DBOS
    await runner.admin.unschedule('daily')
pause_schedule, resume_schedule, unpause_schedule, backfill, backfill_schedule, stop_schedule, start_schedule, *paused*,
*backfill*: Temporal DBOS Airflow
    await runner.admin.pause_schedule('daily')
    await runner.admin.pause_schedule('daily', paused=False)
worker, worker_main, autodiscover_tasks, control, start_worker, work, serve, launch_worker, listen_queues, deploy,
consume, add_worker, create_worker, deployment, deployments, create_deployment, control_cls, add_consumer,
cancel_consumer, autoscale, pool_restart, pool_grow, pool_shrink, registered_tasks, run_coordinator, run_launcher,
register_agent_instance, is_worker_running, *deployment*, *worker*, *consumer*: Temporal DBOS Prefect Celery Dagster
AutoGen
    worker = Worker(runner, graph)
register_queue, create_queue, set_concurrency, rate_limit, limit_queue, set_rate_limit, concurrency, limits,
create_concurrency_limit, pause_queue, throttle, list_queues, queues, get_queue, retrieve_queue, delete_queue,
work_queue, work_queues, work_pool, work_pools, concurrency_limit, global_concurrency_limit, concurrency_slots,
concurrency_config, active_queues, decrement_v1_concurrency_slots, increment_concurrency_slots,
release_concurrency_slots, reset_concurrency_limit, *queue*, *pool*, *concurrency*, *slot*, *limit*: DBOS Celery Prefect
Dagster
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4))
    graphengine queues list
register, add_workflow: common
    worker = Worker(runner, graph)
export, dump, save_run, to_json: common
    graphengine export RUN_ID -o run.json
diff, compare: common
    await runner.admin.diff(run_id, run_id, first_at=1)
cost, usage, spending, tokens: common
    await runner.admin.spending(run_id)
connect, setup, namespace, startup, initialize, init, configure, from_conn_string, migrate, create_tables,
reset_system_database, config_from_envvar, config_from_object, set_serde_kwargs, backend, amqp, on_configure, on_init,
create_table_if_not_exists, run_storage, event_log_storage, setup_security, *backend*, *database*: DBOS LangGraph Celery
Dagster Burr
    runner = Runner('runs.db')  # makes its tables by itself
shutdown, stop_all, disconnect, dispose, aclose, teardown, exit, stop_when_idle, *shutdown*: DBOS AutoGen
    await runner.close()
bulk, bulk_cancel, batch_cancel, cancel_all, terminate_all, cancel_workflows, stop_many, cancel_many: DBOS Temporal
    await runner.admin.bulk('stop', 'graph:approval')
prune: own
    await runner.admin.prune(keep_last=100)
schedule: own
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
trends: own
    await runner.admin.trends()
vacuum: own
    await runner.admin.vacuum()
misfit_schedules: own
    await runner.admin.misfit_schedules(graph)
start: own
    runner.start(graph, state)
resume: own
    runner.resume(run_id, graph)
branch: own
    runner.branch(run_id, graph, at=1)
stop: own
    await runner.stop(run_id)
send: own
    await runner.send(run_id, 'topic', 'value')
answer: own
    await runner.answer(run_id, True, graph)
history: own
    await runner.history(run_id)
state_at: own
    await runner.state_at(run_id)
info: own
    await runner.info(run_id)
runs: own
    await runner.runs()
waits: own
    await runner.waits()
get: own
    runner.get(run_id, graph)
tag: own
    await runner.tag(run_id, add=['nightly'])
watch: own
    async for event in runner.watch(run_id, graph): print(event)
recover: own
    await runner.recover(graph)
release: own
    await runner.release(run_id)
rows: own
    await runner.rows(await runner.runs(), ['n'])
start_or_send: own
    await runner.start_or_send(graph, 'r-new', 'topic', 'value')
variable, variables, block, block_document, block_documents, block_type, block_schema, resource, read_variable_by_name,
*variable*, *block*, *secret*, *resource*: Prefect
    graph = Graph('name', State, resources={'accounts': dict})  # a node takes it as a parameter: accounts
artifact, artifacts, create_artifact, update_artifact, *artifact*, *asset*, *materialization*: Prefect
    write_file('report.md', b'# Report')
application_version, latest_application_version, build_id, worker_build_id_compatibility, set_latest, code_version,
*version*: DBOS Temporal
    runner = Runner('runs.db', deploy='v2')  # a run records it: runner.runs('version:v2')
    graph = Graph('name', State, version=2, migrate={1: lambda old: old})
plugins, add_middleware, middleware, interceptors, add_intervention_handler, *plugin*, *middleware*, *extension*:
Temporal Inngest AutoGen
    runner = Runner(extensions=[Budgets(Budget(name='daily', window='day', cost_usd=10))])
set_logger, logger, log_cls, loglevel, setup_logging, python_log_level, tracing_logger, *logger*: Celery Inngest
    logging.getLogger(__name__).info('at work')
on_after_configure, on_after_finalize, post_run_step, pre_run_step, pre_start_stream, post_end_stream, pre_start_span,
add_event_listener, *event*: Celery Burr
    async for event in runner.watch(run_id, graph): print(event)
tracer, tracing, telemetry, instrument, metric_meter, *metric*, *span*, *trace*: Temporal DBOS
    runner = Runner('runs.db', telemetry=Telemetry())
*schedule*, *tick*, *automation*, *cron*, *scheduled*: Prefect Dagster
    await runner.admin.schedules()
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
subscription, *subscription*, *sensor*, *topic*, *handler*: AutoGen Dagster
    value = await ctx.receive('topic', str)  # in a node
    await runner.send(run_id, 'topic', 'value')
"""

_RUN: Final = """
run_id, uid, workflow_id, get_workflow_id, thread_id, task_id, flow_run_id, first_execution_run_id, workflow_run_id,
invocation_id, conversation_id: Temporal DBOS Celery
    run.id
wait, collect, maybe_throw, then, join, get, get_result, wait_for, wait_until_done, await_result, wait_for_completion,
final_result, complete, add_done_callback, remove_done_callback, wait_for_output, response, on_result, attach,
maybe_reraise, get_leaf, results, iter_native, join_native, run_loop_task, stop_event_result, peek: DBOS Celery Prefect
asyncio CrewAI
    result = await run.result()
value, returned, return_value, get_output, data: common
    (await run.result()).output
exception, traceback: Celery Prefect
    (await run.result()).error
ready, is_done, done, is_completed, is_running, is_finished, get_status, is_final, is_complete, finished, cancelled,
cancelling, is_failure, is_success, is_failure_or_canceled, state_id, is_*, *state*, *status*: Celery DBOS Prefect
asyncio Dagster
    await run.status()
successful, is_successful, succeeded, is_failed, is_ok: Celery Prefect
    await run.status() == 'finished'
describe, date_done, name, args, kwargs, info, details, metadata, created, created_at, start_time, end_time,
expected_start_time, state_type, state_name, flow_version, parent_task_run_id, work_queue_id, work_queue_name,
work_pool_id, work_pool_name, deployment_id, idempotency_key, run_config, job_name, task_run_id, current_turn,
max_turns, *_time, *_id, *_name, *_at, *time*, *date*, *version*, *worker*, *queue*, *deployment*, *attribute*, *memo*,
*count*, *parent*, *config*, *policy*, *by*: Temporal Prefect Dagster OpenAI
    await runner.info(run.id)
cancel, revoke, abort, kill, request_cancellation: Temporal OpenAI Celery LlamaIndex
    await run.stop()  # a resume continues it
    await run.stop(final=True)  # nothing continues it
terminate: Temporal
    await run.stop(now=True, final=True)
pause, suspend: Prefect
    await run.stop()  # a resume continues it
resume, restart, retry, continue_run, unpause: common
    runner.resume(run.id, graph)
signal, notify, send_message, send_event, put, message: Temporal LlamaIndex
    await run.send('topic', 'value')
update, execute_update, start_update, get_update_handle, get_update_handle_for: Temporal
    await run.answer(True)
    await run.send('topic', 'value')
approve, reject, respond, reply, resume_with, interrupt, provide_input: OpenAI LangGraph
    await run.answer(True)
query, get_event, read_stream, value_of: Temporal DBOS
    await run.published('progress', int)
    await runner.state_at(run.id)
stream, stream_events, astream, subscribe, follow, watch, listen, output_stream, iter, on_event, on_complete, on_done,
on_progress, next, override_next, iter_results: LlamaIndex LangGraph common pydantic-ai
    async for event in run.events(): print(event)
fetch_history, iterdeps, as_tuple, steps, checkpoints, logs, trace, fetch_history_events, graph, job_snapshot_id,
*snapshot*, *event*, *node*, *task*: Temporal DBOS
    await run.history()
fork, reset, rewind, clone, replay_from, backtrack: DBOS Temporal
    run.branch(at=1)
state_at, get_state, snapshot, values, get_values, ctx: LangGraph
    await runner.state_at(run.id)
delete, forget, remove, discard: Celery DBOS
    await runner.admin.bulk('prune', f'id:{run.id}')
questions, interrupts, interruptions, pending, tasks, *interrupt*, *approval*: LangGraph OpenAI
    await runner.waits(run.id)
children, child_runs, subflows, parent: Celery
    graphengine runs --tree
tag, add_tags, set_tags, with_tags, *tag*, *label*: Prefect
    await runner.tag(run.id, add=['nightly'])
percent, progress_of, completed: common
    await run.progress()
pending_messages, *pending*, *message*, *queued*: pydantic-ai
    await run.unread('topic')
"""

_AGENT: Final = """
tool, root_capability, tool_plain, function_tool, add_tool, register_tool, bind_tools, with_tools, toolset, use_tool,
set_tools, register_for_llm, register_for_execution, register_function, register_tools, add_tools, add_skill,
register_plugin: pydantic-ai LangGraph AutoGen
    agent = agent.but(tools=[search])  # a tool is a plain function, without a decorator
    agent = Agent('writer', model='placeholder', tools=[search])
as_tool, to_tool, delegate, as_function: OpenAI
    async def ask_helper(text: str) -> str: return str(await agent.run(text=text))  # a tool for tools=[ask_helper]
clone, copy, with_config, replace, bind, model_copy, with_options, configure, extend: OpenAI LangGraph
    agent = agent.but(turns=5)
override, using_sleep, with_model, use_model, set_model, mock, override_model, patch: pydantic-ai
    runner = Runner(models={'writer': ScriptedModel(['Hello'])})
    agent = agent.but(model=ScriptedModel(['Hello']))
run_stream, run_stream_events, iter, run_streamed, stream_text, stream_output, astream, stream_chat, stream_response,
event_stream_handler, on_messages_stream, stream_async, stream_events, *stream*: pydantic-ai OpenAI LangGraph LlamaIndex
AutoGen
    async for event in agent.stream(text='Hi'): print(event)
    async for event in runner.stream(agent, text='Hi'): print(event)
invoke, ainvoke, call, execute, ask, prompt_model, generate, complete, achat, kickoff, respond, query, predict,
initiate_chat, generate_reply, on_messages, execute_task, run_task, kickoff_async, print_response, cli_app: LangGraph
AutoGen CrewAI common
    await agent.run(text='Hi')
    await runner.run(agent, text='Hi')  # recorded
chat, converse, session, start_chat, send_message, reply: common
    await runner.run(agent, text='Hi', chat='ada')
batch_run, abatch, map: LangGraph
    answers = await asyncio.gather(*(agent.run(text=text) for text in ('a', 'b')))
output_validator, result_validator, validate, validator, output_guardrail, check_output: pydantic-ai OpenAI
    agent = agent.but(check=check_answer)
system_prompt, render_description, system_prompt_parts, instructions, set_instructions, prompt_template,
set_system_prompt, instruct, update_system_message, set_system_message, with_instructions, system_message, *prompt*,
*instruction*, get_prompt: pydantic-ai OpenAI AutoGen
    agent = agent.but(system='Be brief.')
    print(agent.system)
handoff, hand_off, transfer_to, transfer, delegates, sub_agents, add_handoff, register_nested_chats, add_sub_agent,
add_handoffs, register_hand_off, with_handoffs, add_delegate, handoffs, delegate_to: OpenAI AutoGen
    agent = agent.but(hand_to=[other])
input_guardrails, output_guardrails, guardrails, add_guardrail, add_input_guardrail, add_output_guardrail,
with_guardrails: OpenAI
    agent = agent.but(guards=[guard(is_polite, on='input')])
mcp_servers, get_mcp_tools, toolsets, get_all_tools, set_mcp_sampling_model, list_tools, tool_names, *tool*, *mcp*:
OpenAI pydantic-ai
    print(agent.tools)
model_settings, temperature, max_tokens, set_temperature, top_p, *setting*: OpenAI pydantic-ai
    agent = agent.but(settings=Settings(temperature=0.2))
output_type, result_type, response_format, with_structured_output, output_schema, output_json_schema, structured_output,
*output*, *schema*: pydantic-ai OpenAI LangGraph
    agent = agent.but(output=Answer)
deps_type, validation_context, deps, context, dependencies, with_context: pydantic-ai OpenAI
    graph = Graph.of(agent, resources={'accounts': dict})  # a tool takes it by the name of a parameter
last_run_messages, message_history, history_processors, memory, get_history, clear_history, add_message, conversation,
reset, load_history, save_state, load_state, on_reset, clear, chat_messages, last_message, set_memory, memory_store,
*memory*, *session*, *history*: pydantic-ai AutoGen
    await runner.run(agent, text='Hi', chat='ada')  # the conversation is recorded under this key
    agent = agent.but(messages='messages')
max_turns, max_iterations, max_steps, recursion_limit, usage_limits, max_iter: OpenAI pydantic-ai
    agent = agent.but(turns=5)
retries, max_result_retries: pydantic-ai
    agent = agent.but(output_retries=2)
to_cli, repl: pydantic-ai
    graphengine run GRAPH
to_a2a, to_web, to_ag_ui, serve, deploy, to_api, as_server, expose: pydantic-ai
    graphengine serve GRAPH --ag-ui
instrument, trace, enable_tracing, telemetry: pydantic-ai
    runner = Runner('runs.db', telemetry=Telemetry())
is_model_request_node, is_call_tools_node, is_end_node, is_user_prompt_node: pydantic-ai
    await runner.history(run_id)
sequential_tool_calls, parallel_tool_call_execution_mode, parallel_tool_calls: pydantic-ai
    agent = agent.but(settings=Settings(parallel_tool_calls=False))
as_graph, as_node, to_graph, as_runnable, compile, build, graph: common
    graph = Graph.of(agent)
description, handoff_description, role, goal, backstory, title, id, persona: OpenAI
    agent = agent.but(system='You write. Be brief.')
usage, cost, tokens: common
    (await Graph.of(agent).run({'text': 'Hi'})).usage
add_hook, on_start, on_end, callbacks, event_handler, on_event, before_model, after_model, register_reply,
register_hook, register_hooks, add_callback, step_callback, on_tool_start, on_tool_end, *hook*, *callback*, on_pause,
on_resume, on_reset_hook: OpenAI AutoGen CrewAI
    agent = agent.but(hooks=[Hooks()])
approve, requires_approval, needs_approval, add_approval: pydantic-ai OpenAI
    agent = agent.but(tools=[tool(search, approve=True)])
retry, with_retry, with_fallbacks, fallback: LangGraph
    graph.add_node('b', agent, writes='text', retry=Retry(attempts=3))
stop, cancel, interrupt: common
    await runner.stop(run_id)
from_file, from_spec, from_dict, from_config, load_component, load, to_dict, dump_component, to_json, model_dump, save,
*component*, *config*, *spec*: pydantic-ai AutoGen Haystack
    agent = Agent('writer', model='placeholder', prompt='Write about {text}')  # an agent is code, not a document
"""

_CONTEXT: Final = """
execute_activity, execute_activity_method, execute_local_activity, start_activity, activity, task, run_task,
invoke_step, do, execute, checkpoint, record, cache, memoize, side_effect, submit, start_local_activity,
run_in_executor, once, run_typed, run_step, call_step, durable, call_activity, run_op, run_action, sideEffect,
with_durability, run_durable, start_local_activity_class, start_activity_method, reserve_step: DBOS Temporal LangGraph
Restate common
    await ctx.call(work, 1)
run_activity, transaction, perform: DBOS
    await ctx.call(work, 1, effect='idempotent')
state, get, to_dict, prompt, partial_output, get_state_value, inputs, values, fields, variables, op_config, run_config,
partition_key, flow_config, op_inputs, get_input, task_output, step_output, parent_output, previous_output, node_output,
get_all, data, asset_key, asset_*, partition_*, load_asset_value, multi_partition_key, output, tool_input,
tool_arguments, has_partition_key_range, param_args, keys, *input*, *param*, *config*, *partition*, *asset*, *template*,
*state*: LangGraph pydantic-ai Burr Dagster Inngest
    def node(state: State) -> int: return state.n + 1  # each field is a parameter; state is all of them
start_child_workflow, execute_child_workflow, start_workflow, run_deployment, invoke, child, subflow, run_graph,
spawn, run_flow, call_graph, sub_workflow, trigger, service_call, object_call, workflow_call, service_send,
object_send, workflow_send, generic_call, generic_send, call_sub_orchestrator, call_workflow, invoke_workflow,
step_invoke: Temporal DBOS Prefect Airflow Restate
    result = await (await ctx.start(inner, {'n': 1})).result()
interrupt, tool_call_approved, input_required, wait_for_input, ask_human, pause, suspend, human_input,
wait_for_approval, request_approval, approve, confirm, question, prompt_user, elicit: LangGraph LlamaIndex Prefect
    answer = await ctx.ask('Publish?', bool)
wait_for_event, get_signal_handler, set_dynamic_query_handler, get_query_handler, recv, wait_for_signal,
wait_for_message, wait_signal, get_message, wait_event, on_signal, signal_received, get_event, receive_message,
wait_for, listen, get_signal, get_dynamic_query_handler, get_dynamic_update_handler, get_update_handler,
set_dynamic_signal_handler, set_dynamic_update_handler, set_update_handler, set_signal_handler, set_query_handler,
get_signal_handlers, events, *_handler, add_subscription: LlamaIndex DBOS Temporal
    value = await ctx.receive('topic', str)
wait_condition, await_condition, wait_until, condition: Temporal
    value = await ctx.receive('topic', str, timeout_seconds=60, default='')
wait, delay, timer, start_timer, create_timer, sleep_for, sleep_seconds, asleep: Temporal common
    await ctx.sleep(60)
set_event, current_details, memo, memo_value, report_progress, set_current_details, update_state, upsert_memo, progress,
set_progress, update_progress, set_status, heartbeat, info_update, post_progress, query, expose, set_custom_status,
add_output_metadata, add_metadata, log_event, get_current_details: DBOS LlamaIndex Temporal Celery Dagster
    await ctx.publish('progress', 1)
write_stream, stream, stream_writer, writer, dispatch_custom_event, yield_, write, event, emit_event, send_progress,
on_event, push, put_stream, stream_chunk, close_stream, *stream*: LangGraph DBOS Prefect common
    ctx.emit({'progress': 1})
send_event, signal, send_message, notify, signal_external, post: LlamaIndex Temporal
    ctx.send('topic', 'value')  # to its own run
workflow_id, conversation_id, id, thread_id, flow_run_id, workflow_run_id, execution_id, task_id, dag_run_id, job_id,
key, instance_id, invocation_id, session_id, object_key, dagster_run, dag_run, parent_flow_run_id, root_flow_run_id,
flow_run_name, instance, *parent*, *root*: Temporal DBOS LangGraph Celery Restate
    ctx.run_id
info, metadata, activity_info, get_context: Temporal Prefect
    print(ctx.run_id, ctx.node, ctx.visit, ctx.attempt)
config, root, validation_context, authenticated_user, sql_session, request, configurable, deps, dependencies, context,
resources, settings, params, services, client, session, runtime, conn, var, macros, vars, connection, assumed_role,
*resource*, *dep*, *deps*, *connection*, *variable*, *authenticated*, *role*, *user*: LangGraph pydantic-ai OpenAI
Airflow
    graph = Graph('name', State, resources={'accounts': dict})  # a node takes it as a parameter: accounts
retry, retry_info, attempt_number, run_count, try_number, retry_number, retry_count, attempts, retries, max_retries,
max_tries, *retry*, *attempt*, *tries*, *retries*: Celery pydantic-ai Temporal Airflow Dagster Inngest
    print(ctx.attempt)
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))  # any exception begins a new attempt
memory, store, kv, cache_store, key_value: LangGraph LlamaIndex
    graph = Graph('name', State, resources={'memory': lambda: Memory('runs.db')})  # a parameter named memory
usage, usage_limits, cost, tokens: pydantic-ai
    graph.add_edge('a', END, when=usage('cost_usd') >= 1)
time, time_ns, workflow_now, utcnow, datetime, today, timestamp, current_utc_datetime, date, now_ms, current_time,
is_replay, ds, ts, ds_nodash, ts_nodash, ds_*, ts_*, prev_*, logical_date, execution_date, partition_date,
data_interval_start, data_interval_end, start_date, end_date, remaining_time, *date*, *time*: Temporal common Airflow
    ctx.now()
uuid4, new_random, uuid, new_uuid, random_uuid, new_id: Temporal DBOS
    uuid.UUID(int=ctx.random.getrandbits(128))
rand, random_int, randint, randrange, seed: Temporal
    ctx.random.random()
logger, tracer, log, print, span, trace, *logger*: Temporal DBOS Prefect
    logging.getLogger(__name__).info('at work')
gather, map, parallel, all, as_completed, wait_all, fan_out, task_all, when_all, select, task_any, when_any,
create_task, task_group, start_soon, wait_any: Temporal Prefect Restate asyncio
    await asyncio.gather(ctx.call(work, 1), ctx.call(work, 2))
sleep_until_time, wait_until_time, sleep_till: common
    await ctx.sleep_until(ctx.now() + 60)
cancel, abort, stop, fail, raise_error, exit, complete, give_up, throw, terminate: Temporal Prefect common
    raise ValueError('the order is empty')  # the run fails; an edge with when=failed(…) continues
goto, jump, transition, next, set_next, end, next_node: Temporal LangGraph
    graph.add_switch('a', route, {'x': 'b', 'y': END})  # edges choose the next node
patched, delete_patch, patch, deprecate_patch, get_version: Temporal DBOS
    graph = Graph('name', State, version=2, migrate={1: lambda old: old})
upsert_search_attributes, tag, add_tag, set_tags: Temporal Prefect
    run = runner.start(graph, state, tags=['nightly'])
idempotency_token, request_id, dedup_key, workflow_key, unique_key: common
    ctx.idempotency_key
messages, pending_messages, message_history, history: pydantic-ai
    def node(messages: list[Message]) -> int: return len(messages)  # a field of the state
tool_name, model_settings, tool_manager, tool_call_id, agent, agent_name, model, last_agent: pydantic-ai OpenAI
    print(ctx.node, ctx.path)
step_id, node_name, name, task_run_id, activity_id, step_name, task_instance, ti, action_name, task_instance_key_str,
node_handle, op_handle, qualified_tool_name, *node*, *step*, step_status: DBOS Airflow
    ctx.path
index, item, map_index, get_mapping_key, rendered_map_index, expanded_ti_count, *mapped*, *index*: Airflow Dagster
    ctx.item_index
xcom_pull, from_dict, init, xcom_push, set, put, save, set_state, update, set_value, put_state, write_state, clear,
clear_all, clear_state, delete_state, state_keys, append, extend, increment, merge, wipe, subset, apply_operation,
add_output, add_trail: Airflow LlamaIndex Burr Restate
    def node(n: int) -> dict: return {'n': n + 1}  # what a node returns is written to the state
get_external_workflow_handle, get_run, get_handle, reject_awakeable, resolve_awakeable, resolve_signal, reject_signal,
resolve_promise, reject_promise, signal_with_start_workflow: Temporal Restate
    await ctx.call(tell, run_id, 'topic', effect='idempotent')  # a function that awaits runner.send(…)
write_file, artifact, create_artifact, create_markdown_artifact, outlets, outlet_events, log_output: Prefect Airflow
    write_file('report.md', b'# Report')
now_utc, is_replaying, in_workflow, is_running: Temporal
    ctx.now()
run: Restate Temporal
    await ctx.call(work, 1)  # a function, recorded
    result = await (await ctx.start(inner, {'n': 1})).result()  # a graph, as a child run
step: Inngest DBOS
    await ctx.call(work, 1)
    await ctx.sleep(60)
    value = await ctx.receive('topic', str)
awakeable, promise, durable_promise, wait_for_external_event, wait_for_callback, wait_for_task_token, task_token,
create_callback, external_event, callback_url, raise_complete_async: Restate AWS
    value = await ctx.receive('topic', str)  # from elsewhere: await runner.send(run_id, 'topic', 'value')
    answer = await ctx.ask('Publish?', bool)  # from elsewhere: await runner.answer(run_id, True, graph)
write_event_to_stream, stream_event, yield_event: LlamaIndex
    ctx.emit({'progress': 1})
collect_events, collect, join, wait_for_all: LlamaIndex
    graph.add_fork('a', ['b', 'c'], join='d')  # the join is visited once, after all arms
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes')
continue_as_new, restart, start_over: Temporal
    graph.add_edge('a', 'a', when=iterations('a') < 3)  # a loop; its log can be shortened by Retention(keep_steps=…)
timeout, with_timeout, set_timeout, deadline, or_timeout, timeout_after: asyncio Restate
    async with asyncio.timeout(5): await ctx.call(work, 1)
    graph.add_node('b', work, writes='n', timeout_seconds=60)
compensate, rollback, add_compensation, undo, on_rollback, saga: common
    graph.add_edge('a', 'b', when=failed(Exception))  # to the node that undoes the work
lock, acquire, semaphore, mutex, rate_limit, throttle: common
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4))
is_cancelled, cancelled, cancellation_details, cancellation_reason, wait_for_cancelled, is_worker_shutdown,
wait_for_worker_shutdown, shield, drain_requested, is_eager: Temporal LangGraph
    await runner.stop(run_id, now=True)  # in a node at work, await raises asyncio.CancelledError
cancel_workflow, cancel_workflows, cancel_run, cancel_flow_run, cancel_invocation: DBOS Restate
    await runner.stop(run_id)  # a resume continues it
    await runner.stop(run_id, final=True)  # nothing continues it
fork_workflow, rewind_workflow: DBOS
    runner.branch(run_id, graph, at=1)
metric_meter, metrics, instrumentation_version, tracer_provider, *metric*: Temporal
    runner = Runner('runs.db', telemetry=Telemetry())
last_completion_result, get_last_completion_result, has_last_completion_result, continue_run: Temporal
    run = runner.start(graph, state, after=run_id)
approve_tool, reject_tool, get_approval_status, is_tool_approved: OpenAI
    await runner.answer(run_id, True, graph)
read_stream, read_stream_offset: DBOS
    await runner.get(run_id).published('progress', int)
"""

_RESULT: Final = """
answer, data, final_output, content, result, return_value, returned, value, response, text, get, final_result, retval,
final_answer, final_output_as, output_text, raw, pydantic, json_dict, output_value, response_text, get_output,
asset_value, validate_response_output, output_*, response_output, *output*, *value*, *response*: pydantic-ai OpenAI
Celery LangGraph CrewAI Dagster
    result.output
    result.state.n
messages, new_messages_json, input, new_messages, to_input_list, new_items, items, raw_responses, message_history,
history, all_messages_json, chat_history, *message*, *item*: pydantic-ai OpenAI LangGraph
    print(result.state.messages)  # a field of the state that you declare
cost, tokens, cost_usd, token_usage, input_tokens, output_tokens, requests, get_usage, token_usage_metrics,
usage_metrics, *usage*, *token*, *cost*: pydantic-ai CrewAI
    result.usage
id, workspace, metadata, thread_id, workflow_id, task_id, conversation_id, last_response_id, flow_run_id, dagster_run:
Celery Temporal
    result.run_id
steps, events, trace, log, path, intermediate_steps, nodes, trajectory, executed, tasks_output, output_for_node,
all_node_events, all_events, get_job_success_data, *_events, *_for_node, events_*, is_node_skipped,
get_failed_step_keys, retry_attempts_for_node, compute_events_for_handle, *event*, *step*, *node*, *observation*,
*evaluation*: LangGraph CrewAI Dagster
    await runner.history(result.run_id)
    result.visits
stop, stop_reason, finish_reason, reason, why, end, exit_reason: common
    result.ending
exception, run_loop_exception, input_guardrail_results, output_guardrail_results, exc, traceback, failure, message,
exception_info, err, *_guardrail_results, *_error, error_*, failure_data_for_node, *error*, *exception*, *guardrail*,
*failure*: Celery Prefect Dagster
    result.error
interruptions, current_turn, interrupts, questions, pending, deferred_tool_requests, approvals, next, tasks,
*interrupt*, *approval*: OpenAI LangGraph pydantic-ai
    result.waits
is_finished, is_complete, done, ok, success, successful, is_completed, is_failed, ready, failed, is_ok, succeeded,
completed, is_success, raise_for_status: Celery Prefect
    result.status == 'finished'
last_agent, agent, last_node, final_node: OpenAI
    (await runner.history(result.run_id))[-1]
to_state, state_at, snapshot, checkpoint, get_state, to_dict, model_dump, json, dict, dump: OpenAI LangGraph
    result.state.model_dump()
duration, timestamp, elapsed, time, seconds, runtime, latency: common
    result.elapsed_seconds
resume, cancel, retry, continue_run, approve, reject: OpenAI
    runner.resume(result.run_id, graph)
    await runner.answer(result.run_id, True, graph)
stream_events, stream, stream_text, stream_output, iter: OpenAI pydantic-ai
    async for event in runner.start(graph, state).events(): print(event)
values: own
    result.state
created, created_at, start_time, end_time, *_at, *_time, *_name, *_attempts, name, start_timestamp, static_summary,
memo, memo_value, parent_run_id, deduplication_id, queue, retries, application_version, executor_id, config_name,
workflow_deadline_epoch_ms, workflow_timeout_ms, *time*, *date*, *version*, *worker*, *queue*, *attribute*, *memo*,
*count*, *parent*, *config*, *policy*, *attempt*, *host*, worker, hostname, search_attributes, raw_info, *info*,
*schedule*, *user*, *role*, *length*, *exist*, exists, *id*, *name*, *type*, *tuple*, *app*: Temporal DBOS Celery
Prefect
    await runner.info(result.run_id)
is_*, type, state_type, state_name, run_status, *state*, *status*: Prefect
    result.status  # finished, failed, stopped, cancelled or waiting
"""

_IMPORT: Final = """
StateGraph, Pregel, CompiledStateGraph, RunnableGraph, StepFunction, GraphTask, ApplicationGraph, Workflow, Flow,
GraphBuilder, ApplicationBuilder, DAG, dag, flow, workflow, MessageGraph, DiGraph, MultiDiGraph, Pipeline, StateMachine,
Chain, defn, task_group, FunctionalGraph, entrypoint, Crew, RunnableSequence, RunnableLambda, job, op_graph,
Definitions, repository, GraphFlow, DiGraphBuilder, CrewBase, AsyncPipeline, *Machine, Machine, HierarchicalMachine,
GraphMachine, StateMachineDefinition, VirtualObject, define_asset_job, GraphDefinition, JobDefinition, FlowSpec,
WorkflowGraph, Definitions*, load_*, *JobDefinition, *DefsFolder, RepositoryDefinition, *Repository, FunctionDefinition,
MachineFactory, ApplicationIdentifiers: LangGraph Temporal DBOS Prefect Burr LlamaIndex Airflow networkx pydantic-ai
Dagster CrewAI AutoGen Haystack transitions Restate AWS common
    graph = Graph('name', State)
step, *Operator, sdk, ValidationNode, StepNode, FunctionNode, HttpOperator, EmailOperator, DummyOperator,
PythonVirtualenvOperator, DockerOperator, KubernetesPodOperator, PregelTask, execute_activity_method,
execute_activity_class, setup, teardown, task, activity, action, node, Task, BaseNode, shared_task, PythonOperator,
BashOperator, Operator, EmptyOperator, BaseOperator, transaction, StepContext, op, asset, multi_asset, component,
create_function, Pass, LambdaInvoke, *Step, WrapperTask, ExternalTask, handler, OpDefinition, CallableNode,
function_node, job_node, Activity, super_component, actor, job_handler, worker_task, function_step, *Component,
*ActionT, bind, Function, *Action, create_action, *Actor, *NodeDefinition, StepOptions, *StepOptions, *StepConfig,
*ActivityConfig, SkipMixin, *Mixin, multi_observable_source_asset, *_asset, *AssetsDefinition, *AssetSpec, SourceAsset,
*OpDefinition, Transition, *Activity*, *Component*, *Asset*, *Step*: DBOS LlamaIndex Temporal Prefect Burr Celery
Airflow pydantic-ai LangGraph Dagster Haystack Inngest AWS Luigi Restate
    graph.add_node('b', work, writes='n')  # a node is a plain function, without a decorator
    await ctx.call(work, 1)  # a recorded call in a node
State, MessagesState, AgentState, BaseState, GraphState, TypedState, DataModel, PydanticState, WorkflowState, Parameter,
*Parameter, IntParameter, FlowState, In, Out, InputSocket, TaskParameter, ListParameter, StateSchema, *Serializer,
*Serde, *Converter, *Codec, *Schema, *SerializationFormat, ActionSchema, *Deserializer, Field, ConfigSchema, *TypeCheck,
*Dict, default_to_dict, default_from_dict, *TransportType, *Schema*, *Serializer*, *Serde*, *Field*, *Permissive*:
LangGraph Burr Luigi CrewAI Dagster LlamaIndex Restate DBOS Haystack
    class State(BaseModel): n: int = 0  # a model of yours, or a TypedDict
add_messages, *Part, *Message, BaseToolCallPart, CachePoint, CompactionPart, FilePart, InstructionPart, ThinkingPart,
ToolCallPartDelta, TextContent, UserContent, ModelRequestPart, ModelResponsePart, MultiModalContent, TextPartDelta,
ItemHelpers, MessageOutputItem, ToolCallItem, ToolCallOutputItem, HandoffCallItem, ReasoningItem, RunItem, push_message,
push_ui_message, REMOVE_ALL_MESSAGES, AnyMessage, BaseMessage, ModelMessage, HumanMessage, AIMessage, SystemMessage,
ToolMessage, ModelRequest, ModelResponse, ChatMessage, UserPromptPart, TextPart, ModelMessagesTypeAdapter,
TResponseInputItem, SystemPromptPart, ToolCallPart, ToolReturnPart, *Item, *PartDelta, *Content, *ContentPart,
*ItemParam, InputItem, *PartKind, *Citation, *CitationAnchor, *CitationSource, narrow_message_parts, sanitize_messages,
*Message*, *Item*, *Citation*, *Content*, *Delta*: LangGraph pydantic-ai OpenAI LlamaIndex
    class State(BaseModel): messages: Annotated[list[Message], extend] = []
ToolNode, tools_condition, create_react_agent, create_agent, ReActAgent, FunctionAgent, AgentWorkflow, AgentExecutor,
RunnableAgent, LlmAgent, AssistantAgent, ChatAgent, ToolExecutor, ConversableAgent, LLMAgent, OpenAIAgent, *Agent,
AgentChat, CodeAgent, ToolCallingAgent, *ChatGenerator, *Generator, BaseAgent, CodeExecutorAgent: LangGraph LlamaIndex
Haystack AutoGen
    agent = Agent('writer', model='placeholder', tools=[search])
interrupt, HumanResponse, InputRequiredEvent, HumanResponseEvent, NodeInterrupt, suspend_flow_run, pause_flow_run,
HumanInput, human_in_the_loop, wait_for_input, RunInput, HumanInterrupt, ApprovalOperator, HITLOperator,
UserProxyAgent, human_feedback, HumanFeedback, HumanInputNode, UserInput, WaitForApproval, ManualApproval,
wait_for_approval, HumanInputStep: LangGraph LlamaIndex Prefect Airflow AutoGen CrewAI
    graph.add_node('approve', ask('Publish {text}?', bool), writes='is_approved')
    answer = await ctx.ask('Publish?', bool)  # in a node
Command, goto, Next, NextNode, BranchPythonOperator, ShortCircuitOperator, branch_task, conditional, Default, when,
expr, Switch, TriggerRule, decision, router, ConditionalRouter, *Router, Choice, ChoiceRule, ConditionalEdge,
OutcomeRouter, Route, Branch, IfElse, *Condition, *BranchMixIn, BranchMixIn, *_router, PatternMatch, DiGraphEdge,
*EdgeCondition, *Condition*, *Router*, *Edge*, *Transition*, *Branch*: LangGraph Burr Airflow pydantic-ai CrewAI
Haystack AWS AutoGen
    graph.add_switch('a', route, {'x': 'b', 'y': END})  # a node returns its update alone
    graph.add_edge('a', 'b', when=value('n') >= 1)
Send, Fork, Join, JoinNode, xmap, TaskBasedParallelAction, map, expand, unmapped, map_reduce, MapStates,
RunnableParallel, RunnableMap, group, chord, Parallel, MapActions, starmap, chunks, MapActionsAndStates,
TaskParallelism, DynamicOut, DynamicOutput, gather, TaskGroup, create_task, and_, or_, BranchJoiner, *Joiner,
DistributedMap, InlineMap, as_completed_tasks, wait_completed, select, wait_all, ParallelAgent, *PartitionsDefinition,
*PartitionMapping, *Mapper, *PartitionedConfig, Partition*, *_partitioned_config, *MapActions, map_reduce_action,
xstarmap, *JoinItem, ReducerFunction, *Partition*, *Mapping*: LangGraph Prefect Celery Burr Airflow Dagster asyncio
CrewAI Haystack AWS Restate common
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes')
    graph.add_fork('a', ['b', 'c'], join='d')
chain, maybe_signature, signature, subtask, si, cross_downstream, pipeline, Process, Sequence, Sequential,
SequentialProcess, add_chain, SequentialAgent, chain_linear, *_linear: Celery Airflow CrewAI common
    graph.add_path('a', 'b', 'c')
End, EndMarker, StopEvent, Terminal, Finish, EndNode, Succeed, EndState, FinalState, final: pydantic-ai LlamaIndex AWS
transitions
    graph.add_edge('c', END)
StartEvent, StartNode, Event, Start, Begin, ForeignNames, Initial, InitialState: LlamaIndex transitions
    graph.add_edge(START, 'a')
InMemorySaver, *Saver, *Persister, SQLLitePersister, RedisPersister, BaseStatePersister, ApplicationPersister,
Durability, RemoteGraph, PrefectServer, MemorySaver, SqliteSaver, Checkpointer, BaseCheckpointSaver,
FileStatePersistence, SQLitePersister, Persister, MemoryPersister, Database, FullStatePersistence,
SimpleStatePersistence, Saver, LocalTrackingClient, Engine, Client, RunnerConfig, connect, Celery, App, DBOSClient,
launch, PrefectClient, Orchestrator, init, Executor, DBOS, DBOSConfig, persist, DagsterInstance, FlowPersistence,
SQLiteFlowPersistence, LocalScheduler, RunStorage, EventLogStorage, JournalStore, *Client, *Serverless, Inngest,
*Storage, *StateLoader, BaseStateLoader, *Database, *Checkpoint, CheckpointTuple, *Checkpointer, *_checkpoint,
*Instance, ServiceClient, ConnectConfig, TLSConfig, *ServerConfig, run_dbos_database_migrations, *Checkpoint*,
*Storage*, *Persister*, *Database*, *Instance*: LangGraph OpenAI Burr Temporal DBOS Prefect Celery pydantic-ai Dagster
CrewAI Luigi Inngest
    runner = Runner('runs.db')
PostgresSaver, PostgreSQLPersister, PostgresSession, PostgresPersister, Postgres: LangGraph Burr
    runner = Runner('postgresql://user@host/database')
BaseStore, PostgresStore, Embedder, EmbeddingModel, InMemoryStore, KeyValueStore, VectorStore, Chroma, ChatMemoryBuffer,
ConversationMemory, *Op, *StoreItem, SearchItem, IndexConfig, Embedding*, *Embedding*, *Memory*, *Vector*: LangGraph
LlamaIndex pydantic-ai
    memory = Memory('runs.db')
RetryPolicy, *RetryPolicy, ExponentialBackoffRetryPolicy, ConstantDelayRetryPolicy, exponential_backoff, retry, Backoff,
RetryConfig, Retrying, with_retry, RetryOptions, AsyncTenacityTransport, Jitter, RetryPolicyConfig, RetryStrategy,
InvocationRetryPolicy, wait_exponential, stop_after_attempt, tenacity, wait_*, retry_*, stop_after_*, stop_*, *Retry,
*Retries, Retry*, *RetryAdvice, *BackoffSettings, RetryAction, RetryRule, *Retry*, *Backoff*: LangGraph Temporal
LlamaIndex Prefect Dagster Restate OpenAI Airflow
    retry = Retry(attempts=3)
CachePolicy, InMemoryCache, cached, cache, task_input_hash, INPUTS, SqliteCache, *Cache, RUN_ID, RunId, TASK_SOURCE,
TaskSource, NO_CACHE, NONE, *CacheStore, CacheStore, DEFAULT, *Cache*: LangGraph Prefect AutoGen
    await ctx.call(work, 1)  # in a node: recorded, so a resumed run does not call it again
RunContext, AgentSpec, CallToolsNode, ModelRequestNode, UserPromptNode, ApplicationContext, context_wrapper,
ActivityContext, Runtime, RunnableConfig, ToolRuntime, get_config, Ctx, InvocationContext, NodeContext, InjectedState,
InjectedStore, get_store, AgentContext, ActionContext, DBOSContext, OpExecutionContext, AssetExecutionContext,
*ExecutionContext, ObjectContext, WorkflowContext, FlowContext, MessageContext, EventData, ObjectSharedContext,
StepTools, current, context, get_current_context, get_run_context, *Context, *ContextVar, InjectedContext, RootInfo,
*RuntimeContext, *CallContext: pydantic-ai OpenAI LangGraph Prefect Airflow Dagster Restate AutoGen transitions Inngest
Temporal
    def node(ctx: Context, n: int) -> int: return n + ctx.attempt  # fields and resources are parameters too
StreamWriter, *Event, StreamMode, AgentStream, StreamingResultContainer, streaming_queue, emit_event,
dispatch_custom_event, streaming_action, streaming: LangGraph Prefect Burr
    ctx.emit({'progress': 1})  # in a node
ModelRetry, ToolFailed, RetryModelRequest, default_tool_error_function, RetryPromptPart, ToolException,
ToolRetryError, ToolError: pydantic-ai LangGraph Dagster Inngest Restate
    raise ValueError('give a date')  # in a tool or a check: the model reads the text and tries again
function_tool, ToolCall, Tools, ToolReturn, ToolKind, ToolsetTool, AgentToolset, MemoryTool, ShellTool, ApplyPatchTool,
StructuredTool, BaseTool, tool_plain, ToolDefinition, RunnableTool, FunctionTool, ComponentTool, PipelineTool,
ToolInvoker, register_function, ToolSet, BaseTools, ToolSpec, *Tool, *_tool, *ToolConfig, ToolParams, ToolFunc*,
*ToolFunc, tool_*, *_tools, create_tool_from_function, agent_tool, FunctionCall, ToolsPrepareFunc, NativeToolFunc,
skills, *Tool*: OpenAI LangGraph LlamaIndex pydantic-ai AutoGen Haystack CrewAI
    agent = Agent('writer', model='placeholder', tools=[search, tool(lookup, timeout_seconds=5)])
handoff, HandoffInputData, transfer_to_agent, create_handoff_tool, HandoffInputFilter, Handoff, AfterWork,
OnCondition, transfer_to: OpenAI LangGraph AutoGen
    agent = Agent('desk', model='placeholder', hand_to=[other])
InputGuardrail, *Guardrail, MaxTurnsGuard, OutputGuardrail, GuardrailFunctionOutput, Guardrail, tool_input_guardrail,
tool_output_guardrail, ToolGuardrailFunctionOutput, *GuardrailResult, *GuardrailData, *GuardrailFunctionOutput,
*Guardrails, *Guardrail*: OpenAI
    agent = Agent('writer', model='placeholder', guards=[guard(is_polite, on='input')])
InputGuardrailTripwireTriggered, OutputGuardrailTripwireTriggered, GuardrailTripwireTriggered, *TripwireTriggered:
OpenAI
    from graphengine.agents import GuardFailed
MaxTurnsExceeded, OutputTokenLimitExceeded, UsageLimitExceeded, GraphRecursionError, MaxIterationsReached,
PipelineMaxComponentRuns, MaxRunsExceeded, RecursionLimitError: OpenAI pydantic-ai LangGraph Haystack
    from graphengine.agents import TooManyTurns
    result.status == 'stopped'  # a limit stops a run; result.ending says which
UnexpectedModelBehavior, ModelRateLimitError, ModelQuotaExceededError, ModelUnavailableError, ModelOverloadedError,
ModelServerError, ModelConnectionError, ModelTimeoutError, ModelAuthenticationError, ModelNotFoundError,
ModelRequestTimeout, ModelContextWindowExceededError, ModelHTTPError, ModelBehaviorError, AgentRunError,
ModelAPIError, UserError, AgentsException, FallbackExceptionGroup, ContentFilterError, IncompleteToolCall: pydantic-ai
OpenAI
    from graphengine.models import ModelError
    from graphengine.agents import BadAnswer
ApplicationError, *Exception, AirflowSkipException, MaxRetriesExceededError, Reject, Ignore, GraphSetupError,
ActivityError, WorkflowFailureError, ChildWorkflowError, WorkflowError, DBOSException, PrefectException,
AirflowException, WorkflowRuntimeError, FailedRun, AirflowFailException, DBOSError, TemporalError,
WorkflowValidationError, InvalidUpdateError, EmptyInputError, InvalidTransition, MachineError, FailureException,
ExecutionFailed, DagsterError, PipelineRuntimeError, StepFailed, InvocationError, *Failure, *FailureError, *RunError,
*ExecutionError, *InvocationError, WorkerLostError, Terminated: Temporal DBOS Prefect Airflow LlamaIndex LangGraph
transitions Dagster Haystack
    from graphengine import RunFailed
CancelledError, CancellationToken, TaskRevokedError, ActivityCancellationType, Cancelled, DBOSWorkflowCancelledError,
TerminatedError, *CancelledError, *Cancelled, *CancelledByUser, CancelFlowRun: Temporal Prefect DBOS
    from graphengine.errors import RunCancelled
WorkflowTimeoutError, SoftTimeLimitExceeded, TimeLimitExceeded, RunTimedOut, AirflowTaskTimeout,
DBOSWorkflowTimeoutError, *TimeoutError, *TimedOut: Celery Airflow LlamaIndex DBOS
    from graphengine.errors import NodeTimeout
WorkflowAlreadyStartedError, DBOSWorkflowConflictIDError, DuplicateRun, AlreadyExists, *AlreadyStartedError,
*AlreadyExists, *AlreadyRunningError, *ConflictError, Duplicate*: Temporal DBOS
    from graphengine.errors import RunExists
UsageLimits, RecursionLimit, RunLimits, MaxTurns, RunBudget, ExecutionLimits, max_iterations, *Limit*: pydantic-ai
common
    limits = Limits(tokens=10_000, cost_usd=1.0, visits=50)
RunUsage, RequestUsage, UsageMetadata, AgentUsage, *Usage*: pydantic-ai OpenAI
    from graphengine import Usage
ModelSettings, RunConfig, AgentModelSettings, OpenAIResponsesModelSettings, ModelConfig, GenerateConfig,
ModelParameters, *Settings, *Effort, *ToolChoice, *Reasoning, *Settings*: pydantic-ai OpenAI
    agent = Agent('writer', model='placeholder', settings=Settings(temperature=0.2))
RunnableLike, NativeOutput, ToolOutput, PromptedOutput, TextOutput, AgentOutputSchema, StructuredOutput,
with_structured_output, ProviderStrategy, ToolStrategy, StructuredDict: pydantic-ai OpenAI LangGraph
    agent = Agent('writer', model='placeholder', output=Answer)
StopAtTools, ToolsToFinalOutputResult, result_tool: OpenAI
    agent = Agent('writer', model='placeholder', output=result_of(lookup))
RunResult, GraphRun, AgentRunEvents, AgentRunResultEvent, WorkflowHandleAsync, RunState, AgentOutput, AgentRunResult,
RunResultStreaming, WorkflowHandle, StateSnapshot, FlowRun, StreamedRunResult, EagerResult, GroupResult,
WorkflowHandler, AgentRun, PrefectFuture, TaskRun, WorkflowExecution, DagRun, ChildWorkflowHandle, WorkflowStatus,
ResultSet, XCom, XComArg, WorkflowRun, TaskInstance, CrewOutput, TaskOutput, FlowOutput, ExecuteInProcessResult,
TaskResult, ChatResult, Future, InvocationHandle, DurableFuture, RunResultHandle, *Result, *Execution, *Description,
*ExecutionCount, *AsyncIterator, *Handle, *Future, *Run, *RunResult, *Record, *ResultRecord, RunRecord, *Reference,
*Execution*, *Future*, *Record*: OpenAI pydantic-ai Celery LangGraph Temporal DBOS Prefect Airflow CrewAI Dagster
AutoGen asyncio Restate
    from graphengine import Result, Run, RunInfo
ApprovalRequired, DeferredToolRequests, DeferredToolResults, ToolApprovalItem, ApprovalRequiredToolset, ToolApproved,
HumanInTheLoopMiddleware, *ApprovalRequest, *ApprovalFunction, *ApprovalFunctionResult, *ApprovalResponseItem,
*ApprovalItem, *Approval, *Approval*: pydantic-ai OpenAI LangGraph
    agent = Agent('writer', model='placeholder', tools=[tool(search, approve=True)])
ToolDenied: pydantic-ai
    from graphengine.agents import Refuse
CallDeferred, ExternalToolset, deferred_tool, DeferredToolset: pydantic-ai
    from graphengine.agents import external_tool
FunctionToolset, *Toolset, Toolset, AbstractToolset, CombinedToolset, FilteredToolset, PrefixedToolset,
WrapperToolset, PreparedToolset, RenamedToolset, BaseToolSpec: pydantic-ai LlamaIndex
    from graphengine.agents import toolset
MCPServerStdio, MCPServer, MCPServerSSE, MCPServerStreamableHTTP, MCPToolset, HostedMCPTool, MCPServerTool,
FastMCPToolset, BasicMCPClient, McpToolSpec, load_mcp_tools, MCPServerHTTP, MultiServerMCPClient, MCPTool, MCPClient,
MCPServerManager, MCP*, *McpToolset: OpenAI pydantic-ai LlamaIndex LangGraph
    agent = Agent('writer', model='placeholder', tools=[mcp('uvx mcp-server-time')])
WebSearchTool, DuckDuckGoSearch, TavilySearch, duckduckgo_search_tool, WebSearch, FileSearchTool: OpenAI pydantic-ai
    agent = Agent('writer', model='placeholder', tools=[web_search()])
CodeInterpreterTool, CodeExecutionTool, LocalShellTool, PythonREPLTool, CodeExecution, Shell*, ApplyPatch*,
*CodeExecutor, Computer*: OpenAI pydantic-ai
    agent = Agent('writer', model='placeholder', tools=[code_execution()])
WebFetchTool, UrlContextTool, WebFetch: pydantic-ai
    agent = Agent('writer', model='placeholder', tools=[web_fetch()])
TestModel, *LLM, FakeListChatModel, FakeModel, MockModel, DummyModel, MockLLM, FakeLLM, *StreamedResponse, *FakeModel,
TestModel*: pydantic-ai LangGraph LlamaIndex
    from graphengine.models import PlaceholderModel
    model = ScriptedModel(['Hello'])
FunctionModel, GenericFakeChatModel, FakeMessagesListChatModel, StubModel, FakeChatModel, AgentInfo: pydantic-ai
LangGraph
    model = ScriptedModel([lambda request: 'Hello'])
FallbackModel, MultiProvider, ModelProvider, LitellmModel, ModelFallbackMiddleware, LoadBalancer: pydantic-ai OpenAI
LangGraph
    model = Router(['openai:gpt-5', 'anthropic:claude-sonnet-4-5'])
ConcurrencyLimitedModel, limit_model_concurrency, AbstractConcurrencyLimiter, InMemoryRateLimiter, rate_limit,
limiter, ConcurrencyLimiter, Throttle: pydantic-ai LangGraph Prefect
    agent = Agent('writer', model=AnthropicModel('claude-haiku-4-5', limiter=RateLimiter(requests_per_minute=60)))
OpenAIChatCompletionsModel, OpenAIResponsesModel, ChatOpenAI, init_chat_model, infer_model, ChatAnthropic, LLM,
KnownModelName, GoogleModel, GroqModel, MistralModel, OpenAIProvider, ChatModel, Provider, set_default_openai_key,
set_default_openai_client, AnthropicProvider, CohereModel, BedrockConverseModel, set_default_openai_api,
*ChatCompletionClient, OpenAIChatCompletionClient, ChatCompletionClient, AzureOpenAI, Gemini, Claude, OpenAI, Anthropic,
Ollama, LiteLLM, *Model, HfApiModel, *Model*, *Provider*: OpenAI pydantic-ai LangGraph LlamaIndex AutoGen Haystack
CrewAI
    agent = Agent('writer', model='openai:gpt-5')  # the prefix names the provider; the key is in OPENAI_API_KEY
BinaryContent, FileUrl, BinaryAudio, ImageFormat, DocumentFormat, ImageUrl, DocumentUrl, AudioUrl, VideoUrl, ImageBlock,
BinaryImage, UploadedFile, ToolOutputImage, InputImage, File, Image, Document, *Media*, *Image*, *Audio*, *Video*,
*Document*, *Url*: pydantic-ai LlamaIndex OpenAI
    from graphengine import Media
override, capture_run_messages, models, ALLOW_MODEL_REQUESTS, patch_model: pydantic-ai
    runner = Runner(models={'writer': ScriptedModel(['Hello'])})
AgentHooks, *Hook, *Middleware, AgentCapability, SkipToolExecution, SkipModelRequest, Interceptor, signals, task_prerun,
worker_ready, RunHooks, AgentHooksBase, AbstractCapability, capabilities, AgentMiddleware, before_model, after_model,
wrap_tool_call, LifecycleHook, middleware, CallbackHandler, BaseCallbackHandler, PreRunStepHook, PostRunStepHook,
wrap_model_call, EventHandler, lifecycle, failure_hook, success_hook, HookContext, before_kickoff, after_kickoff,
*Callback, before_llm_call, after_llm_call, EventListener, *Listener, *Interceptor, *HookContext, *HookDefinition, hook,
Hook*, *InterventionHandler, *Hooks, LifecycleAdapter, *CallHook, *CallHookAsync, Post*, Pre*, *Interceptor*, *Hook*,
*Middleware*, *Callback*, *Handler*: OpenAI pydantic-ai LangGraph Burr Dagster CrewAI
    agent = Agent('writer', model='placeholder', hooks=[Hooks()])
SummarizationMiddleware, trim_messages, ProcessHistory, ContextManagement, OpenAIResponsesCompactionSession,
filter_messages, HistoryProcessor, CompactHistory, ContextEditingMiddleware, *ChatCompletionContext,
BufferedChatCompletionContext, TokenLimitedChatCompletionContext, MessageHistoryLimiter, TransformMessages,
*Compaction*, *History*: LangGraph pydantic-ai OpenAI AutoGen
    agent = Agent('writer', model='placeholder', messages='messages', window=Window(20_000))
trace, enable_verbose_stdout_logging, gen_trace_id, flush_traces, OpenTelemetry, custom_span, set_tracing_disabled,
InstrumentationSettings, set_tracing_export_api_key, TracingInterceptor, add_trace_processor, logfire, LangSmith,
instrument, Tracer, OpenTelemetryBridge, agent_span, traceable, TracingProcessor, OpenTelemetryPlugin, generation_span,
OpenTelemetryConfig, Instrumentation, TraceProvider, tracing, TracingConfig, enable_tracing, OpenInference,
LangfuseConnector, *Span, *SpanData, *_span, Span*, Metric*, *Meter, *Tracing, *Tracer, set_trace_*, get_current_*,
create_meter, *_meter, *SpanImpl, *Metric*, *Span*, *Trace*, *Tracing*, *Otel*, *Telemetry*: OpenAI pydantic-ai Temporal
LangGraph Haystack CrewAI
    runner = Runner('runs.db', telemetry=Telemetry())
SetWorkflowID, workflow_id, WorkflowIDReusePolicy, WorkflowIDConflictPolicy, IdempotencyKey, thread_id, *ReusePolicy,
*ConflictPolicy, *RejectCondition: DBOS Temporal
    run = runner.start(graph, state, run_id='order-7')  # an id is used once
SetWorkflowTimeout, *Timeout, RunTimeout, wait_for, timeout, timeout_at, timeout_after, move_on_after, fail_after:
DBOS asyncio
    run = runner.start(graph, state, limits=Limits(seconds=3600))
    graph.add_node('b', work, writes='n', timeout_seconds=60)
SetWorkflowAttributes, SetEnqueueOptions, SearchAttributes, upsert_search_attributes, Label, SearchAttributeKey,
TypedSearchAttributes, tags, Memo, WorkflowAttributes, Tags, *Tag*, *Attribute*, *Label*: DBOS Temporal Prefect
    run = runner.start(graph, state, tags=['nightly'])
Queue, WorkQueue, Pool, ConcurrencyLimit, concurrency, WorkPool, GlobalConcurrencyLimit, Broker, Exchange, QueueConfig,
Kombu, Concurrency, RateLimit, Throttling, Semaphore, Lock, BoundedSemaphore, GlobalLimit, QueuedRunCoordinator,
tag_concurrency_limits, pool_limits, *WorkQueue, *WorkPool, *ConcurrencyLimit, AnyConcurrencyLimit, *_concurrency,
*RateLimit, acquire_*, *Queue*, *Concurrency*, *Pool*, *Throttle*: DBOS Prefect Celery Airflow Temporal Inngest asyncio
Dagster pydantic-ai
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4))
    run = runner.start(graph, state, queue='default')
start_workflow, EnqueueOptions, resume_flow_run_later, enqueue, submit, delay, run_deployment, serve, deploy,
send_task, apply_async, TriggerDagRunOperator, execute_workflow, start, build, TriggerDagRun, launch_run, submit_run,
kickoff, StartExecution: DBOS Celery Prefect Airflow Temporal Luigi Dagster CrewAI
    run = runner.start(graph, state)
    run = runner.start(graph, state, queue='default')  # a Worker runs it
execute_activity, StepInfo, execute_local_activity, start_activity, call_activity, invoke, side_effect, in_activity,
LocalActivity: Temporal
    await ctx.call(work, 1)  # in a node
execute_child_workflow, SubGraphTask, start_child_workflow, ParentClosePolicy, child_workflow, call_child,
ExternalTaskSensor, subflow, SubDagOperator, subgraph, SuperComponent, RunFlow, StepFunctionsStartExecution,
sub_workflow, NestedGraph, workflow_call, service_call, object_call, Nexus*, *ChildWorkflowConfig, *ChildWorkflowHandle,
FlowRunner, SubflowRun, *Nexus*, *Child*, *Subgraph*: Temporal Airflow Prefect Haystack AWS Restate
    result = await (await ctx.start(inner, {'n': 1})).result()  # in a node
signal, *Sensor, get_signal_handler, get_query_handler, set_dynamic_query_handler, kafka_consumer, FileSensor,
PythonSensor, HttpSensor, S3KeySensor, get_external_workflow_handle, Asset, AssetAlias, update, recv, wait_condition,
wait_for_event, wait_signal, UpdateHandler, Sensor, wait_for_signal, receive, poke, BaseSensorOperator, PokeReturnValue,
EventSensor, sensor, SensorDefinition, asset_sensor, run_status_sensor, SensorResult, message_handler, TopicId,
TopicSubscription, RoutedAgent, event_handler, awakeable, promise, DurablePromise, TriggerEvent, WaitForSignal,
WaitForEvent, *Trigger, *TriggerTypes, *Subscription, *Reactive, EventTrigger, ReceiveEvent, type_subscription,
*SensorDefinition, *_sensor, *SensorContext, *Signal, wait_for_*, *Sensor*, *Subscription*, *Topic*: Temporal DBOS
LlamaIndex Airflow Dagster AutoGen Restate Inngest Prefect
    value = await ctx.receive('topic', str)  # in a node
    await runner.send(run_id, 'topic', 'value')
send, send_message, send_event, set_signal: DBOS LlamaIndex
    await runner.send(run_id, 'topic', 'value')
set_event, all_handlers_finished, get_event, upsert_memo, set_current_details, publish, update_progress, heartbeat,
read_stream, write_stream, current_task, query, workflow_query, query_method: DBOS Temporal LlamaIndex
    await ctx.publish('progress', 1)  # in a node
    await runner.get(run_id).published('progress', int)
sleep, asleep, wait, Timer, start_timer, TimeDeltaSensor, DateTimeSensor, wait_until, sleep_until: DBOS Temporal
Airflow
    await ctx.sleep(60)  # in a node
continue_as_new, ContinueAsNewError: Temporal
    graph.add_edge('a', 'a', when=iterations('a') < 3)  # a loop; its log can be shortened by Retention(keep_steps=…)
patched, delete_patch, deprecate_patch, patch, get_version, VersioningBehavior, WorkerDeploymentVersion, VersionedState,
BuildId*, *VersioningOverride, *VersionInfo, VersionInfo, *CodeVersion, DataVersion, *Version*, *Versioning*, *Build*:
Temporal DBOS common
    graph = Graph('name', State, version=2, migrate={1: lambda old: old})
info, in_workflow, now, uuid4, new_random, unsafe, time_ns, as_completed, uuid, random, activity_info, flow_run, time,
task_run: Temporal Prefect
    print(ctx.run_id, ctx.now(), ctx.random.random())  # in a node
logger, logging, log_prints, log, *Logger, *LoggerAdapter, *_logger, setup_logging, *_loggers, *LogFormatter,
*LoggingProxy, *LogManager, *LoggerDefinition, *LoggingFilter, *Log*, *Logger*, *Logging*: Temporal DBOS Prefect Celery
Dagster
    logging.getLogger(__name__).info('at work')
WorkerOptions, run_worker, start_worker, TaskRunner, ConcurrentTaskRunner, ThreadPoolTaskRunner, worker_process_init,
CeleryExecutor, LocalExecutor, WorkerConfig, UnsandboxedWorkflowRunner, SandboxedWorkflowRunner, worker_entrypoint,
ConnectWorker, Dramatiq, AgentRuntime, *AgentRuntime, *Worker, *Tuner, *TunerConfig, *SlotInfo, *SlotConfig,
*SlotSupplier, Slot*, *PollerBehavior, PollerBehavior, *RunLauncher, *Coordinator, worker_options, *Slot*, *Worker*,
*Poller*: Temporal Prefect Celery Airflow AutoGen Inngest Dagster
    worker = Worker(runner, graph)
DaskTaskRunner, *TaskRunner, *Executor, RayTaskRunner, ProcessPoolTaskRunner, KubernetesExecutor, ProcessPoolExecutor,
MultiThreadedExecutor, ThreadPoolExecutor, in_process_executor, multiprocess_executor, *_executor, to_thread,
run_in_executor, ThreadPool, ProcessPool: Prefect Airflow Burr Dagster asyncio
    from graphengine.executors import ProcessExecutor, RayExecutor
ScheduleSpec, *Schedule, *Timetable, crontab, IntervalSchedule, CronSchedule, Cron, ScheduleCalendarSpec, scheduled,
ScheduleActionStartWorkflow, periodic_task, beat_schedule, Timetable, RRuleSchedule, schedule, create_schedule,
days_ago, CronTriggerTimetable, solar, ScheduleIntervalSpec, Interval, ScheduleDefinition,
build_schedule_from_partitioned_job, TriggerCron, cron, CronTrigger, IntervalTrigger, DateTrigger, every,
BackgroundScheduler, AsyncIOScheduler, RecurringSchedule, Schedule*, *OverlapPolicy, *Automation, *ScheduleContext,
RRule, crontab_parser, maybe_schedule, *Backfill, BackfillPolicy, schedule_*, *Schedule*, *Timetable*, *Cron*: Temporal
DBOS Celery Prefect Airflow Dagster Inngest
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
Completed, get_states, Failed, Cached, Running, Pending, Scheduled, Crashed, WorkflowExecutionStatus, TaskStatus,
TaskState, DagRunState, States, DagsterRunStatus, ExecutionStatus, RunStatus, FlowRunStatus, JobStatus, *Status,
*StatusString, *State, *RunState, *StateDetails, SUCCESS, FAILURE, *_STATES, Cancelling, Late, Suspended, Submitting,
AwaitingRetry, Paused, *Pending, *StateType, StateGroup, is_state*, get_state_result, *_state, *EventType, RetryState,
*Stage, *Status*, *State*: Prefect Temporal Airflow Dagster AWS Celery
    result.status == 'finished'
allow_failure, raise_on_failure, on_failure, on_error, error_handler, catch, ExceptionHandler, task_failure, Catch,
CatchError, TryCatch, on_failure_hook: Prefect Celery AWS
    graph.add_edge('a', 'b', when=failed(Exception))
Variable, Param, Connection, BaseHook, Block, JSON, Config, EnvVar, S3Bucket, Depends, Inject, Resource, deps,
Dependency, resource, ConfigurableResource, ResourceDefinition, IOManager, io_manager, DocumentStore, *DocumentStore,
*Retriever, Retriever, KnowledgeBase, StringKnowledgeSource, *KnowledgeSource, Knowledge, *VectorStore, *IOManager,
*_io_manager, *InputManager, *Resource, Resource*, *ResourceContext, *Datasource, SQLAlchemyDatasource, *Secret,
*Variable, *Resource*, *Manager*, *Secret*, *Block*: Prefect Airflow LlamaIndex Dagster Haystack CrewAI DBOS
    graph = Graph('name', State, resources={'accounts': dict})  # a node takes it as a parameter: accounts
create_markdown_artifact, create_table_artifact, create_link_artifact, Artifact, LocalTarget, *Target, S3Target,
FileTarget, MockTarget, FileWriter, MaterializeResult, *Artifact, *_artifact, *MetadataValue, *Materialization,
*Observation, Target, target, *FileHandle, ObjectStoragePath, *Artifact*, *Materialization*: Prefect Luigi Dagster
    write_file('report.md', b'# Report')
draw_graph, pydot, Graphviz, visualize, draw_all_possible_flows, draw_most_recent_execution, MermaidDrawMethod,
generate_mermaid, draw_networkx, plot, render, GraphVisualizer, PipelineDrawer, Diagram, mermaid_graph, spring_layout,
draw_*, *_layout, write_*: OpenAI LlamaIndex networkx pydantic-ai Haystack
    graph.render('graph.svg')
debounce, Debouncer, throttle, dedupe, Debounce, Debounced, Singleton: DBOS Inngest
    from graphengine import debounced
LastValue, reduce_null, ReducerContext, ManagedValue, BinaryOperatorAggregate, reducer, Topic, Overwrite,
reduce_list_append, reduce_list_extend, reduce_dict_update, reduce_sum, ReduceFirstValue, EphemeralValue,
UntrackedValue, AnyValue, *Channel, *Value, *ValueAfterFinish, NamedBarrierValueAfterFinish, DeltaChannel, *Reducer:
LangGraph pydantic-ai
    from graphengine.reducers import add, append, extend, maximum, merge
WorkflowEnvironment, ActivityEnvironment, prefect_test_harness, TestRunner, TestClient, mock_runner, TestEnvironment,
AppTest, build_op_context, build_asset_context, build_sensor_context, build_resources, mock_context, TestHarness,
TestPipeline, materialize_to_memory, build_*, *TestHarness, create_test_harness, TimeSkippingConfig, *ContextBuilder,
assert_*, *_test_harness, *Test*, *Mock*, *Harness*: Temporal Prefect Dagster Restate
    done = await run_node(graph, 'a', {'n': 1})
    walked = await walk(graph, {'a': {'n': 1}, 'approve': {'is_approved': True}})
freeze_time, TimeSkipping, MockClock, TestClock, ManualClock, time_machine, Clock, VirtualClock: Temporal
    from graphengine.testing import FakeClock
Replayer, WorkflowReplay, WorkflowHistory: Temporal
    from graphengine.testing import replay
mock_activity, mock, patch_step, stub, mock_step, StubActivity, MagicMock, fake_node, mock_node: Temporal
    done = await run_node(shop, 'pay', {'n': 1}, effects={'charge': lambda: None})
Dataset, Evaluator, LLMJudge, EqualsExpected, IsInstance, EvaluationReport, Experiment, Scorer, run_evals,
EvaluatorContext: pydantic-ai
    from graphengine.testing.evaluation import Case, evaluate, judge
register_node, run_graph, run_workflow, run_flow, execute, run, run_sync, test_node, run_task: common
    result = graph.run_sync(state)
    done = await run_node(graph, 'a', {'n': 1})
SupervisorAgent, create_supervisor, Supervisor, langgraph_supervisor, *GroupChat, SelectorGroupChat, GroupChat,
GroupChatManager, MagenticOneGroupChat, Team, HierarchicalProcess, Orchestration, ManagerAgent: LangGraph AutoGen
CrewAI
    from graphengine.patterns import supervisor
create_swarm, SwarmState, Swarm, SwarmAgent, HandoffTermination: LangGraph AutoGen
    from graphengine.patterns import swarm
Prompt, PromptTemplate, ChatPromptTemplate, MessagesPlaceholder, prompt_with_handoff_instructions,
RECOMMENDED_PROMPT_PREFIX, format_as_xml, RichPromptTemplate, dynamic_prompt, system_prompt, instructions,
PromptBuilder, ChatPromptBuilder, *PromptBuilder, SystemPrompt, UserPrompt, *Prompt, *PromptFunc, *Instructions,
*PromptFunction, TemplateStr, *InstructionSource, answer_builder, *Prompt*, *Instruction*: LangGraph OpenAI pydantic-ai
LlamaIndex Haystack
    agent = Agent('writer', model='placeholder', system='Be brief.', prompt='Write about {n}')
shortest_path, topological_sort, simple_cycles, is_directed_acyclic_graph, ancestors, descendants, has_path,
all_simple_paths, nx, betweenness_centrality: networkx
    import networkx; networkx.shortest_path(graph.to_networkx(), 'a', 'approve')
FastAPI, Service, to_a2a, AGUIApp, handle_ag_ui_request, LangServe, add_routes, Server, app, AgentApp, AGUIAdapter,
VercelAIAdapter, *Endpoint, *ASGIServer, *_app, a2a_app: pydantic-ai LangGraph LlamaIndex Inngest
    graphengine serve GRAPH
UploadedSession, VoicePipeline, RealtimeAgent, RealtimeRunner, RealtimeSession, ComputerTool, ImageGenerationTool:
OpenAI
    agent = Agent('writer', model='placeholder', tools=[search])  # here agents read and write text, with tools of yours
pydantic_ai_agent, TemporalAgent, DBOSAgent, PrefectAgent, OpenAIAgentsPlugin, DBOSRunner, TemporalDurability,
DBOSDurability, PydanticAIPlugin: pydantic-ai Temporal DBOS OpenAI
    await runner.run(agent, text='Hi')  # each turn and each call of a tool is recorded
TerminalError, NonRetriableError, NonRetryableError, *TerminalError, *NonRetryable, PermanentError, FatalError,
AbortRetry, NonRetryable, FailWithoutRetry, DoNotRetry, is_retryable: Restate Inngest Dagster Prefect
    retry = Retry(attempts=3, on=(OSError,))  # any other exception is not repeated
listen, on_event_of, listens_to, add_listener, subscribes, default_subscription: CrewAI AutoGen
    graph.add_edge('a', 'b')
*Termination, *TerminationCondition, MaxMessageTermination, TextMentionTermination, TokenUsageTermination,
TimeoutTermination, StopMessageTermination, TerminationCondition, StopCondition: AutoGen
    graph.add_edge('a', END, when=iterations('a') >= 3)
    limits = Limits(tokens=10_000, cost_usd=1.0, visits=50)
Fail, FailState, FailStep, fail, AbortRun: AWS
    graph.add_edge('a', FAIL, label='refused')
Breakpoint, break_point, pause_before, PauseBefore, DebugBreakpoint, *Breakpoint, AgentBreakpoint: Haystack
    run = runner.start(graph, state, pause_before=['approve'])
Priority, TaskPriority, priority, WeightRule, *Weight*, *Priority*: Inngest Celery
    run = runner.start(graph, state, queue='default', priority=1)
RoundRobinGroupChat: AutoGen
    graph.add_path('a', 'b', 'c')  # each agent is a node; an edge back to the first begins the next round
RetryRequested, StepError, RetryAfterError, RetryableError, RetryException, RetryTask: Dagster Inngest Restate
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))  # any exception begins a new attempt
SQLiteSession, *Session, SQLAlchemySession, EncryptedSession, OpenAIConversationsSession, Session, *SessionService,
InMemorySessionService, *Session*, *Conversation*: OpenAI common
    await runner.run(agent, text='Hi', chat='ada')  # the conversation is recorded under this key
    runner = Runner('runs.db')
IsLastStep, RemainingSteps, is_last_step, remaining_steps: LangGraph
    graph.add_edge('a', END, when=iterations('a') >= 3)
    limits = Limits(visits=50)
LoopAgent, Loop, While, Repeat: common
    graph.add_edge('a', 'a', when=iterations('a') < 3)
run_coroutine_threadsafe, run_until_complete, nest_asyncio, async_to_sync, new_event_loop: asyncio
    result = graph.run_sync(state)
    with SyncRunner('runs.db') as plain: plain.start(graph, state)
*NotFound, *NotFoundError, NotRegistered, *DoesNotExistError, UnknownInterruptError: Dagster Airflow Celery
    from graphengine.errors import UnknownRun
*DefinitionError, *ValidationError, *ConfigError, *TypeError, *DoesNotExist, Invalid*, *InvalidDefinitionError,
*MismatchError, *InvariantViolationError, UnspecifiedFlowError, ReservedArgumentError: Dagster Haystack Prefect
    from graphengine.errors import CompileError, DefinitionError, InputError
*Error, *Warning: common
    from graphengine import GraphEngineError  # every error of graphengine
task_*, worker_*, celeryd_*, before_task_publish, after_task_publish, before_*, after_*, on_*, *_signals,
heartbeat_sent, signals_*, beat_init, Callback: Celery
    async for event in runner.start(graph, state).events(): print(event)
*Filter, *Filters, *FilterId, *FilterName, *FilterTags, *Sort, RunsFilter, *Query, *Selector, *ListFilter,
*RecordsFilter: Prefect Dagster
    await runner.runs('status:failed tag:nightly')
"""

_KEYWORD: Final = """
add_edge(): own
    graph.add_edge('a', 'b')
    graph.add_edge('a', 'b', when=value('n') >= 1)
add_fork(): own
    graph.add_fork('a', ['b', 'c'], join='d')  # all arms lead to the join
Agent(): own
    agent = Agent('writer', model='placeholder', prompt='Write about {text}')
run.db, run_sync.db, run.database, run_sync.database, run.checkpointer, run_sync.checkpointer: common LangGraph
    result = await graph.run(state, store='runs.db')
    result = graph.run_sync(state, store='runs.db')
compile.checkpointer, Graph.checkpointer, compile.store: LangGraph
    async with Runner('runs.db') as runner: result = await runner.start(graph, state).result()
checkpointer, result_storage_key, cache_result_in_memory, saver, persistence, durable, persister, persist_result,
checkpoint, with_persister, result_storage, durability: LangGraph Prefect Burr
    runner = Runner('runs.db')
interrupt_before, breakpoints, pause_at, stop_before, halt_before, break_point, breakpoint, pause_on, debug_at,
interrupt_at, halt_on, wait_before, pause_before_node, interrupt_before_nodes, interrupt_after_nodes, *breakpoint*:
LangGraph Burr Haystack
    run = runner.start(graph, state, pause_before=['approve'])
interrupt_after, halt_after, pause_after, stop_after: LangGraph Burr
    run = runner.start(graph, state, pause_before=['approve'])  # name the node that follows
config, configurable, context_variables, start.config: LangGraph OpenAI
    run = runner.start(graph, state, run_id='order-7', limits=Limits(visits=50))
recursion_limit, max_steps, max_iterations, max_visits, max_supersteps, step_limit, max_runs_per_component,
max_loops_allowed, max_loops, max_iter, max_hops, max_transitions, max_rounds, termination_condition: LangGraph
Haystack AutoGen
    run = runner.start(graph, state, limits=Limits(visits=50))
max_turns, max_tool_iterations, max_consecutive_auto_reply, max_agent_steps: OpenAI AutoGen Haystack
    agent = Agent('writer', model='placeholder', turns=5)
thread_id, id, workflow_id, flow_run_id, task_id, dag_id, app_id, identifier, flow_run_name, dedup_id,
deduplication_id, request_id, uid, run_key, execution_name, invocation_id, instance_id, job_id, idempotency,
external_id, trace_id: LangGraph Temporal DBOS Celery Prefect Dagster AWS Restate Inngest
    run = runner.start(graph, state, run_id='order-7')
session, conversation_id, chat_id, previous_response_id, conversation_key: OpenAI
    await runner.run(agent, text='Hi', chat='ada')
stream_mode, stream, streaming, subgraphs: LangGraph
    async for event in runner.start(graph, state).events(): print(event)
retry_policy, retries, retries_allowed, retry_kwargs, retry_limit, retry_options, retry_condition_fn, attempts,
max_retry_attempts, max_retry_limit, max_attempts, max_retries, max_tries, *retry*, *retries*: LangGraph Temporal
Prefect Celery Airflow DBOS CrewAI Dagster
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))
retry_delay, retry_delay_seconds, retry_backoff, interval_seconds, backoff_rate, backoff, retry_interval,
default_retry_delay, retry_jitter_factor, retry_exponential_backoff, wait_between_retries: Prefect Airflow Celery DBOS
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3, initial_seconds=1, multiplier=2))
Retry.maximum_attempts, Retry.retries, Retry.count, Retry.times, Retry.tries, Retry.n, Retry.limit, Retry.stop_after,
Retry.stop, Retry.max_retries, Retry.max_tries, Retry.max_attempts, Retry.retry, Retry.total: Temporal LangGraph
common
    retry = Retry(attempts=3)
Retry.initial_interval, Retry.delay, Retry.delay_seconds, Retry.interval, Retry.wait, Retry.interval_seconds,
Retry.retry_delay, Retry.base_delay, Retry.initial_delay, Retry.min_seconds, Retry.min_wait, Retry.wait_fixed,
Retry.wait_seconds, Retry.countdown, Retry.pause, Retry.sleep, Retry.initial_retry_interval, Retry.first_delay,
Retry.retry_delay_seconds: Temporal LangGraph DBOS Restate Celery
    retry = Retry(attempts=3, initial_seconds=1)
Retry.backoff_coefficient, Retry.backoff_factor, Retry.backoff, Retry.backoff_rate, Retry.factor,
Retry.exponential_base, Retry.exponent, Retry.exponential, Retry.retry_backoff, Retry.exponentiation_factor,
Retry.growth, Retry.base, Retry.backoff_multiplier, Retry.wait_exponential, Retry.exponential_backoff,
Retry.exponent_base: Temporal LangGraph DBOS Restate Prefect
    retry = Retry(attempts=3, multiplier=2)
Retry.maximum_interval, Retry.max_interval, Retry.max_delay, Retry.max_wait, Retry.cap, Retry.retry_backoff_max,
Retry.max_delay_seconds, Retry.max_delay_s, Retry.backoff_max, Retry.max_interval_seconds, Retry.max_backoff: Temporal
LangGraph Restate
    retry = Retry(attempts=3, max_seconds=30)
Retry.retry_on, Retry.exceptions, Retry.retry_if, Retry.non_retryable_error_types, Retry.on_exceptions, Retry.errors,
Retry.should_retry, Retry.on_error, Retry.autoretry_for, Retry.retry_for, Retry.retryable, Retry.exception_types,
Retry.error_equals, Retry.errors_equal, Retry.non_retryable, Retry.retryable_exceptions, Retry.exceptions_to_retry,
Retry.dont_autoretry_for, Retry.giveup, Retry.exclude, Retry.ignore, Retry.no_retry_on, Retry.retry_if_exception_type,
Retry.for_, Retry.exception, Retry.expected_exception: LangGraph Temporal Celery AWS
    retry = Retry(attempts=3, on=(OSError,))
Retry.retry_jitter, Retry.randomize, Retry.jitter_strategy, Retry.full_jitter, Retry.with_jitter, Retry.jitter_mode,
Retry.jitter_factor, Retry.jitter_seconds: Celery AWS Prefect
    retry = Retry(attempts=3, jitter=False)
Limits.steps, Limits.recursion_limit, Limits.max_turns, Limits.iterations, Limits.request_limit, Limits.nodes,
Limits.calls, Limits.requests: LangGraph pydantic-ai
    limits = Limits(visits=50)
Limits.total_tokens_limit, Limits.max_tokens, Limits.output_tokens_limit, Limits.response_tokens_limit: pydantic-ai
    limits = Limits(tokens=10_000)
Limits.cost, Limits.usd, Limits.budget, Limits.dollars, Limits.price: common
    limits = Limits(cost_usd=1.0)
Limits.timeout, Limits.time, Limits.duration, Limits.deadline, Limits.max_seconds, Limits.timeout_seconds,
Limits.minutes: Temporal
    limits = Limits(seconds=3600)
Limits.tool_calls_limit, Limits.tool_calls: pydantic-ai
    agent = Agent('writer', model='placeholder', max_tool_calls=10)
start_to_close_timeout, schedule_to_close_timeout, timeout, time_limit, soft_time_limit, heartbeat_timeout, timeout_s,
timeout_secs, step_timeout, max_seconds, timeout_ms, tool_timeout, *timeout*: Temporal Prefect Celery Airflow LangGraph
    graph.add_node('b', work, writes='n', timeout_seconds=60)
start.timeout, start.timeout_seconds, start.deadline, start.max_seconds, start.dagrun_timeout, run.timeout,
run_sync.timeout, run.timeout_seconds, run_sync.timeout_seconds, Graph.timeout, Graph.timeout_seconds,
Graph.dagrun_timeout, resume.timeout, resume.timeout_seconds, start.execution_timeout, start.run_timeout,
start.workflow_timeout, start.task_timeout, start.time_limit, start.soft_time_limit: Temporal DBOS Airflow LlamaIndex
    run = runner.start(graph, state, limits=Limits(seconds=3600))
result.timeout, result.timeout_seconds: DBOS Celery
    async with asyncio.timeout(5): result = await run.result()
receive.timeout, ask.timeout, receive.timeout_s, receive.deadline, ask.deadline: Temporal DBOS LlamaIndex
    value = await ctx.receive('topic', str, timeout_seconds=60, default='')
    answer = await ctx.ask('Publish?', bool, timeout_seconds=60, default=False)
defer, trigger_rule, wait_for_all, join_on, depends_on_past, wait_for_any, join_mode, num_events, merge, join_all:
LangGraph Airflow LlamaIndex Haystack
    graph.add_fork('a', ['b', 'c'], join='d')  # the join is visited once, after all arms
depends_on, wait_for_downstream, inlets, outlets, dependencies, after_node, requires, upstream, needs, wait_for, next,
goto, then, downstream, parents, destinations, ends, to, edges: Prefect Airflow LangGraph
    graph.add_edge('a', 'b')
input_schema, reads, input_keys, args_from, in_, params, parameters_from, arguments, bind, input_path, item_selector,
ins, input_mapping, inputs_from, reads_from, takes, input_fields, context_fields, input_values,
add_node.template_fields, user_defined_macros, template_searchpath, input_serde, *template*, *jinja*, *macro*: LangGraph
Burr AWS Dagster Haystack
    graph.add_node('b', work, inputs={'n': 'n'}, writes='n')
output, do_xcom_push, multiple_outputs, output_key, returns, result_key, write_to, state_key, output_field, saves,
into, out, write_field, result_path, output_path, result_selector, output_variable, result_field, stores, assigns,
save_to, output_file_path: LangGraph AWS
    graph.add_node('b', work, writes='n')
Graph.output_schema, Graph.output_type, Graph.output, Graph.output_key, Graph.returns, Graph.result_type: LangGraph
pydantic-ai
    graph = Graph('name', State, result='n')
state_schema, schema, state_type, state_class, state_model, input_type, initial_state: LangGraph pydantic-ai
    graph = Graph('name', State)
start.input, start.args, start.kwargs, start.parameters, start.params, start.conf, start.arguments, start.initial_state,
start.data, start.payload, start.start_event, start.input_data, run.input, run.starting_agent, run_sync.inputs,
run.initial_state, run_sync.initial_state, start.run_config, start.op_config, start.event, start.message,
start.initial_inputs, start.body, start.value, start.default_state, start.override_state_values, run.task, run.data,
run.start_event, run.inputs, start.arg, start.event_data, run.input_values: Temporal Prefect Airflow LangGraph
LlamaIndex Dagster Restate Inngest Burr AutoGen Haystack
    run = runner.start(graph, {'n': 1})
context_schema, config_schema, default_args, resource_defs, required_resource_keys, resource_definitions: LangGraph
Airflow Dagster
    graph = Graph('name', State, resources={'accounts': dict})
deps, deps_type, context, services, deps_factory, context_type, io_manager_def, io_manager_key, resource_manager, *dep*,
*deps*, *resource*: pydantic-ai OpenAI LangGraph Dagster
    runner = Runner(resources={'accounts': dict})  # tools and nodes take it as a parameter: accounts
instructions, system_prompt, system_message, prompt_template, developer, role, preamble, sys_prompt, persona,
description, goal, backstory, state_modifier, system_template, system_instruction, global_instruction, rules:
pydantic-ai OpenAI LangGraph LlamaIndex CrewAI
    agent = Agent('writer', model='placeholder', system='Be brief.')
user_prompt, user_message, template, messages_modifier: pydantic-ai
    agent = Agent('writer', model='placeholder', prompt='Write about {text}')
output_type, response_format, result_type, output_schema, output_cls, structured_output, output_model, response_model,
return_type, text_format, output_pydantic, output_json, output_content_type, expected_output, response_schema:
pydantic-ai OpenAI LangGraph LlamaIndex CrewAI AutoGen
    agent = Agent('writer', model='placeholder', output=Answer)
Agent.handoffs, Agent.sub_agents, Agent.transfers, Agent.delegates, Agent.agents, Agent.can_handoff_to,
Agent.hand_off, Agent.team, Agent.peers, Agent.allow_delegation, Agent.allowed_agents, Agent.managed_agents,
Agent.subagents, Agent.collaborators: OpenAI LlamaIndex CrewAI
    agent = Agent('desk', model='placeholder', hand_to=[other])
Agent.max_turns, Agent.max_iterations, Agent.max_steps, Agent.recursion_limit, Agent.request_limit, Agent.max_rounds,
Agent.max_iter, Agent.limits, Agent.usage_limits, Agent.max_loops, Agent.max_consecutive_auto_reply,
Agent.max_tool_iterations, Agent.max_agent_steps, Agent.max_round, Agent.tool_iterations, Agent.max_turn,
Agent.max_tool_rounds, Agent.max_reasoning_attempts: OpenAI pydantic-ai LangGraph AutoGen Haystack CrewAI
    agent = Agent('writer', model='placeholder', turns=5)
Agent.max_concurrency, Agent.model_settings, Agent.reasoning_effort, Agent.model_kwargs, Agent.llm_config,
Agent.generation_config, Agent.reasoning: OpenAI pydantic-ai
    agent = Agent('writer', model='placeholder', settings=Settings(temperature=0.2))
Agent.toolsets, Agent.mcp_config, Agent.mcp_servers, Agent.functions, Agent.plugins, Agent.builtin_tools,
Agent.native_tools, Agent.function_tools, Agent.tool, Agent.mcp, Agent.skills, Agent.actions, Agent.tool_registry,
Agent.function_map, Agent.workbench, Agent.toolkits, Agent.tool_list, Agent.register_tools, run.toolsets, run.tools,
run.spec: pydantic-ai OpenAI AutoGen
    agent = Agent('writer', model='placeholder', tools=[search])
Agent.input_guardrails, Agent.output_guardrails, Agent.guardrails, Agent.moderation, tool.tool_input_guardrails,
tool.tool_output_guardrails, tool.guardrails: OpenAI
    agent = Agent('writer', model='placeholder', guards=[guard(is_polite, on='input')])
Agent.retries, Agent.result_retries, Agent.max_retry_limit, Agent.max_retries, Agent.guardrail_max_retries,
Agent.retry, Agent.tool_retries: pydantic-ai CrewAI
    agent = Agent('writer', model='placeholder', output_retries=2)
    graph.add_node('b', agent, writes='text', retry=Retry(attempts=3))
Agent.output_validator, Agent.validator, Agent.result_validator, Agent.validate, Agent.final_answer_checks,
Agent.output_check, Agent.validators, Agent.answer_check: pydantic-ai common
    agent = Agent('writer', model='placeholder', check=check_answer)
Agent.memory, Agent.message_history, Agent.checkpointer, Agent.store, Agent.session, Agent.chat_history,
Agent.conversation, Agent.storage, Agent.db, Agent.add_history_to_messages, Agent.chat_store, Agent.persistence,
Agent.thread: pydantic-ai LangGraph LlamaIndex CrewAI
    await runner.run(agent, text='Hi', chat='ada')
    agent = Agent('writer', model='placeholder', messages='messages')
Agent.pre_model_hook, Agent.message_filter, Agent.compaction, Agent.trim, Agent.context_window, Agent.max_history,
Agent.model_context, Agent.respect_context_window, Agent.history_limit, Agent.num_history_runs,
Agent.max_history_messages, Agent.summarize_history: pydantic-ai LangGraph AutoGen CrewAI
    agent = Agent('writer', model='placeholder', messages='messages', window=Window(20_000))
Agent.middleware, Agent.callbacks, Agent.capabilities, Agent.event_stream_handler, Agent.post_model_hook,
Agent.on_event, Agent.hook, Agent.listeners, Agent.agent_hooks, Agent.before_model, Agent.step_callback,
Agent.task_callback, Agent.on_message, Agent.on_tool_call, Agent.callback, Agent.streaming_callback,
Agent.before_tool_callback, Agent.after_tool_callback, Agent.before_agent_callback, Agent.after_model_callback,
Agent.model_callback, Agent.tool_callback, Agent.agent_callback, run.handoff_input_filter, run.call_model_input_filter,
run.tool_error_formatter, run.hooks, run.streaming_callback, run.snapshot_callback: LangGraph pydantic-ai CrewAI
Haystack common OpenAI
    agent = Agent('writer', model='placeholder', hooks=[Hooks()])
Agent.deps_type, Agent.validation_context, Agent.deps, Agent.context, Agent.resources, Agent.dependencies,
Agent.context_schema, Agent.context_type: pydantic-ai OpenAI
    graph = Graph.of(agent, resources={'accounts': dict})  # a tool takes it by the name of a parameter
Agent.tool_use_behavior, Agent.reset_tool_choice, Agent.end_strategy, Agent.return_direct, Agent.stop_on_tool,
Agent.exit_conditions, Agent.is_termination_msg, Agent.termination_condition, Agent.stop_when, Agent.final_tool,
Agent.reflect_on_tool_use, Agent.result_as_answer: OpenAI pydantic-ai Haystack AutoGen CrewAI
    agent = Agent('writer', model='placeholder', output=result_of(lookup))
Agent.llm, Agent.model_name, Agent.client, Agent.provider, Agent.language_model, Agent.engine, Agent.model_client,
Agent.chat_generator, Agent.function_calling_llm, Agent.generator, Agent.chat_model, Agent.model_id, Agent.llm_client:
LlamaIndex LangGraph AutoGen Haystack CrewAI
    agent = Agent('writer', model='openai:gpt-5')
Agent.handoff_description, Agent.metadata, Agent.description, Agent.title, Agent.id, Agent.agent_name: OpenAI
    agent = Agent('writer', model='placeholder', system='You write. Be brief.')
Agent.instrument, Agent.tracing, Agent.telemetry, Agent.verbose, Agent.debug, Agent.log: pydantic-ai
    runner = Runner('runs.db', telemetry=Telemetry())
Agent.timeout, Agent.tool_timeout, Agent.timeout_seconds, Agent.request_timeout, Agent.max_execution_time,
Agent.deadline, Agent.max_seconds: pydantic-ai CrewAI
    graph.add_node('b', agent, writes='text', timeout_seconds=60)
    agent = Agent('writer', model='placeholder', tools=[tool(lookup, timeout_seconds=5)])
Agent.cache, Agent.prompt_cache, Agent.caching, Settings.prompt_cache_retention, Settings.prompt_cache_options,
Settings.prompt_cache_key: common
    agent = Agent('writer', model='placeholder', settings=Settings(cache=True))
Agent.approve, Agent.requires_approval, Agent.human_in_the_loop, Agent.needs_approval, Agent.interrupt_on,
Agent.human_input, Agent.human_input_mode, Agent.require_approval, Agent.hitl, Agent.confirm, Agent.tool_approval,
Agent.input_func: pydantic-ai LangGraph AutoGen
    agent = Agent('writer', model='placeholder', tools=[tool(search, approve=True)])
Agent.input_type, Agent.input_schema, Agent.args_schema, Agent.variables: LangGraph
    agent = Agent('writer', model='placeholder', inputs=Answer)
model_settings, max_output_tokens: pydantic-ai OpenAI
    agent = Agent('writer', model='placeholder', settings=Settings(temperature=0.2))
usage_limits, limits, token_limit, budget_tokens, max_cost, run.usage: pydantic-ai
    run = runner.start(graph, state, limits=Limits(tokens=10_000))
    graph = Graph('name', State, limits=Limits(visits=50))
message_history, history, chat_history, messages, memory, previous_messages: pydantic-ai LlamaIndex
    await runner.run(agent, text='Hi', chat='ada')
    agent = Agent('writer', model='placeholder', messages='messages')
tool.requires_approval, tool.needs_approval, tool.human_in_the_loop, tool.approval, tool.confirm, tool.interrupt,
tool.approval_required: pydantic-ai OpenAI LlamaIndex
    searching = tool(search, approve=True)
tool.name_override, tool.tool_name, tool.title, tool.alias: OpenAI
    searching = tool(search, name='find')
tool.description_override, tool.docstring, tool.desc, tool.doc, tool.help: OpenAI
    searching = tool(search, description='Search the archive.')
tool.timeout, tool.timeout_s, tool.max_seconds: OpenAI pydantic-ai
    searching = tool(search, timeout_seconds=5)
tool.prepare, tool.is_enabled, tool.enabled, tool.filter, tool.condition, tool.available, tool.defer_loading:
pydantic-ai OpenAI
    searching = tool(search, offered=lambda turn: turn.number < 3)
tool.failure_error_function, tool.handle_tool_error, tool.error_handler, tool.on_failure, tool.handle_errors,
tool.timeout_behavior, tool.raise_on_failure: OpenAI LangGraph
    searching = tool(search, on_error='raise')  # by default the model reads the error's text
tool.max_retries, tool.max_uses: pydantic-ai
    searching = tool(search, max_calls=3)  # after an error the model can call the tool again
tool.sequential, tool.parallel, tool.is_serial: pydantic-ai
    searching = tool(search, serial=True)
tool.args_schema, tool.parameters, tool.schema, tool.takes_ctx, tool.strict, tool.args, tool.parse_docstring,
tool.strict_mode, tool.return_direct, tool.docstring_format, tool.func, tool.function, tool.docstring_style,
tool.docstring_*, tool.schema_*, tool.require_parameter_descriptions, tool.tool_kind, tool.callable,
tool.async_function: LangGraph pydantic-ai OpenAI Haystack
    searching = tool(search)  # annotations and the docstring are the schema
condition, if_, cond, predicate, only_if, trigger, conditions, guard, guards, choice, variable, filter, test,
activation_group, activation_condition: Burr transitions AWS
    graph.add_edge('a', 'b', when=value('n') >= 1)
add_switch.default, add_switch.else_, add_switch.fallback, add_switch.path_map, choose.default,
add_switch.default_target: LangGraph
    graph.add_switch('a', route, {'x': 'b'}, otherwise=END)
options, choices, enum, literal, allowed, responses: common
    graph.add_node('choose', ask('Which?', Literal['a', 'b']), writes='text')
ask.type, ask.answer_type, ask.schema, ask.response_type, ask.output_type, ask.returns, ask.wait_for_input,
ask.input_type, ask.expects, ask.kind: Prefect LlamaIndex
    answer = await ctx.ask('Publish?', bool)
answer.question, answer.interrupt_id, answer.name, answer.wait_id, answer.node, answer.task, answer.tool_call_id,
answer.id, answer.for_: LangGraph
    await runner.answer(run_id, True, graph, wait='approve')
answer.user, answer.who, answer.author, answer.approver, answer.identity, answer.answered_by: Temporal
    await runner.answer(run_id, True, graph, by='ada')
answer.answer, answer.response, answer.decision, answer.approved, answer.reply, answer.input, answer.resume,
answer.result: LangGraph Prefect
    await runner.answer(run_id, True, graph)
send.message, send.value, send.data, send.body, send.args, send.signal, send.event, send.name, send.content: Temporal
DBOS LlamaIndex
    await runner.send(run_id, 'topic', 'value')
send.dedup_key, send.request_id, send.key, send.id, send.message_id: DBOS
    await runner.send(run_id, 'topic', 'value', idempotency_key='m-1')
db, database, db_url, database_url, backend, result_backend, connection_string, conn_string, dsn, uri, storage,
connection, sqlite, broker, broker_url, url, address, system_database_url, api_url, target_host, file, filename, loader,
amqp, api_key, namespace, tls, db_engine_kwargs, application_name, http_connect_proxy_config, sys_db_engine_kwargs,
statedb, engine, sys_db_pool_size, system_database_pool_size, pool_recycle, *database*, *db*: DBOS Celery Temporal
    runner = Runner('runs.db')
    runner = Runner('postgresql://user@host/database')
on_error, error_handlers, on_failure, catch, handle_errors, on_exception, errback, link_error, error_edge, except_,
on_failure_callback, except_to, catch_errors: Prefect Celery Airflow
    graph.add_edge('a', 'b', when=failed(Exception))
    graph.add_node('b', work, writes='n', fallback=0)
default_value, default_on_error, fallback_value, on_error_value, fallbacks: common
    graph.add_node('b', work, writes='n', fallback=0)
ignore_errors, allow_failure, return_exceptions, raise_on_failure, continue_on_error, soft_fail, ignore_result,
return_state, tolerated_failure_percentage, tolerated_failure_count, skip_failures, fail_fast, max_failures,
max_consecutive_failed_dag_runs, workflow_failure_exception_types, raise_on_tool_invocation_failure: Prefect Celery AWS
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes', on_item_error='keep')
    graph.add_edge('a', 'b', when=failed(Exception))
on_success, on_execute_callback, on_retry_callback, on_crashed, on_completion, on_complete, callback, on_finish,
on_event, on_done, link, on_running, on_success_callback, on_step, on_end, event_stream_handler, listeners,
on_cancellation, on_enter, on_exit, before_state_change, after_state_change, before, after, finalize_event,
success_hook, on_start, pre_execute, post_execute, on_commit, event_groups, emit_team_events, on_fatal_error,
step_events, *callback*, *hook*, on_final, *listener*: Prefect Celery Airflow transitions AutoGen
    async for event in runner.start(graph, state).events(): print(event)
cache, cache_policy, cache_key_fn, cache_ttl, cache_expiration, memoize, cache_result, refresh_cache, use_cache, cached,
ttl, freshness, cache_key: LangGraph Prefect
    await ctx.call(work, 1)  # in a node: recorded, so a resumed run does not call it again
parallelism, task_concurrency, pool_slots, priority_weight, max_concurrent, max_workers, max_parallel,
concurrency_limit, pool_size, max_active_tis_per_dag, max_map_length, max_concurrency, max_in_flight, parallel_runs,
n_jobs, *concurrency*, *concurrent*, *workers*: LlamaIndex LangGraph Airflow AWS
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes', concurrency=4)
Runner.max_concurrency, Runner.max_workers, Runner.executor, Runner.pool, Runner.task_runner: Prefect DBOS Temporal
    runner = Runner(threads=8)
Worker.max_concurrent_activities, Worker.max_concurrent_workflow_tasks, Worker.workers, Worker.prefetch_multiplier,
Worker.pool, Worker.autoscale, Worker.limit, Worker.slots, Worker.max_concurrency, Worker.worker_concurrency,
Worker.tuner, Worker.activity_executor, Worker.max_tasks_per_child, Worker.autoscaler_cls, Worker.pool_cls,
Worker.max_cached_workflows: Temporal Celery Prefect
    worker = Worker(runner, graph, concurrency=4)
Worker.task_queue, Worker.work_queues, Worker.listen_queues, Worker.work_pool: Temporal Celery Prefect
    worker = Worker(runner, graph, queues=['default'])
Worker.workflows, Worker.activities, Worker.client, Worker.tasks, Worker.flows, Worker.graph, Runner.include,
Runner.tasks, Runner.imports, Runner.task_cls, Runner.workflows: Temporal Celery
    worker = Worker(runner, graph)
Worker.poll, Worker.interval, Worker.polling_interval, Worker.poll_interval, Worker.polling_interval_sec,
Worker.query_seconds, QueueLimits.polling_interval_sec, sys_db_polling_concurrency, kafka_queue_polling_interval_sec,
Worker.poller_behavior, Worker.workflow_task_poller_behavior, Runner.scheduler_polling_interval_sec, *poll*, *polling*,
*interval*: Prefect DBOS Temporal
    worker = Worker(runner, graph, poll_seconds=1)
Worker.graceful_shutdown_timeout, Worker.shutdown_timeout, Runner.graceful_shutdown_timeout, Runner.shutdown_timeout,
Runner.timeout, Runner.grace: Temporal
    runner = Runner(grace_seconds=30)
QueueLimits.worker_concurrency, QueueLimits.max_concurrent, QueueLimits.limit, QueueLimits.slots,
QueueLimits.max_active_runs, QueueLimits.max_concurrency, QueueLimits.concurrency_limit, QueueLimits.max_workers,
QueueLimits.global_concurrency: DBOS Prefect Airflow
    limits = QueueLimits(concurrency=4)
QueueLimits.limiter, QueueLimits.rate_limit, QueueLimits.per_second, QueueLimits.period,
QueueLimits.slot_decay_per_second, QueueLimits.max_per_minute, QueueLimits.token, QueueLimits.burst, QueueLimits.count,
QueueLimits.duration, per_second, Worker.max_activities_per_second: DBOS Celery Prefect Inngest Temporal
    limits = QueueLimits(rate=(100, 60))
task_queue, queue_name, work_queue, work_queue_name, routing_key, pool, work_pool, work_pool_name, channel, *queue*:
Temporal DBOS Prefect Celery Airflow
    run = runner.start(graph, state, queue='default')
memo, static_summary, static_details, owner, email, sla, run_as_user, search_attributes, metadata, labels, attributes,
extra, properties, headers, annotations, memo_fields, run_tags, tag, owner_links, kinds, doc_yaml, group_name,
freshness_policy, summary, custom_attributes, authenticated_user, assumed_role, *tag*, *label*, *metadata*: Temporal
LangGraph Dagster
    run = runner.start(graph, state, tags=['nightly'])
add_node.tags, add_node.doc_md, add_node.map_index_template, add_node.version, add_node.viz_return_value,
add_node.task_run_name, add_node.owner, add_node.metadata, add_node.description, add_node.doc, add_node.label,
add_node.attrs, add_node.display_name, add_node.note, add_node.color, add_node.weight, add_node.shape,
add_node.task_id: LangGraph networkx Prefect Airflow
    graph.add_node('b', work, writes='n', title='Count')
add_node.func, add_node.is_async, add_node.op_kwargs, add_node.op_args, add_node.provide_context,
add_node.templates_dict, add_node.function, add_node.action, add_node.fn, add_node.node, add_node.callable,
add_node.python_callable, add_node.handler, add_node.agent, add_node.run, add_node.graph, add_node.call, add_node.arg,
add_node.node_for_adding, add_node.workflow, add_node.states, add_node.instance, add_node.component: LangGraph Airflow
Burr networkx Haystack
    graph.add_node('b', work, writes='n')
add_node.id, add_node.key, add_node.node_id: common
    graph.add_node('b', work, writes='n')
add_node.map, add_node.map_over, add_node.foreach, add_node.for_each, add_node.fan_out, add_node.items, add_node.over,
add_node.expand, add_node.iterate, add_node.items_path, add_node.batch, add_node.for_each_item, add_node.spread,
add_node.map_items: Airflow Prefect AWS
    graph.add_node('b', size, each={'text': 'texts'}, writes='sizes')
add_node.executor, add_node.resources, add_node.pool, add_node.process, add_node.task_runner, add_node.run_in,
add_node.remote: Airflow Prefect
    graph.add_node('b', work, writes='n', on='heavy')  # of Runner(executors={'heavy': ProcessExecutor()})
add_node.async_, add_node.sync, add_node.blocking, add_node.run_in_thread, add_node.threaded: common
    graph.add_node('b', work, writes='n', thread=True)
add_node.idempotent, add_node.side_effect, add_node.once, add_node.acks_late, add_node.exactly_once,
add_node.has_effect: Celery
    graph.add_node('b', work, writes='n', effect='idempotent')
add_node.interrupt, add_node.approval, add_node.requires_approval, add_node.human, add_node.approve,
add_node.human_in_the_loop, human_input, human_approval, wait_for_human, require_human: common CrewAI
    graph.add_node('approve', ask('Publish {text}?', bool), writes='is_approved')
add_node.delay, add_node.sleep, add_node.countdown, add_node.wait_seconds, add_node.start_delay: Celery
    await ctx.sleep(60)  # in the node
add_edge.weight, add_edge.name, add_edge.title, add_edge.key, add_edge.attr, add_edge.color, add_edge.description,
add_edge.text: networkx
    graph.add_edge('a', 'b', label='again')
add_edge.start_key, add_edge.end_key, add_edge.u, add_edge.v, add_edge.from_, add_edge.src, add_edge.dst, add_edge.dest,
add_edge.start, add_edge.end, add_edge.destination, add_edge.from_node, add_edge.to_node, add_edge.u_of_edge,
add_edge.v_of_edge, add_edge.sender, add_edge.receiver, add_edge.states: LangGraph networkx Haystack
    graph.add_edge('a', 'b')
add_edge.max, add_edge.max_iterations, add_edge.max_loops, add_edge.limit, add_edge.times, add_edge.max_visits: common
    graph.add_edge('a', 'b', when=iterations('a') < 3)
add_edge.on_error, add_edge.on_failure, add_edge.error, add_edge.on_exception, add_edge.exception: common
    graph.add_edge('a', 'b', when=failed(Exception))
add_fork.arms, add_fork.branches, add_fork.to, add_fork.nodes, add_fork.tasks, add_fork.parallel,
add_fork.destinations: common
    graph.add_fork('a', ['b', 'c'], join='d')
add_fork.wait_for, add_fork.wait, add_fork.any_of, add_fork.min, add_fork.quorum, add_fork.at_least, add_fork.count,
add_fork.return_when, add_fork.first, add_fork.num_events: common
    graph.add_fork('a', ['b', 'c'], join='d', need=1)
start.start_delay, start.request_eager_start, start.countdown, start.eta, start.delay, start.start_at, start.at,
start.scheduled_time, start.delay_seconds, start.logical_date, start.execution_date, start.when, start.after_seconds,
send.ts, add_node.start_date: Temporal Celery Prefect Airflow DBOS
    await ctx.sleep(60)  # in the first node of the graph
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
start.cron_schedule, start.schedule, start.cron, start.interval, Graph.schedule, Graph.schedule_interval, Graph.cron,
Graph.start_date, Graph.timetable, start.every, Graph.trigger, Graph.on_schedule, Graph.every, Graph.triggers,
Graph.periodic: Temporal Airflow Prefect Inngest
    await runner.admin.schedule(Schedule('daily', '0 7 * * *', 'approval'), graph)
start.id_reuse_policy, start.id_conflict_policy, start.exist_ok, start.if_exists, start.on_conflict,
start.idempotency_key, start.idempotent: Temporal DBOS
    run = runner.start(graph, state, run_id='order-7')  # an id is used once, so a second start is refused
start.start_signal, start.signal, start.start_signal_args: Temporal
    await runner.start_or_send(graph, 'r-new', 'topic', 'value')
start.checkpoint_id, start.from_step, start.start_step, start.from_checkpoint, start.fork_from, start.starting_node,
start.default_entrypoint, start.resume_at_next_action, start.fork_from_app_id: LangGraph DBOS
    runner.branch(run_id, graph, at=1)
start.partition_key, start.queue_partition_key, start.fairness_key, start.customer, start.group, start.namespace: DBOS
Temporal
    run = runner.start(graph, state, queue='default', tenant='acme')
start.resources, start.models, start.deps, start.context, start.overrides, start.services, run.ctx, run.plugins:
pydantic-ai LangGraph OpenAI
    runner = Runner(models={'writer': 'placeholder'}, resources={'accounts': dict})
start.parent, start.continued_from, start.previous, start.continue_from: common
    run = runner.start(graph, state, after=run_id)
start.expires, start.ttl: Celery
    run = runner.start(graph, state, limits=Limits(seconds=3600))
start.retry_policy, start.retries, start.max_attempts, start.max_recovery_attempts, Graph.retries, Graph.retry_policy,
Graph.default_retry: Temporal Prefect DBOS Airflow
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))
    runner.resume(run_id, graph, retry_failed=True)
branch.step, branch.start_step, branch.from_step, branch.checkpoint_id, branch.event_id, branch.seq, branch.node,
branch.as_node, branch.start_from, branch.after: DBOS LangGraph Temporal
    runner.branch(run_id, graph, at=1)
    runner.branch(run_id, graph, at=('a', 1))
branch.values, branch.state, branch.set, branch.changes, branch.overrides, branch.updates, branch.patch,
branch.new_state, branch.state_update, branch.input: LangGraph
    runner.branch(run_id, graph, at=1, update={'n': 2})
branch.id, branch.new_id, branch.name, branch.workflow_id, branch.thread_id, branch.as_, branch.forked_id: DBOS
    runner.branch(run_id, graph, at=1, run_id='again')
stop.reason, stop.message, stop.comment, stop.cause, stop.details, stop.cancellation_type: Temporal
    await runner.stop(run_id, 'the customer left')
stop.force, stop.terminate, stop.immediately, stop.immediate, stop.hard, stop.kill, stop.signal, stop.mode: Celery
OpenAI
    await runner.stop(run_id, now=True)
stop.permanent, stop.cancel, stop.forever, stop.permanently, stop.for_good: common
    await runner.stop(run_id, final=True)
resume.input, resume.value, resume.answer, resume.command, resume.resume, resume.response, resume.data, start.command,
run.command: LangGraph Prefect
    await runner.answer(run_id, True, graph)
resume.from_step, resume.at, resume.checkpoint_id, resume.step, resume.start_from, resume.state, resume.update:
LangGraph DBOS
    runner.branch(run_id, graph, at=1)
resume.retry, resume.clear, resume.force, resume.only_failed, resume.restart, resume.rerun_failed, resume.redrive,
resume.failed, resume.rerun: Airflow AWS
    runner.resume(run_id, graph, retry_failed=True)
runs.filter, runs.query, runs.where, runs.workflow_type, runs.name, runs.state, runs.workflow_ids, runs.dag_id,
runs.page_size, runs.offset, runs.start_time, runs.end_time, runs.since, runs.until, runs.tags, runs.sort_desc,
runs.page, runs.order_by, runs.metadata, runs.newer_than, runs.older_than, runs.after, runs.*, runs.user, runs.sort:
Temporal DBOS Prefect LangGraph
    await runner.runs('status:failed tag:nightly since:1d', limit=20)
prune.days, prune.before, prune.max_age, prune.ttl, prune.older_than_days, prune.retention_days, prune.seconds,
prune.keep_days: DBOS
    await runner.admin.prune(older_than=timedelta(days=30))
prune.keep, prune.last, prune.limit, prune.max_runs, prune.n, prune.count: common
    await runner.admin.prune(keep_last=100)
events.stream_mode, events.mode, events.include_types, events.version, events.include_names, events.kinds,
events.types, events.follow, events.expose_internal: LangGraph LlamaIndex
    async for event in run.events(): print(event)
call.start_to_close_timeout, call.timeout, call.timeout_seconds, call.schedule_to_close_timeout,
call.schedule_to_start_timeout, call.heartbeat_timeout: Temporal
    async with asyncio.timeout(5): await ctx.call(work, 1)
call.retry_policy, call.retries, call.max_attempts, call.max_duration, call.retry_interval_factor,
call.initial_retry_interval, call.max_retry_interval, call.retry_options, call.should_retry: Temporal DBOS Restate
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3))  # repeats the call that failed
call.params, call.arg, call.activity, call.type_hint, call.fn, call.action: Temporal
    await ctx.call(work, 1)
call.id, call.activity_id, call.name, call.step_name, call.idempotency_key, call.dedup_key, call.task_id: Temporal
DBOS
    await ctx.call(work, 1, key='first')
Graph.max_active_runs, Graph.concurrency, Graph.concurrency_limit, Graph.num_concurrent_runs, Graph.max_active_tasks,
Graph.max_active_tis_per_dagrun, add_node.max_active_tis_per_dagrun, add_node.max_active_tis_per_dag: Airflow Prefect
LlamaIndex
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4))
Graph.description, Graph.doc, Graph.doc_md, Graph.display_name, Graph.label, Graph.tags: Prefect Airflow
    graph = Graph('name', State, title='Publish a text')
Graph.id, Graph.dag_id, Graph.flow_name, Graph.graph_id, compile.name: Airflow Prefect
    graph = Graph('name', State)
Graph.nodes, Graph.edges, Graph.steps, Graph.tasks, Graph.actions, Graph.transitions, Graph.states, Graph.participants,
Graph.components, Graph.definition, Graph.activities, Graph.definition_body, Graph.node_defs, Graph.ops, Graph.graph,
Graph.builder, Graph.edges_by_source, Graph.actions_by_name: Burr LlamaIndex transitions AutoGen Haystack AWS Dagster
pydantic-ai
    graph.add_node('b', work, writes='n'); graph.add_edge('a', 'b')
Graph.on_error, Graph.on_failure, Graph.raise_errors, Graph.continue_on_error: Prefect
    graph = Graph('name', State, collect_errors='errors')
Graph.store, Graph.db, Graph.memory, Graph.storage, Graph.persist, Graph.cache, Graph.checkpoint: LangGraph
    runner = Runner('runs.db')
Graph.log_prints, Graph.verbose, Graph.debug, Graph.disable_validation, Graph.validate_parameters, compile.debug,
compile.validate, Graph.default_args, skip_graph_checks, connection_type_validation, Graph.strict, validate_args,
Graph.typing: Prefect LlamaIndex LangGraph Airflow
    problems = graph.check()
Graph.agents, Graph.tools, Graph.model, Graph.llm: LlamaIndex
    runner = Runner(models={'writer': 'placeholder'})
Schedule.cron_expression, Schedule.crontab, Schedule.spec, Schedule.schedule, Schedule.every, Schedule.interval,
Schedule.times, Schedule.cron_schedule, Schedule.rrule, Schedule.expression, Schedule.hour, Schedule.minute,
Schedule.seconds, Schedule.run_times, Schedule.trigger, Schedule.minutes, Schedule.hours, Schedule.days,
Schedule.intervals, Schedule.calendars, Schedule.rrules, start.rrule, start.interval_seconds: Temporal Prefect Celery
    schedule = Schedule('daily', '0 7 * * *', 'approval')
Schedule.timezone, Schedule.tz, Schedule.time_zone, Schedule.tzinfo, Schedule.time_zone_name,
Schedule.execution_timezone, Schedule.utc_offset: Prefect Airflow Temporal Dagster
    schedule = Schedule('daily', '0 7 * * *', 'approval', zone='Europe/Berlin')
Schedule.state, Schedule.args, Schedule.kwargs, Schedule.parameters, Schedule.inputs, Schedule.conf, Schedule.params,
Schedule.payload, Schedule.run_config, Schedule.data, Schedule.defaults, Schedule.run_config_fn, Schedule.tags_fn:
Prefect Celery Dagster
    schedule = Schedule('daily', '0 7 * * *', 'approval', input={'n': 1})
Schedule.catchup, Schedule.catchup_window, Schedule.backfill, Schedule.misfire, Schedule.on_missed,
Schedule.automatic_backfill, Schedule.coalesce, Schedule.misfire_grace_time, Schedule.grace_time,
Schedule.misfire_policy, Schedule.start_deadline_seconds, start.catchup: Airflow Temporal DBOS
    schedule = Schedule('daily', '0 7 * * *', 'approval', missed='all')
Schedule.active, Schedule.enabled, Schedule.is_paused_upon_creation, Schedule.is_active, Schedule.default_status,
Schedule.is_enabled, Schedule.disabled: Prefect Airflow Dagster
    schedule = Schedule('daily', '0 7 * * *', 'approval', paused=True)
Schedule.workflow, Schedule.flow, Schedule.action, Schedule.task, Schedule.dag, Schedule.job, Schedule.job_name,
Schedule.target, Schedule.func, Schedule.graph_name: Temporal Prefect Celery Dagster
    schedule = Schedule('daily', '0 7 * * *', 'approval')
budgets, plugins, interceptors, middleware, extensions_list, nexus_service_handlers, *plugin*, *middleware*: common
Temporal Inngest
    runner = Runner(extensions=[Budgets(Budget(name='daily', window='day', cost_usd=10))])
log_prints, log, logger, verbose, debug, loglevel, logfile, log_level, console_log_level, logger_name,
log_prints_enabled, *log*, *logging*: Prefect LlamaIndex Celery DBOS
    logging.basicConfig(level='INFO')
tracing, tracer, instrument, trace, otel, trace_metadata, tracer_provider, otlp_traces_endpoints, otlp_logs_endpoints,
otlp_log_level, enable_otlp, otlp_attributes, metric_meter, tracing_disabled, trace_include_sensitive_data, runtime,
tracker, trace_policy, *otlp*, *otel*, *trace*, *tracing*: pydantic-ai OpenAI DBOS
    runner = Runner('runs.db', telemetry=Telemetry())
encryption_key, serializer, data_converter, serde, payload_codec, result_serializer, pickle_protocol, crypto, encrypt,
serialization_type, content_type, output_serde, strict_typing, *serializer*, *serde*, *serialization*: Temporal DBOS
LangGraph Prefect Celery
    graph = Graph('name', State, secret_key=lambda: 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=')
run_node.mocks, run_node.stubs, run_node.patches, run_node.mock_activities, run_node.fakes, run_node.activities:
Temporal
    done = await run_node(shop, 'pay', {'n': 1}, effects={'charge': lambda: None})
run_node.inputs, run_node.values, run_node.args, run_node.kwargs, run_node.initial_state, run_node.data: common
    done = await run_node(graph, 'a', {'n': 1})
run_node.model, run_node.llm, run_node.agents: common
    done = await run_node(graph, 'a', {'n': 1}, models=ScriptedModel(['Hello']))
run_node.signals, run_node.events, run_node.inbox, run_node.sends: common
    done = await run_node(graph, 'a', {'n': 1}, messages={'topic': ['value']})
run_node.interrupts, run_node.responses, run_node.human_input, run_node.answer, run_node.approvals: common
    done = await run_node(graph, 'approve', {'n': 1}, answers=[True])
Graph.catchup, Graph.end_date, Graph.backfill, Graph.max_catchup_runs: Airflow Prefect
    schedule = Schedule('daily', '0 7 * * *', 'approval', missed='skip')
    schedule = Schedule('daily', '0 7 * * *', 'approval', missed='all')
unless, not_, when_not, exclude_if: transitions
    graph.add_edge('a', 'b', when=~(value('n') >= 1))
autoretry_for, retry_on, retry_for, retry_exceptions, throws, dont_autoretry_for, retryable, error_equals,
retryable_exceptions, should_retry, retry_condition: Celery LangGraph AWS
    graph.add_node('b', work, writes='n', retry=Retry(attempts=3, on=(OSError,)))
Agent.max_rpm, Agent.rpm, Agent.rate_limit, Agent.rate_limiter, Agent.requests_per_minute, Agent.tpm,
Agent.max_requests_per_minute: CrewAI
    agent = Agent('writer', model=AnthropicModel('claude-haiku-4-5', limiter=RateLimiter(requests_per_minute=60)))
Agent.allow_code_execution, Agent.code_execution_config, Agent.code_executor, Agent.code_interpreter,
Agent.code_execution_mode: CrewAI AutoGen
    agent = Agent('writer', model='placeholder', tools=[code_execution()])
Agent.knowledge, Agent.knowledge_sources, Agent.retriever, Agent.knowledge_base, Agent.rag, Agent.vector_store,
Agent.search_knowledge: CrewAI AutoGen
    agent = Agent('writer', model='placeholder', tools=[search])  # a function that searches your documents
Agent.stream, Agent.streaming, Agent.model_client_stream, Agent.stream_tokens: AutoGen
    async for event in agent.stream(text='Hi'): print(event)
Graph.debounce, start.debounce, Graph.debounce_seconds, start.debounce_key, Graph.singleton, start.singleton: Inngest
    from graphengine import debounced
Graph.throttle, Graph.rate_limit, Graph.max_concurrency, start.concurrency, start.concurrency_limit, start.rate_limit,
start.throttle, Graph.rate, Graph.limiter, add_node.rate_limit, add_node.throttle, add_node.max_rate, Graph.queue:
Inngest Celery
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4, rate=(100, 60)))
Graph.idempotency, Graph.idempotency_key, Graph.unique, Graph.dedupe, Graph.run_id, Graph.workflow_id: Inngest DBOS
    run = runner.start(graph, state, run_id='order-7')  # an id is used once
Graph.cancel_on, Graph.cancel, Graph.stop_on, start.cancel_on: Inngest
    await runner.stop(run_id, final=True)
Graph.priority, Worker.priority, Graph.weight, Agent.priority, call.priority, add_node.priority, start.fairness_weight,
send.priority: Inngest Airflow
    run = runner.start(graph, state, queue='default', priority=1)
Graph.initial, Graph.start_at, Graph.entry, Graph.entrypoint, Graph.entry_point, Graph.start_node, Graph.start,
add_node.initial, add_node.is_start, add_node.entrypoint, add_node.start: transitions AWS Burr
    graph.add_edge(START, 'a')
add_node.final, add_node.end, add_node.is_end, add_node.terminal, add_node.finish, Graph.final, Graph.end,
Graph.finish_point: transitions AWS
    graph.add_edge('c', END)
Graph.process, Graph.sequential, Graph.flow, Graph.order: CrewAI
    graph.add_path('a', 'b', 'c')
Graph.manager_llm, Graph.manager_agent, Graph.manager, Graph.supervisor, Graph.selector_prompt, Graph.planning: CrewAI
AutoGen
    from graphengine.patterns import supervisor
Graph.executor, Graph.executor_def, Graph.task_runner, Graph.executors, Graph.runner, *executor*: Dagster Prefect
    runner = Runner(executors={'heavy': ProcessExecutor()})
start.include_outputs_from, start.return_intermediate, start.return_steps, start.debug, run.include_outputs_from:
Haystack
    await runner.history(run_id)
add_node.async_execution, add_node.parallel, add_node.is_parallel, add_node.concurrent, add_node.background: CrewAI
    graph.add_fork('a', ['b', 'c'], join='d')
path_map, cases, mapping, selector_func, candidate_func, path, router, routes: LangGraph AutoGen
    graph.add_switch('a', route, {'x': 'b', 'y': END})
Agent.history_processors, Agent.history_processor, Agent.edit_messages, Agent.history_messages, Agent.history_runs,
Agent.last_messages: pydantic-ai common
    agent = Agent('writer', model='placeholder', messages='messages', history=lambda messages: messages[-10:])
    agent = Agent('writer', model='placeholder', messages='messages', window=Window(20_000))
Schedule.max_instances, Schedule.concurrency, Schedule.concurrency_policy, Schedule.max_active_runs,
Schedule.on_overlap, Schedule.overlap_policy, Schedule.policy, Schedule.overlap_allowed, Schedule.collision_strategy:
Airflow Temporal
    schedule = Schedule('daily', '0 7 * * *', 'approval', overlap='skip')
Settings.stop_sequences, Settings.stop_words, Settings.stop_tokens: pydantic-ai
    settings = Settings(stop=['END'])
Settings.reasoning, Settings.reasoning_effort, Settings.thinking_budget, Settings.openai_reasoning_effort: OpenAI
pydantic-ai
    settings = Settings(effort='low')
Settings.extra_body, Settings.extra_query, Settings.extra_args, Settings.response_include, Settings.include_usage,
Settings.top_logprobs, Settings.logprobs, Settings.user, Settings.*: OpenAI pydantic-ai
    settings = Settings(extra={'user': 'ada'})
version, code_version, version_type, versioning_intent, versioning_override, versioning_behavior, auto_upgrade,
application_version, app_version, build_id, enable_patching, deployment_config, *version*, *versioning*: Temporal DBOS
Dagster
    graph = Graph('name', State, version=2, migrate={1: lambda old: old})
    runner = Runner('runs.db', deploy='v2')
workflow_retention, retention, journal_retention, idempotency_retention, result_expires, keep_result, result_ttl,
*retention*: Restate Celery
    await runner.admin.prune(older_than=timedelta(days=30))
QueueLimits.key, QueueLimits.partition_concurrency, QueueLimits.partition_worker_concurrency, QueueLimits.tenant,
QueueLimits.scope: Inngest DBOS
    limits = QueueLimits(tenant_concurrency=4)
QueueLimits.name, QueueLimits.queue, QueueLimits.queue_name, QueueLimits.slug: DBOS Prefect
    await runner.admin.limit_queue('default', QueueLimits(concurrency=4))
receive.event, receive.event_type, receive.event_name, receive.signal, receive.name, receive.type, receive.waiter_id,
receive.requirements, receive.if_exp, receive.match: LlamaIndex Inngest
    value = await ctx.receive('topic', str)
ask.waiter_id, ask.key, ask.id, ask.requirements: LlamaIndex
    answer = await ctx.ask('Publish?', bool, name='publish')
"""

_PARAMETER: Final = """
config, logger, configurable, settings, params, conn, var, outlets, inlets, outlet_events, inlet_events,
triggering_asset_events, templates_dict, resources: LangGraph Airflow
    def node(ctx: Context, n: int) -> int: return n + ctx.attempt
    graph = Graph('name', State, resources={'settings': dict})  # a parameter named settings
runtime, context, wrapper, step_context, deps, info, task, ti, kwargs, run_id, ds, ts, ds_nodash, ts_nodash,
ts_nodash_with_tz, logical_date, execution_date, data_interval_start, data_interval_end, partition_date,
prev_start_date_success, prev_end_date_success, dag_run, dag, macros, test_mode, task_instance, task_instance_key_str,
map_index_template, self, state_ctx, step, attempt, log: LangGraph pydantic-ai OpenAI Airflow
    def node(ctx: Context, n: int) -> int: return n + ctx.attempt
    graph = Graph('name', State, resources={'accounts': dict})  # a parameter named accounts
writer, stream_writer: LangGraph
    def node(ctx: Context) -> None: ctx.emit({'progress': 1})
store, memory, kv: LangGraph LlamaIndex
    graph = Graph('name', State, resources={'memory': lambda: Memory('runs.db')})  # a parameter named memory
previous, last_result, upstream, prev: LangGraph
    def node(n: int) -> int: return n + 1  # a field of the state
ev, event, inputs, data: LlamaIndex Burr
    def node(n: int) -> int: return n + 1  # a field of the state
"""

_COMMAND: Final = """
list, task-run, task, dag, run-list, ls, ps, list-runs, workflows, workflow, executions, threads, list-workflows,
flow-run, flow-runs, find, search, query, tasks, active, sessions, runs-list, instances, invocations, invocation, job,
jobs, job-runs, run-history, task-runs, workflow-list, task-list: Temporal DBOS Prefect Airflow Celery Restate
    graphengine runs
    graphengine runs status:failed since:1d
describe, get-run, trace-run, activity, fix-history-json, status, get, info, inspect-run, history, log, events, view,
details, result, cat, steps, print, output, state, state-history, stack, summary, explain, get-execution, logs,
describe-run, get-execution-history: Temporal DBOS Celery Airflow AWS
    graphengine show RUN_ID
tail, follow, attach, wait, stream, monitor, live, observe: Temporal Celery
    graphengine watch RUN_ID
fork, reset, rewind, rollback, clone, copy, time-travel, backtrack, checkout, undo, restart-from, jump: DBOS Temporal
    graphengine branch RUN_ID --at 1
cancel, kill, abort, interrupt, revoke, pause, suspend, halt, quit: DBOS Temporal Prefect Celery
    graphengine stop RUN_ID
    graphengine stop RUN_ID --final
terminate, destroy, force-stop: Temporal
    graphengine stop RUN_ID --now --final
restart, retry, rerun, continue, unpause, recover, redo, clear, again, redrive, workflow-resume, workflow-unpause,
run-resume: Airflow DBOS Prefect
    graphengine resume RUN_ID --retry-failed
signal, notify, publish, event, message, emit, push, tell, post, send-event: Temporal
    graphengine send RUN_ID topic value
approve, reject, reply, respond, input, confirm, accept, deny, update: Temporal
    graphengine answer RUN_ID yes
start, shell, execute, exec, invoke, call, launch, trigger, begin, submit, apply, play, kickoff, go, enqueue, run-flow,
async, process, materialize, execute-job, chat, repl, interactive, start-execution, talk, prompt, kickoff-flow, runjob,
run-job, dags-trigger, dag-trigger, dags-test, job-launch, job-execute, asset-materialize, deployments-run,
activity-start, activity-execute: Temporal Prefect Airflow Celery Dagster CrewAI AWS
    graphengine run GRAPH
    graphengine run GRAPH --queue default
delete, rm, remove, purge, clean, gc, cleanup, del, drop, truncate, forget, flush, garbage-collect, archive, expire,
vacuum: DBOS Temporal Celery Airflow
    graphengine prune --older-than 30d --dry-run
    graphengine bulk prune id:RUN_ID --dry-run
dev, ui, logtool, burr, transfer, web, dashboard, studio, webserver, gui, open, browse, browser, flower, console,
playground, standalone, inspector, app, page: LangGraph Temporal Prefect Burr Airflow Celery
    graphengine inspect
server, start-ui, start-dev, up, deploy, api, http, start-server, launch-server, api-server, host, listen, a2a, rest,
fastapi, gateway, code-server, server-start: LangGraph Prefect Temporal Airflow
    graphengine serve
work, workers-start, daemon, agent, consume, consumer, scheduler, executor, work-queue-start, runner, celery, multi,
triggerer, drive, start-worker, runtime, qcluster, rqworker: Celery Prefect Temporal Airflow
    graphengine worker
pool, global-concurrency-limit, work-queue, queue, concurrency-limit, gcl, limits, amqp, task-queue, work-queues,
concurrency-limits, global-concurrency-limits, gcl-list, workflow-queue, instance-concurrency, concurrency-get,
concurrency-set: Prefect Celery DBOS Temporal Airflow
    graphengine queues list
beat, cron, schedules, deployment, toggle, timer, crontab, periodic, automation, sensor, sensors, triggers,
trigger-list, deployments, sensor-list, schedule-list, automations, sensors-list, sensor-start, sensor-preview: Celery
Temporal Prefect Dagster
    graphengine schedule list
init, dockerfile, plugins, create-project, startproject, scaffold, generate, template, bootstrap, init-project, project,
example, quickstart, demo, project-scaffold, create-app: DBOS LangGraph Prefect
    graphengine new my_flows
validate, lint, verify, compile, test, build, plan, dry-run, typecheck, preflight, simulate, definitions-validate,
config-validate: LangGraph
    graphengine check
draw, visualize, visualise, graph, plot, diagram, picture, mermaid, dot, svg, show-graph, export-graph, png, viz,
graph-show, dags-show: networkx Airflow
    graphengine render GRAPH -o graph.svg
flows, flow, list-graphs, list-flows, graph-list, assistants, apps, agents, definitions, list-dags, dags, pipelines,
pipeline, jobs-list, code-location, asset, assets, crew, services, functions, state-machines, definitions-list,
asset-list, flows-ls, flow-ls, deployments-ls, dags-list, dag-list, job-list: Prefect Airflow LangGraph Dagster CrewAI
Restate
    graphengine graphs
evaluate, evals, bench, benchmark, score, experiment, dataset: pydantic-ai
    graphengine eval GRAPH --data cases.jsonl
migrate, upgrade, db, schema-migrate, reset-db, repair, fsck, health, check-db, diagnose, ping, check-health, database,
postgres, cluster, integrity, server-database, instance-migrate, db-migrate, db-check, db-upgrade, database-upgrade,
database-reset: DBOS Airflow Prefect
    graphengine doctor
dump, save, download, to-json: common
    graphengine export RUN_ID -o run.json
load, restore, upload, debug-import: common
    graphengine import run.json
snapshot, cp, mirror: common
    graphengine backup copy.db
compare, cmp, delta: common
    graphengine diff RUN_ID RUN_ID
cost, usage, spend, billing, tokens: common
    graphengine show RUN_ID --usage
stats, artifact, metrics, report, trends, top, count, statistics, workflow-count, activity-count, artifacts: Celery
Temporal
    graphengine runs --trends
label, search-attribute, metadata, tags, annotate, rename: Prefect
    graphengine tag RUN_ID --add nightly
waiting, inbox, pending, todo, questions, approvals, interrupts, waits: common
    graphengine runs status:waiting
queued, backlog: common
    graphengine runs status:queued
failed, errors, failures, dead-letter, dlq: common
    graphengine runs status:failed
config, providers, kerberos, control, plugins-list, sync-perm, settings, env, profile, block, variable, connections,
secret, login, cloud, configure, experimental, nexus, profiles, variables, blocks, secrets, config-set, instance:
Prefect Airflow DBOS
    graphengine doctor --production
version, about: common
    graphengine --version
help, cheat-sheet, man, docs: common
    graphengine --help
token, rotate, auth, user, account, namespace, tenant, operator, role, permissions, apikey: Temporal Airflow
    graphengine users list
what-if, replay-with, shadow: Airflow
    graphengine whatif RUN_ID --at a:1
bulk-cancel, batch, cancel-all, stop-all, mass-cancel, terminate-all: Temporal
    graphengine bulk stop graph:approval --dry-run
backfill, catchup, catch-up, dags-backfill, dag-backfill, job-backfill, asset-backfill: Airflow Dagster
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH --missed all
work-pool, set-limit, set-limits, rate-limit, concurrency, throttle, set-concurrency: Prefect
    graphengine queues list
    graphengine queues set default --concurrency 4
install, add, requirements, upgrade-package: CrewAI
    graphengine doctor
train, train-crew, optimize, tune: CrewAI
    graphengine eval GRAPH --data cases.jsonl
deployment-run, run-deployment, workflow-start, workflow-execute, flow-serve, task-execute: Prefect Temporal
    graphengine run GRAPH
"""

_OPTION: Final = """
--db, --database, --backend, --file, --db-url, --database-url, --conn, --connection, --dsn, --url, --path, --broker,
--result-backend, --sqlite, --sys-db-url, --storage, --address, --uri, --api-key, --namespace, --instance, --api-url,
--scheduler-url, --scheduler-host, --db-filename, --schema, --db-pool-recycle: DBOS Celery Temporal Luigi
    graphengine runs --store PATH
    graphengine show RUN_ID --store PATH
runs --since, runs --after, runs --from, runs --start-time, runs --newer, runs --start-date, runs --start, runs
--max-age, runs --last: DBOS Temporal Airflow
    graphengine runs --newer-than 1d
    graphengine runs since:1d
runs --until, runs --before, runs --to, runs --end-time, runs --older, runs --end-date, runs --end, runs --min-age:
DBOS Temporal Airflow
    graphengine runs --older-than 1d
runs --state, runs --failed, runs --running, runs --waiting, runs --filter, runs --where, runs --query, runs --search,
runs --finished, runs --name, runs --workflow, runs --type, runs --dag-id, runs --id, runs --execution-status, runs
--user, runs --flow, runs --active, runs --pending, runs -s, runs -u, runs -t, runs -e, runs -S, runs -q, runs -a, runs
-m, runs --application-version, runs --name-contains, runs --flow-name, runs --task-run-name, runs --empty-flow_name,
runs --archived, runs --agent-id, runs --by-created, runs --select, runs --deployment, runs --state-type, runs
--graph-id: Temporal DBOS Prefect Airflow
    graphengine runs status:failed graph:approval
runs --format, runs --output, runs -o, runs --output-format, runs --fmt, runs --columns, runs --no-headers, runs
--raw, runs --pretty, runs --wide, runs --yaml, runs --table: Temporal Prefect Airflow
    graphengine runs --json
    graphengine runs --fields n --csv
--format, --output-format, --fmt, --yaml, --raw, --jsonl, --pretty, --as-json, --json-output, --machine: Temporal
Airflow
    graphengine show RUN_ID --json
runs --all, runs --n, runs --count, runs --page-size, runs --max, runs --top, runs --head, runs --size, runs -n, runs
-l: Temporal Prefect
    graphengine runs --limit 100
runs --follow, runs -f, runs --watch, runs -w, show --follow, show -f, show --watch, show --wait, show --live, show
--tail, show --stream, runs --live, runs --tail, show -w: Temporal Celery
    graphengine watch RUN_ID
runs --sort, runs --order-by, runs --reverse, runs --desc, runs --sort-desc, runs --order: DBOS
    graphengine runs --json
runs --parent, runs --children, runs --branches, runs --recursive, runs --forked-from: DBOS
    graphengine runs --tree
runs --queue, runs --queue-name, runs --queued, runs --queues-only: DBOS Celery
    graphengine runs status:queued
show --output, show -o, show --save, show --export, show --out, show --to: common
    graphengine export RUN_ID -o run.json
show --format, show --history, show --events, show --full, show --detail, show --verbose, show -v, show --show-detailed,
show --detailed, show --no-fold, show --level, show --head, show --reverse, show --num-logs, show --depth: Temporal
    graphengine show RUN_ID --all
    graphengine show RUN_ID --json
show --node, show --seq, show --event, show --checkpoint, show --number: common
    graphengine show RUN_ID --step 1
show --cost, show --tokens, show --spending: common
    graphengine show RUN_ID --usage
show --svg, show --picture, show --mermaid, show --draw: common
    graphengine render RUN_ID -o run.svg
show --last, show --latest: common
    graphengine runs --limit 1
run --id, run --thread-id, run --workflow-id, run --name, run --thread, run --key, run --run_id, run --runid, run -w,
run --session, run --id-conflict-policy, run --id-reuse-policy, run --flow-run-name, run --first-execution-run-id:
Temporal LangGraph DBOS Prefect Airflow
    graphengine run GRAPH --run-id order-7
run --param, run -p, run --arg, run --set, run --conf, run -c, run --data, run -d, run --var, run --parameter, run
--state, run --inputs, run -i, run --kwargs, run --values, run --json-input, run --payload, run --input-file, run
--config, run --config-json, run --input-base64, run --input-meta, run --arg-json, run --preset: Temporal Prefect
Airflow Celery Dagster
    graphengine run GRAPH --input n=1
    graphengine run GRAPH --input n=@n.json
run --detach, run --background, run --async, run --no-wait-for-result, run --enqueue, run --bg, run --daemon: Prefect
Celery
    graphengine run GRAPH --queue default
run --task-queue, run --work-queue, run --pool, run --work-pool, run --queue-name: Temporal Prefect Airflow
    graphengine run GRAPH --queue default
run --tags, run --label, run --memo, run --search-attribute, run --metadata, run -t, run --static-summary, run
--static-details: Prefect Temporal
    graphengine run GRAPH --tag nightly
run --timeout, run --max-seconds, run --deadline, run --time-limit, resume --timeout, run --watch-timeout, run
--task-timeout, run --execution-timeout, run --run-timeout: Temporal Prefect Celery
    graphengine run GRAPH --limit seconds=3600
run --max-steps, run --recursion-limit, run --max-visits, run --max-iterations, run --budget, run --limits, run
--max-cost, run --max-tokens, run --max-turns: LangGraph OpenAI
    graphengine run GRAPH --limit visits=50 --limit cost_usd=1
run --interrupt-before, run --breakpoint, run --break, run --pause, run --debug-at, run --pause-at, run --stop-before:
LangGraph
    graphengine run GRAPH --pause-before approve
run --llm, run --provider, run --models, run -m: pydantic-ai
    graphengine run GRAPH --model placeholder
run --graph, run --file, run -f, run --flow, run --entrypoint, run --module, run --app, run --type, run --workflow, run
-A, run --python-file, run --module-name, run --attribute, run -a, run --package-name, run --working-directory, run
--workspace, run --autoload-defs-module-name, run -j, run --job, run --repository, run -r, run --location: Prefect
Celery Temporal Dagster
    graphengine run GRAPH
run --cron, run --schedule, run --at, run --every, run --interval, run --start-delay, run --eta, run --countdown, run
--exec-date, run --logical-date, run --start-in, run --start-at: Temporal Prefect Airflow Celery
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH
run --watch, run --follow, run --stream, run --events, run --tail, run --wait, run --watch-interval, run --detailed:
LangGraph Prefect
    graphengine run GRAPH --json
run --out, run --save, run --result, run --write, run --to: common
    graphengine run GRAPH -o result.json
run --quiet, run -q, run --silent, run --no-color, run --plain: common
    graphengine run GRAPH --json
--verbose, -v, -vv, --trace, --traceback, --log, --loglevel, -l, --verbosity, --logging-level, --logfile,
--code-server-log-level, --dagster-log-level, --log-output: Celery Prefect Dagster
    graphengine run GRAPH --log-level debug
    graphengine show RUN_ID --debug
run --dry-run, run --plan, run --simulate, run --check-only, run --validate: common
    graphengine check GRAPH
prune --force, prune -y, prune --assume-yes, prune --no-input, prune --confirm, prune -f, prune --no-prompt, prune
--no-confirm: Prefect Airflow
    graphengine prune --keep-last 100 --dry-run
branch --step, branch --event-id, branch --from, branch --start-step, branch --checkpoint, branch --seq, branch --node,
branch --from-step, branch --start, branch --at-step, branch -s, branch --workflow-id, branch -w, branch --reapply-type:
DBOS Temporal LangGraph
    graphengine branch RUN_ID --at 1
    graphengine branch RUN_ID --at a:1
branch --update, branch --input, branch --values, branch --state, branch --override, branch --patch, branch --with:
LangGraph
    graphengine branch RUN_ID --at 1 --set n=2
branch --id, branch --name, branch --new-id, branch --forked-workflow-id, branch --as: DBOS
    graphengine branch RUN_ID --at 1 --run-id again
stop --force, stop -f, stop --kill, stop --immediately, stop -9, stop --hard, stop --immediate: Celery
    graphengine stop RUN_ID --now
stop --terminate, stop --cancel, stop --permanent, stop --forever, stop --for-good: Temporal Celery
    graphengine stop RUN_ID --final
stop --reason, stop --why, stop --message, stop -m: Temporal
    graphengine bulk stop id:RUN_ID --why asked --dry-run
stop --all, stop --query, stop --status, stop --graph, stop --batch: Temporal
    graphengine bulk stop graph:approval --dry-run
resume --all, resume --status, resume --failed-only: DBOS Airflow
    graphengine bulk retry status:failed --dry-run
resume --retry, resume --restart, resume --rerun, resume --only-failed, resume --failed: Airflow
    graphengine resume RUN_ID --retry-failed
resume --input, resume --answer, resume --value, resume --set, resume --command: LangGraph Prefect
    graphengine answer RUN_ID yes
resume --at, resume --from, resume --step, resume --checkpoint: LangGraph DBOS
    graphengine branch RUN_ID --at 1
send --name, send --signal, send --input, send --value, send --topic, send --message, send --data, send --payload,
send -i, send --body, send --type: Temporal
    graphengine send RUN_ID topic value
send --key, send --id, send --dedup-key: DBOS
    graphengine send RUN_ID topic value --idempotency-key m-1
answer --user, answer --who, answer --as, answer --identity, answer --author: Temporal
    graphengine answer RUN_ID yes --by ada
answer --question, answer --id, answer --interrupt, answer --node, answer --task: LangGraph
    graphengine answer RUN_ID yes --wait approve
answer --value, answer --answer, answer --yes, answer --input, answer --resume, answer --approve, answer --json-value:
LangGraph
    graphengine answer RUN_ID yes
worker --processes, worker -c, worker --workers, worker --max-concurrent, worker --limit, worker --threads, worker
--parallel, worker --autoscale, worker --pool-size, worker -n, worker --max-tasks-per-child, worker
--max-memory-per-child, worker --force-multiprocessing, worker --pool-start-method, worker --task-limit: Celery Prefect
Temporal
    graphengine worker --concurrency 4
worker -Q, worker --queues, worker --pool, worker --work-queue, worker --work-pool, worker -p: Celery Prefect Temporal
    graphengine worker --queue default
worker --port, worker --health-port, worker --healthcheck, worker --http, worker --metrics-port, worker
--with-healthcheck, worker --health-check: Prefect DBOS
    graphengine worker --health 8080
worker --interval, worker --poll-seconds, worker --prefetch-seconds, worker --poll-interval, worker --query-interval,
worker --ping-interval, worker --wait-interval: Prefect Luigi
    graphengine worker --poll 1
worker -A, worker --app, worker --flow, worker --workflow, worker --file, worker --module, worker --graphs, worker
--module-name, worker -m, worker --python-file, worker -f, worker --attribute, worker -a, worker --package-name, worker
--working-directory, worker -d, worker --include, worker --workspace, worker -w, worker --fn-name, worker -I: Celery
Dagster
    graphengine worker --graph GRAPH.py
worker -B, worker --beat, worker --schedule, worker --scheduler, worker --detach, worker -D, worker --background, worker
--pidfile, worker --hostname, worker --name, worker --id, worker --run-once, worker --without-gossip, worker
--without-heartbeat, worker --without-mingle, worker -E, worker -X, worker -O, worker --optimization, worker
--disable-prefetch, worker -b, worker --type, worker -t, worker --keep-alive, worker --uid, worker --gid, worker
--umask: Celery Prefect Luigi
    graphengine worker
serve -p, serve --reload, serve --workers, serve --listen, serve --bind, serve --addr, serve --http-port, serve
--server-port, serve --ip, serve -h, serve --ui-port, serve --ui-ip, serve --entrypoint, serve --no-reload, serve
--wait, serve --name, serve -n, serve --limit, serve -c, serve --config: LangGraph Prefect Temporal
    graphengine serve --host 127.0.0.1 --port 8080
inspect --no-browser, inspect --headless, inspect --no-ui, inspect --open-browser: LangGraph
    graphengine inspect --no-open
inspect --bind, inspect --listen, inspect -p, inspect --ui-port, inspect --http-port, inspect --dagit-port, inspect
--grpc-port, inspect --debug-port: Temporal LangGraph
    graphengine inspect --port 8123
prune --days, prune --age, prune --before, prune --ttl, prune --older, prune --since, prune --clean-before-timestamp,
prune --retention-days, prune --until, prune --keep-days: DBOS Airflow
    graphengine prune --older-than 30d --dry-run
prune --keep, prune --last, prune --max, prune --limit: common
    graphengine prune --keep-last 100 --dry-run
prune --id, prune --run, prune --run-id, prune --all: DBOS
    graphengine bulk prune id:RUN_ID --dry-run
watch --since, watch --start, watch --seq, watch --step, watch --after, watch --all, watch --from-start, watch
--history: common
    graphengine watch RUN_ID --from 1
watch --format, watch --output, watch -o, watch --raw: Temporal
    graphengine watch RUN_ID --json
render --format, render --type, render --mermaid, render --svg, render --png, render --dot, render --file, render
--out, render --save, render --output-file: Airflow
    graphengine render GRAPH -o graph.svg
    graphengine render GRAPH -o graph.mmd
render --depth, render --collapse, render --xray, render --expand: LangGraph
    graphengine render GRAPH -o graph.svg --fold 1
export --format, export --to, export --file, export --out, export --output-file: common
    graphengine export RUN_ID -o run.json
schedule add --schedule, schedule add --every, schedule add --interval, schedule add --spec, schedule add --calendar,
schedule add --crontab, schedule add --rrule, schedule add --anchor-date, schedule add --day_or, schedule add --jitter,
schedule add --start-time, schedule add --end-time: Temporal Prefect Celery
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH
schedule add --timezone, schedule add --tz, schedule add --time-zone, schedule add --time-zone-name: Temporal Prefect
    graphengine schedule add daily --cron "0 7 * * *" --zone Europe/Berlin --graph GRAPH
schedule add --param, schedule add --args, schedule add --set, schedule add -p, schedule add --input-meta, schedule add
--input-file, schedule add --input-base64, schedule add --parameters, schedule add --parameter: Prefect Celery
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH --input n=1
new --template, new --workflow, new -t, new --example, new --type: LangGraph DBOS
    graphengine new my_flows --from chat_app
check --warnings-as-errors, check --fail-on-warning, check --werror, check --pedantic, check --all-warnings: common
    graphengine check --strict
eval --dataset, eval --cases, eval --file, eval --input, eval -d: pydantic-ai
    graphengine eval GRAPH --data cases.jsonl
eval --scorer, eval --evaluators, eval --judge, eval --metrics: pydantic-ai
    graphengine eval GRAPH --data cases.jsonl --scorers scorers.py
stop --workflow-id, stop --run-id, stop -w, stop -r, stop --flow-run-id, stop --thread-id, stop --id: Temporal
    graphengine stop RUN_ID
send --workflow-id, send --run-id, send -w, send -r, send --flow-run-id, send --thread-id: Temporal
    graphengine send RUN_ID topic value
watch --workflow-id, watch --run-id, watch -w, watch -r, watch --flow-run-id, watch --thread-id: Temporal
    graphengine watch RUN_ID
resume --workflow-id, resume --run-id, resume -w, resume -r, resume --flow-run-id, resume --thread-id: Temporal
    graphengine resume RUN_ID
show --workflow-id, show --run-id, show -r, show --id, show --thread-id, show --name, show -n: Temporal Prefect
    graphengine show RUN_ID
prune --workflow-id, prune -w, prune --name, prune --webhook-id, prune --key: Temporal
    graphengine bulk prune id:RUN_ID --dry-run
schedule add --overlap-policy, schedule add --concurrency-limit, schedule add --collision-strategy, schedule add
--limit: Temporal Prefect
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH --overlap skip
schedule add --name, schedule add --schedule-id, schedule add -s, schedule add --id, schedule add --description:
Temporal Prefect
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH
schedule add --work-queue, schedule add --pool, schedule add --task-queue, schedule add --work-pool, schedule add -q:
Temporal Prefect
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH --queue default
schedule add --module-name, schedule add --package-name, schedule add --python-file, schedule add --working-directory,
schedule add --workspace, schedule add --workflow-type, schedule add --type, schedule add --repository, schedule add -r,
schedule add -f, schedule add -m, schedule add -a: Temporal Dagster
    graphengine schedule add daily --cron "0 7 * * *" --graph GRAPH
"""

TABLE: Final[Mapping[str, str]] = {
    "Graph": _GRAPH,
    "Runner": _RUNNER,
    "Run": _RUN,
    "Agent": _AGENT,
    "Context": _CONTEXT,
    "Result": _RESULT,
    "import": _IMPORT,
    "keyword": _KEYWORD,
    "parameter": _PARAMETER,
    "command": _COMMAND,
    "option": _OPTION,
}
"""The entries, by the place where their names are asked for."""


class ForeignNames(NamedTuple):
    """Names of other libraries, with what to write in graphengine instead.

    Attributes:
        names: The names. A keyword of one call is `call.keyword`, and an option of one command `command --option`.
        libraries: The libraries that use the names.
        forms: What to write instead: code, or a command. Several forms are alternatives.
    """

    names: Sequence[str]
    libraries: Sequence[str]
    forms: Sequence[str]

    @property
    def repair(self) -> str:
        """The suggestion for an error text, with each alternative on a line of its own so that it can be copied."""
        return OR.join(self.forms)


@functools.cache
def entries_of(place: str) -> Sequence[ForeignNames]:
    """Return the entries of the table of foreign names that belong to one place, such as the arguments of `Graph`.

    The entries are in the order of the table.
    """
    found = []
    for header, forms in re.findall(r"((?:^\S.*\n)+)((?:^ .*\n)+)", TABLE[place], re.MULTILINE):
        names, _, libraries = header.replace("\n", " ").strip().rpartition(": ")
        found.append(ForeignNames(names.split(", "), libraries.split(), [form.strip() for form in forms.splitlines()]))
    return found


@functools.cache
def forms_by_name(place: str) -> Mapping[str, str]:
    """Return, by foreign name, what to write in graphengine instead, for one place such as the class `Graph`.

    A foreign name is a name of another library. If the table contains a name several times, the first entry counts.
    """
    found: dict[str, str] = {}
    for entry in entries_of(place):
        for name in entry.names:
            found.setdefault(name, entry.repair)
    return found


_FILLERS: Final = frozenset(
    re.findall(
        r"\w+",
        "a all async by class count current dag execution fetch flow for get graph handle id job list max maximum "
        "method my num number of retrieve run secs seconds sync task the thread total workflow",
    )
)
"""Words that names of the same thing have in some libraries and not in others."""
_PARTICLES: Final = frozenset(("as", "from", "in", "is", "no", "on", "to", "update", "with"))
"""Words that do not tell what a name means if no others are left of it."""
_VERBS: Final = frozenset(
    re.findall(r"\w+", "add create default define delete find get has is list make read register remove set update use")
)
"""First words of names whose meaning is in what follows, as in `read_work_queue`."""
_DETAILS: Final = frozenset(("as", "by", "for", "from", "in", "into", "of", "on", "to", "when", "with"))
"""Words in the middle of a method's name that are followed by a detail, as in `read_flow_by_name`."""
_OF_OTHERS: Final = frozenset(("async", "dag", "flow", "sync", "task", "workflow", "workflows"))
"""Words that no name of ours has: a name with one of them was meant for another library."""
_AFTER: Final[Mapping[str, Sequence[str]]] = {
    "Agent": ("Graph",),
    "Run": ("Result",),
    "Context": ("Runner",),
    "Result": ("Run", "Runner"),
    "import": ("Context", "Runner", "Graph"),
}
"""The places that are searched last, because objects of other libraries have more methods than ours."""
_OPTIONS: Final[Mapping[str, Sequence[str]]] = {"Graph": ("Graph.", "add_node.", ""), "Agent": ("Agent.", "")}
"""The calls whose options are attributes in other libraries, such as `task.max_retries`."""
_SAME_CALLS: Final[Mapping[str, Sequence[str]]] = {
    "add_node": ("Graph",),
    "compile": ("Graph",),
    "run": ("start", "Agent"),
    "start": ("Graph",),
}
"""Calls that have an option in some libraries, which another call has in others."""
_SLIP_CUTOFF: Final = 0.8
_PLURAL: Final = re.compile("(?<=..[^s])s$")


def _words_asked(name: str) -> tuple[str, frozenset[str]] | None:
    """Split the name of a method or command into the object that it belongs to and the set of its characteristic words.

    Two names with the same words count as the same: `cancel_workflow` and `cancel_run` both have only the word
    `cancel`. For a class, the first part of the result is `class`, so that classes are compared only with classes.
    """
    called, _, last = name.rpartition(" " if " " in name else ".")
    called = called or "class" * last[:1].isupper()
    words = re.split(r"[-_]+|(?<=[a-z0-9])(?=[A-Z])", last.strip("-_"))
    kept = frozenset(_PLURAL.sub("", re.sub("ies$", "y", word.lower())) for word in words) - _FILLERS
    return (called, kept) if kept - _PARTICLES else None


@functools.cache
def _forms_by_words(place: str) -> Mapping[tuple[str, frozenset[str]], str]:
    found: dict[tuple[str, frozenset[str]], str] = {}
    for name, repair in forms_by_name(place).items():
        if words := _words_asked(name):
            found.setdefault(words, repair)
    return found


def _find_slip(name: str, own: Collection[str]) -> str:
    """Return the name in graphengine that a misspelt name most probably means; "" if there is no such name.

    Three things make a name probable: its spelling is nearly equal, it consists of the same words, or it is the only
    name that begins with the misspelt one.
    """
    if _OF_OTHERS.intersection(name.split("_")):
        return ""
    from difflib import get_close_matches  # noqa: PLC0415 - only a mistake needs it

    asked, words = name.replace("_", "-") if name.startswith("-") else name, _words_asked(name)
    near = get_close_matches(asked, own, n=1, cutoff=_SLIP_CUTOFF)
    alike = [each for each in own if words and _words_asked(each) == words]
    beginning = [each for each in own if each.startswith(asked)]
    return next((found[0] for found in (near, alike, beginning) if len(found) == 1), "")


def _shorter(name: str, place: str) -> Sequence[str]:
    """Return shorter forms of a name, the longest first, to look them up in the table of foreign names.

    The beginning of a command's name says what the command does, so `purge-history` is shortened to `purge`. The end of
    a keyword's name says what it means, so `start_to_close_timeout` is shortened to `timeout`, among others. A method
    means the same without a `get` at its beginning, and without a detail that follows a preposition, as in
    `enqueue_with_options`. Any other word can change what a method does: `check_tools` checks no graph. Names of
    imports and options are not shortened.
    """
    called, _, last = name.rpartition(".")
    words = re.split("[-_]", last)
    if place in ("import", "option", "parameter") or not all(words):
        return ()
    if place == "keyword":
        ends = ["_".join(words[at:]) for at in range(1, len(words))]
        return [each for end in ends for each in (f"{called}.{end}", end)]
    least = 2 if words[0] in _PARTICLES | _FILLERS else 1
    cuts = [at for at in range(len(words) - 1, least - 1, -1) if place == "command" or words[at] in _DETAILS]
    whole = ["_".join(words[1:])] if words[0] in _VERBS else []
    return whole + ["_".join(words[:at]) for at in cuts]


def _known(name: str, place: str) -> str:
    """Return what to write instead of a shortened name. Of a single word, no plural or other form counts."""
    words = _words_asked(name) if "_" in name else None
    return forms_by_name(place).get(name) or (_forms_by_words(place).get(words, "") if words else "")


def repair_for(name: str, *places: str, own: Collection[str] = (), whole: bool = False) -> str:
    """Suggest what to write in graphengine instead of a name of another library; "" if nothing is known about the name.

    The name is searched in these ways, until one of them finds a suggestion:

    1. As it is, in the given places of the table of foreign names.
    2. By its words: `acancel`, `cancel_run` and `cancel_workflow` count as the same name.
    3. By its end, its beginning, or one of its words: `HttpOperator` matches `*Operator`, and `stop_sensor` `*sensor*`.
    4. Without some of its words: `enqueue_with_options` as `enqueue`, `connect_timeout=` as `timeout=`; see `_shorter`.
    5. In other places and calls. For example, a name that a result does not have may be something that a run has.

    Args:
        name: The name.
        places: The places of the table of foreign names, in order.
        own: Names of ours. A name that is one of these misspelt (see `_find_slip`) is not compared by its words or end.
        whole: Whether the name is not compared without some of its words.
    """
    found = _exact(name, places)
    if found or name.startswith("_") or _find_slip(name.rpartition(" ")[2], own):
        return found
    called, dot, last = name.rpartition(".")
    same = [f"{each}.{last}" for each in _SAME_CALLS.get(called, ()) if dot and not whole]
    options = [f"{each}{name}" for each in _OPTIONS.get(places[0], ())]
    after = () if whole else _AFTER.get(places[0], ())
    return (
        next(filter(None, (_exact(each, ("keyword",)) for each in options)), "")
        or _exact(name, after)
        or _alike(name, places)
        or next(filter(None, (_exact(each, places) or _alike(each, places) for each in same)), "")
        or ("" if whole else _partly(name, places))
        or _alike(name, after)
        or _partly(name, after, verbs=places[0] == "import")
    )


def _spellings(name: str) -> Sequence[str]:
    return name, name.removeprefix("a"), re.sub("_a?sync$", "", name)


def _exact(name: str, places: Sequence[str]) -> str:
    found = (forms_by_name(place).get(each) for each in _spellings(name) for place in places)
    return next(filter(None, found), "")


def _alike(name: str, places: Sequence[str]) -> str:
    """Find an entry of the table of foreign names that resembles a name, and return what to write instead.

    An entry resembles the name if it consists of the same words, or is a pattern for its end or beginning, such as
    `*Operator`. Patterns of imported functions, such as `wait_*`, do not count for methods.
    """
    asked = filter(None, map(_words_asked, _spellings(name)))
    alike = (_forms_by_words(place).get(words) for words in asked for place in places)
    cuts = [at for at, letter in enumerate(name) if at and (letter.isupper() or letter in "_.")]
    ends = [*(f"*{name[at:]}" for at in cuts), *(f"{name[: at + (name[at] in '_.')]}*" for at in reversed(cuts))]
    searched = [each for each in places if each != "import" or len(places) == 1 or name[:1].isupper()]
    ending = (forms_by_name(place).get(end) for end in ends for place in searched)
    return next(filter(None, (*alike, *ending)), "")


def _partly(name: str, places: Sequence[str], *, verbs: bool = False) -> str:
    """Find an entry of the table of foreign names for a part of a name, and return what to write instead.

    The entry is a pattern for a single word of the name, such as `*sensor*`, or it equals the name without some words.

    Args:
        name: The name.
        places: The places to search.
        verbs: Whether to try the name without some of its words before its single words. For keywords this is always
            the order.
    """
    words = reversed(re.findall("[A-Z]?[a-z]+", name.rpartition(".")[2]))
    single = [_PLURAL.sub("", re.sub("ies$", "y", word)) for word in words]
    found = [forms_by_name(place).get(f"*{word}*", "") for word in single for place in places]
    shorter = [_known(each, place) for place in places for each in _shorter(name, place)]
    return next(filter(None, shorter + found if verbs or "keyword" in places else found + shorter), "")


def without_await(repair: str) -> str:
    """Rewrite a suggestion for users of a `SyncRunner`, whose methods are called without `await`.

    Alternatives that use asyncio are left out.
    """
    lines = repair.split(OR)
    inner = [re.sub(r"\(await ([\w.]+\([^()]*\))\)", r"\1", line) for line in lines if "asyncio" not in line]
    plain = [re.sub(r"\b(await|async) ", "", line) for line in inner]
    return OR.join(plain)
