from .postgres import PostgresStore as PostgresStore
from .sqlite import SQLiteStore as SQLiteStore
