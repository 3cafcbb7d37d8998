"""Options of engines."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee.contract.engine_options import EngineOption, checked_options
from rbee.contract.errors import InvalidRequestError

OPTIONS = (
    EngineOption(name="cache_mb", kind="int", help="h", default=64, low=0, high=1024),
    EngineOption(name="share", kind="float", help="h", low=0, high=1),
    EngineOption(name="flash", kind="bool", help="h", default=False),
    EngineOption(name="draft", kind="text", help="h"),
    EngineOption(name="mode", kind="text", help="h", choices=("q4", "q8")),
)


def test_options_left_out_have_their_defaults_and_those_without_one_are_absent():
    assert checked_options("e", OPTIONS, {}) == {"cache_mb": 64, "flash": False}


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("cache_mb", 0, 0),
        ("cache_mb", "12", 12),
        ("cache_mb", 12.0, 12),
        ("share", 1, 1.0),
        ("share", "0.5", 0.5),
        ("flash", True, True),
        ("flash", "yes", True),
        ("flash", "off", False),
        ("draft", "a b", "a b"),
        ("mode", "q4", "q4"),
    ],
)
def test_values_are_read_as_the_kind_of_the_option(name, value, found):
    chosen = checked_options("e", OPTIONS, {name: value})[name]
    assert (chosen, type(chosen)) == (found, type(found))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("cache_mb", -1, "a whole number from 0 to 1024"),
        ("cache_mb", 1.5, "a whole number from 0 to 1024"),
        ("cache_mb", True, "a whole number"),
        ("cache_mb", "many", "a whole number"),
        ("share", float("nan"), "a number from 0 to 1"),
        ("share", "inf", "a number from 0 to 1"),
        ("share", [], "a number from 0 to 1"),
        ("flash", "maybe", "true or false"),
        ("flash", 1, "true or false"),
        ("draft", 1, "a text"),
        ("mode", "q5", "one of 'q4', 'q8'"),
        ("mode", None, "one of"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_with_what_would(name, value, wanted):
    with pytest.raises(InvalidRequestError, match=wanted) as caught:
        checked_options("e", OPTIONS, {name: value})
    assert caught.value.param == f"options.{name}"
    assert repr(name) in caught.value.message


def test_large_bounds_are_told_in_full():
    option = EngineOption(name="cache_mb", kind="int", help="", low=0, high=1 << 24)
    with pytest.raises(InvalidRequestError, match="from 0 to 16777216,"):
        option.checked(-1)


def test_an_unknown_option_is_refused_with_those_that_there_are():
    with pytest.raises(InvalidRequestError, match=r"'e' has no option 'cach'\. Its options: cache_mb, draft"):
        checked_options("e", OPTIONS, {"cach": 1})
    with pytest.raises(InvalidRequestError, match=r"has no option 'x'\. It has none"):
        checked_options("e", (), {"x": 1})


@given(
    st.dictionaries(
        st.sampled_from([one.name for one in OPTIONS]), st.one_of(st.text(), st.floats(), st.booleans(), st.none())
    )
)
def test_whatever_is_given_either_fits_or_is_refused(given_values):
    try:
        chosen = checked_options("e", OPTIONS, given_values)
    except InvalidRequestError:
        return
    assert checked_options("e", OPTIONS, chosen) == chosen
