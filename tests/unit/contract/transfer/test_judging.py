"""What answers mean."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract import ModelFile
from rbee.contract.errors import RbeeError
from rbee.contract.transfer.judging import Anew, Take, Whole, judge, validator
from rbee.contract.transfer.refusals import BrokenError

FILE = ModelFile(name="f", size_bytes=100)


def verdict(status, headers, at=0, file=FILE, etag=None):
    return judge(status, headers, at, file, etag, "host")


def test_the_length_of_an_answer_may_be_told_twice() -> None:
    assert verdict(200, {"content-length": "100, 100"}) == Take(start=0, total=100, framed=True)


@pytest.mark.parametrize("told", ["", "1, 2", "-1", "1e2", "٣", "9" * 40])
def test_a_length_that_is_none_is_not_believed(told: str) -> None:
    assert verdict(200, {"content-length": told}) == Take(start=0, total=100, framed=False)


def test_a_rest_goes_on_where_the_part_ends() -> None:
    headers = {"content-range": "bytes 40-99/100", "content-length": "60"}
    assert verdict(206, headers, 40) == Take(start=40, total=100, framed=True)
    assert verdict(206, headers, 41) == Anew()
    assert verdict(206, {**headers, "etag": '"b"'}, 40, etag='"a"') == Anew()
    assert verdict(206, headers, 40, etag='"a"') == Take(start=40, total=100, framed=True)


def test_a_part_of_which_nobody_knows_the_whole_is_one() -> None:
    unknown = ModelFile(name="f")
    headers = {"content-range": "bytes 0-99/*", "content-length": "100"}
    assert verdict(206, headers, 0, unknown) == Take(start=0, total=None, framed=True, open_ended=True)
    assert verdict(200, {}, 0, unknown) == Take(start=0, total=None, framed=False)


def test_a_part_that_ends_before_it_begins_is_none() -> None:
    assert verdict(206, {"content-range": "bytes 5-3/100"}, 5) == Anew()


def test_a_rest_of_unknown_size_has_that_of_the_promise() -> None:
    assert verdict(206, {"content-range": "bytes 40-99/*"}, 40) == Take(start=40, total=100, framed=False)


def test_nothing_left_is_the_end_only_when_the_sizes_say_so() -> None:
    assert verdict(416, {}, 100) == Whole()
    assert verdict(416, {}, 99) == Anew()
    unknown = ModelFile(name="f")
    assert verdict(416, {"content-range": "bytes */7"}, 7, unknown) == Whole()
    assert verdict(416, {"content-range": "bytes */7"}, 8, unknown) == Anew()
    assert verdict(416, {}, 7, unknown) == Anew()


@pytest.mark.parametrize("etag", ['W/"a"', "a", '"a', '"a\n"', '"' + "a" * 5000 + '"', ""])
def test_only_a_strong_version_is_one(etag: str) -> None:
    assert validator({"etag": etag}) == (None, None)


def test_a_date_counts_a_minute_later() -> None:
    def at(seconds: float) -> dict[str, str]:
        return {"date": formatdate(1e9, usegmt=True), "last-modified": formatdate(1e9 - seconds, usegmt=True)}

    assert validator(at(61)) == (None, at(61)["last-modified"])
    assert validator(at(59)) == (None, None)
    assert validator({"last-modified": formatdate(1e9)}) == (None, None)


@given(
    st.integers(100, 599),
    st.dictionaries(
        st.sampled_from(
            ["content-length", "content-range", "content-encoding", "transfer-encoding", "etag", "retry-after"]
        ),
        st.text(max_size=40) | st.from_regex(r"bytes [0-9*-]{0,20}/[0-9*]{0,20}", fullmatch=True),
    ),
    st.integers(0, 200),
)
def test_any_answer_is_judged_or_refused(status: int, headers: dict[str, str], at: int) -> None:
    try:
        found = verdict(status, headers, at)
    except (RbeeError, BrokenError):
        return
    if isinstance(found, Take):
        assert found.start in {0, at}
        assert found.total == 100
