"""Workers that drive the runs of a database, schedules that start runs, and the tools of operators.

- `Worker` (in `worker.py`) takes due runs from the store and drives them. Any number of workers can share a database.
- `Schedule` (in `schedules.py`) names times at which workers start runs of a graph. The `Ticker` starts these runs. A
  *tick* is one time of a schedule.
- `Admin` (in `admin.py`, as `runner.admin`) lets operators change schedules, limit queues, and remove or change many
  runs.
- `Remover` (in `retention.py`) removes old runs while a worker works. `queue_limits.py` checks the limits of queues.
- `joining.py` starts a run once for an id, or joins the run if it already exists.
- `documents.py` defines the JSON documents of the commands about workers, queues and schedules.

A run is *due* if a worker can drive it now: it is queued, its time has come, it was answered, it received a message, or
the process that drove it has died.
"""

from graphengine.doors import door

__getattr__, __dir__, __all__ = door(__name__, __file__)
