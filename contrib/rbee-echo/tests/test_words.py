from __future__ import annotations

import pytest
from rbee_echo.words import behind


@pytest.mark.parametrize(("said", "left"), [("one tw", ["o", " three"]), ("one two", [" three"]), ("x" * 99, [])])
def test_what_is_left_behind_a_part_of_a_word_begins_within_it(said, left):
    assert list(behind(iter(["one", " two", " three"]), said)) == left
