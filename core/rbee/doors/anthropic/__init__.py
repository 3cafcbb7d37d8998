"""Anthropic's Messages API."""

from rbee.doors.anthropic.door import CountTokens, Messages

__all__ = ["CountTokens", "Messages"]
