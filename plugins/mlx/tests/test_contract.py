"""rbee's conformance kit: every promise of the contract is a test."""

from __future__ import annotations

import pytest
from rbee.testing.conformance import ProbeContract, TokenEngineContract
from rbee_mlx import MetalProbe, MlxEngine


class TestMlxEngine(TokenEngineContract):
    @pytest.fixture
    def engine_class(self):
        return MlxEngine

    @pytest.fixture
    def load_spec(self, make_spec):
        return make_spec()


class TestMetalProbe(ProbeContract):
    @pytest.fixture
    def probe(self):
        return MetalProbe()
