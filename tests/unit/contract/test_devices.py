"""Names of devices and of sets of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import Device, DeviceShare, DeviceType
from rbee.contract.devices import device_ids, find_devices, set_name, shares_from, shares_text

CPU = Device(id="CPU-0", name="c", device_type=DeviceType.CPU)
CARDS = tuple(Device(id=f"GPU-{number}", name="g", device_type=DeviceType.GPU) for number in range(3))
IDS = st.lists(st.from_regex(r"[A-Z]{3}-[0-9]\Z", fullmatch=True), min_size=2, max_size=5, unique=True)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("GPU-1", "GPU-1"),
        ("1", "GPU-1"),
        ("GPU-2,0", "GPU-2,GPU-0"),
        (" GPU-2 , GPU-2,", "GPU-2"),
        ("CPU-0,GPU-0", "CPU-0,GPU-0"),
        ("GPU-0,GPU-9", None),
        ("", None),
        (",", None),
    ],
)
def test_a_request_means_the_devices_that_it_names_each_once_or_none(wanted: str, found: str | None) -> None:
    meant = find_devices((CPU, *CARDS), wanted)
    assert (None if meant is None else set_name([one.id for one in meant])) == found


@given(IDS, st.data())
def test_shares_are_read_as_they_were_written(ids: list[str], data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(0, 2**50), min_size=len(ids), max_size=len(ids)))
    shares = tuple(DeviceShare(device=one, memory_bytes=size) for one, size in zip(ids, sizes, strict=True))
    assert shares_from(set_name(ids), shares_text(shares)) == shares
    assert device_ids(set_name(ids)) == tuple(ids)


def test_of_one_device_there_are_no_shares_and_unknown_ones_stay_unknown() -> None:
    assert shares_from("GPU-0", "5") == shares_from(None, None) == ()
    unknown = (DeviceShare(device="GPU-0"), DeviceShare(device="GPU-1"))
    assert shares_text(unknown) is None
    assert shares_text(()) is None
    assert shares_from("GPU-0,GPU-1", None) == unknown


@pytest.mark.parametrize("text", ["1", "1,2,3", "a,b", "1,"])
def test_shares_that_are_no_number_for_each_are_refused(text: str) -> None:
    with pytest.raises(ValueError):  # in whatever words
        shares_from("GPU-0,GPU-1", text)
