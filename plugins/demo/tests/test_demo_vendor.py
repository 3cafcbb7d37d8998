"""The demo vendor keeps the vendors' promises, and its data are what it says."""

import errno
import hashlib
from pathlib import Path

import msgspec
import pytest
from rbee.contract.errors import InsufficientDiskError, ModelNotFoundError
from rbee.testing.cancel import Cancel
from rbee.testing.conformance import ModelVendorContract
from rbee_demo import DemoVendor, plugin, vendor


class TestDemoVendor(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return DemoVendor()

    @pytest.fixture
    def good_ref(self):
        return "demo"

    @pytest.fixture
    def bad_ref(self):
        return "demo:xyz"


def test_the_constants_describe_the_data_in_the_package():
    (file,) = vendor.TINY.files
    data = vendor.model_data(file.name).read_bytes()
    assert len(data) == file.size_bytes
    assert hashlib.sha256(data).hexdigest() == file.sha256
    assert data.startswith(b"GGUF")


def test_the_card_and_the_licence_travel_with_the_model():
    assert "4,812,288" in vendor.model_data("MODEL_CARD.md").read_text("utf-8")
    assert "Python Software" in vendor.model_data("LICENSE-MODEL.md").read_text("utf-8")


@pytest.mark.parametrize("ref", ["demo", "rbee-tiny", "demo:rbee-tiny", "demo:rbee-tiny:Q8_0"])
def test_every_name_means_the_same_model(ref):
    assert DemoVendor().supports(ref)
    assert DemoVendor().resolve(ref) == (vendor.TINY,)


@pytest.mark.parametrize("ref", ["demonstration", "org/demo", "rbee-tiny-2", "file:demo", "demo.gguf"])
def test_other_names_are_left_to_other_vendors(ref):
    assert not DemoVendor().supports(ref)


def test_an_unknown_model_error_names_what_there_is():
    with pytest.raises(ModelNotFoundError, match=r"'demo:xyz'.*'demo:rbee-tiny:Q8_0'"):
        DemoVendor().resolve("demo:xyz")


def test_a_foreign_variant_is_not_fetched(tmp_path):
    foreign = msgspec.structs.replace(vendor.TINY, model_id="shelf:a")
    with pytest.raises(ModelNotFoundError, match="'shelf:a'"):
        DemoVendor().fetch(foreign, tmp_path, lambda _done, _total: None, Cancel())
    assert not list(tmp_path.iterdir())


def test_progress_ends_at_the_size_and_no_part_file_stays(tmp_path):
    seen = []
    DemoVendor().fetch(vendor.TINY, tmp_path, lambda done, total: seen.append((done, total)), Cancel())
    assert seen[-1] == (vendor.TINY.size_bytes, vendor.TINY.size_bytes)
    assert seen == sorted(seen)
    assert [path.name for path in tmp_path.iterdir()] == ["rbee-tiny-q8_0.gguf"]


def test_a_full_disk_is_an_error_that_names_the_folder(tmp_path, monkeypatch):
    def full(self, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(InsufficientDiskError, match=str(tmp_path)):
        DemoVendor().fetch(vendor.TINY, tmp_path, lambda _done, _total: None, Cancel())


def test_any_other_failure_of_the_disk_keeps_its_own_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        DemoVendor().fetch(vendor.TINY, tmp_path / "missing", lambda _done, _total: None, Cancel())


def test_the_plugin_registers_the_vendor():
    class Seen:
        classes = ()

        def model_vendor(self, cls, *, replace=False):
            self.classes = (*self.classes, cls)

    seen = Seen()
    plugin.rbee_register(seen)
    assert seen.classes == (DemoVendor,)
