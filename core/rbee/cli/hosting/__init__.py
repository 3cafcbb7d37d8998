"""Running registry, queen and hive: all in one process, or each by itself."""

from rbee.cli.hosting.apart import host_program
from rbee.cli.hosting.colony import host_colony

__all__ = ["host_colony", "host_program"]
