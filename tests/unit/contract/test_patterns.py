"""Patterns in words."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
import pytest
from rbee.contract.patterns import ADDRESS, LABEL, in_words
from rbee.contract.wire.operations import WorkerId


def problem(value: str, kind: object) -> str:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(value, kind)
    return str(caught.value)


def test_a_name_that_will_not_do_is_told_what_one_is_made_of() -> None:
    told = in_words(problem("x y", WorkerId))
    assert told == "use letters, digits and . _ -, at most 128 characters, the first a letter or a digit"


@pytest.mark.parametrize("label", ["room", "Room=attic", "=attic", "gpu=4090", "hive=mine", "room=a,b"])
def test_what_is_no_label_is_told_what_one_is(label: str) -> None:
    told = in_words(problem(label, Annotated[str, msgspec.Meta(pattern=LABEL)]))
    assert told.startswith("a label is KEY=VALUE, as room=attic")


def test_a_label_may_begin_as_what_is_no_label() -> None:
    assert re.search(LABEL, "gpus=2")


def test_other_sentences_stay_as_they_are() -> None:
    assert in_words(problem("x", int)) == "Expected `int`, got `str`"


@pytest.mark.parametrize(
    "address", ["http://10.0.0.5:7830", "https://box/", "http://[::1]:1", "http://a.lan:1/rbee", "http://a_b"]
)
def test_an_address_has_scheme_and_host(address: str) -> None:
    assert re.search(ADDRESS, address)


@pytest.mark.parametrize(
    "address", ["junk", "10.0.0.5:7830", "ftp://a", "http://", "http://a b", "http://a:x", "http://u@h", "http://a?x"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    assert not re.search(ADDRESS, address)
