"""What the answer to a question for a file, or for the rest of one, means.  Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime

import msgspec

from rbee.contract.errors import ModelFileError, UnreachableError
from rbee.contract.transfer.patience import wished_wait
from rbee.contract.transfer.refusals import BrokenError
from rbee.contract.types import ModelFile

MOST_BYTES = 4 * 1024**4
"""Of a file whose size nobody has promised."""

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18}|\*)", re.ASCII)
_NO_RANGE = re.compile(r"bytes \*/(\d{1,18})", re.ASCII)
_STRONG = re.compile(r'"[\x21\x23-\x7e]{0,512}"', re.ASCII)
_LATER = frozenset({408, 425, 429})
_SURELY_OLD = timedelta(seconds=60)


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """The body is the file's bytes.

    Attributes:
        start: which byte of the file the first one is.
        total: size of the file; None when neither the vendor nor the server tells.
        framed: the server says where the body ends.
        open_ended: it is a part of a file of unknown size; whether more follows is still to be asked.
    """

    start: int
    total: int | None
    framed: bool
    open_ended: bool = False


class Anew(msgspec.Struct, frozen=True):
    """The server cannot go on where the part ends: ask for all of it."""


class Whole(msgspec.Struct, frozen=True):
    """The part is all there is."""


class Refused(msgspec.Struct, frozen=True):
    """The source refuses the file for good."""


Verdict = Take | Anew | Whole | Refused


def judge(status: int, headers: Mapping[str, str], at: int, file: ModelFile, etag: str | None, host: str) -> Verdict:
    """What an answer means.

    Args:
        status: of HTTP.
        headers: names in lower case.
        at: length of the part; 0 when all of the file was asked for.
        file: what is promised of it.
        etag: of the part, where the bytes must be of one version because nothing else proves them; None else.
        host: who answers, for messages.

    Raises:
        ModelFileError: the server has a file of another size than the vendor promised.
        UnreachableError: nobody asked for such an answer.
        BrokenError: the server has no time.
    """
    if status in {200, 206}:
        return _taken(status, headers, at, file, etag, host)
    if status == 416 and at:
        found = _NO_RANGE.fullmatch(headers.get("content-range", "").strip())
        total = file.size_bytes if file.size_bytes is not None else int(found[1]) if found else None
        return Whole() if at == total else Anew()
    if status in _LATER or status >= 500:
        raise BrokenError(
            f"{host!r} has no time for {file.name!r} (HTTP {status}).", wait_s=wished_wait(headers), busy=True
        )
    if 300 <= status < 500:
        return Refused()
    raise UnreachableError(f"{host!r} answers with HTTP {status}, which is no file.")


def validator(headers: Mapping[str, str]) -> tuple[str | None, str | None]:
    """A strong ETag, and a date of change that is as good as one; None for what an answer does not have."""
    etag = headers.get("etag", "").strip()
    return (etag if _STRONG.fullmatch(etag) else None), _old_enough(headers)


def _taken(
    status: int, headers: Mapping[str, str], at: int, file: ModelFile, etag: str | None, host: str
) -> Take | Anew:
    packed = {headers.get("content-encoding", "identity").strip().lower()} - {"identity", ""}
    packed |= {headers.get("transfer-encoding", "chunked").strip().lower()} - {"chunked", "identity", ""}
    if packed:
        raise UnreachableError(
            f"{host!r} sends {file.name!r} packed ({', '.join(sorted(packed))}), which was not asked for; refused."
        )
    length = _length(headers)
    if status == 200:
        total = _agreed(file, length, host)
        return Take(start=0, total=total, framed=length is not None)
    found = _RANGE.fullmatch(headers.get("content-range", "").strip())
    asked = found is not None and at == int(found[1]) <= int(found[2])
    if found is None or not asked or (etag is not None and headers.get("etag", etag).strip() != etag):
        if at:
            return Anew()
        raise UnreachableError(f"{host!r} answers with a part of {file.name!r}, which was not asked for.")
    told = None if found[3] == "*" else int(found[3])
    total = _agreed(file, told, host)
    if total is not None and int(found[2]) >= total:
        raise ModelFileError(f"{host!r} sends bytes behind the end of {file.name!r}.")
    return Take(start=at, total=total, framed=length is not None, open_ended=total is None)


def _length(headers: Mapping[str, str]) -> int | None:
    if "transfer-encoding" in headers:
        return None
    told = {one.strip() for one in headers.get("content-length", "").split(",")}
    text = told.pop()
    return int(text) if not told and text.isascii() and text.isdigit() and len(text) <= 18 else None


def _agreed(file: ModelFile, told: int | None, host: str) -> int | None:
    if told is not None and file.size_bytes is not None and told != file.size_bytes:
        raise ModelFileError(
            f"{host!r} has {told} bytes of {file.name!r} where its vendor promises {file.size_bytes}: "
            "it is another file. Resolve the model's name again."
        )
    total = file.size_bytes if told is None else told
    if total is not None and total > MOST_BYTES:
        raise ModelFileError(f"{file.name!r} is said to have {total} bytes, which no model has; refused.")
    return total


def _old_enough(headers: Mapping[str, str]) -> str | None:
    """A file may change twice in the second of its date: the date counts once that second is well over."""
    text = headers.get("last-modified", "")
    try:
        changed, now = parsedate_to_datetime(text), parsedate_to_datetime(headers.get("date", ""))
        return text if now - changed >= _SURELY_OLD else None
    except (ValueError, TypeError):
        return None
