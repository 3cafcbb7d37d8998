"""The conformance kit: subclass a contract, give its fixtures, and every promise is a test.

A whole test module of a plugin::

    import pytest
    from rbee.testing.conformance import ModelVendorContract

    class TestShelf(ModelVendorContract):
        @pytest.fixture
        def vendor(self):
            return ShelfVendor()

        @pytest.fixture
        def good_ref(self):
            return "shelf:small"

        @pytest.fixture
        def bad_ref(self):
            return "shelf:no-such-model"

A promise that cannot hold for one vendor is overridden in the open, by `overrides_promise`; doing so silently
raises TypeError when the test module is imported.
"""

from rbee.testing.conformance.engine import EngineContract, ServedEngineContract, TokenEngineContract
from rbee.testing.conformance.model_vendor import ModelVendorContract
from rbee.testing.conformance.policy import PolicyContract
from rbee.testing.conformance.presence_store import PresenceStoreContract
from rbee.testing.conformance.probe import ProbeContract
from rbee.testing.conformance.promises import Promises, overrides_promise
from rbee.testing.conformance.worker_vendor import WorkerVendorContract

__all__ = [
    "EngineContract",
    "ModelVendorContract",
    "PolicyContract",
    "PresenceStoreContract",
    "ProbeContract",
    "Promises",
    "ServedEngineContract",
    "TokenEngineContract",
    "WorkerVendorContract",
    "overrides_promise",
]
