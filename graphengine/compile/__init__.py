"""Compilation of a declared graph: its result is either a plan, or all problems of the graph with places and repairs.

A `Plan` is the checked form of a graph, and the only form that a run uses. `compiled`, in `compiler`, makes the plan.
`binding` finds the source of each parameter of a node and the target of its result, and `state` splits the state of the
graph into fields. `type_fit` decides whether two declared types agree, and `checking` has the class `Checks`, through
which `graphengine.checks` checks more.

Two parts of a plan are recorded with its runs. `graph_spec` writes the structure of the graph as JSON, with the texts
that `described_types` makes of types. `code` computes digests of the functions of the nodes. A run that waits is
compared with both when it resumes.
"""
