"""Answers in the shapes of OpenAI's API, whole and in chunks."""

from rbee.worker.tokens.openai.chat import ChatRenderer
from rbee.worker.tokens.openai.completions import CompletionRenderer
from rbee.worker.tokens.openai.events import DONE, error_event, sse
from rbee.worker.tokens.openai.model_list import models
from rbee.worker.tokens.openai.renderer import Renderer
from rbee.worker.tokens.openai.usage import Usage

__all__ = ["DONE", "ChatRenderer", "CompletionRenderer", "Renderer", "Usage", "error_event", "models", "sse"]
