"""The version of the program and the version of the plugin contract."""

__version__ = "0.1.0"

CONTRACT_VERSION = "1.0"
"""Version of everything in `rbee.contract`, by semantic versioning.

A plugin states the range it supports in a module attribute ``RBEE_CONTRACT = ">=1.0,<2"``; one that
does not fit is recorded as failed and not loaded.
"""
