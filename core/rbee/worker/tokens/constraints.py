"""Answers held to a JSON schema, a regular expression or a grammar, through the library `llguidance`."""

from __future__ import annotations

import functools
import importlib.util
import threading
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, cast

import msgspec

from rbee.contract.errors import InvalidRequestError, RbeeError, WorkerFailedError
from rbee.contract.tokenizer import Constraint, PackedMask, Tokenizer
from rbee.worker.tokens.detokenizer import Detokenizer

if TYPE_CHECKING:
    from llguidance import LLMatcher, LLTokenizer
    from llguidance._lib import JsonCompileOptions

GRAMMAR_LIMIT = 256 * 1024
"""Characters of a grammar or a schema."""

AS_WRITTEN: Mapping[str, Any] = MappingProxyType(
    {"item_separator": ", ", "key_separator": ": ", "whitespace_flexible": False}
)
"""JSON on one line, with the spaces that most models have seen: were all white space allowed, weak ones would write
nothing else."""


class _Words:
    """The vocabulary as the library wants it."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = min(tokenizer.ends) if tokenizer.ends else 0
        self.bos_token_id = None
        self.tokens = [tokenizer.piece(token) for token in range(tokenizer.size)]
        self.special_token_ids = sorted(tokenizer.control)

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, special=False)


class Grammars:
    """Makes constraints for one model.

    The library's view of the vocabulary takes a second for large ones: it is made at the first use, by whoever comes
    first; call from a thread that may wait.

    Args:
        tokenizer: of the model.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._lock = threading.Lock()

    @staticmethod
    def available() -> bool:
        """Whether the library is installed."""
        return importlib.util.find_spec("llguidance") is not None

    def json_schema(self, schema: Any, *, param: str) -> Followed:
        """JSON that fits a schema; ``{}`` is any JSON.

        Raises:
            InvalidRequestError: the library does not take the schema; the message says what it says.
        """
        text = msgspec.json.encode(schema).decode()
        options = cast("JsonCompileOptions", dict(AS_WRITTEN))
        return self._made(lambda matcher: str(matcher.grammar_from_json_schema(text, options)), text, param)

    def regex(self, pattern: str, *, param: str) -> Followed:
        """A text that a regular expression, of Rust's dialect, matches from end to end."""
        return self._made(lambda matcher: str(matcher.grammar_from_regex(pattern)), pattern, param)

    def choice(self, texts: Sequence[str], *, param: str) -> Followed:
        """One of several texts."""
        quoted = " | ".join(msgspec.json.encode(text).decode() for text in texts)
        return self.lark(f"start: {quoted}\n", param=param)

    def lark(self, grammar: str, *, param: str) -> Followed:
        """A grammar in the library's Lark."""
        return self._made(lambda matcher: str(matcher.grammar_from_lark(grammar)), grammar, param)

    def gbnf(self, grammar: str, *, param: str) -> Followed:
        """A grammar in GBNF, whose first rule is ``root``; one in Lark, with a rule ``start``, is taken as that."""

        def convert(matcher: type[LLMatcher]) -> str:
            from llguidance.gbnf_to_lark import any_to_lark  # an optional library

            return str(matcher.grammar_from_lark(any_to_lark(grammar)))

        return self._made(convert, grammar, param)

    def _made(self, convert: Callable[[type[LLMatcher]], str], text: str, param: str) -> Followed:
        from llguidance import LLMatcher  # an optional library

        if len(text) > GRAMMAR_LIMIT:
            raise InvalidRequestError(
                f"{param!r} has {len(text)} characters; send at most {GRAMMAR_LIMIT}.", param=param
            )
        try:
            matcher = LLMatcher(self._words, convert(LLMatcher), log_level=0)
            refused = matcher.get_error()
        except Exception as error:  # the library's converters raise whatever their parsers do
            refused = str(error) or type(error).__name__
        if refused:
            raise InvalidRequestError(f"{param!r} is not understood: {_in_a_line(refused)}.", param=param)
        return _Matched(matcher, self._tokenizer)

    @property
    def _words(self) -> LLTokenizer:
        with self._lock:  # made once, also where two ask at the same time
            return self._library_words

    @functools.cached_property
    def _library_words(self) -> LLTokenizer:
        from llguidance import LLTokenizer, TokenizerWrapper  # an optional library

        ends = sorted(self._tokenizer.ends)
        return LLTokenizer(TokenizerWrapper(_Words(self._tokenizer)), eos_token=ends or None)


def _in_a_line(refused: str) -> str:
    """What the library says first, and of an error that it draws over several lines, what is wrong at the end."""
    lines = [" ".join(line.split()) for line in refused.splitlines() if line.strip()]
    said = lines[0] if lines else "it cannot be read"
    if said.endswith("parse error:") and len(lines) > 1:
        said = f"{said} {lines[-1].removeprefix('error: ')}"
    return said[:300].rstrip(".")


class Followed(Constraint):
    """A constraint that can say, after a step, that it could not be followed any further.

    Attributes:
        error: why; the engine, which cannot end one request alone with an error, goes on with the end of the text.
    """

    error: RbeeError | None = None

    @abstractmethod
    def fresh(self) -> Self:
        """The same for another answer, without reading the grammar again; only before the first mask."""


class _Matched(Followed):
    """Follows one answer through its grammar."""

    def __init__(self, matcher: LLMatcher, tokenizer: Tokenizer) -> None:
        self._matcher = matcher
        self._tokenizer = tokenizer
        self._seen = 0
        self._end_mask = packed(tokenizer.size, sorted(tokenizer.ends))

    def fresh(self) -> Self:
        """See `Followed.fresh`."""
        return type(self)(self._matcher.deep_copy(), self._tokenizer)

    def mask(self, generated: Sequence[int]) -> PackedMask:
        """See `Constraint.mask`; once the text is complete only its end may come."""
        matcher = self._matcher
        new = list(generated[self._seen :])
        self._seen = len(generated)
        if new and not matcher.is_stopped():
            matcher.consume_tokens(new)
        if matcher.is_stopped():
            if matcher.is_error() and self.error is None:
                said = matcher.get_error().strip().splitlines()
                self.error = WorkerFailedError(f"An answer left its grammar: {said[0][:300] if said else 'no reason'}.")
            return self._end_mask
        return bytes(matcher.compute_bitmask())


class AfterReasoning(Followed):
    """Lets anything come until reasoning has ended, and holds to another constraint from there on.

    Args:
        inner: holds for what comes behind the mark.
        tokenizer: of the model.
        mark: ends the reasoning that the prompt has begun.
    """

    def __init__(self, inner: Followed, tokenizer: Tokenizer, mark: str) -> None:
        self._inner = inner
        self._tokenizer = tokenizer
        self._mark = mark
        self._text = Detokenizer(tokenizer, frozenset(tokenizer.encode(mark)))
        self._said = ""
        self._read = 0
        self._from: int | None = None
        self._anything = packed_without(tokenizer.size, tokenizer.ends)

    def fresh(self) -> Self:
        """See `Followed.fresh`."""
        return type(self)(self._inner.fresh(), self._tokenizer, self._mark)

    def mask(self, generated: Sequence[int]) -> PackedMask:
        """See `Constraint.mask`."""
        while self._from is None and self._read < len(generated):
            self._said = self._said[-len(self._mark) :] + self._text.feed(generated[self._read])
            self._read += 1
            if self._mark in self._said:
                self._from = self._read
        if self._from is None:
            return self._anything
        mask = self._inner.mask(generated[self._from :])
        self.error = self._inner.error
        return mask


def packed(size: int, tokens: Sequence[int]) -> PackedMask:
    """A mask with the bits of these tokens set."""
    words = bytearray((size + 31) // 32 * 4)
    for token in tokens:
        words[token // 8] |= 1 << token % 8
    return bytes(words)


def packed_without(size: int, tokens: Collection[int]) -> PackedMask:
    """A mask with the bits of all tokens set but these."""
    words = bytearray(b"\xff" * (size // 8))
    words += bytes([(1 << size % 8) - 1]) if size % 8 else b""
    words += bytes((size + 31) // 32 * 4 - len(words))
    for token in tokens:
        if token < size:
            words[token // 8] &= ~(1 << token % 8)
    return bytes(words)
