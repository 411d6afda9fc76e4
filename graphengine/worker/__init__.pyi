from .admin import Admin as Admin
from .schedules import Schedule as Schedule
from .worker import Worker as Worker
