"""SSH tunnels to machines that the queen does not reach otherwise, and what is called through them."""

from rbee.queen.tunnels.roads import Roads
from rbee.queen.tunnels.tunnel import Tunnel
from rbee.queen.tunnels.tunnels import Tunnels

__all__ = ["Roads", "Tunnel", "Tunnels"]
