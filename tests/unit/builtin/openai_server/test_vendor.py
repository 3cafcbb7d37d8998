"""Models of servers, by name."""

from __future__ import annotations

import os

import pytest
from rbee.builtin.openai_server import Connection, Connections, OpenAIServerVendor, ServedModel
from rbee.contract.errors import ModelNotFoundError
from rbee.testing.conformance import ModelVendorContract, overrides_promise

BOX = Connection(
    name="box",
    url="http://box/v1",
    models=(ServedModel(id="org/big-model", context_length=4096), ServedModel(id="vectors", embeddings=True)),
)


@pytest.fixture(autouse=True)
def box(home):
    Connections.of(os.environ).add(BOX, replace=True)


class TestOpenAIServerVendor(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return OpenAIServerVendor()

    @pytest.fixture
    def good_ref(self):
        return "openai:box/org/big-model"

    @pytest.fixture
    def bad_ref(self):
        return "openai:box/none"

    @overrides_promise(reason="a model of a server has no file here, and no place on this disk")
    def test_resolved_variants_belong_to_the_vendor(self, vendor, good_ref):
        (variant,) = vendor.resolve(good_ref)
        assert (variant.vendor, variant.format, variant.context_length) == ("openai", "openai", 4096)
        assert not variant.files


def test_a_server_s_name_alone_means_its_first_model():
    (variant,) = OpenAIServerVendor().resolve("openai:box")
    assert variant.model_id == "openai:box/org/big-model"


def test_models_are_made_for_what_the_server_was_added_with():
    chat, vectors = OpenAIServerVendor().known()
    assert chat.capabilities == {"chat", "completions"}
    assert vectors.capabilities == {"embeddings"}


def test_an_unknown_server_is_told_with_those_that_there_are():
    with pytest.raises(ModelNotFoundError, match=r"no server 'attic'.*Servers: box"):
        OpenAIServerVendor().resolve("openai:attic/x")


def test_a_file_that_cannot_be_read_keeps_nobody_from_listing_models(home):
    (home / "config" / "servers.json").write_bytes(b"{")
    assert OpenAIServerVendor().known() == ()
