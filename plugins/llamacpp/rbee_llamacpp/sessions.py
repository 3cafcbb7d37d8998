"""Which slot a request gets, and whose cache is in it: what is displaced is kept on disk, and brought back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rbee.contract import LoadSpec

from rbee_llamacpp.availability import availability
from rbee_llamacpp.chains import chain_of
from rbee_llamacpp.console import UNREADABLE, Console
from rbee_llamacpp.parameters import generates
from rbee_llamacpp.session_files import Entry, SessionFiles, fingerprint, shared

log = logging.getLogger(__name__)

WORTH = 2
"""Links of a chain that are worth a file: below, to compute anew is as quick."""

SLOT = "id_slot"


class _Slot:
    """What is known of one slot.

    Attributes:
        number: the library's.
        chain: of the text whose cache is in it.
        kept: its cache is on disk, or not worth it.
        held: a request has it.
        used: turn of the last request; 0 for none.
    """

    def __init__(self, number: int) -> None:
        self.number = number
        self.chain: tuple[str, ...] = ()
        self.kept = True
        self.held = False
        self.used = 0


class Sessions:
    """Gives each request an idle slot: the one that has most of its conversation, else one that is used least.

    A conversation that loses its slot is written to disk first, and read into a slot when a request continues it.
    Where no slot is idle, or a request chooses its own, the library decides, and what the slots hold is unknown from
    then on: caches are tried only for what is known.

    Args:
        slots: how many there are.
        console: the server.
        files: where caches are kept.
    """

    def __init__(self, slots: int, console: Console, files: SessionFiles) -> None:
        self._slots = [_Slot(number) for number in range(slots)]
        self._console = console
        self._files = files
        self._lock = threading.Lock()
        self._turn = 0
        self._unknown = 0

    def before(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Fields that send a request to its slot, made ready; none where the library is to choose."""
        chain = chain_of(path, body)
        with self._lock:
            slot = None
            if chain is not None and not self._unknown and body.get(SLOT) is None and _is_one(body):
                slot = self._choose(chain)
            if slot is None or chain is None:
                self._unknown += 1
                for one in self._slots:
                    one.chain, one.kept = (), True
                return {}
            self._turn += 1
            slot.held, slot.used = True, self._turn
        try:
            self._make_ready(slot, chain)
        except OSError as error:
            log.warning("conversations are not kept: %s", error)
        except BaseException:
            slot.held = False
            raise
        with self._lock:
            if self._unknown:
                chain = ()
            slot.chain, slot.kept = chain, len(chain) < WORTH
        return {SLOT: slot.number}

    def after(self, fields: Mapping[str, Any]) -> None:
        """A request has ended."""
        with self._lock:
            if SLOT in fields:
                self._slots[fields[SLOT]].held = False
            else:
                self._unknown -= 1

    def keep_all(self) -> None:
        """Write what idle slots hold to disk, for workers to come."""
        for slot in self._slots:
            if not slot.held and not slot.kept:
                self._keep(slot)

    def _choose(self, chain: Sequence[str]) -> _Slot | None:
        def rank(slot: _Slot) -> tuple[int, int]:
            same = shared(slot.chain, chain)
            # One that shares but a beginning is not worth the rest of what it holds.
            return (-same if 2 * same >= len(slot.chain) else 0, slot.used)

        return min((slot for slot in self._slots if not slot.held), key=rank, default=None)

    def _make_ready(self, slot: _Slot, chain: Sequence[str]) -> None:
        here = shared(slot.chain, chain)
        found = self._files.best(chain, here + WORTH)
        if found is not None or here < len(slot.chain):
            self._keep(slot)
        if found is not None:
            self._bring_back(slot, found[0])

    def _keep(self, slot: _Slot) -> None:
        if slot.kept:
            return
        part = self._files.part()
        try:
            self._console.act_on_slot(slot.number, "save", part)
            self._files.keep(part, slot.chain)
        except UNREADABLE as error:
            log.warning("a conversation's cache could not be kept: %s", error)
            self._files.drop(part)
        slot.kept = True

    def _bring_back(self, slot: _Slot, entry: Entry) -> None:
        try:
            self._console.act_on_slot(slot.number, "restore", self._files.file_of(entry))
        except UNREADABLE as error:
            log.warning("a conversation's cache could not be brought back: %s", error)
            self._files.remove(entry)


def sessions_folder(spec: LoadSpec) -> str | None:
    """Where caches of conversations go; None where none are kept."""
    if not spec.options.get("session_cache_mb") or spec.keep_in is None or not generates(spec):
        return None
    return str(Path(spec.keep_in) / "sessions")


def sessions(spec: LoadSpec, folder: str, context: int | None, console: Console) -> Sessions | None:
    """Conversations of a server that was started; None, and a line in the log, where they cannot be kept.

    Args:
        spec: what it has loaded.
        folder: for the files.
        context: tokens a slot.
        console: the server.
    """
    limit = int(spec.options["session_cache_mb"]) << 20
    try:
        files = SessionFiles(Path(folder), limit, fingerprint(availability().version or "", context, spec))
        files.open()
    except OSError as error:
        log.warning("conversations are not kept, the folder '%s' will not do: %s", folder, error)
        return None
    return Sessions(spec.slots, console, files)


def _is_one(body: Mapping[str, Any]) -> bool:
    """Whether a request takes one slot and no more."""
    prompt = body.get("prompt")
    return body.get("n") in {None, 1} and not isinstance(prompt, list)
