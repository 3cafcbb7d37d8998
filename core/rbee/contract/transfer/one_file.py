"""Bringing one file: asked for until it is whole, and proven."""

from __future__ import annotations

from pathlib import Path
from typing import Never

import msgspec

from rbee.contract.checksums import has_checksum
from rbee.contract.disk import check_room
from rbee.contract.errors import ModelFileError, UnavailableError, UnreachableError
from rbee.contract.http_vendor import HttpModelVendor
from rbee.contract.transfer.follower import Follower
from rbee.contract.transfer.judging import MOST_BYTES, Anew, Refused, Take, Whole, judge, validator
from rbee.contract.transfer.parts import Part
from rbee.contract.transfer.patience import Patience, Tries
from rbee.contract.transfer.progress import Meter
from rbee.contract.transfer.refusals import BrokenError
from rbee.contract.transfer.session import Answer, Session
from rbee.contract.transfer.watch import Watch
from rbee.contract.types import ModelFile, ModelVariant
from rbee.contract.vendor import CancelToken

_BLOCK = 256 * 1024
_CHECK_EACH_BYTES = 64 * 1024 * 1024
"""After so many written bytes the free space is looked at again: others write too."""
_ENOUGH = 64 * 1024
"""Bytes that are worth another row of tries; with less, a source could keep one for ever."""


class Errand(msgspec.Struct, frozen=True, kw_only=True):
    """What all files of a fetch have in common.

    Attributes:
        vendor: says where they are.
        variant: whose they are.
        folder: where to.
        meter: told how far it is.
        cancel: ends it early.
        session: connections.
        watch: ends waiting for the network.
        patience: limits of time.
        spare_bytes: of the disk, to be left.
        keep_older: see `fetch_files`.
    """

    vendor: HttpModelVendor
    variant: ModelVariant
    folder: Path
    meter: Meter
    cancel: CancelToken
    session: Session
    watch: Watch
    patience: Patience
    spare_bytes: int
    keep_older: bool


class OneFile:
    """One file of an errand.

    Args:
        errand: of which.
        file: which.
        part: its bytes, opened.
    """

    def __init__(self, errand: Errand, file: ModelFile, part: Part) -> None:
        self._errand = errand
        self._file = file
        self._part = part
        self._provable = has_checksum(file)
        # Bytes that came from another source, if that matters: none of them is given up for what comes now.
        self._kept = part.length if errand.keep_older and self._provable else 0
        self._total = file.size_bytes
        self._furthest = part.length
        self._pieced = part.length > 0
        self._follower: Follower | None = None

    def bring(self) -> bool:
        """Return once the file has its final name; True when its checksum was computed and is the promised one.

        Raises:
            ModelFileError: it is not what the vendor promised.
            RbeeError: as `fetch_files` says.
        """
        try:
            self._receive()
            if not self._is_right():
                if self._part.length > self._kept > 0:
                    self._go_back()
                if not self._pieced:
                    self._give_up()
                # Pieces of two files, most likely: one more chance, from the first byte.
                self._clear()
                self._furthest = self._kept = 0
                self._receive()
                if not self._is_right():
                    self._give_up()
        finally:
            self._unfollow()
        self._part.finish()
        return self._provable

    def _receive(self) -> None:
        tries = Tries(self._errand.patience, self._errand.cancel)
        whole = False
        while not whole and self._part.length != self._total:
            self._follow()
            try:
                whole = self._try()
            except BrokenError as error:
                # What comes a second time, from a server that cannot go on in the middle, is no progress.
                if self._part.length - self._furthest >= _ENOUGH:
                    self._furthest = self._part.length
                    tries.count_anew()
                tries.failed(error)
        self._total = self._part.length

    def _try(self) -> bool:
        """Ask once and take what comes; True when that is all of the file."""
        if not self._part.can_go_on():
            self._clear()
        errand, file, at = self._errand, self._file, self._part.length
        note = self._part.note
        etag = note.etag if note is not None and not self._provable else None
        answer = errand.watch.asking(lambda: self._ask(at))
        with errand.watch.reading(answer):
            verdict = judge(answer.status, answer.headers, at, file, etag, answer.host)
            if self._kept and (verdict == Anew() or (isinstance(verdict, Take) and not verdict.start)):
                raise UnreachableError(
                    f"{answer.host!r} cannot go on in the middle of {file.name!r}; what came from elsewhere is kept."
                )
            match verdict:
                case Take():
                    return self._take(answer, verdict)
                case Whole():
                    return True
                case Anew():
                    self._clear()
                    return False
                case Refused():
                    raise errand.vendor.refusal(errand.variant, file, answer.status, answer.headers)

    def _ask(self, at: int) -> Answer:
        headers = {}
        if at:
            headers["Range"] = f"bytes={at}-"
            note = self._part.note
            # Where a checksum proves the whole, any server that has the file may go on, whatever it calls its version.
            if not self._provable and note is not None and note.validator is not None:
                headers["If-Range"] = note.validator
        try:
            source = self._errand.vendor.source(self._errand.variant, self._file)
        except UnavailableError as error:
            raise BrokenError(error.message, wait_s=error.retry_after_s, told=error) from error
        except UnreachableError as error:
            raise BrokenError(error.message, told=error) from error
        return self._errand.session.ask(source, headers)

    def _take(self, answer: Answer, take: Take) -> bool:
        errand, part, name = self._errand, self._part, self._file.name
        self._total = take.total
        errand.meter.learn(name, take.total)
        if take.start:
            self._pieced = True
        else:
            self._unfollow()
            part.begin(*validator(answer.headers))
            self._pieced = False
        self._follow()
        bound = MOST_BYTES if take.total is None else take.total
        checked = float("-inf")
        while left := bound - part.length:
            if part.length - checked >= _CHECK_EACH_BYTES:
                checked = part.length
                check_room(errand.folder, name, left if take.total is not None else 0, errand.spare_bytes)
            block = answer.read(min(_BLOCK, left))
            if not block:
                break
            part.write(block)
            errand.meter.received += len(block)
            if self._follower is not None:
                self._follower.advance(part.length)
            errand.meter.reached(name, part.length)
            errand.cancel.raise_if_cancelled()
        if part.length < bound and take.total is not None:
            raise BrokenError(f"{answer.host!r}: the line was cut.")
        if take.open_ended:
            raise BrokenError(f"{answer.host!r} gives a part of {name!r} and does not say of how much.")
        if part.length == bound and not take.framed and not self._provable and _has_more(answer):
            self._part.discard()
            raise ModelFileError(
                f"{answer.host!r} sends more than the {bound} bytes that {name!r} is to have; refused."
            )
        return True

    def _is_right(self) -> bool:
        errand, part = self._errand, self._part
        self._follow()
        if self._follower is not None:
            self._follower.ended(part.length)
        errand.meter.finished(self._file.name, part.length)
        part.flush()
        return self._follower is None or self._follower.result(errand.cancel)

    def _go_back(self) -> Never:
        self._unfollow()
        self._part.rewind(self._kept)
        raise ModelFileError(
            f"File {self._file.name!r} of {self._errand.variant.name!r} does not have the checksum its vendor gives; "
            "what came now was removed, and what was there before is kept. Try another source."
        )

    def _give_up(self) -> Never:
        self._part.discard()
        raise ModelFileError(
            f"File {self._file.name!r} of {self._errand.variant.name!r} does not have the checksum its vendor gives; "
            "it was removed. Its source may be damaged: try again later, or another source."
        )

    def _follow(self) -> None:
        """Have the checksum computed beside, as soon as what it takes is known."""
        if self._provable and self._follower is None and (self._file.sha256 or self._total is not None):
            self._follower = Follower(self._part.path, self._file, self._total)
            self._follower.advance(self._part.length)

    def _unfollow(self) -> None:
        if self._follower is not None:
            self._follower.give_up()
            self._follower = None

    def _clear(self) -> None:
        self._unfollow()
        self._part.clear()
        self._total = self._file.size_bytes


def _has_more(answer: Answer) -> bool:
    try:
        return bool(answer.read(1))
    except BrokenError:
        return False
