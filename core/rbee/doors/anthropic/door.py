"""The routes of Anthropic's API."""

from __future__ import annotations

import uuid

import msgspec

from rbee.contract.errors import NotFoundError
from rbee.doors.anthropic.asking import chat_of
from rbee.doors.anthropic.requests import MessagesRequest
from rbee.doors.anthropic.telling import MessageWriter, message_of
from rbee.doors.chat import whole_answer
from rbee.doors.parsing import parsed
from rbee.doors.serving import Asked, Translated, Translation
from rbee.doors.writing import Translator


class Messages(Translation):
    """``POST /v1/messages``."""

    async def translate(self, asked: Asked) -> Translated:
        """A message as a chat."""
        request = parsed(asked.body, MessagesRequest)
        body = msgspec.json.encode(chat_of(request))
        message_id = f"msg_{uuid.uuid4().hex}"
        return Translated(
            path="/v1/chat/completions",
            body=body,
            whole=lambda answer: message_of(whole_answer(answer, message_id), message_id, request.model),
            stream=Translator(MessageWriter(message_id, request.model), message_id) if request.stream else None,
        )


class CountTokens(Translation):
    """``POST /v1/messages/count_tokens``."""

    async def translate(self, asked: Asked) -> Translated:
        """Always refused: no engine counts without answering."""
        raise NotFoundError(
            "Tokens cannot be counted here without an answer; 'usage' of a message tells how many its prompt had."
        )
