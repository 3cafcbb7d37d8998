"""The hub's own library works against the stand-in that these tests use."""

import hashlib
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from rbee.testing.hub import MEMBER, STRANGER, Hub, samples


@pytest.fixture
def hub():
    with Hub(page=2) as hub:
        yield hub


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


@pytest.fixture(autouse=True)
def plain_http(monkeypatch):
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")


def test_models_are_told_with_their_files(hub, api):
    files = samples.safetensors_files()
    commit = hub.add("org/tiny", files, tags=["x"], library_name="transformers", downloads=5, gated="auto")
    info = api.model_info("org/tiny", files_metadata=True)
    assert (info.id, info.sha, info.gated, info.downloads) == ("org/tiny", commit.sha, "auto", 5)
    assert (info.library_name, info.author) == ("transformers", "org")
    assert {"x", "safetensors", "transformers"} <= set(info.tags)
    assert info.config["model_type"] == "llama"
    by_name = {sibling.rfilename: sibling for sibling in info.siblings}
    large, small = by_name["model.safetensors"], by_name["config.json"]
    assert large.lfs.sha256 == hashlib.sha256(files["model.safetensors"]).hexdigest()
    assert large.lfs.size == large.size == len(files["model.safetensors"])
    assert (small.lfs, small.blob_id) == (None, commit.files["config.json"].oid)


def test_trees_come_in_pages(hub, api):
    hub.add("org/tiny", {"a/b/c.txt": "c", "a/d.txt": "d", "e.txt": "e"})
    assert [item.path for item in api.list_repo_tree("org/tiny", recursive=True)] == [
        *("a", "a/b", "a/b/c.txt", "a/d.txt", "e.txt")
    ]
    assert [item.path for item in api.list_repo_tree("org/tiny", "a")] == ["a/b", "a/d.txt"]
    assert len(hub.ledger.requests("*/tree/*")) == 4


def test_models_are_listed_by_words_filters_and_order(hub, api):
    for number in range(5):
        hub.add(f"org/tiny-{number}", {"x": "x"}, downloads=number, tags=["odd"] if number % 2 else [])
    hub.add("other/thing", {"x": "x"}, private=True)
    assert [found.id for found in api.list_models(search="tiny", sort="downloads", limit=3)] == [
        *("org/tiny-4", "org/tiny-3", "org/tiny-2")
    ]
    assert {found.id for found in api.list_models(filter="odd")} == {"org/tiny-1", "org/tiny-3"}
    assert [found.id for found in api.list_models(author="other")] == []
    assert [found.id for found in HfApi(endpoint=hub.url, token=MEMBER).list_models(author="other")] == ["other/thing"]
    (found,) = api.list_models(search="tiny-4", expand=["downloads", "gated"])
    assert (found.downloads, found.gated, found.tags) == (4, False, None)


def test_branches_and_commits_are_revisions(hub, api):
    first = hub.add("org/tiny", {"a.txt": "1"})
    hub.add("org/tiny", {"a.txt": "2"})
    branch = hub.add("org/tiny", {"a.txt": "3"}, revision="x/y")
    assert {one.name: one.target_commit for one in api.list_repo_refs("org/tiny").branches}["x/y"] == branch.sha
    assert api.model_info("org/tiny", revision="x/y").sha == branch.sha
    assert api.model_info("org/tiny", revision=first.sha).sha == first.sha


@pytest.mark.parametrize("name", ["tiny-Q8_0.gguf", "README.md"])
def test_files_are_downloaded_over_a_line_that_is_cut(hub, tmp_path, name):
    commit = hub.add("org/tiny", samples.gguf_files(), private=True)
    hub.fault(f"org/tiny/{name}", cut_after=3)
    path = hf_hub_download("org/tiny", name, endpoint=hub.url, cache_dir=tmp_path, token=MEMBER)
    assert path == str(tmp_path / "models--org--tiny" / "snapshots" / commit.sha / name)
    assert Path(path).read_bytes() == commit.files[name].read()
    assert {seen.token for seen in hub.ledger.requests(origin="cdn")} <= {None}


def test_a_whole_repository_is_downloaded(hub, tmp_path):
    hub.add("org/tiny", samples.safetensors_files(2))
    snapshot_download("org/tiny", endpoint=hub.url, cache_dir=tmp_path, token=False)
    assert len(list((tmp_path / "models--org--tiny" / "blobs").iterdir())) == len(samples.safetensors_files(2))


def test_errors_are_the_librarys_own(hub, api, tmp_path):
    hub.add("org/tiny", {"a.txt": "a"})
    hub.add("org/gated", {"a.txt": "a"}, gated="manual")

    def get(repository, name, token=False):
        return hf_hub_download(repository, name, endpoint=hub.url, cache_dir=tmp_path, token=token)

    with pytest.raises(RepositoryNotFoundError):
        api.model_info("org/nothing")
    with pytest.raises(RevisionNotFoundError):
        api.model_info("org/tiny", revision="nothing")
    with pytest.raises(RemoteEntryNotFoundError):
        get("org/tiny", "nothing.txt")
    for token in (False, STRANGER):
        with pytest.raises(GatedRepoError):
            get("org/gated", "a.txt", token)
