"""The tree of errors."""

from __future__ import annotations

import inspect
import re

import pytest
from rbee.contract import errors
from rbee.contract.errors import InvalidRequestError, PluginError, RbeeError, UnavailableError, error_types
from rbee.http.errors import STATUS_BY_CODE

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RbeeError)]


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_has_the_status_that_the_drawn_tree_gives_it(kind: type[RbeeError]) -> None:
    line = next(line for line in (errors.__doc__ or "").splitlines() if re.search(rf"\b{kind.__name__}\b", line))
    status, code = re.search(r"(\d{3})  ([A-Z_]+)", line).groups()
    assert kind.code == code
    assert STATUS_BY_CODE[kind.code] == int(status)


def test_no_status_stands_for_a_code_that_no_error_carries() -> None:
    assert set(STATUS_BY_CODE) == {kind.code for kind in TREE}


def test_a_code_leads_back_to_the_class_that_carries_it() -> None:
    found = error_types()
    assert set(STATUS_BY_CODE) <= set(found)
    for kind in TREE:
        assert issubclass(kind, found[kind.code])


def test_of_classes_that_share_a_code_the_highest_stands_for_it() -> None:
    assert error_types()["PLUGIN"] is PluginError
    assert error_types()["INTERNAL"] is RbeeError


@pytest.mark.parametrize("kind", TREE, ids=lambda kind: kind.__name__)
def test_every_error_can_be_made_from_a_message_and_details(kind: type[RbeeError]) -> None:
    facts = {"port": 1}
    error = kind("something about 'this'", details=facts)
    facts["port"] = 2
    assert str(error) == error.message == "something about 'this'"
    assert error.details == {"port": 1}


def test_special_facts_are_kept() -> None:
    assert InvalidRequestError("no", param="model").param == "model"
    assert UnavailableError("later", retry_after_s=7).retry_after_s == 7
    assert UnavailableError("later").retry_after_s > 0
