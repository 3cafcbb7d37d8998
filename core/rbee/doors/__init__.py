"""Doors for clients of other APIs, translated in front of the one path that all inference takes."""

from rbee.doors.models import ModelList
from rbee.doors.openai import make_plane
from rbee.doors.refusal import door_error
from rbee.doors.serving import Door
from rbee.doors.table import DOOR_ROUTES, make_doors, make_stateless_doors

__all__ = ["DOOR_ROUTES", "Door", "ModelList", "door_error", "make_doors", "make_plane", "make_stateless_doors"]
