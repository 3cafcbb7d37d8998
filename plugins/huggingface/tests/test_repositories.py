"""What is made of a repository's files."""

import hashlib
import json

import pytest
from rbee.contract import Capability
from rbee.contract.errors import ModelFileError, ModelNotFoundError
from rbee.testing.hub import samples

DEEP = '{"x": ' + "[" * 200_000 + "]" * 200_000 + "}"
"""JSON that is whole and that nobody can read."""


def names(variant):
    return [file.name for file in variant.files]


def test_of_a_gguf_repository_each_quantisation_is_a_variant_the_best_first(vendor, hub):
    words = ("F32", "F16", "Q2_K", "Q8_0", "IQ4_XS", "Q6_K", "Q4_0", "Q3_K_M", "BF16", "Q5_K_M", "Q4_K_S", "Q4_K_M")
    files = samples.gguf_files(quantizations=words)
    files |= {"mmproj-tiny-F16.gguf": b"GGUF", "tiny.imatrix.gguf": b"GGUF", "imatrix.dat": b"x"}
    commit = hub.add("org/tiny-GGUF", files, tags=["gguf"], gguf={"context_length": 4096, "architecture": "llama"})
    found = vendor.resolve("org/tiny-GGUF")
    assert [one.quantization for one in found] == [
        *("Q4_K_M", "Q4_K_S", "Q5_K_M", "Q4_0", "Q6_K", "Q8_0", "IQ4_XS", "Q3_K_M", "Q2_K", "F16", "BF16", "F32")
    ]
    best = found[0]
    assert (best.model_id, best.name) == ("hf:org/tiny-GGUF:Q4_K_M", "org/tiny-GGUF:Q4_K_M")
    assert (best.format, best.vendor, best.revision) == ("gguf", "huggingface", commit.sha)
    assert (best.context_length, best.figures) == (4096, None)
    (file,) = best.files
    data = files["tiny-Q4_K_M.gguf"]
    assert (file.name, file.size_bytes) == ("tiny-Q4_K_M.gguf", len(data))
    assert file.sha256 == hashlib.sha256(data).hexdigest()
    assert file.git_oid is None, "git has a pointer of it only"


def test_a_quantisation_that_is_asked_for_is_the_only_one(vendor, hub):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    for ref in ("org/tiny-GGUF:q8_0", "org/tiny-GGUF@Q8_0", "hf.co/org/tiny-GGUF:Q8_0", "org/tiny-GGUF:tiny-Q8_0.gguf"):
        assert [one.model_id for one in vendor.resolve(ref)] == ["hf:org/tiny-GGUF:Q8_0"]


def test_what_is_not_there_is_answered_with_what_is(vendor, hub):
    hub.add("org/tiny-GGUF", samples.gguf_files())
    with pytest.raises(ModelNotFoundError, match=r"has no Q2_K\. It has Q4_K_M, Q8_0, F16\."):
        vendor.resolve("org/tiny-GGUF:Q2_K")
    with pytest.raises(ModelNotFoundError, match=r"no file 'a\.gguf'\. It has tiny-Q4_K_M\.gguf, tiny-Q8_0\.gguf"):
        vendor.resolve("org/tiny-GGUF:a.gguf")


def test_all_parts_of_a_split_model_are_one_variant(vendor, hub):
    parts = samples.split_gguf_files(folder="Q4_K_M")
    hub.add("org/split", {**parts, **samples.gguf_files(quantizations=("Q8_0",))})
    found = vendor.resolve("org/split")
    assert [one.model_id for one in found] == ["hf:org/split:Q4_K_M", "hf:org/split:Q8_0"]
    assert names(found[0]) == [f"Q4_K_M/tiny-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert found[0].size_bytes == sum(map(len, parts.values()))
    assert vendor.resolve("org/split::Q4_K_M/tiny-Q4_K_M-00002-of-00003.gguf")[0] == found[0]
    assert vendor.resolve("org/split:tiny-Q4_K_M-00003-of-00003.gguf")[0] == found[0]


def test_a_split_model_that_lacks_a_part_is_none(vendor, hub):
    hub.add("org/split", {**samples.split_gguf_files(), "tiny-Q4_K_M-00002-of-00003.gguf": None})
    with pytest.raises(ModelFileError, match=r"lacks 'tiny-Q4_K_M-00002-of-00003\.gguf'"):
        vendor.resolve("org/split")
    with pytest.raises(ModelFileError, match="lacks its part 'tiny-Q4_K_M-00002-of-00003"):
        vendor.resolve("org/split:tiny-Q4_K_M-00001-of-00003.gguf")


def test_files_that_share_a_quantisation_are_named_by_their_files(vendor, hub):
    hub.add("org/two", {**samples.gguf_files("a_i1", ("Q8_0",)), **samples.gguf_files("a", ("Q8_0", "Q4_0"))})
    assert [one.model_id for one in vendor.resolve("org/two")] == [
        "hf:org/two:Q4_0",
        "hf:org/two::a-Q8_0.gguf",
        "hf:org/two::a_i1-Q8_0.gguf",
    ]
    with pytest.raises(ModelNotFoundError, match=r"2 models of Q8_0; name the file.*'hf:org/two::a_i1-Q8_0\.gguf'"):
        vendor.resolve("org/two:Q8_0")


@pytest.mark.parametrize(
    ("repository", "own", "beside"),
    [
        ("org/Tiny-70B-GGUF", ("Tiny-70B-Q4_0.gguf", "Tiny-70B-F16.gguf"), "Tiny-0.5B-Q8_0.gguf"),
        ("org/Tiny-0.5B-GGUF", ("tiny-0.5b-q4_0.gguf", "tiny-0.5b.gguf"), "tiny-70b-q8_0.gguf"),
        ("org/Tiny-32B-GGUF", ("Tiny-32B.Q4_K_M.gguf", "Tiny-32B.Q2_K.gguf"), "Tiny-32B-draft-0.6B.Q8_0.gguf"),
        ("org/Tiny-GGUF", ("Tiny-UD-Q4_K_XL.gguf", "IQ2_M/Tiny-i1-IQ2_M.gguf"), "Tiny-128K-Q8_0.gguf"),
        ("org/models", ("large-Q4_0.gguf", "large-Q2_K.gguf"), "small-Q8_0.gguf"),
        ("org/sizes", ("7b/model-Q4_0.gguf", "7b/model-Q2_K.gguf"), "70b/model-Q8_0.gguf"),
    ],
)
def test_a_repository_means_its_own_model_and_what_is_beside_it_is_named_by_its_file(
    vendor, hub, repository, own, beside
):
    content = samples.gguf_files()["tiny-Q8_0.gguf"]
    hub.add(repository, dict.fromkeys((*own, beside), content), gguf={"context_length": 4096})
    found = vendor.resolve(repository)
    assert [one.files[0].name for one in found] == list(own)
    assert {one.context_length for one in found} == {None}, "the hub may have looked into the other one"
    with pytest.raises(ModelNotFoundError, match=f"has another model of Q8_0; name the file that you mean: .*{beside}"):
        vendor.resolve(f"{repository}:Q8_0")
    (other,) = vendor.resolve(f"{repository}::{beside}")
    assert (other.files[0].name, other.model_id) == (beside, f"hf:{repository}::{beside}")


def test_parts_in_a_folder_called_as_the_model_are_of_the_same_model(vendor, hub):
    parts = samples.split_gguf_files(folder="tiny-Q4_K_M")
    hub.add("org/tiny-GGUF", {**parts, **samples.gguf_files(quantizations=("Q8_0",))})
    assert [one.quantization for one in vendor.resolve("org/tiny-GGUF")] == ["Q4_K_M", "Q8_0"]


def test_a_file_without_a_quantisation_is_named_by_itself(vendor, hub):
    hub.add("org/plain", {"model.gguf": samples.gguf_files()["tiny-Q8_0.gguf"]})
    (variant,) = vendor.resolve("org/plain")
    assert (variant.model_id, variant.name, variant.quantization) == (
        "hf:org/plain::model.gguf",
        "org/plain:model.gguf",
        None,
    )


def test_a_projector_is_no_model(vendor, hub):
    hub.add("org/eyes", {**samples.gguf_files(), "mmproj-F16.gguf": b"GGUF"})
    with pytest.raises(ModelFileError, match="no model by itself"):
        vendor.resolve("org/eyes:mmproj-F16.gguf")


def test_of_a_safetensors_repository_what_an_engine_reads_is_taken_and_no_code(vendor, hub):
    files = samples.safetensors_files(2)
    extra = {
        "modeling_tiny.py": "import os",
        "pytorch_model.bin": b"\x80\x02.",
        "onnx/model.onnx": b"onnx",
        "model-of-old.safetensors": samples.safetensors_bytes({"x": ("F16", (1,))}),
        "adapter_model.safetensors": b"x",
        "tokenizer.model": b"sp",
        "chat_template.jinja": "{{ x }}",
        "tokenizer_x.py": "import os",
        "original/consolidated.00.pth": b"x",
    }
    commit = hub.add("org/tiny", {**files, **extra}, tags=["safetensors"])
    (variant,) = vendor.resolve("org/tiny")
    assert (variant.model_id, variant.name, variant.format) == ("hf:org/tiny", "org/tiny", "safetensors")
    assert variant.revision == commit.sha
    assert names(variant)[:2] == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    assert set(names(variant)[2:]) == {
        "chat_template.jinja",
        "config.json",
        "generation_config.json",
        "model.safetensors.index.json",
        "special_tokens_map.json",
        "tokenizer.json",
        "tokenizer.model",
        "tokenizer_config.json",
    }
    by_name = {file.name: file for file in variant.files}
    config = files["config.json"].encode()
    assert by_name["config.json"].sha256 is None
    assert by_name["config.json"].git_oid == hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    assert by_name["tokenizer.model"].sha256 == hashlib.sha256(b"sp").hexdigest()


def test_figures_come_from_the_configuration(vendor, hub):
    hub.add("org/tiny", samples.safetensors_files(head_dim=16))
    (variant,) = vendor.resolve("org/tiny")
    assert (variant.quantization, variant.context_length) == ("F16", 2048)
    figures = variant.figures
    assert (figures.architecture, figures.layers, figures.embedding_length) == ("llama", 2, 64)
    assert (figures.heads, figures.kv_heads, figures.key_length, figures.vocabulary) == (4, 2, 16, 256)
    assert len(hub.ledger.requests("org/tiny/config.json", method="GET")) == 2, "and one redirect"


def test_a_configuration_that_is_too_large_or_no_json_leaves_figures_unknown(vendor, hub):
    for content in (" " * (5 << 20), "nonsense", DEEP):
        hub.add("org/tiny", {**samples.safetensors_files(), "config.json": content})
        (variant,) = vendor.resolve("org/tiny")
        assert (variant.figures, variant.context_length, variant.format) == (None, None, "safetensors")


def test_an_index_that_names_what_is_not_there_is_no_model(vendor, hub):
    hub.add("org/tiny", {**samples.safetensors_files(3), "model-00002-of-00003.safetensors": None})
    with pytest.raises(ModelFileError, match=r"'model-00002-of-00003\.safetensors' of its index is not there"):
        vendor.resolve("org/tiny")
    index = json.dumps({"weight_map": {"x": "../../etc/passwd"}})
    hub.add("org/tiny", {**samples.safetensors_files(3), "model.safetensors.index.json": index})
    with pytest.raises(ModelFileError, match="of its index is not there"):
        vendor.resolve("org/tiny")
    hub.add("org/tiny", {"model.safetensors.index.json": DEEP})
    with pytest.raises(ModelFileError, match=r"its index 'model\.safetensors\.index\.json' cannot be read"):
        vendor.resolve("org/tiny")


def test_a_name_in_an_index_reaches_no_terminal_as_it_is(vendor, hub):
    index = json.dumps({"weight_map": {"x": "\x1b]0;x\x07.safetensors"}})
    hub.add("org/tiny", {**samples.safetensors_files(3), "model.safetensors.index.json": index})
    with pytest.raises(ModelFileError, match="of its index is not there") as caught:
        vendor.resolve("org/tiny")
    assert caught.value.message.isprintable()


def test_parts_without_an_index_have_to_be_all_there(vendor, hub):
    files = {**samples.safetensors_files(3), "model.safetensors.index.json": None}
    hub.add("org/tiny", files)
    assert len([name for name in names(vendor.resolve("org/tiny")[0]) if name.endswith(".safetensors")]) == 3
    hub.add("org/tiny", {"model-00003-of-00003.safetensors": None})
    with pytest.raises(ModelFileError, match="2 of 3 parts"):
        vendor.resolve("org/tiny")


@pytest.mark.parametrize("about", [{"library_name": "mlx"}, {"tags": ["mlx"]}, {}])
def test_mlx_is_told_by_library_tag_or_configuration(vendor, hub, about):
    files = samples.mlx_files() if not about else samples.safetensors_files()
    hub.add("org/tiny-4bit", files, **about)
    (variant,) = vendor.resolve("org/tiny-4bit")
    assert (variant.format, variant.model_id) == ("mlx", "hf:org/tiny-4bit")
    if not about:
        assert variant.quantization == "4BIT"
        assert vendor.resolve("org/tiny-4bit:4bit") == (variant,)


@pytest.mark.parametrize("version", [2, 3])
def test_exl_in_branches_gives_one_variant_a_branch_four_bits_first(vendor, hub, version):
    hub.add("org/tiny-exl", {"README.md": "# branches"})
    shas = {
        bits: hub.add("org/tiny-exl", samples.exl_files(bits, version=version), revision=f"{bits}bpw").sha
        for bits in (2.5, 4.0, 8.0)
    }
    found = vendor.resolve("org/tiny-exl")
    assert [(one.format, one.quantization, one.model_id, one.revision) for one in found] == [
        (f"exl{version}", f"{bits}BPW", f"hf:org/tiny-exl@{bits}bpw", shas[bits]) for bits in (4.0, 2.5, 8.0)
    ]
    for ref in ("org/tiny-exl:8.0bpw", "org/tiny-exl@8.0bpw", "hf:org/tiny-exl@8.0bpw"):
        assert [one.revision for one in vendor.resolve(ref)] == [shas[8.0]]
    assert "output.safetensors" in names(found[0])
    assert found[0].figures.quantization == "4.0BPW"


def test_exl_on_the_default_branch(vendor, hub):
    hub.add("org/tiny-4bpw-exl2", samples.exl_files(4.25), tags=["exl2"])
    (variant,) = vendor.resolve("org/tiny-4bpw-exl2")
    assert (variant.format, variant.quantization, variant.model_id) == ("exl2", "4.25BPW", "hf:org/tiny-4bpw-exl2")
    assert vendor.resolve("org/tiny-4bpw-exl2:4.25bpw") == (variant,)


def test_many_branches_are_not_all_looked_into(vendor, hub):
    hub.add("org/tiny-exl2", {"README.md": "#"}, tags=["exl2"])
    for number in range(12):
        hub.add("org/tiny-exl2", samples.exl_files(2 + number / 2), revision=f"{2 + number / 2}bpw")
    assert len(vendor.resolve("org/tiny-exl2")) == 6
    assert len(vendor.resolve("org/tiny-exl2:7.5bpw")) == 1


def test_gguf_and_safetensors_in_one_repository_have_names_of_their_own(vendor, hub):
    hub.add("org/both", {**samples.gguf_files(quantizations=("Q8_0", "F16")), **samples.safetensors_files()})
    found = vendor.resolve("org/both")
    assert [one.model_id for one in found] == [
        "hf:org/both:Q8_0",
        "hf:org/both:F16",
        "hf:org/both::model.safetensors",
    ]
    for one in found:
        assert vendor.resolve(one.model_id)[0] == one


def test_a_revision_stands_in_the_name_only_when_it_was_asked_for(vendor, hub):
    first = hub.add("org/tiny-GGUF", samples.gguf_files(quantizations=("Q8_0",)))
    hub.add("org/tiny-GGUF", samples.gguf_files(quantizations=("Q8_0",), padding=64), revision="dev")
    second = hub.add("org/tiny-GGUF", samples.gguf_files(quantizations=("Q8_0",), padding=32))
    assert {one.revision for ref in ("org/tiny-GGUF", "org/tiny-GGUF@main") for one in vendor.resolve(ref)} == {
        second.sha
    }
    assert vendor.resolve("org/tiny-GGUF@main")[0].model_id == "hf:org/tiny-GGUF:Q8_0"
    for revision in ("dev", first.sha):
        (variant,) = vendor.resolve(f"org/tiny-GGUF@{revision}:Q8_0")
        assert variant.model_id == f"hf:org/tiny-GGUF@{revision}:Q8_0"
        assert vendor.resolve(variant.model_id) == (variant,)
    assert vendor.resolve(f"org/tiny-GGUF@{first.sha}")[0].revision == first.sha


def test_pickles_are_refused_with_what_to_take_instead(vendor, hub):
    hub.add("org/old-model", samples.pickle_files())
    with pytest.raises(ModelFileError, match=r"'pytorch_model\.bin', a Python pickle.*'rbee model search old-model'"):
        vendor.resolve("org/old-model")
    hub.add("org/old-model-GGUF", samples.gguf_files(), tags=["gguf"])
    with pytest.raises(ModelFileError, match=r"Take 'org/old-model-GGUF'\."):
        vendor.resolve("org/old-model")
    with pytest.raises(ModelFileError, match="Python pickle"):
        vendor.resolve("org/old-model::pytorch_model.bin")


def test_a_repository_without_a_model_says_what_is_looked_for(vendor, hub):
    hub.add("org/papers", {"README.md": "# papers", "adapter_model.safetensors": b"x", "config.json": "{}"})
    with pytest.raises(ModelFileError, match="holds no model: GGUF files"):
        vendor.resolve("org/papers")


def test_models_for_embeddings_are_made_for_nothing_else(vendor, hub):
    hub.add("org/embed", samples.safetensors_files(), pipeline_tag="feature-extraction")
    assert vendor.resolve("org/embed")[0].capabilities == {Capability.EMBEDDINGS}
    hub.add("org/rank", samples.safetensors_files(), pipeline_tag="text-ranking")
    assert vendor.resolve("org/rank")[0].capabilities == {Capability.RERANK}


def test_a_repository_that_was_renamed_is_found_by_its_old_name(vendor, hub):
    hub.add("old/tiny-GGUF", samples.gguf_files())
    hub.shelf.move("old/tiny-GGUF", "new/tiny-GGUF")
    assert vendor.resolve("old/tiny-GGUF")[0].model_id == "hf:new/tiny-GGUF:Q4_K_M"


@pytest.mark.parametrize("path", ["..\\evil.gguf", "a/./b.gguf", "a//b.gguf", "x" * 300 + ".gguf"])
def test_a_path_that_leaves_the_folder_refuses_the_repository(vendor, hub, path):
    hub.add("org/evil", {**samples.gguf_files(), path: b"GGUF"})
    with pytest.raises(ModelFileError, match="leaves its folder or cannot be kept"):
        vendor.resolve("org/evil")


def test_a_repository_with_too_many_files_is_refused(vendor, hub):
    hub.add("org/many", {f"{number}.txt": b"" for number in range(20_001)})
    with pytest.raises(ModelFileError, match="20001 files; 20000 is the most"):
        vendor.resolve("org/many")
