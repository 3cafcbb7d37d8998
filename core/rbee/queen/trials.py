"""Answers of one worker, asked for at the same time, so that they can be timed."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from types import MappingProxyType

import msgspec

from rbee.clients.transport import error_from_body
from rbee.contract.errors import InvalidRequestError, WorkerFailedError
from rbee.contract.types import Capability
from rbee.contract.wire import BenchRow
from rbee.gateway import Pool, Target, UpstreamError
from rbee.gateway.accounting import StreamUsage, texts
from rbee.gateway.message import client_head, request_bytes
from rbee.queen.trial_figures import Heard, row_of

_WORDS = (
    "time",
    "year",
    "people",
    "way",
    "day",
    "man",
    "thing",
    "woman",
    "life",
    "child",
    "world",
    "school",
    "state",
    "family",
    "student",
    "group",
    "country",
    "problem",
)
_HEAD = client_head(((b"content-type", b"application/json"), (b"accept", b"text/event-stream")))
_WARM_UP_WORDS, _WARM_UP_TOKENS = 64, 4
_BESIDES = 32
"""Tokens that a template may add to a prompt, and by which a prompt's length may be missed."""
_ERRORS, _FAILED = 400, 500
_DATA = b"data: "
_ERROR = _DATA + b'{"error"'
"""How a stream ends that has gone wrong in its midst."""
_MORE = MappingProxyType({"ignore_eos": True})
"""What not every worker takes: the answer shall not end before its time."""


class Trial:
    """Of one worker.  Prompts begin with something new each, so that no cache knows them.

    Args:
        pool: connections.
        target: the worker.
        worker_id: for messages.
        model: as the worker is asked for it.
        route: ``completions`` or ``chat``, as the worker can.
        context_length: tokens a slot; None when not known.
        prompt_tokens: length of the prompts, roughly.
        tokens: of each answer.
    """

    def __init__(
        self,
        pool: Pool,
        target: Target,
        worker_id: str,
        model: str,
        route: Capability,
        context_length: int | None,
        prompt_tokens: int,
        tokens: int,
    ) -> None:
        self._pool = pool
        self._target = target
        self._worker_id = worker_id
        self._model = model
        self._route = route
        if context_length is not None:
            tokens = max(1, min(tokens, context_length // 2))
            prompt_tokens = max(1, min(prompt_tokens, context_length - tokens - _BESIDES))
        self._tokens = tokens
        self._words = self._prompt_tokens = prompt_tokens
        self._more: dict[str, object] = dict(_MORE)

    async def warm_up(self) -> None:
        """Have the worker touch its memory, and learn how many of its tokens make a word.

        Raises:
            RbeeError: the worker refuses, or does not answer.
        """
        try:
            heard = await self._answer(_WARM_UP_WORDS, _WARM_UP_TOKENS)
        except InvalidRequestError:
            self._more = {}
            heard = await self._answer(_WARM_UP_WORDS, _WARM_UP_TOKENS)
        if heard.prompt_tokens:
            self._words = max(1, round(self._prompt_tokens * _WARM_UP_WORDS / heard.prompt_tokens))

    async def round(self, streams: int) -> BenchRow:
        """Speeds with so many answers at the same time.

        Raises:
            RbeeError: the worker refuses, or does not answer.
        """
        answers = [asyncio.ensure_future(self._answer(self._words, self._tokens)) for _ in range(streams)]
        try:
            return row_of(await asyncio.gather(*answers))
        finally:
            for one in answers:
                one.cancel()
            await asyncio.gather(*answers, return_exceptions=True)

    async def _answer(self, words: int, tokens: int) -> Heard:
        message = request_bytes(self._path, _HEAD, self._body(words, tokens), self._target, ((b"x-rbee-usage", b"1"),))
        sent_at = time.perf_counter()
        try:
            exchange = await self._pool.request(self._target, message)
        except UpstreamError as error:
            raise self._failed(error) from error
        usage, heard, part = StreamUsage(), list[tuple[float, int]](), b""
        try:
            while (data := await exchange.response.read()) is not None:
                now = time.perf_counter()
                usage.saw(data)
                # A cut may be anywhere.
                events, mark, part = (part + data).rpartition(b"\n\n")
                if (at := events.find(_ERROR)) >= 0:
                    wrong = events[at + len(_DATA) :].partition(b"\n\n")[0]
                    raise error_from_body(_FAILED, wrong, where=f"Worker {self._worker_id!r}")
                if count := texts(events + mark):
                    heard.append((now, count))
        except UpstreamError as error:
            raise self._failed(error) from error
        finally:
            # An answer that is not complete is cancelled by this.
            self._pool.done(exchange)
        if exchange.response.status >= _ERRORS:
            raise error_from_body(exchange.response.status, part, where=f"Worker {self._worker_id!r}")
        told = usage.usage()
        return Heard(
            sent_at=sent_at,
            texts=tuple(heard),
            prompt_tokens=None if told.prompt_tokens is None else told.prompt_tokens - (told.cached_tokens or 0),
            tokens=told.completion_tokens,
        )

    @property
    def _path(self) -> str:
        return "/v1/completions" if self._route is Capability.COMPLETIONS else "/v1/chat/completions"

    def _body(self, words: int, tokens: int) -> bytes:
        drawn = random.Random(secrets.token_bytes(8)).choices(_WORDS, k=words)  # noqa: S311  # no secret
        text = f"{secrets.token_hex(8)} {' '.join(drawn)}"
        asked = (
            {"prompt": text}
            if self._route is Capability.COMPLETIONS
            else {"messages": [{"role": "user", "content": text}]}
        )
        return msgspec.json.encode(
            {
                "model": self._model,
                "stream": True,
                "stream_options": {"include_usage": True},
                "max_tokens": tokens,
                "temperature": 0,
                **asked,
                **self._more,
            }
        )

    def _failed(self, error: UpstreamError) -> WorkerFailedError:
        return WorkerFailedError(f"Worker {self._worker_id!r} does not answer, or broke off ({error}).")
