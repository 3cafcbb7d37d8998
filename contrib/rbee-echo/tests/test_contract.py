"""rbee's conformance kit: every promise of the contract is a test."""

from __future__ import annotations

import pytest
from rbee.contract import LoadSpec
from rbee.testing.conformance import ModelVendorContract, TokenEngineContract, overrides_promise
from rbee_echo.engine import EchoEngine
from rbee_echo.vendor import EchoVendor


class TestEchoEngine(TokenEngineContract):
    @pytest.fixture
    def engine_class(self):
        return EchoEngine

    @pytest.fixture
    def load_spec(self):
        (variant,) = EchoVendor().resolve("echo")
        return LoadSpec(model_id=variant.model_id, model_path=None, variant=variant, slots=2)


class TestEchoVendor(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return EchoVendor()

    @pytest.fixture
    def good_ref(self):
        return "echo:slow"

    @pytest.fixture
    def bad_ref(self):
        return "echo:no such name"

    @overrides_promise(reason="a name is all there is of an echo model: it has no file, and no place on disk")
    def test_resolved_variants_belong_to_the_vendor(self, vendor, good_ref):
        (variant,) = vendor.resolve(good_ref)
        assert (variant.vendor, variant.format, variant.name) == ("echo", "echo", "echo:slow")
        assert not variant.files
        assert variant.in_place is None
