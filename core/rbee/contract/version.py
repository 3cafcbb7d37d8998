"""The version of the program and the version of the plugin contract."""

__version__ = "0.1.0"

CONTRACT_VERSION = "0.3"
"""Version of everything in `rbee.contract`, by semantic versioning: below 1, a minor version may break
plugins.

A plugin states the range it supports in a module attribute ``RBEE_CONTRACT = ">=0.3,<0.4"``; one that
does not fit is recorded as failed and not loaded.
"""
