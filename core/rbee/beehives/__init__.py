"""Beehives: the machines that an operator has entered, and how to reach them.

The registry itself is in `rbee.beehives.registry`: who only speaks of beehives need not load a data base.
"""

from rbee.beehives.beehive import HIVE_PORT, SSH_PORT, Beehive, BeehiveChanges, BeehiveReach, BeehiveStatus, Entered
from rbee.beehives.hives_conf import read_hives_conf
from rbee.beehives.imported import Imported
from rbee.beehives.ssh_config import read_ssh_config

__all__ = [
    "HIVE_PORT",
    "SSH_PORT",
    "Beehive",
    "BeehiveChanges",
    "BeehiveReach",
    "BeehiveStatus",
    "Entered",
    "Imported",
    "read_hives_conf",
    "read_ssh_config",
]
