"""Models by their address: `rbee.builtin.web_vendor`."""

from __future__ import annotations

import hashlib

import pytest
from rbee.builtin.web_vendor import WebVendor
from rbee.contract.errors import InvalidRequestError, ModelFileError, ModelNotFoundError, UnreachableError
from rbee.testing.cancel import Cancel
from rbee.testing.conformance import ModelVendorContract
from unit.contract.transfer.stand_in import Reply, StandIn

CONTENT = b"GGUF" + bytes(range(256)) * 400
SUM = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server():
    with StandIn() as running:
        running.files["/models/tiny-Q8_0.gguf"] = CONTENT
        yield running


@pytest.fixture
def address(server):
    return f"{server.url}/models/tiny-Q8_0.gguf"


class TestWebVendor(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return WebVendor()

    @pytest.fixture
    def good_ref(self, address):
        return f"{address}#sha256={SUM}"

    @pytest.fixture
    def bad_ref(self, server):
        return f"{server.url}/models/none.gguf#sha256={SUM}"


def test_an_address_is_one_file_with_size_checksum_and_quantisation(address):
    (variant,) = WebVendor().resolve(f"{address}#SHA256={SUM.upper()}")
    assert variant.model_id == variant.name == f"{address}#sha256={SUM}"
    assert variant.format == "gguf"
    assert variant.quantization == "Q8_0"
    (file,) = variant.files
    assert (file.name, file.size_bytes, file.sha256) == ("tiny-Q8_0.gguf", len(CONTENT), SUM)


def test_a_name_of_odd_letters_becomes_one_that_every_disk_takes(server):
    server.files["/%C3%BC%2Fm%C3%B6del%20x.gguf"] = CONTENT
    (variant,) = WebVendor().resolve(f"{server.url}/%C3%BC%2Fm%C3%B6del%20x.gguf#sha256={SUM}")
    assert variant.files[0].name == "m-del-x.gguf"


def test_an_address_without_a_checksum_says_how_to_write_it(address):
    with pytest.raises(InvalidRequestError, match=r"tiny-Q8_0\.gguf#sha256=<64 hex digits>.*sha256sum"):
        WebVendor().resolve(address)


@pytest.mark.parametrize("fragment", ["sha256=1234", "md5=1234", ""])
def test_another_fragment_is_no_checksum(address, fragment):
    assert WebVendor().supports(f"{address}#{fragment}")
    with pytest.raises(InvalidRequestError, match="checksum"):
        WebVendor().resolve(f"{address}#{fragment}")


def test_a_plain_address_of_another_machine_is_refused(address):
    with pytest.raises(InvalidRequestError, match=r"'https://files\.example/a\.gguf'"):
        WebVendor().resolve(f"http://files.example/a.gguf#sha256={SUM}")


def test_only_gguf_files_are_taken(server):
    with pytest.raises(InvalidRequestError, match=r"'model\.bin' is not"):
        WebVendor().resolve(f"{server.url}/model.bin#sha256={SUM}")
    with pytest.raises(ModelFileError, match="one piece of several"):
        WebVendor().resolve(f"{server.url}/model-00001-of-00002.gguf#sha256={SUM}")
    assert not server.questions


@pytest.mark.parametrize(
    "ref", ["https://hub.example/org/repo", "org/repo", "demo", "/x.gguf", "ftp://h/x.gguf", "http:"]
)
def test_other_names_are_left_to_other_vendors(ref):
    assert not WebVendor().supports(ref)


def test_a_wrong_file_is_not_kept(address, server, tmp_path):
    (variant,) = WebVendor().resolve(f"{address}#sha256={SUM}")
    server.files["/models/tiny-Q8_0.gguf"] = CONTENT[::-1]
    with pytest.raises(ModelFileError, match="checksum"):
        WebVendor().fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    assert not list(tmp_path.iterdir())


def test_a_size_that_nobody_tells_is_unknown(address, server):
    server.always = Reply(framed=False)
    assert WebVendor().resolve(f"{address}#sha256={SUM}")[0].size_bytes is None


def test_a_file_that_is_not_there_is_named(server):
    with pytest.raises(ModelNotFoundError, match=r"/none\.gguf"):
        WebVendor().resolve(f"{server.url}/none.gguf#sha256={SUM}")


def test_a_server_that_refuses_is_told_with_its_status(address, server):
    server.always = Reply(status=418)
    with pytest.raises(UnreachableError, match="418"):
        WebVendor().resolve(f"{address}#sha256={SUM}")
