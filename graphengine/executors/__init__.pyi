from .base import NodeExecutor as NodeExecutor
from .processes import ProcessExecutor as ProcessExecutor
from .ray_tasks import RayExecutor as RayExecutor
