"""Data bases: opened, brought up to date and used in turn, the same way for every store."""

from rbee.storage.columns import UtcDateTime
from rbee.storage.database import DataBase
from rbee.storage.schema import Schema
from rbee.storage.store import Store, in_turn
from rbee.storage.urls import file_url, shown_url

__all__ = ["DataBase", "Schema", "Store", "UtcDateTime", "file_url", "in_turn", "shown_url"]
