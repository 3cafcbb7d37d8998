"""The one owner of what a machine's workers may use: threads of the processor and memory of the devices."""

from __future__ import annotations

import msgspec

from rbee.contract.types import LoadSpec
from rbee.contract.wire import DeviceBudget
from rbee.hive.children import Child
from rbee.hive.memory_budget import MemoryBudget
from rbee.hive.thread_budget import ThreadBudget
from rbee.scheduler.spread import together


class Budgets:
    """Grants a worker its share before its process is started, and takes it back once that has ended.

    Args:
        threads: of the processor.
        memory: of the devices; None promises none.
    """

    def __init__(self, threads: ThreadBudget, memory: MemoryBudget | None = None) -> None:
        self.threads = threads
        self._memory = memory

    def grant(self, worker_id: str, spec: LoadSpec) -> LoadSpec:
        """All that a worker needs, or nothing.

        Args:
            worker_id: whose; one that has its share keeps it.
            spec: what it is to load: its device, or several, and as `memory_bytes` what it is thought to need there in
                all.  One of no threads, which computes somewhere else, gets nothing and is let in.

        Returns:
            The spec with the threads and the memory that the worker may use.

        Raises:
            InsufficientMemoryError: the device has not so much memory left.
            NoPlacementError: no threads are left, and their number is limited.
        """
        if spec.threads == 0:
            return spec
        memory = None
        devices = spec.devices
        if self._memory is not None and devices:
            devices = self._memory.spread(worker_id, spec.model_id, spec.device_ids, spec.memory_bytes)
            memory = together([share.memory_bytes for share in devices])
        elif self._memory is not None:
            memory = self._memory.grant(worker_id, spec.model_id, spec.device, spec.memory_bytes)
        try:
            threads = self.threads.grant(worker_id)
        except BaseException:
            self.give_back(worker_id)
            raise
        return msgspec.structs.replace(spec, threads=threads, memory_bytes=memory, devices=devices)

    def note(self, child: Child) -> None:
        """A worker of an earlier life of the hive has what its tags tell."""
        self.threads.note(child.worker_id, child.threads)
        if self._memory is not None:
            if child.shares:
                self._memory.note_shares(child.worker_id, child.shares)
            else:
                self._memory.note(child.worker_id, child.device, child.memory_bytes)

    def give_back(self, worker_id: str) -> None:
        """The worker has ended, or never began; harmless when it had nothing."""
        self.threads.give_back(worker_id)
        if self._memory is not None:
            self._memory.give_back(worker_id)

    def memory(self) -> tuple[DeviceBudget, ...]:
        """What is promised and left of each device."""
        return () if self._memory is None else self._memory.shares()

    def shared(self) -> str | None:
        """That workers share cores, in words; None while each has its own."""
        threads = self.threads
        if threads.granted <= threads.total:
            return None
        cores = f"{threads.total} core{'' if threads.total == 1 else 's'}"
        return f"the workers here have {threads.granted} threads on {cores}, so they share them"
