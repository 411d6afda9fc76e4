from .base import NodeExecutor as NodeExecutor
from .calls import facts_of as facts_of, run_packed as run_packed
from .detached import DetachedContext as DetachedContext
from .processes import ProcessExecutor as ProcessExecutor
from .ray_tasks import RayExecutor as RayExecutor
