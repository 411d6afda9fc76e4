"""The pure core: what an event means (decide), what a step does (evolve), what runs next (ready).

Nothing in here knows of time, chance, files or asyncio: times and values arrive in events. Every rule of
movement of a run is in this package and nowhere else.
"""
