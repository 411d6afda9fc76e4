from .erasure import Erased as Erased
from .erasure import erase as erase
from .kept import MemoryEntry as MemoryEntry
from .kept import Memory as Memory
