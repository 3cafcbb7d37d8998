"""Models of other programs' stores are found by name and used where they are."""

import json
import os
import shutil

import pytest
from rbee.contract.errors import ModelFileError, ModelNotFoundError
from rbee.testing.conformance import ModelVendorContract
from rbee_local import LocalVendor
from rbee_local.places import hub_caches, lm_studio_folders, ollama_stores

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def ids(variants):
    return [variant.model_id for variant in variants]


def resolve(ref):
    return LocalVendor().resolve(ref)


class TestTheHubsCache(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return LocalVendor()

    @pytest.fixture
    def root(self, home):
        return home / ".cache/huggingface/hub"

    @pytest.fixture
    def good_ref(self, root, cached, gguf):
        cached(root, "org/repo", {"m-Q4_K_M.gguf": gguf(), "m-Q8_0.gguf": gguf(context=5), "README.md": b"#"})
        return "local:org/repo:Q4_K_M"

    @pytest.fixture
    def bad_ref(self):
        return "local:org/nothing"

    def test_known_models_are_listed(self, vendor, good_ref):
        assert ids(vendor.known()) == ["local:org/repo:Q4_K_M", "local:org/repo:Q8_0"]


class TestLmStudio(TestTheHubsCache):
    @pytest.fixture
    def good_ref(self, home, gguf):
        folder = home / ".lmstudio/models/org/repo"
        folder.mkdir(parents=True)
        for word in ("Q4_K_M", "Q8_0"):
            (folder / f"m-{word}.gguf").write_bytes(gguf())
        return "local:org/repo:Q4_K_M"


class TestOllama(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return LocalVendor()

    @pytest.fixture
    def good_ref(self, home, pulled, gguf):
        pulled(home / ".ollama/models", "library/phi", "latest", gguf(file_type=15))
        return "ollama:phi"

    @pytest.fixture
    def bad_ref(self):
        return "ollama:nothing"

    def test_known_models_are_listed(self, vendor, good_ref):
        assert ids(vendor.known()) == ["ollama:phi:latest"]


@pytest.mark.parametrize(
    "ref",
    [
        "local:org/repo",
        "local:org/repo:q4_k_m",
        "local:org/repo::a/b c.gguf",
        "local:gpt2",
        "ollama:phi",
        "ollama:phi:3.8b-mini",
        "ollama:me/phi:x",
        "ollama:hub.example/me/phi:Q4_0",
    ],
)
def test_names_of_stores_are_supported(ref):
    assert LocalVendor().supports(ref)


@pytest.mark.parametrize(
    "ref",
    [
        "local:",
        "local:/a",
        "local:a/b/c",
        "local:org/repo:word",
        "local:org/repo::",
        "local:../x",
        "local:org/repo::a\nb",
        "ollama:",
        "ollama:a:b:c",
        "ollama:../../x",
        "ollama:phi:../x",
        "ollama:a/b/c/d",
        "Ollama",
        "local:org//repo",
    ],
)
def test_what_is_no_name_of_a_store_is_not_supported(ref):
    assert not LocalVendor().supports(ref)


def test_supports_looks_at_no_disk_and_no_environment(monkeypatch):
    def touched(*_args, **_kwargs):
        raise AssertionError("supports touched the machine")

    for name in ("stat", "scandir", "walk", "getenv"):
        monkeypatch.setattr(os, name, touched)
    assert LocalVendor().supports("local:org/repo")
    assert LocalVendor().supports("ollama:phi")


def test_the_places_follow_the_variables_of_their_programs(home, monkeypatch, tmp_path):
    assert hub_caches() == (home / ".cache/huggingface/hub",)
    assert lm_studio_folders() == (home / ".lmstudio/models", home / ".cache/lm-studio/models")
    assert ollama_stores()[0] == home / ".ollama/models"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert hub_caches() == (tmp_path / "xdg/huggingface/hub",)
    monkeypatch.setenv("HF_HOME", "~/hf")
    assert hub_caches() == (home / "hf/hub",)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("LMSTUDIO_MODELS", str(tmp_path / "lm"))
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ol"))
    assert (hub_caches(), lm_studio_folders(), ollama_stores()) == (
        (tmp_path / "hub",),
        (tmp_path / "lm",),
        (tmp_path / "ol",),
    )


@pytest.fixture
def hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


def test_a_cached_model_tells_its_commit_checksum_and_place(hub, cached, gguf):
    snapshot = cached(hub, "org/repo", {"m-Q4_K_M.gguf": gguf(context=77)})
    (variant,) = resolve("local:org/repo")
    assert (variant.model_id, variant.name, variant.revision) == (
        "local:org/repo:Q4_K_M",
        "local:org/repo:Q4_K_M",
        COMMIT,
    )
    assert variant.in_place == str(snapshot / "m-Q4_K_M.gguf")
    assert (variant.files[0].sha256, variant.files[0].size_bytes) == (f"{10:064x}", len(gguf()))
    assert (variant.quantization, variant.context_length, variant.figures.architecture) == ("Q4_K_M", 77, "llama")


def test_the_commit_of_the_main_branch_counts(hub, cached, gguf):
    cached(hub, "org/repo", {"old-Q4_0.gguf": gguf()}, commit="a" * 40, branch="v1")
    cached(hub, "org/repo", {"new-Q5_0.gguf": gguf()}, commit="b" * 40)
    assert ids(resolve("local:org/repo")) == ["local:org/repo:Q5_0"]


def test_without_a_main_branch_the_only_commit_counts(hub, cached, gguf):
    cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()}, branch="")
    assert ids(resolve("local:org/repo")) == ["local:org/repo:Q4_0"]
    cached(hub, "org/repo", {"m-Q5_0.gguf": gguf()}, commit="b" * 40, branch="")
    with pytest.raises(ModelNotFoundError):
        resolve("local:org/repo")


def test_a_cached_safetensors_folder_is_one_model(hub, cached, hf_folder):
    files = {path.name: path.read_bytes() for path in hf_folder.iterdir()}
    snapshot = cached(hub, "org/repo", files)
    (variant,) = resolve("local:org/repo")
    assert (variant.model_id, variant.format, variant.in_place) == ("local:org/repo", "safetensors", str(snapshot))
    assert (variant.quantization, variant.context_length) == ("F16", 2048)
    assert ids(resolve("local:org/repo:F16")) == ["local:org/repo"]


def test_a_repository_without_an_organisation_is_found(hub, cached, gguf):
    cached(hub, "gpt2", {"m-F16.gguf": gguf()})
    assert ids(LocalVendor().known()) == ids(resolve("local:gpt2")) == ["local:gpt2:F16"]


def test_files_in_inner_folders_and_in_parts_are_models(hub, cached, gguf):
    files = {f"Q6_K/m-Q6_K-{number:05d}-of-00002.gguf": gguf() for number in (1, 2)}
    cached(hub, "org/repo", {**files, "mmproj-m.gguf": gguf(), "plain.gguf": gguf(file_type=1)})
    assert ids(resolve("local:org/repo")) == ["local:org/repo:Q6_K", "local:org/repo::plain.gguf"]
    assert len(resolve("local:org/repo:q6_k")[0].files) == 2
    assert resolve("local:org/repo::plain.gguf")[0].quantization == "F16"
    assert ids(resolve("local:org/repo::Q6_K/m-Q6_K-00001-of-00002.gguf")) == ["local:org/repo:Q6_K"]


def test_two_files_of_one_quantisation_are_told_apart_by_their_names(hub, cached, gguf):
    cached(hub, "org/repo", {"a-Q4_0.gguf": gguf(), "b-Q4_0.gguf": gguf()})
    assert ids(resolve("local:org/repo:Q4_0")) == ["local:org/repo::a-Q4_0.gguf", "local:org/repo::b-Q4_0.gguf"]
    assert ids(resolve("local:org/repo::b-Q4_0.gguf")) == ["local:org/repo::b-Q4_0.gguf"]


def test_what_is_damaged_cut_or_no_model_is_left_out(hub, cached, gguf):
    cached(hub, "org/good", {"m-Q4_0.gguf": gguf()})
    cached(hub, "org/page", {"m-Q4_0.gguf": b"<html>"})
    cached(hub, "org/parts", {"m-Q4_0-00001-of-00002.gguf": gguf()})
    cached(hub, "org/pickle", {"config.json": b"{}", "pytorch_model.bin": b"\x80\4."})
    cached(hub, "org/broken", {"config.json": b"{", "model.safetensors": b"x"})
    gone = cached(hub, "org/gone", {"m-Q4_0.gguf": gguf()})
    (gone / "m-Q4_0.gguf").resolve().unlink()
    (hub / "models--org--file").write_text("")
    (hub / "models--").mkdir()
    (hub / "datasets--org--set").mkdir()
    os.mkfifo(cached(hub, "org/pipe", {"x-Q4_1.gguf": gguf()}) / "m-Q4_0.gguf")
    assert ids(LocalVendor().known()) == ["local:org/good:Q4_0", "local:org/pipe:Q4_1"]


def test_a_link_that_leads_out_of_its_store_is_left_out(hub, cached, gguf, tmp_path, monkeypatch):
    (tmp_path / "outside.gguf").write_bytes(gguf())
    snapshot = cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()})
    (snapshot / "m-Q8_0.gguf").symlink_to(tmp_path / "outside.gguf")
    assert ids(resolve("local:org/repo")) == ["local:org/repo:Q4_0"]
    monkeypatch.setenv("LMSTUDIO_MODELS", str(tmp_path / "lm"))
    (tmp_path / "lm/me/mine").mkdir(parents=True)
    (tmp_path / "lm/me/mine/x-Q4_0.gguf").symlink_to(tmp_path / "outside.gguf")
    assert ids(LocalVendor().known()) == ["local:org/repo:Q4_0"]


def test_a_reference_that_is_no_commit_leads_nowhere(hub, cached, gguf):
    cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()})
    (hub / "models--org--repo/refs/main").write_text("../../../../etc")
    assert not LocalVendor().known()


def test_the_hubs_copy_goes_before_lm_studios_of_the_same_name(hub, cached, gguf, tmp_path, monkeypatch):
    monkeypatch.setenv("LMSTUDIO_MODELS", str(tmp_path / "lm"))
    cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()})
    (tmp_path / "lm/org/repo").mkdir(parents=True)
    for word in ("Q4_0", "Q8_0"):
        (tmp_path / f"lm/org/repo/m-{word}.gguf").write_bytes(gguf())
    variants = resolve("local:org/repo")
    assert ids(variants) == ["local:org/repo:Q4_0", "local:org/repo:Q8_0"] == ids(LocalVendor().known())
    assert [str(hub) in variant.in_place for variant in variants] == [True, False]


def test_an_unknown_quantisation_is_answered_with_those_that_are_there(hub, cached, gguf):
    cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()})
    with pytest.raises(ModelNotFoundError, match=r"holds 'local:org/repo:Q8_0'.*There are: local:org/repo:Q4_0"):
        resolve("local:org/repo:Q8_0")


def test_files_of_a_repository_are_bounded(hub, cached, gguf, monkeypatch):
    monkeypatch.setattr("rbee_local.repositories.MOST_FILES", 1)
    cached(hub, "org/repo", {"a-Q4_0.gguf": gguf(), "b-Q8_0.gguf": gguf()})
    assert not LocalVendor().known()


@pytest.fixture
def ollama(monkeypatch, tmp_path):
    monkeypatch.setenv("OLLAMA_MODELS", str(tmp_path / "ollama"))
    return tmp_path / "ollama"


def test_a_pulled_model_is_used_by_its_blob(ollama, pulled, gguf):
    pulled(ollama, "library/phi", "3.8b", gguf(context=9, file_type=15))
    (variant,) = resolve("ollama:phi:3.8b")
    assert (variant.model_id, variant.format, variant.quantization) == ("ollama:phi:3.8b", "gguf", "Q4_K_M")
    assert variant.in_place == str(ollama / "blobs" / f"sha256-{'a' * 64}")
    assert (variant.context_length, variant.files[0].sha256) == (9, "a" * 64)


def test_models_of_other_owners_and_hosts_have_longer_names(ollama, pulled, gguf):
    pulled(ollama, "me/phi", "x", gguf())
    pulled(ollama, "org/repo", "Q4_0", gguf(), host="hub.example")
    assert ids(LocalVendor().known()) == ["ollama:hub.example/org/repo:Q4_0", "ollama:me/phi:x"]
    assert resolve("ollama:registry.ollama.ai/me/phi:x")[0].model_id == "ollama:me/phi:x"


def test_an_unknown_tag_is_answered_with_those_that_are_there(ollama, pulled, gguf):
    pulled(ollama, "library/phi", "mini", gguf())
    with pytest.raises(ModelNotFoundError, match=r"'phi:latest'\. There are: ollama:phi:mini"):
        resolve("ollama:phi")
    with pytest.raises(ModelNotFoundError, match=r"Fetch it: ollama pull other:latest"):
        resolve("ollama:other")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"media": "tensor"}, "names no single GGUF file"),
        ({"digest": "../../etc/passwd"}, "names no single GGUF file"),
        ({"more": [{"mediaType": "application/vnd.ollama.image.adapter", "digest": "sha256:c", "size": 1}]}, "adapter"),
        ({"more": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:c", "size": 1}]}, "no single"),
        ({"more": [5]}, "is no manifest"),
        ({"content": b"<html>"}, "does not begin with the letters GGUF"),
    ],
)
def test_a_model_that_no_engine_opens_is_refused_and_not_listed(ollama, pulled, gguf, changes, reason):
    options = dict(changes)
    content = options.pop("content", gguf())
    if "digest" in options:
        (ollama / "blobs/sha256-../../etc").mkdir(parents=True)
    pulled(ollama, "library/phi", "latest", content, **options)
    with pytest.raises(ModelFileError, match=reason):
        resolve("ollama:phi")
    assert not LocalVendor().known()


def test_a_blob_that_has_gone_is_named(ollama, pulled, gguf):
    pulled(ollama, "library/phi", "latest", gguf())
    shutil.rmtree(ollama / "blobs")
    with pytest.raises(ModelFileError, match="which is not there; pull the model again"):
        resolve("ollama:phi")


@pytest.mark.parametrize(
    "content", [b"", b"[" * 100_000, b"\xff", b" " * (2 << 20), json.dumps({"layers": {}}).encode()]
)
def test_a_broken_manifest_is_refused(ollama, pulled, gguf, content):
    pulled(ollama, "library/phi", "latest", gguf()).write_bytes(content)
    with pytest.raises(ModelFileError, match="is no manifest of Ollama's"):
        resolve("ollama:phi")


def test_a_search_finds_names_that_hold_every_word(hub, cached, ollama, pulled, gguf):
    cached(hub, "org/Qwen3-Small", {"m-Q4_0.gguf": gguf(), "m-Q8_0.gguf": gguf()})
    pulled(ollama, "library/qwen3", "latest", gguf())

    def found(text, limit=9):
        return [hit.name for hit in LocalVendor().search(text, limit)]

    assert found("qwen3") == ["local:org/Qwen3-Small:Q4_0", "local:org/Qwen3-Small:Q8_0", "ollama:qwen3:latest"]
    assert found("q8_0 SMALL") == ["local:org/Qwen3-Small:Q8_0"]
    assert (len(found("", 2)), found("llama")) == (2, [])


def test_nothing_in_a_store_is_changed(hub, cached, ollama, pulled, gguf):
    cached(hub, "org/repo", {"m-Q4_0.gguf": gguf()})
    pulled(ollama, "library/phi", "latest", gguf())

    def seen():
        return sorted(
            (str(p), p.lstat().st_mtime_ns, p.lstat().st_size) for root in (hub, ollama) for p in root.rglob("*")
        )

    before = seen()
    for variant in LocalVendor().known():
        resolve(variant.model_id)
    assert seen() == before


def test_many_models_are_listed_quickly_a_second_time(hub, cached, gguf):
    for number in range(200):
        cached(hub, f"org/repo{number}", {"m-Q4_0.gguf": gguf()})
    vendor = LocalVendor()
    assert len(vendor.known()) == 200
    assert vendor.known() == vendor.known()
