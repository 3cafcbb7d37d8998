"""A simulated worker: what it is, and what the queen knows of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rbee.contract.devices import set_name
from rbee.contract.types import WorkerState

if TYPE_CHECKING:
    from rbee.simulation.devices import SimulatedDevice
    from rbee.simulation.machines import Machine


class Worker:
    """One worker.

    Attributes:
        worker_id: identity.
        model: name of what it serves.
        machine: where it runs.
        device: on what; of several devices the one that has most of the model.
        holds: bytes of each device that it has, by id.
        slots: requests that it serves at the same time.
        prefill_tok_s: tokens of prompts that it computes a second while it has the device for itself.
        decode: tokens a second of each answer, likewise, for 1, 2, ... `slots` answers.
        load_s: seconds until it serves.
        known_load_s: these seconds, once the queen has seen a load of it; None before.
        memory_bytes: of its device, that it has, of several in all.
        threads: of the machine, that it has.
        state: as the queen knows it.
        running: requests that it serves; the queen has sent all of them, so that she knows.
        used_at: when its last request began or ended.
        gpu_pct: load of the device, as last told; None on a processor.
        vram_free_mb: memory left on all its devices, likewise.
    """

    __slots__ = (
        "_blocks", "_cache", "decode", "device", "gpu_pct", "holds", "known_load_s", "load_s", "machine",
        "memory_bytes", "model", "prefill_tok_s", "running", "slots", "state", "threads", "used_at",
        "vram_free_mb", "worker_id",
    )  # fmt: skip

    def __init__(
        self, worker_id: str, model: str, machine: Machine, device: SimulatedDevice, *, slots: int, prefill: float,
        decode: Sequence[float], load_s: float, holds: dict[str, int], threads: int, blocks: int, now: float,
    ) -> None:  # fmt: skip
        self.worker_id = worker_id
        self.model = model
        self.machine = machine
        self.device = device
        self.slots = slots
        self.prefill_tok_s = prefill
        self.decode = decode
        self.load_s = load_s
        self.known_load_s: float | None = None
        self.holds = holds
        self.memory_bytes = sum(holds.values())
        self.threads = threads
        self.state = WorkerState.LOADING
        self.running = 0
        self.used_at = now
        self.gpu_pct: float | None = None
        self.vram_free_mb: int | None = None
        self._blocks = blocks
        self._cache: OrderedDict[int, None] = OrderedDict()

    @property
    def device_name(self) -> str:
        """Id of its device, of several with commas between."""
        return set_name(tuple(self.holds))

    @property
    def idle(self) -> bool:
        """It serves nobody, and could."""
        return self.running == 0 and self.state is WorkerState.READY

    def cached(self, blocks: Sequence[int]) -> int:
        """How many of a prompt's leading blocks it still has."""
        known = self._cache
        number = 0
        for block in blocks:
            if block not in known:
                break
            number += 1
        return number

    def keep(self, blocks: Sequence[int]) -> None:
        """It has computed these; what was not used for longest makes room."""
        known = self._cache
        # From the end: a beginning, which others may share, is the last to go.
        for block in reversed(blocks):
            known[block] = None
            known.move_to_end(block)
        while len(known) > self._blocks:
            known.popitem(last=False)
