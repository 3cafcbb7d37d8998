"""rbee's conformance kit: every promise of the contract is a test."""

from __future__ import annotations

import pytest
from rbee.contract import LoadSpec
from rbee.testing.conformance import ModelVendorContract, ProbeContract, TokenEngineContract
from rbee_example.engine import ExampleEngine
from rbee_example.probe import ExampleProbe
from rbee_example.vendor import ExampleVendor


class TestExampleEngine(TokenEngineContract):
    @pytest.fixture
    def engine_class(self):
        return ExampleEngine

    @pytest.fixture
    def load_spec(self):
        (variant,) = ExampleVendor().resolve("example:song")
        return LoadSpec(model_id=variant.model_id, model_path=variant.in_place, variant=variant, slots=2)


class TestExampleVendor(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return ExampleVendor()

    @pytest.fixture
    def good_ref(self):
        return "example:song"

    @pytest.fixture
    def bad_ref(self):
        return "example:no-such-model"


class TestExampleProbe(ProbeContract):
    @pytest.fixture
    def probe(self):
        return ExampleProbe()
