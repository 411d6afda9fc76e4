"""Checks of a declared graph, one subject per module: what would go wrong although it compiles.

`whole` calls them all, in an order in which later ones rely on what earlier ones found:

    options, cases, state, waits    one declaration: its options, a switch's cases, fields, what it waits for
    before_waits, outside_acts      what a node does before a wait, which starts it again
    shape, reachability             names: edges that lead nowhere, nodes that nothing leads to
    fork_regions, forks             what belongs to which arm of a fork, and what an arm may not do
    subjects, paths                 what conditions compare, and which values hold on which path
    dead, rules                     edges and conditions that decide nothing; the rules of a graph, proved or refuted
    loops                           that something ends each loop

A warning never stops a graph. A problem is not reported that the repair of another one removes.
"""
