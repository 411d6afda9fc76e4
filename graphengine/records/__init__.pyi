from .bulk import Bulk as Bulk
from .event_json import event_document as event_document
from .export import Exported as Exported, export_run as export_run, to_json_text as to_json_text
from .records import Page as Page
from .retention import Pruned as Pruned, Vacuumed as Vacuumed
from .run_waits import RunWait as RunWait
from .base_documents import Document as Document
