"""The local vendor keeps the vendors' promises and refuses what is no model."""

import json
import os
import pickle
import struct
import zipfile
from pathlib import Path

import pytest
from rbee.contract.errors import ModelFileError, ModelNotFoundError, RbeeError
from rbee.testing.cancel import Cancel
from rbee.testing.conformance import ModelVendorContract
from rbee_local import LocalVendor, plugin


class TestAFile(ModelVendorContract):
    @pytest.fixture
    def vendor(self):
        return LocalVendor()

    @pytest.fixture
    def good_ref(self, tmp_path, gguf):
        (tmp_path / "tiny-q8_0.gguf").write_bytes(gguf())
        return str(tmp_path / "tiny-q8_0.gguf")

    @pytest.fixture
    def bad_ref(self, tmp_path):
        return f"file:{tmp_path}/nothing.gguf"


class TestAFolder(TestAFile):
    @pytest.fixture
    def good_ref(self, hf_folder):
        return f"file:{hf_folder}"


def resolve(ref):
    (variant,) = LocalVendor().resolve(str(ref))
    return variant


@pytest.mark.parametrize(
    "ref",
    ["file:/a", "file:a", "file:///a", "/a/b", "./a", "../a", "~/a", "~", "a.gguf", "a/b/c.GGUF", ".", ".."],
)
def test_paths_are_supported(ref):
    assert LocalVendor().supports(ref)


@pytest.mark.parametrize(
    "ref",
    [
        "org/repo",
        "demo",
        "hf:org/repo/a.gguf",
        "https://x/a.gguf",
        "a.bin",
        "a.gguf:Q8_0",
        "org/repo:Q8_0",
        "local",
        "ollama",
    ],
)
def test_names_of_other_vendors_are_left_to_them(ref):
    assert not LocalVendor().supports(ref)


def test_a_name_that_is_no_path_is_answered_with_how_to_write_one():
    with pytest.raises(ModelNotFoundError, match=r"'\./org/repo'"):
        LocalVendor().resolve("org/repo")


def test_every_spelling_of_a_file_has_one_canonical_name(tmp_path, gguf, monkeypatch):
    folder = tmp_path / "with space"
    folder.mkdir()
    (folder / "m.gguf").write_bytes(gguf())
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder))
    spellings = [
        str(folder / "m.gguf"),
        f"file:{folder}/m.gguf",
        f"file://{folder}/m.gguf".replace(" ", "%20"),
        f"file://localhost{folder}/m.gguf".replace(" ", "%20"),
        "file:m.gguf",
        "m.gguf",
        "./m.gguf",
        "../with space/m.gguf",
        "~/m.gguf",
        "file:~/m.gguf",
        str(tmp_path / "link" / "m.gguf"),
        str(folder),
        ".",
    ]
    assert {resolve(ref).model_id for ref in spellings} == {f"file:{folder.resolve()}/m.gguf"}


def test_a_file_address_of_another_machine_is_not_found():
    with pytest.raises(ModelNotFoundError, match="another machine, 'server'"):
        LocalVendor().resolve("file://server/m.gguf")


def test_the_head_of_a_gguf_file_tells_context_and_quantisation(tmp_path, gguf):
    (tmp_path / "m.gguf").write_bytes(gguf(context=777, file_type=15))
    variant = resolve(tmp_path / "m.gguf")
    assert (variant.context_length, variant.quantization) == (777, "Q4_K_M")
    assert variant.size_bytes == (tmp_path / "m.gguf").stat().st_size
    assert variant.in_place == str(tmp_path / "m.gguf")


@pytest.mark.parametrize(
    ("name", "quantization"),
    [
        ("Llama-3-8B-Instruct.Q4_K_M", "Q4_K_M"),
        ("tiny-q8_0", "Q8_0"),
        ("x-IQ2_XXS", "IQ2_XXS"),
        ("x-bf16", "BF16"),
        ("x-fp16", "F16"),
        ("qwen3-4b", "Q8_0"),
    ],
)
def test_the_name_of_a_file_tells_its_quantisation_before_the_head_does(tmp_path, gguf, name, quantization):
    (tmp_path / f"{name}.gguf").write_bytes(gguf(file_type=7))
    assert resolve(tmp_path / f"{name}.gguf").quantization == quantization


def test_a_link_of_a_download_cache_keeps_its_telling_name(tmp_path, gguf):
    (tmp_path / "0123abcd").write_bytes(gguf())
    (tmp_path / "snapshot").mkdir()
    (tmp_path / "snapshot" / "m-Q5_0.gguf").symlink_to(tmp_path / "0123abcd")
    variant = resolve(tmp_path / "snapshot" / "m-Q5_0.gguf")
    assert variant.quantization == "Q5_0"
    assert variant.size_bytes == len(gguf())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "ends within its head"),
        (b"<html>not found</html>", "does not begin with the letters GGUF"),
        (b"GGUF\x03\0\0\0", "ends within its head, after 8 bytes"),
        (struct.pack("<4sIQQ", b"GGUF", 77, 1, 1), "of GGUF version 77"),
        (struct.pack("<4sIQQ", b"GGUF", 3, 1, 1 << 60), "claims 1152921504606846976 keys"),
        (struct.pack("<4sIQQQ", b"GGUF", 3, 1, 1, 1 << 62), "has a key of 4611686018427387904 bytes"),
        (struct.pack("<4sIQQQ", b"GGUF", 3, 1, 1, 50) + b"short", "ends within its head"),
    ],
)
def test_a_damaged_file_is_refused_by_name_and_reason(tmp_path, content, reason):
    (tmp_path / "m.gguf").write_bytes(content)
    with pytest.raises(ModelFileError, match=reason) as caught:
        resolve(tmp_path / "m.gguf")
    assert "m.gguf" in caught.value.message
    assert "fetch it again" in caught.value.message or "update rbee" in caught.value.message


def test_a_gguf_file_cut_in_its_tensors_is_refused(tmp_path, gguf):
    (tmp_path / "m.gguf").write_bytes(gguf()[:-1])
    with pytest.raises(ModelFileError, match=r"m\.gguf' is truncated: \d+ bytes, needs \d+"):
        resolve(tmp_path / "m.gguf")


def test_figures_of_the_head_are_told_but_for_the_template(tmp_path, gguf):
    (tmp_path / "m.gguf").write_bytes(gguf())
    figures = resolve(tmp_path / "m.gguf").figures
    assert (figures.architecture, figures.parameters, figures.weights_bytes) == ("llama", 8, 32)
    assert figures.chat_template is None


def test_a_file_that_changes_is_read_anew(tmp_path, gguf):
    vendor = LocalVendor()
    for context in (111, 22222):
        (tmp_path / "m.gguf").write_bytes(gguf(context=context))
        os.utime(tmp_path / "m.gguf", ns=(context, context))
        assert vendor.resolve(str(tmp_path / "m.gguf"))[0].context_length == context


def test_a_gguf_file_cut_within_its_keys_is_refused(tmp_path, gguf):
    (tmp_path / "m.gguf").write_bytes(gguf()[:60])
    with pytest.raises(ModelFileError, match="ends within its head"):
        resolve(tmp_path / "m.gguf")


@pytest.mark.parametrize("name", ["m.bin", "m.pt", "m.pth", "m.ckpt", "m.gguf"])
def test_pickles_are_refused_under_any_name(tmp_path, name):
    (tmp_path / name).write_bytes(pickle.dumps({"w": 1}, protocol=2))
    with pytest.raises(ModelFileError, match="is a Python pickle"):
        resolve(tmp_path / name)


def test_a_zipped_pickle_is_refused_under_any_name(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.gguf", "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({}))
    with pytest.raises(ModelFileError, match="is a Python pickle"):
        resolve(tmp_path / "m.gguf")


def test_a_folder_of_pickles_is_refused_as_such(tmp_path):
    (tmp_path / "pytorch_model.bin").write_bytes(pickle.dumps({}))
    with pytest.raises(ModelFileError, match=r"'.*pytorch_model\.bin' is a Python pickle"):
        resolve(tmp_path)


def test_a_split_model_needs_all_its_parts(tmp_path, gguf):
    for number in (1, 2, 3):
        (tmp_path / f"big-Q4_0-{number:05d}-of-00003.gguf").write_bytes(gguf())
    variant = resolve(tmp_path / "big-Q4_0-00002-of-00003.gguf")
    assert variant == resolve(tmp_path)
    assert [file.name[-18:] for file in variant.files] == [f"{n:05d}-of-00003.gguf"[-18:] for n in (1, 2, 3)]
    assert variant.in_place.endswith("big-Q4_0-00001-of-00003.gguf")
    assert variant.quantization == "Q4_0"
    (tmp_path / "big-Q4_0-00003-of-00003.gguf").unlink()
    with pytest.raises(ModelFileError, match=r"'big-Q4_0-00003-of-00003\.gguf' is missing"):
        resolve(tmp_path)


def test_a_part_number_beyond_its_count_is_refused(tmp_path, gguf):
    (tmp_path / "a-00004-of-00003.gguf").write_bytes(gguf())
    with pytest.raises(ModelFileError, match="part 00004 of 00003"):
        resolve(tmp_path / "a-00004-of-00003.gguf")


def test_a_folder_with_several_models_names_them(tmp_path, gguf):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(gguf())
    with pytest.raises(ModelFileError, match=r"2 models: 'a\.gguf', 'b\.gguf'"):
        resolve(tmp_path)


def test_an_image_projector_is_no_second_model(tmp_path, gguf):
    for name in ("a.gguf", "mmproj-a.gguf"):
        (tmp_path / name).write_bytes(gguf())
    assert resolve(tmp_path).in_place == str(tmp_path / "a.gguf")


def test_an_empty_folder_says_which_formats_work(tmp_path):
    with pytest.raises(ModelFileError, match=r"holds no model\. Formats that work"):
        resolve(tmp_path)


def test_a_safetensors_folder_is_used_in_place(hf_folder):
    variant = resolve(hf_folder)
    assert (variant.format, variant.in_place, variant.context_length) == ("safetensors", str(hf_folder), 2048)
    assert [file.name for file in variant.files] == ["model.safetensors"]


def test_a_truncated_safetensors_file_is_refused_by_name(hf_folder):
    (hf_folder / "model.safetensors").write_bytes(struct.pack("<Q", 5000) + b"{")
    with pytest.raises(ModelFileError, match=r"model\.safetensors' cannot be used: it is truncated"):
        resolve(hf_folder)


def test_a_missing_shard_of_a_safetensors_model_is_named(hf_folder):
    (hf_folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-2.safetensors"}}')
    with pytest.raises(ModelFileError, match=r"lacks 'model-2\.safetensors'"):
        resolve(hf_folder)


def test_a_broken_configuration_is_refused_by_name(hf_folder):
    (hf_folder / "config.json").write_text("{")
    with pytest.raises(ModelFileError, match=r"config\.json' cannot be used"):
        resolve(hf_folder)


def test_weights_alone_are_answered_with_their_folder(hf_folder):
    with pytest.raises(ModelFileError, match="name its folder"):
        resolve(hf_folder / "model.safetensors")


def test_a_pipe_is_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError, match="neither a file nor a folder"):
        resolve(tmp_path / "pipe.gguf")


def test_links_in_a_circle_are_not_found(tmp_path):
    (tmp_path / "a.gguf").symlink_to(tmp_path / "b.gguf")
    (tmp_path / "b.gguf").symlink_to(tmp_path / "a.gguf")
    with pytest.raises(ModelNotFoundError, match=r"a\.gguf"):
        resolve(tmp_path / "a.gguf")


def test_supports_does_not_look_at_the_disk(monkeypatch):
    def touched(*_args, **_kwargs):
        raise AssertionError("supports touched the disk")

    for method in ("stat", "exists", "resolve", "open", "expanduser"):
        monkeypatch.setattr(Path, method, touched)
    assert LocalVendor().supports("~/a.gguf")


def test_fetching_is_refused_since_models_stay_in_place(tmp_path, gguf):
    (tmp_path / "m.gguf").write_bytes(gguf())
    with pytest.raises(RbeeError, match="used where it is"):
        LocalVendor().fetch(resolve(tmp_path), tmp_path, lambda _done, _total: None, Cancel())


def test_the_plugin_registers_the_vendor():
    class Seen:
        classes = ()

        def model_vendor(self, cls, *, replace=False):
            self.classes = (*self.classes, cls)

    seen = Seen()
    plugin.rbee_register(seen)
    assert seen.classes == (LocalVendor,)


@pytest.mark.parametrize(
    ("pooling", "made_for"),
    [
        (None, {"chat", "completions", "tools"}),
        (0, {"chat", "completions", "tools"}),
        (1, {"embeddings"}),
        (3, {"embeddings"}),
        (4, {"rerank"}),
    ],
)
def test_a_file_that_says_how_vectors_become_one_is_made_for_embeddings_or_ranking(tmp_path, gguf, pooling, made_for):
    path = tmp_path / "model.gguf"
    path.write_bytes(gguf(pooling=pooling))
    (variant,) = LocalVendor().resolve(str(path))
    assert variant.capabilities == made_for


@pytest.mark.parametrize("kind", ["exl2", "exl3"])
def test_a_folder_quantised_to_mixed_bits_has_its_own_format(hf_folder, kind):
    told = {"architectures": ["X"], "quantization_config": {"quant_method": kind, "bits": 4.25}}
    (hf_folder / "config.json").write_text(json.dumps(told))
    assert (resolve(hf_folder).format, resolve(hf_folder).quantization) == (kind, "4.25BPW")
