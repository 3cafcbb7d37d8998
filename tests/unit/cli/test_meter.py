"""How far and how fast."""

from __future__ import annotations

import pytest
from rbee.cli.meter import Meter, Transfer
from rbee.contract.wire import JobEvent
from unit.cli.scripted import progress

MIB = 1024 * 1024


def test_what_was_there_before_does_not_count_as_speed() -> None:
    meter = Meter()
    meter.tell(1000 * MIB, 100.0)
    assert meter.rate(100.0) is None
    meter.tell(1010 * MIB, 102.0)
    assert meter.rate(102.0) == 5 * MIB


def test_only_the_last_seconds_count_and_silence_makes_it_slower_then_unknown() -> None:
    meter = Meter()
    for second in range(20):
        meter.tell(second if second < 10 else 100 * (second - 9), float(second))
    assert meter.rate(19.0) == pytest.approx(99.1)
    assert meter.rate(24.0) == pytest.approx(50.0)
    assert meter.rate(40.0) is None


def test_what_begins_anew_is_measured_anew() -> None:
    meter = Meter()
    meter.tell(500, 0.0)
    meter.tell(0, 1.0)
    assert meter.rate(1.0) is None
    meter.tell(10, 2.0)
    assert meter.rate(2.0) == 10


def test_a_transfer_tells_file_amount_share_rate_and_time_left() -> None:
    transfer = Transfer()
    transfer.take(progress(0, 4096 * MIB, item=1, items=5), 0.0)
    transfer.take(progress(1024 * MIB, 4096 * MIB, item=2, items=5), 8.0)
    assert transfer.line(8.0) == "file 2 of 5, 1.0 of 4.0 GiB, 25 %, 128.0 MiB/s, 24s left"
    transfer.take(progress(4096 * MIB, 4096 * MIB, item=5, items=5), 9.0)
    assert transfer.line(9.0) == "file 5 of 5, 4.0 of 4.0 GiB, 100 %"
    assert transfer.complete


@pytest.mark.parametrize(
    ("event", "told"),
    [
        (progress(None, None), ""),
        (progress(5, None), "5 B"),
        (progress(5, 0), "5 of 0 B"),
        (progress(3, 4, unit="files"), "3 of 4 files, 75 %"),
        (progress(1, 2, item=1, items=1), "1 of 2 B, 50 %"),
        (progress(1, 2, item=3), "file 3, 1 of 2 B, 50 %"),
    ],
)
def test_what_is_unknown_is_left_out(event: JobEvent, told: str) -> None:
    transfer = Transfer()
    transfer.take(event, 0.0)
    assert transfer.line(0.0) == told


def test_another_step_of_the_job_has_a_speed_of_its_own() -> None:
    transfer = Transfer()
    transfer.take(progress(0, 100), 0.0)
    transfer.take(progress(90, 100), 1.0)
    transfer.take(progress(95, 100, action="model_verify"), 2.0)
    assert transfer.rate(2.0) == ""
