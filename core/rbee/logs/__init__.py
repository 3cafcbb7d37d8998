"""Files into which processes write their output by themselves: of bounded size, for this user alone."""

from rbee.logs.chatter import configure_logging
from rbee.logs.names import PROGRAM_LOGS, is_program_log
from rbee.logs.rotation import Rotation, private

__all__ = ["PROGRAM_LOGS", "Rotation", "configure_logging", "is_program_log", "private"]
