"""Models on this machine as a model vendor of rbee."""

from rbee_local.vendor import LocalVendor

__all__ = ["LocalVendor"]
