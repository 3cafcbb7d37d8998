"""Servers that somebody runs already and that speak OpenAI's API, as an engine and a vendor of models."""

from rbee.builtin.openai_server.connection import Connection, ServedModel
from rbee.builtin.openai_server.engine import OpenAIServerEngine
from rbee.builtin.openai_server.store import Connections
from rbee.builtin.openai_server.vendor import OpenAIServerVendor

__all__ = ["Connection", "Connections", "OpenAIServerEngine", "OpenAIServerVendor", "ServedModel"]
