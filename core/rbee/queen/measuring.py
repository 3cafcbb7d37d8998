"""How quick a worker was with a request, as far as the request's record tells it.  Pure."""

from __future__ import annotations

from typing import NamedTuple

from rbee.contract.wire import RequestRecord

_PROMPT_LEAST = 32
"""Tokens that were computed: what a shorter prompt takes is mostly what any request takes."""

_ANSWER_LEAST = 8
"""Tokens of an answer, likewise."""

_BRIEFEST_S = 0.01
"""What is said to have come within less has been held back on its way and come at once."""

_DECODED_SHARE = 0.3
"""Of a whole answer's time that must be left for the answer: the rest is an estimate, and so is then the difference."""

_FASTEST_TOK_S = 1e7
_OK = 200


class Measured(NamedTuple):
    """What a request tells of its worker.

    Attributes:
        prefill_tok_s: tokens of its prompt that were computed a second; None when it does not tell.
        computed: how many were computed; 0 when it does not tell.
        decode_tok_s: tokens of its answer a second; None when it does not tell.
    """

    prefill_tok_s: float | None = None
    computed: int = 0
    decode_tok_s: float | None = None


_NOTHING = Measured()


def measured(record: RequestRecord, prefill_tok_s: float | None = None) -> Measured:
    """What a request tells of the worker that answered it.

    The worker's own times come first: nothing of the network, of queues and of slow clients is in them.  Where it tells
    none, those of its stream do: up to the first text it has computed the prompt, from there to the end the answer.  A
    whole answer has one time for both, of which the prompt's part is what it would take at the speed that is known.

    A prompt says something where it is known how much of it came from a cache; an answer where it has some tokens.  A
    request that failed, or that two workers have answered between them, says nothing.

    Args:
        record: of a finished request.
        prefill_tok_s: tokens of a prompt that the worker computes a second, as known so far; None when not known.
    """
    if record.worker_id is None or record.error_code is not None or record.status != _OK or record.continued:
        return _NOTHING
    computed, said = _computed(record), record.completion_tokens
    prompt_s, decode_s = record.prompt_s, record.decode_s
    if prompt_s is None and decode_s is None:
        if record.stream:
            prompt_s, decode_s = _streamed(record)
        else:
            prompt_s, decode_s = _whole(record, computed, prefill_tok_s)
    prefill = None if computed is None or computed < _PROMPT_LEAST else _tok_s(computed, prompt_s)
    # Between so many tokens lies one interval less.
    decode = None if said is None or said < _ANSWER_LEAST else _tok_s(said - 1, decode_s)
    if prefill is None or computed is None:
        return _NOTHING if decode is None else Measured(decode_tok_s=decode)
    return Measured(prefill, computed, decode)


def _computed(record: RequestRecord) -> int | None:
    """Tokens of the prompt that were not in a cache; None when that is not known."""
    if record.prompt_tokens is None or record.cached_tokens is None:
        return None
    return record.prompt_tokens - record.cached_tokens


def _streamed(record: RequestRecord) -> tuple[float | None, float | None]:
    """Seconds of prompt and answer by a stream's times."""
    first = record.first_text_s
    if first is None or record.attempts != 1:
        return None, None
    decode_s = record.duration_s - (record.queue_s or 0.0) - first
    # Held back, the end of the answer is in the time of the prompt.
    return (first, decode_s) if decode_s >= _BRIEFEST_S else (None, None)


def _whole(
    record: RequestRecord, computed: int | None, prefill_tok_s: float | None
) -> tuple[float | None, float | None]:
    """Seconds of prompt and answer by the time of both."""
    took = record.first_byte_s
    if took is None or computed is None or took < _BRIEFEST_S:
        return None, None
    if not record.completion_tokens:
        # Embeddings, or the rating of documents.
        return took, None
    if not prefill_tok_s:
        return None, None
    decode_s = took - computed / prefill_tok_s
    return None, decode_s if decode_s >= _DECODED_SHARE * took else None


def _tok_s(tokens: int, seconds: float | None) -> float | None:
    """Tokens a second; None where that says nothing of a worker."""
    if seconds is None or not seconds > 0:
        return None
    # Of endless seconds nothing is left, and what is no number is not greater than anything.
    found = tokens / seconds
    return found if 0 < found <= _FASTEST_TOK_S else None
