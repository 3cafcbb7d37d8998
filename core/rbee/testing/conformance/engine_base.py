"""The promises every `rbee.contract.Engine` keeps, installed or not."""

from __future__ import annotations

import time

import pytest

from rbee.contract import Backend, Capability, Engine, LoadSpec
from rbee.testing.conformance.promises import Promises

QUICK_S = 2.0
"""`availability` is asked by a hive for every engine; importing a large library would take longer."""


class EngineContract(Promises, kit=True):
    """Subclass it where the engine's library is absent; else `ServedEngineContract` or `TokenEngineContract`.

    Give the fixtures `engine_class` and `load_spec`.
    """

    @pytest.fixture
    def engine_class(self) -> type[Engine]:
        """The engine under test."""
        raise NotImplementedError("give the fixture `engine_class`: return YourEngine")

    @pytest.fixture
    def load_spec(self) -> LoadSpec:
        """A small model that exists, with two slots where the engine has more than one."""
        raise NotImplementedError("give the fixture `load_spec`: a LoadSpec of a small model")

    def test_the_class_attributes_are_well_typed(self, engine_class: type[Engine]) -> None:
        """A hive reads them without making an object."""
        assert isinstance(engine_class.name, str)
        assert engine_class.name
        assert engine_class.name == engine_class.name.strip().lower()
        assert isinstance(engine_class.formats, frozenset)
        assert all(name == name.lower() for name in engine_class.formats)
        assert isinstance(engine_class.backends, frozenset)
        assert engine_class.backends
        assert all(isinstance(backend, Backend) for backend in engine_class.backends)
        assert isinstance(engine_class.capabilities, frozenset)
        assert all(isinstance(capability, Capability) for capability in engine_class.capabilities)

    def test_availability_is_quick_and_explains_an_absence(self, engine_class: type[Engine]) -> None:
        """Unavailable always comes with a reason, available never."""
        started = time.monotonic()
        found = engine_class.availability()
        assert time.monotonic() - started < QUICK_S
        if found.available:
            assert found.reason is None
        else:
            assert found.reason
            assert found.reason.strip()

    def test_info_agrees_with_the_class(self, engine_class: type[Engine]) -> None:
        """What a hive publishes is what the class says."""
        info = engine_class.info()
        found = engine_class.availability()
        assert info.name == engine_class.name
        assert set(info.formats) == engine_class.formats
        assert set(info.backends) == engine_class.backends
        assert set(info.capabilities) == engine_class.capabilities
        assert (info.available, info.version, info.reason) == (found.available, found.version, found.reason)

    def test_an_engine_is_made_without_arguments(self, engine_class: type[Engine]) -> None:
        """Making one does no work, so it succeeds also where the library is absent."""
        assert isinstance(engine_class(), engine_class)
