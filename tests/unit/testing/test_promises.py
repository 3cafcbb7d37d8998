"""A promise of the conformance kit cannot be dropped unnoticed."""

import pytest
from rbee.testing.conformance import ModelVendorContract, Promises, overrides_promise


class SmallContract(Promises, kit=True):
    def test_one(self):
        """A promise."""

    def helper(self):
        """No promise."""


class LargerContract(SmallContract, kit=True):
    def test_two(self):
        """Another."""


def test_a_subclass_may_add_tests_and_replace_helpers():
    class Fine(LargerContract):
        def test_three(self): ...

        def helper(self): ...

    assert set(Fine.__promises__) == {"test_one", "test_two"}


@pytest.mark.parametrize("name", ["test_one", "test_two"])
def test_a_silent_override_fails_at_definition(name):
    with pytest.raises(TypeError, match=rf"Broken\.{name} replaces a promise.*overrides_promise"):
        type("Broken", (LargerContract,), {name: lambda self: None})


def test_setting_a_promise_to_none_fails_as_well():
    with pytest.raises(TypeError, match="test_one replaces a promise"):
        type("Broken", (SmallContract,), {"test_one": None})


def test_an_override_by_a_mixin_in_front_fails_as_well():
    class Mixin:
        def test_one(self): ...

    with pytest.raises(TypeError, match="test_one replaces a promise"):
        type("Broken", (Mixin, SmallContract), {})


def test_a_kit_class_cannot_drop_the_promises_of_its_base():
    with pytest.raises(TypeError, match="test_one replaces a promise"):

        class Broken(SmallContract, kit=True):
            def test_one(self): ...


def test_a_marked_override_is_accepted_also_in_a_further_subclass():
    class Marked(SmallContract):
        @overrides_promise(reason="the device is shared in this test")
        def test_one(self): ...

    class Further(Marked): ...

    assert Further.test_one is Marked.test_one


def test_an_override_needs_a_reason():
    with pytest.raises(ValueError, match="needs a reason"):
        overrides_promise(reason=" ")


def test_the_contracts_of_the_kit_are_guarded():
    with pytest.raises(TypeError, match="test_known_models_resolve replaces a promise"):
        type("Broken", (ModelVendorContract,), {"test_known_models_resolve": lambda self: None})
