"""The route of the Responses API."""

from __future__ import annotations

import time
import uuid

import msgspec

from rbee.doors.chat import whole_answer
from rbee.doors.parsing import parsed
from rbee.doors.responses.asking import chat_of
from rbee.doors.responses.requests import ResponsesRequest
from rbee.doors.responses.telling import Frame, ResponseWriter, response_of
from rbee.doors.serving import Asked, Translated, Translation
from rbee.doors.writing import Translator


class Responses(Translation):
    """``POST /v1/responses``."""

    async def translate(self, asked: Asked) -> Translated:
        """A response as a chat."""
        request = parsed(asked.body, ResponsesRequest)
        answer_id = uuid.uuid4().hex
        frame = Frame(request, answer_id, int(time.time()))
        return Translated(
            path="/v1/chat/completions",
            body=msgspec.json.encode(chat_of(request)),
            whole=lambda answer: response_of(whole_answer(answer, answer_id), frame),
            stream=Translator(ResponseWriter(frame), answer_id) if request.stream else None,
        )
