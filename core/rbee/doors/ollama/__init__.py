"""Ollama's API."""

from rbee.doors.ollama.door import Chat, Embed, Embeddings, Generate
from rbee.doors.ollama.lists import Running, Show, Tags, Version

__all__ = ["Chat", "Embed", "Embeddings", "Generate", "Running", "Show", "Tags", "Version"]
