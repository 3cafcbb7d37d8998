"""When a beehive is tried again, and what of its contact is written down."""

from __future__ import annotations

import itertools

import msgspec
from rbee.beehives import Beehive
from rbee.contract.types import Device, DeviceType
from rbee.contract.wire import HiveCapabilities, HiveInfo
from rbee.queen.beehive_contact import Change, Contact
from rbee.queen.beehive_probe import Finding

BEEHIVE = Beehive(node_name="gpu1", ssh_host="10.0.0.7")
CPU = Device(id="CPU-0", name="x", device_type=DeviceType.CPU)
OFFLINE = Finding("offline", "nothing answers")
FOUND = Finding(
    "online",
    "it answers",
    "http://10.0.0.8:7835",
    HiveCapabilities(hive=HiveInfo(id="h7", hostname="x", port=7835), capabilities=(CPU,), engines=()),
)
UNIX = 1_700_000_000.0


def contact(**stored: object) -> Contact:
    return Contact(msgspec.structs.replace(BEEHIVE, **stored), spread=lambda seconds: seconds)


def write(one: Contact, change: Change | None) -> None:
    assert change is not None
    one.wrote(change)


def test_a_machine_that_does_not_answer_is_tried_ever_more_rarely() -> None:
    one, now, tried = contact(), 0.0, []
    for now in range(200):
        if one.is_due(now):
            tried.append(now)
            one.tried(now, UNIX, OFFLINE)
    assert [after - before for before, after in itertools.pairwise(tried)][:7] == [2, 4, 8, 16, 30, 30, 30]
    assert tried[0] == 0


def test_only_a_change_of_status_is_written() -> None:
    one = contact()
    change = one.tried(0, UNIX, OFFLINE)
    assert change == Change("offline", None, None, None)
    # Not written: the data base was away.  It is asked for again.
    assert one.tried(9, UNIX, OFFLINE) == change
    write(one, change)
    assert one.tried(9, UNIX, OFFLINE) is None
    assert one.tried(9, UNIX, Finding("reachable", "")) is not None


def test_what_an_earlier_life_has_written_is_not_written_again() -> None:
    assert contact(status="offline").tried(0, UNIX, OFFLINE) is None


def test_a_hive_that_beats_every_second_is_written_once_a_minute() -> None:
    one = contact()
    written = []
    for second in range(181):
        change = one.heard(second, UNIX + second, (CPU,))
        if change is not None:
            one.wrote(change)
            written.append(second)
    assert written == [0, 60, 120, 180]


def test_new_devices_are_written_at_once() -> None:
    one = contact()
    write(one, one.heard(0, UNIX, None))
    change = one.heard(1, UNIX + 1, (CPU,))
    assert change == Change("online", UNIX + 1, ("cpu",), ("CPU-0",))
    write(one, change)
    assert one.heard(2, UNIX + 2, None) is None


def test_a_clock_that_was_set_back_does_not_stop_the_writing() -> None:
    one = contact(status="online", last_connected_unix=int(UNIX))
    assert one.heard(0, UNIX - 999_999, None) is not None


def test_a_hive_that_falls_silent_is_tried_at_once() -> None:
    one = contact()
    for now in range(5):
        one.tried(now * 100, UNIX, OFFLINE)
    assert not one.is_due(401)
    one.heard(410, UNIX, None)
    assert one.is_due(411)
    one.tried(411, UNIX, OFFLINE)
    assert not one.is_due(412.9)
    assert one.is_due(413)


def test_a_hive_that_answers_is_known_by_its_own_name_and_asked_rarely() -> None:
    one = contact()
    assert one.tried(0, UNIX, FOUND) == Change("online", UNIX, ("cpu",), ("CPU-0",))
    assert one.hive_id == "h7"
    assert not one.is_due(29)
    assert one.is_due(30)
