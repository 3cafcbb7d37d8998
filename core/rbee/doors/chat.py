"""Answers of OpenAI's chat and completion routes, whole and in events, as far as the doors translate them."""

from __future__ import annotations

from typing import Any

import msgspec

from rbee.contract.errors import WorkerFailedError


class FunctionPart(msgspec.Struct, frozen=True):
    """A call of a function, or a part of it."""

    name: str | None = None
    arguments: str | None = None


class ToolPart(msgspec.Struct, frozen=True):
    """A call of a tool, or a part of it."""

    index: int | None = None
    id: str | None = None
    function: FunctionPart = FunctionPart()


class Said(msgspec.Struct, frozen=True):
    """What the model said: a whole message or what is new in it."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[ToolPart] | None = None


class Choice(msgspec.Struct, frozen=True):
    """One choice; `text` is of completions.  Some engines tell in `stop_reason` which stop string ended it."""

    delta: Said | None = None
    message: Said | None = None
    text: str | None = None
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Any = None


class PromptDetails(msgspec.Struct, frozen=True):
    """Of the prompt's tokens."""

    cached_tokens: int | None = None


class AnswerDetails(msgspec.Struct, frozen=True):
    """Of the answer's tokens."""

    reasoning_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    """Figures; what is not told is None."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: AnswerDetails | None = None

    @property
    def cached(self) -> int | None:
        """Tokens of the prompt that were not computed anew."""
        return None if self.prompt_tokens_details is None else self.prompt_tokens_details.cached_tokens

    @property
    def reasoning(self) -> int | None:
        """Tokens of the answer that are thoughts."""
        return None if self.completion_tokens_details is None else self.completion_tokens_details.reasoning_tokens


class Timings(msgspec.Struct, frozen=True):
    """How long an engine says that it took, in ms."""

    prompt_ms: float | None = None
    predicted_ms: float | None = None


class Told(msgspec.Struct, frozen=True):
    """A whole answer, or one event of it."""

    choices: list[Choice] = msgspec.field(default_factory=list)
    usage: Usage | None = None
    timings: Timings | None = None
    error: Any = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A whole call of a tool.

    Attributes:
        id: as the engine named it.
        name: of the tool.
        arguments: JSON, as the model wrote it.
    """

    id: str
    name: str
    arguments: str

    def values(self) -> dict[str, Any]:
        """The arguments as values.

        Raises:
            WorkerFailedError: the model has not written a JSON object.
        """
        try:
            found = msgspec.json.decode(self.arguments or "{}")
        except (msgspec.DecodeError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise WorkerFailedError(f"The model called the tool {self.name!r} with arguments that are no JSON object.")
        return found

    @property
    def whole(self) -> bool:
        """Whether the arguments are a JSON object."""
        try:
            self.values()
        except WorkerFailedError:
            return False
        return True


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended.

    Attributes:
        finish: OpenAI's `finish_reason`.
        stop: the stop string that ended it; None where none did or the engine does not tell.
        usage: figures.
        timings: of the engine.
        called: the model called a tool.
    """

    finish: str
    stop: str | None = None
    usage: Usage = Usage()
    timings: Timings = Timings()
    called: bool = False


class Whole(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer.

    Attributes:
        text: what was said.
        thought: what was thought before.
        calls: of tools, in order; one that the limit of tokens cut off is not among them.
        ending: how it ended.
        logprobs: of its tokens, None when not asked for.
    """

    text: str
    thought: str
    calls: tuple[ToolCall, ...]
    ending: Ending
    logprobs: list[dict[str, Any]] | None = None


_DECODER = msgspec.json.Decoder(Told)


def told(data: bytes) -> Told:
    """An answer or event.

    Raises:
        WorkerFailedError: it is none of OpenAI's.
    """
    try:
        return _DECODER.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise WorkerFailedError(f"The worker's answer is not one of OpenAI's API: {error}.") from error


def whole_answer(body: bytes, answer_id: str) -> Whole:
    """A whole answer of a chat or a completion.

    Args:
        body: of the worker's answer.
        answer_id: from which calls get ids where the engine gives none.

    Raises:
        WorkerFailedError: it is none of OpenAI's.
    """
    answer = told(body)
    choice = answer.choices[0] if answer.choices else Choice()
    if choice.finish_reason is None:
        raise WorkerFailedError("The worker's answer has no choice that has ended.")
    said = choice.message or Said(content=choice.text)
    calls = tuple(
        ToolCall(
            id=one.id or call_id(answer_id, place),
            name=one.function.name or "",
            arguments=one.function.arguments or "",
        )
        for place, one in enumerate(said.tool_calls or ())
    )
    if choice.finish_reason == "length":
        calls = tuple(one for one in calls if one.whole)
    return Whole(
        text=(said.content or "") + (said.refusal or ""),
        thought=thought_in(said),
        calls=calls,
        ending=Ending(
            finish=choice.finish_reason,
            stop=stop_in(choice),
            usage=answer.usage or Usage(),
            timings=answer.timings or Timings(),
            called=bool(calls),
        ),
        logprobs=logprobs_in(choice),
    )


def thought_in(said: Said) -> str:
    """The model's thoughts, whichever of its two names the engine gives them."""
    return said.reasoning_content or said.reasoning or ""


def stop_in(choice: Choice) -> str | None:
    """The stop string that ended a choice, if the engine tells."""
    return choice.stop_reason if isinstance(choice.stop_reason, str) else None


def logprobs_in(choice: Choice) -> list[dict[str, Any]] | None:
    """Log probabilities in OpenAI's form for chats; None where there are none."""
    content = choice.logprobs.get("content") if isinstance(choice.logprobs, dict) else None
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else None


def call_id(answer_id: str, place: int) -> str:
    """An id for a call of a tool that the engine gave none."""
    return f"call_{answer_id}_{place}"
