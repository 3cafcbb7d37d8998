"""OpenAI's Responses API, as far as it keeps nothing."""

from rbee.doors.responses.door import Responses

__all__ = ["Responses"]
