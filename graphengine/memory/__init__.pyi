from .kept import MemoryEntry as MemoryEntry
from .kept import Memory as Memory
