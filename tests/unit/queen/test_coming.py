"""What starts under way hold, until their hives tell of them."""

from __future__ import annotations

import msgspec
from rbee.contract import Backend, Device, DeviceShare, DeviceType
from rbee.contract.wire import DeviceBudget, HiveInfo
from rbee.queen.coming import Coming, Held, held_by, less
from rbee.telemetry import HiveRecord

CPU = Device(id="CPU-0", name="p", device_type=DeviceType.CPU)
CARD = Device(id="GPU-0", name="c", device_type=DeviceType.GPU, backend=Backend.CUDA)
SHARED = Device(id="GPU-1", name="s", device_type=DeviceType.GPU, backend=Backend.METAL)


def record(*workers: str, measured: frozenset[str] | None = None) -> HiveRecord:
    budget = DeviceBudget(device="CPU-0", total_bytes=9, granted_bytes=0, free_bytes=9, workers=workers)
    info = HiveInfo(id="h", hostname="x", port=1, memory=(budget,))
    return HiveRecord(hive_id="h", info=info, devices=(CPU, CARD, SHARED), worker_ids=measured)


def test_each_device_loses_what_is_meant_for_it() -> None:
    starts = [Coming("a", "CPU-0", 5, 1), Coming("b", "GPU-0", 7, 1), Coming("c", "GPU-0", None, 0)]
    assert held_by(starts, record()) == Held(5, {"GPU-0": 7, "GPU-1": 5}, 2)


def test_a_card_without_memory_of_its_own_holds_the_machines() -> None:
    assert held_by([Coming("a", "GPU-1", 5, 1)], record()) == Held(5, {"GPU-1": 5}, 1)


def test_what_a_hive_has_promised_or_measures_is_in_its_own_figures() -> None:
    starts = [Coming("a", "CPU-0", 5, 1), Coming("b", "CPU-0", 7, 1)]
    assert held_by(starts, record("a")).ram_bytes == 7
    assert held_by(starts, record(measured=frozenset({"b"}))).ram_bytes == 5
    assert held_by(starts, record("a", "b")) == Held()


def test_a_hive_that_has_told_nothing_loses_memory_of_the_machine() -> None:
    assert held_by([Coming("a", "?", 5, 1)], HiveRecord(hive_id="h")) == Held(5, {}, 1)


def test_what_is_left_is_never_below_nothing_and_unknown_stays_unknown() -> None:
    assert (less(None, 3), less(5, 3), less(2, 3)) == (None, 2, 0)


def test_a_start_over_several_cards_takes_its_share_of_each() -> None:
    shares = (DeviceShare(device="GPU-0", memory_bytes=7), DeviceShare(device="GPU-2", memory_bytes=4))
    starts = [Coming("a", "GPU-0,GPU-2", 11, 1, shares), Coming("b", "GPU-0", 2, 1)]
    two = msgspec.structs.replace(CARD, id="GPU-2")
    known = record()
    known.devices = (CPU, CARD, two)
    assert held_by(starts, known) == Held(0, {"GPU-0": 9, "GPU-2": 4}, 2)
