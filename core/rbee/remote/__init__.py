"""Other machines: reached over SSH, looked at, given rbee, and run."""

from rbee.remote.host import Host, Ran

__all__ = ["Host", "Ran"]
