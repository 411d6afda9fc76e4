from .bulk import Bulk as Bulk
from .event_json import event_document as event_document
from .records import Page as Page
from .retention import Pruned as Pruned, Vacuumed as Vacuumed
from .run_waits import RunWait as RunWait
