"""A machine's memory and threads, and when the queen hears of them."""

from __future__ import annotations

import pytest
from rbee.contract import DeviceShare, WorkerState
from rbee.scheduler import Estimate, estimate
from rbee.simulation import Gpu, HiveGroup
from rbee.simulation.clock import Clock
from rbee.simulation.devices import Stream
from rbee.simulation.fleet import blended
from rbee.simulation.machines import Machine
from rbee.simulation.requests import Request
from rbee.simulation.workers import Worker
from unit.simulation.building import group, laptop, model, requests
from unit.simulation.building import load as asked

GIB = 2**30
VARIANT = model().variant("m")
NEED = estimate(VARIANT, None, 4)


class Place:
    """A machine with its clock."""

    def __init__(self, kind: HiveGroup, phase_s: float = 0.25) -> None:
        self.clock = Clock()
        self.sampled: list[Worker] = []
        self.ended: list[Stream] = []
        self.machine = Machine("h", kind, frozenset(), self.clock, 1.0, phase_s, self.ended.append, self.sampled.append)

    def start(self, device: str = "GPU-0", need: Estimate = NEED) -> Worker:
        worker = self.machine.start(f"w{len(self.machine.workers)}", VARIANT, device, need, 4, 1.0)
        worker.state = WorkerState.READY
        return worker

    def until(self, when: float) -> None:
        self.clock.at(when, lambda: None)
        while self.clock.now < when:
            self.clock.step()


def a_request() -> Request:
    return requests(asked())[0]


def test_a_worker_takes_memory_of_its_device_and_gives_it_back() -> None:
    place = Place(group())
    device = place.machine.devices["GPU-0"]
    worker = place.start()
    assert device.memory_free == 24 * GIB - (NEED.total_bytes or 0)
    assert place.machine.ram_free == 32 * GIB
    place.machine.stop(worker)
    assert device.memory_free == 24 * GIB
    assert place.machine.threads_free == 8


def test_on_a_processor_and_with_shared_memory_it_is_the_machines() -> None:
    place = Place(laptop())
    place.start("CPU-0")
    assert place.machine.ram_free == 32 * GIB - (NEED.total_bytes or 0)
    metal = Place(group(gpus=(Gpu(memory_gib=64, backend="metal", prefill_tok_s=1, decode_tok_s=1),)))
    assert metal.machine.free(metal.machine.devices["GPU-0"]) == 32 * GIB
    metal.start()
    assert metal.machine.ram_free == 32 * GIB - (NEED.total_bytes or 0)


def test_the_queen_hears_of_memory_with_the_next_beat() -> None:
    place = Place(group())
    place.start()
    assert place.machine.view("n").gpu_free_bytes == {"GPU-0": 24 * GIB}
    place.until(0.25)
    assert place.machine.view("n").gpu_free_bytes == {"GPU-0": 24 * GIB - (NEED.total_bytes or 0)}
    assert place.machine.view("n").threads_free == 7


def test_half_of_the_free_threads_go_to_a_worker_where_nothing_is_set() -> None:
    place = Place(group(worker_threads=None, threads=7))
    assert [place.start().threads for _ in range(3)] == [4, 2, 1]


def test_whoever_is_idle_and_of_another_model_could_make_room() -> None:
    place = Place(group())
    worker = place.start()
    assert place.machine.view("m").idle == ()
    (idle,) = place.machine.view("n").idle
    assert (idle.worker_id, idle.device, idle.vram_bytes) == ("w0", "GPU-0", NEED.total_bytes)
    worker.running = 1
    assert place.machine.view("n").idle == ()


def test_what_was_started_there_lies_on_its_disk() -> None:
    place = Place(group())
    assert place.machine.view("m").held == frozenset()
    place.start()
    assert place.machine.view("m").held == {"m"}
    assert place.machine.view("n").held == frozenset()


def test_the_load_of_a_gpu_is_told_by_each_beat_for_the_second_before_it() -> None:
    place = Place(group())
    worker = place.start()
    place.until(5.0)
    assert worker.gpu_pct == 0.0
    # It computes for 2 s: from 5.0 to 7.0, with beats at a quarter past.
    worker.running += 1
    place.machine.changed()
    place.machine.devices["GPU-0"].add(Stream(a_request(), worker, 10_000, 5.0))
    told = []
    for when in (5.2, 5.3, 6.3):
        place.until(when)
        told.append(worker.gpu_pct)
    assert told == [0.0, 25.0, 100.0]


def test_a_load_that_is_over_is_told_as_over_by_the_beat_after() -> None:
    place = Place(group())
    worker = place.start()
    one = Request(0, 0.0, "m", 2500, 1, "", a_request().traits, ())
    place.until(5.0)
    worker.running += 1
    place.machine.changed()
    place.machine.devices["GPU-0"].add(Stream(one, worker, 2500, 5.0))
    place.until(5.5)
    assert place.ended
    place.machine.changed()
    place.until(6.3)
    assert worker.gpu_pct == pytest.approx(25.0)
    place.until(7.3)
    assert worker.gpu_pct == 0.0


def test_gpus_together_are_as_quick_as_the_parts_that_each_computes() -> None:
    slow = Gpu(memory_gib=24, prefill_tok_s=1000, decode_tok_s={1: 50, 4: 20}, load_s=16)
    quick = Gpu(memory_gib=24, prefill_tok_s=3000, decode_tok_s={1: 100, 4: 60}, load_s=8)
    both = blended([(quick, 0.75), (slow, 0.25)], 4)
    assert both.prefill_tok_s == pytest.approx(2000)
    assert isinstance(both.decode_tok_s, dict)
    assert both.decode_tok_s[1] == pytest.approx(1 / (0.75 / 100 + 0.25 / 50))
    assert both.load_s == 10
    same = blended([(quick, 0.5), (quick, 0.5)], 4)
    assert same.prefill_tok_s == pytest.approx(quick.prefill_tok_s)


def test_a_worker_on_two_gpus_takes_its_share_of_each_and_there_must_be_room_on_both() -> None:
    place = Place(group(gpus=(Gpu(memory_gib=24, prefill_tok_s=1, decode_tok_s=1, count=2),)))
    shares = (DeviceShare(device="GPU-1", memory_bytes=20 * GIB), DeviceShare(device="GPU-0", memory_bytes=6 * GIB))
    assert place.machine.room("GPU-1,GPU-0", NEED, shares)
    worker = place.machine.start("w", VARIANT, "GPU-1,GPU-0", NEED, 4, 1.0, shares)
    free = {name: one.memory_free for name, one in place.machine.devices.items()}
    assert free == {"GPU-0": 18 * GIB, "GPU-1": 4 * GIB}
    assert (worker.device_name, worker.device.device.id) == ("GPU-1,GPU-0", "GPU-1")
    assert not place.machine.room("GPU-1,GPU-0", NEED, shares)
    worker.state = WorkerState.READY
    (idle,) = place.machine.view("other").idle
    assert idle.gpu_bytes == {"GPU-1": 20 * GIB, "GPU-0": 6 * GIB}
    place.machine.stop(worker)
    assert {one.memory_free for one in place.machine.devices.values()} == {24 * GIB}
