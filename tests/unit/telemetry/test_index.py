"""The index against a dictionary."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rbee.telemetry.index import Index

KEYS = st.lists(st.sampled_from("xyz"), unique=True, max_size=3)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.none() | KEYS), max_size=30))
def test_it_always_equals_a_full_search(steps: list[tuple[str, list[str] | None]]) -> None:
    index, model = Index(), {}
    for item, keys in steps:
        if keys is None:
            index.discard(item)
            model.pop(item, None)
        else:
            index.put(item, keys)
            model[item] = keys
        for key in "xyz":
            assert set(index.get(key)) == {name for name, held in model.items() if key in held}
        assert set(index.keys()) == {key for held in model.values() for key in held}


def test_the_order_of_entry_is_kept() -> None:
    index = Index()
    for item in "cab":
        index.put(item, ["k"])
    index.put("c", ["k"])
    assert list(index.get("k")) == ["c", "a", "b"]
