"""The pure engine: `decide` turns an event into a step, `evolve` applies a step, `ready` lists what runs next.

Nothing in this package uses clocks, random numbers, files or asyncio: times and values arrive in events. Every rule
that moves a run is in this package and nowhere else.
"""
