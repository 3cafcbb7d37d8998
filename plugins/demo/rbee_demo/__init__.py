"""A very small language model as a model vendor of rbee."""

from rbee_demo.vendor import DemoVendor

__all__ = ["DemoVendor"]
