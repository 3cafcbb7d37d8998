"""The cache of the hub's library: taken from, never changed, and all there is without network."""

import subprocess
import sys

import pytest
from rbee.contract import ModelFile
from rbee.contract.errors import UnreachableError
from rbee.testing.hub import samples


@pytest.fixture
def fetch_with_library(hub, monkeypatch, tmp_path):
    """Fetches as other programs do: with the library itself, in a process of its own."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))

    def fetch(repository, *names, revision="main"):
        code = "import sys; from huggingface_hub import hf_hub_download as get\n"
        code += "for name in sys.argv[3:]: get(sys.argv[1], name, revision=sys.argv[2])"
        subprocess.run([sys.executable, "-c", code, repository, revision, *names], check=True, capture_output=True)
        hub.ledger.clear()
        return tmp_path / "cache" / f"models--{repository.replace('/', '--')}"

    return fetch


@pytest.fixture
def offline(monkeypatch):
    return lambda: monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_a_whole_file_of_the_cache_is_held(vendor, hub, fetch_with_library, tmp_path, monkeypatch):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    variant = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    assert vendor.held(variant, variant.files[0]) is None
    place = fetch_with_library("org/tiny-GGUF", "tiny-Q8_0.gguf")
    path = vendor.held(variant, variant.files[0])
    assert path.read_bytes() == samples.gguf_files()["tiny-Q8_0.gguf"]
    assert path.is_relative_to(place / "blobs")
    assert not hub.ledger.requests()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "elsewhere"))
    assert vendor.held(variant, variant.files[0]) is None


def test_the_same_bytes_under_another_commit_are_held(vendor, hub, fetch_with_library):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    fetch_with_library("org/tiny-GGUF", "tiny-Q8_0.gguf")
    hub.add("org/tiny-GGUF", {"README.md": "# changed"})
    variant = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    assert vendor.held(variant, variant.files[0]) is not None


def test_a_file_that_is_not_whole_or_leads_elsewhere_is_not_held(vendor, hub, fetch_with_library, tmp_path):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    variant = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    place = fetch_with_library("org/tiny-GGUF", "tiny-Q8_0.gguf")
    blob = next((place / "blobs").iterdir())
    data = blob.read_bytes()
    blob.write_bytes(data[:-1])
    assert vendor.held(variant, variant.files[0]) is None
    blob.unlink()
    (tmp_path / "outside").write_bytes(data)
    blob.symlink_to(tmp_path / "outside")
    assert vendor.held(variant, variant.files[0]) is None
    blob.unlink()
    assert vendor.held(variant, variant.files[0]) is None
    assert vendor.held(variant, ModelFile(name="../../x", size_bytes=1)) is None


def test_what_lies_in_the_cache_resolves_without_a_request(vendor, hub, fetch_with_library, offline):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    online = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    fetch_with_library("org/tiny-GGUF", "tiny-Q8_0.gguf")
    offline()
    for ref in ("org/tiny-GGUF", "hf:org/tiny-GGUF:Q8_0", "org/tiny-GGUF:tiny-Q8_0.gguf", "tiny", "tiny@q8_0"):
        assert vendor.resolve(ref) == (online,)
    assert vendor.held(online, online.files[0]) is not None
    assert not hub.ledger.requests()


def test_a_folder_and_a_branch_resolve_from_the_cache_too(vendor, hub, fetch_with_library, offline):
    files = samples.exl_files(4.0)
    hub.add("org/tiny-exl2", files, revision="4.0bpw")
    online = vendor.resolve("org/tiny-exl2@4.0bpw")[0]
    fetch_with_library("org/tiny-exl2", *files, revision="4.0bpw")
    offline()
    found = vendor.resolve("org/tiny-exl2@4.0bpw")[0]
    assert (found.model_id, found.files, found.figures) == (online.model_id, online.files, online.figures)
    assert not hub.ledger.requests()


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_what_is_not_in_the_cache_is_refused_with_the_variable(vendor, hub, monkeypatch, variable):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    variant = vendor.resolve("org/tiny-GGUF")[0]
    hub.ledger.clear()
    monkeypatch.setenv(variable, "true")
    words = f"{variable} is set and .* is not in the hub's cache"
    for ask in (
        lambda: vendor.resolve("org/tiny-GGUF"),
        lambda: vendor.resolve("org/tiny-GGUF@dev"),
        lambda: vendor.resolve("tiny"),
        lambda: vendor.search("tiny", 5),
        lambda: vendor.source(variant, variant.files[0]),
    ):
        with pytest.raises(UnreachableError, match=words):
            ask()
    assert not hub.ledger.requests()


def test_a_folder_that_came_only_in_parts_does_not_resolve_without_network(vendor, hub, fetch_with_library, offline):
    hub.add("org/tiny", samples.safetensors_files(2))
    fetch_with_library("org/tiny", "config.json", "model.safetensors.index.json", "model-00001-of-00002.safetensors")
    offline()
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE is set and 'org/tiny'"):
        vendor.resolve("org/tiny")
