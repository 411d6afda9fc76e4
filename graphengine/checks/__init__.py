"""Checks of a declared graph: they find what would go wrong although the graph can be compiled.

A compilation calls these checks through the class `Checks` of `graphengine.compile.checking`. Each check yields
`Problem`s. A problem is either an error or a warning, and a warning never prevents a graph from running. If one repair
would remove two problems, only the problem that names this repair is reported.

There is a module for each subject. `whole` calls all checks, in an order in which later checks rely on the results of
earlier ones:

    options, cases, state, waits    single declarations: options, the cases of a switch, fields, waits of effects
    before_waits, outside_acts      actions of a node before a wait, which the node repeats after the wait
    shape, reachability             edges that lead to no node, and nodes to which no edge leads
    fork_regions, forks             the nodes that belong to each arm of a fork, and the things that an arm may not do
    subjects, paths                 the values that conditions compare, and the values that are possible on each path
    dead, rules                     edges and conditions that decide nothing, and the rules of a graph: proved or broken
    loops                           loops that nothing ends

`paths` walks the graph without running it. A `Subject` is a value that conditions read. A `Point` is a node together
with the facts that are known when the walk comes there.
"""
