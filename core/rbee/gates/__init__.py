"""Gates: further processes that share the queen's port, relay, and have every place from her."""

from rbee.gates.keeper import GateKeeper
from rbee.gates.messages import Welcome
from rbee.gates.passing import strangers

__all__ = ["GateKeeper", "Welcome", "strangers"]
