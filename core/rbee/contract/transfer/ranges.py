"""A look into a remote file: a few of its bytes, or its size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import TypeVar

from rbee.contract.errors import InvalidRequestError, UnreachableError
from rbee.contract.http_vendor import FileSource
from rbee.contract.transfer.judging import Anew, Refused, Take, Whole, judge
from rbee.contract.transfer.patience import PATIENCE, Patience, Tries
from rbee.contract.transfer.refusals import BrokenError, plain_refusal
from rbee.contract.transfer.session import Answer, Session
from rbee.contract.transfer.watch import Watch
from rbee.contract.types import ModelFile
from rbee.contract.vendor import CancelToken

MOST_RANGE_BYTES = 16 * 1024 * 1024

T = TypeVar("T")


def read_range(
    source: FileSource, start: int, length: int, cancel: CancelToken, *, patience: Patience = PATIENCE
) -> bytes:
    """Some bytes of a remote file; fewer than asked for where it ends.  Blocks: for a thread.

    Args:
        source: where it is.
        start: first byte.
        length: how many; 16 MiB at most.
        cancel: ends it early.
        patience: how long and how often things are tried.

    Raises:
        InvalidRequestError: the range is none, or too long.
        UnreachableError: the source does not answer, or cannot give the middle of a file.
        UnavailableError, PermissionDeniedError, ModelNotFoundError: the source says so.
        CancelledByCallerError: through the token.
    """
    if start < 0 or not 0 <= length <= MOST_RANGE_BYTES:
        raise InvalidRequestError(f"{length} bytes at {start} cannot be read from a remote file: 16 MiB at most.")
    if length == 0:
        return b""
    headers = {"Range": f"bytes={start}-{start + length - 1}"}
    return _asked(source, headers, "GET", cancel, patience, lambda answer: _bytes(answer, start, length))


def find_size(source: FileSource, cancel: CancelToken, *, patience: Patience = PATIENCE) -> int | None:
    """The size of a remote file; None when the source does not tell.  Blocks: for a thread.

    Args:
        source: where it is.
        cancel: ends it early.
        patience: how long and how often things are tried.

    Raises:
        UnreachableError, UnavailableError, PermissionDeniedError, ModelNotFoundError: as `read_range` says.
        CancelledByCallerError: through the token.
    """
    answered, size = _asked(source, {}, "HEAD", cancel, patience, _size_of_head)
    if answered:
        return size
    # Addresses that are signed for one method, and servers that know no other.
    return _asked(source, {"Range": "bytes=0-0"}, "GET", cancel, patience, _size_of_answer)


def _asked(
    source: FileSource,
    headers: dict[str, str],
    method: str,
    cancel: CancelToken,
    patience: Patience,
    take: Callable[[Answer], T],
) -> T:
    tries = Tries(patience, cancel)
    with closing(Session(patience)) as session, Watch(cancel, patience) as watch:
        while True:
            try:
                answer = watch.asking(lambda: session.ask(source, headers, method))
                with watch.reading(answer):
                    return take(answer)
            except BrokenError as error:
                tries.failed(error)


def _bytes(answer: Answer, start: int, length: int) -> bytes:
    if answer.status == 416:
        return b""
    take = _judged(answer, start)
    skip = start - take.start
    if skip + length > MOST_RANGE_BYTES:
        raise UnreachableError(
            f"{answer.host!r} cannot give the middle of a file; only whole files can be fetched there."
        )
    end = skip + length if take.total is None else min(skip + length, take.total - take.start)
    found = bytearray()
    while len(found) < end:
        block = answer.read(end - len(found))
        if not block:
            if take.total is None:
                break
            raise BrokenError(f"{answer.host!r}: the line was cut.")
        found += block
    return bytes(found[skip:])


def _size_of_head(answer: Answer) -> tuple[bool, int | None]:
    if answer.status in {404, 410} or answer.status < 400 or answer.status in {408, 425, 429} or answer.status > 501:
        return True, _judged(answer, 0).total
    return False, None


def _size_of_answer(answer: Answer) -> int | None:
    # Of an empty file nobody can give the first byte.
    return 0 if answer.status == 416 else _judged(answer, 0).total


def _judged(answer: Answer, start: int) -> Take:
    name = answer.path
    verdict = judge(answer.status, answer.headers, start, ModelFile(name=name), None, answer.host)
    match verdict:
        case Take():
            return verdict
        case Refused():
            raise plain_refusal(answer.host, name, answer.status)
        case Anew() | Whole():
            raise UnreachableError(f"{answer.host!r} answers with another part of {name!r} than it was asked for.")
