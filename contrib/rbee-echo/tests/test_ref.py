from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rbee_echo.ref import EchoRef


@pytest.mark.parametrize(
    ("ref", "canonical"),
    [
        ("echo", "echo:echo"),
        ("echo:echo", "echo:echo"),
        ("echo:anna", "echo:anna"),
        ("echo:a?load_s=1&delay_ms=20.0", "echo:a?delay_ms=20&load_s=1"),
        ("echo:a?tokens=5&fail=die", "echo:a?fail=die&tokens=5"),
    ],
)
def test_a_name_has_one_canonical_spelling(ref, canonical):
    assert EchoRef.parse(ref).canonical == canonical


@given(
    st.from_regex(r"\A[A-Za-z0-9._-]{1,64}\Z"),
    st.none() | st.integers(0, 60_000),
    st.sampled_from([None, "load", "step", "die"]),
    st.none() | st.integers(1, 1_000_000),
)
def test_the_canonical_spelling_says_the_same(name, delay_ms, fail, tokens):
    ref = EchoRef(name=name, delay_ms=delay_ms, fail=fail, tokens=tokens)
    assert EchoRef.parse(ref.canonical) == ref


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "other",
        "echo:",
        "echo:a b",
        "echo:../x",
        "echo:a\n",
        "echo:" + "a" * 65,
        "echo:a?x=1",
        "echo:a?fail=no",
        "echo:a?tokens=0",
        "echo:a?tokens=1&tokens=2",
        "echo:a?delay_ms=x",
        "echo:a?delay_ms=nan",
        "echo:a?load_s=1e9",
    ],
)
def test_a_malformed_name_is_refused(ref):
    with pytest.raises(ValueError):
        EchoRef.parse(ref)


def test_the_model_called_slow_takes_50_ms_a_token():
    assert EchoRef.parse("echo:slow").delay_s == 0.05
    assert EchoRef.parse("echo:slow?delay_ms=0").delay_s == 0
    assert EchoRef.parse("echo:quick").delay_s == 0
