"""What makes an OpenAI-speaking server of an engine that yields tokens."""

from rbee.worker.tokens.face import TokenFace

__all__ = ["TokenFace"]
