"""Names: which are the hub's, and which repository a word means."""

import pytest
from rbee.contract.errors import ModelNotFoundError, PermissionDeniedError, UnavailableError
from rbee.testing.hub import MEMBER, samples


@pytest.mark.parametrize(
    "ref",
    [
        "org/repo",
        "org/repo:Q4_K_M",
        "org/repo:file.gguf",
        "org/repo@v1.0::folder/file.gguf",
        "hf:org/repo",
        "HF:org/repo@main:Q8_0",
        "hf.co/org/repo:Q4_K_M",
        "huggingface.co/org/repo",
        "https://huggingface.co/org/repo",
        "https://hf.co/org/repo/tree/main",
        "qwen3-8b",
        "qwen3-8b@q4_k_m",
        "llama3.2:1b",
        "hf:qwen3-8b",
    ],
)
def test_names_of_the_hub_are_supported(vendor, ref):
    assert vendor.supports(ref)


@pytest.mark.parametrize(
    "ref",
    ["./org/repo", "file:/a.gguf", "/a/b.gguf", "demo:rbee-tiny", "other.example/org/repo:Q4_K_M", "a b", "ollama:x/y"],
)
def test_names_of_others_are_left_to_them(vendor, ref):
    assert not vendor.supports(ref)


def test_the_host_of_another_hub_counts_where_the_environment_names_it(vendor, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")
    assert vendor.supports("hub.example/org/repo:Q4_K_M")
    monkeypatch.setenv("HF_ENDPOINT", "nonsense")
    assert not vendor.supports("hub.example/org/repo:Q4_K_M")


def test_a_word_means_the_repository_of_the_maker_before_those_fetched_from_more(vendor, hub):
    hub.add("Maker/Tiny-8B", samples.safetensors_files(), tags=["safetensors"], downloads=900)
    hub.add("Maker/Tiny-8B-GGUF", samples.gguf_files(), tags=["gguf"], downloads=10)
    hub.add("popular/Tiny-8B-GGUF", samples.gguf_files(), tags=["gguf"], downloads=500)
    hub.add("somebody/Tiny-8B", samples.safetensors_files(), tags=["safetensors"], downloads=20)
    found = vendor.resolve("tiny-8b")
    assert [(one.format, one.model_id) for one in found] == [
        ("gguf", "hf:Maker/Tiny-8B-GGUF:Q4_K_M"),
        ("gguf", "hf:Maker/Tiny-8B-GGUF:Q8_0"),
        ("gguf", "hf:Maker/Tiny-8B-GGUF:F16"),
        ("safetensors", "hf:Maker/Tiny-8B"),
    ]


def test_without_the_makers_own_the_one_fetched_from_most_is_taken(vendor, hub):
    hub.add("a/Tiny-8B-GGUF", samples.gguf_files(), tags=["gguf"], downloads=10)
    hub.add("z/Maker_Tiny-8B-GGUF", samples.gguf_files(), tags=["gguf"], downloads=500)
    assert vendor.resolve("tiny-8b")[0].model_id == "hf:z/Maker_Tiny-8B-GGUF:Q4_K_M"


def test_one_repository_of_each_format(vendor, hub):
    hub.add("a/tiny-8b-GGUF", samples.gguf_files(quantizations=("Q8_0",)), tags=["gguf"])
    hub.add("b/tiny-8b-MLX-4bit", samples.mlx_files(), tags=["mlx"], library_name="mlx")
    hub.add("c/tiny-8b-exl2", samples.exl_files(5.0), tags=["exl2"])
    hub.add("d/tiny-8b", samples.safetensors_files(), tags=["safetensors"])
    found = vendor.resolve("tiny-8b")
    assert [(one.format, one.name) for one in found] == [
        ("gguf", "a/tiny-8b-GGUF:Q8_0"),
        ("mlx", "b/tiny-8b-MLX-4bit"),
        ("exl2", "c/tiny-8b-exl2"),
        ("safetensors", "d/tiny-8b"),
    ]


@pytest.mark.parametrize(
    "word", ["llama3.2:1b", "Llama-3.2-1B", "llama_3.2_1b", "llama-3.2:1B", "hf:llama3.2-1b:latest"]
)
def test_case_and_separators_do_not_matter(vendor, hub, word):
    hub.add("meta/Llama-3.2-1B-GGUF", samples.gguf_files(), tags=["gguf"])
    hub.add("meta/Llama-3.2-1B-Instruct-GGUF", samples.gguf_files(), tags=["gguf"], downloads=9)
    if word.endswith(":latest"):
        word = "llama3.2-1b"
    assert vendor.resolve(word)[0].name == "meta/Llama-3.2-1B-GGUF:Q4_K_M"


def test_instruct_has_to_be_asked_for(vendor, hub):
    hub.add("meta/Llama-3.2-1B-Instruct-GGUF", samples.gguf_files(), tags=["gguf"])
    with pytest.raises(ModelNotFoundError, match=r"Did you mean 'meta/Llama-3\.2-1B-Instruct-GGUF'"):
        vendor.resolve("llama3.2:1b")
    assert vendor.resolve("llama3.2:1b-instruct")


def test_a_quantisation_behind_a_word_is_looked_for_in_several_repositories(vendor, hub):
    hub.add("a/tiny-8b-GGUF", samples.gguf_files(quantizations=("Q8_0",)), tags=["gguf"], downloads=9)
    hub.add("b/tiny-8b-GGUF", samples.gguf_files(quantizations=("Q8_0", "Q2_K")), tags=["gguf"])
    assert [one.model_id for one in vendor.resolve("tiny-8b@q2_k")] == ["hf:b/tiny-8b-GGUF:Q2_K"]
    with pytest.raises(ModelNotFoundError, match=r"'a/tiny-8b-GGUF' has no Q3_K_S\. It has Q8_0\."):
        vendor.resolve("tiny-8b:q3_k_s")


def test_a_handful_of_repositories_is_looked_into_at_most(vendor, hub):
    for number in range(20):
        hub.add(f"org{number}/tiny-8b-GGUF", samples.gguf_files(quantizations=("Q8_0",)), tags=["gguf"])
    with pytest.raises(ModelNotFoundError):
        vendor.resolve("tiny-8b@q2_k")
    assert len(hub.ledger.requests("/api/models/*")) == 6


def test_a_gated_repository_is_passed_over_for_one_that_can_be_had(vendor, hub, monkeypatch):
    hub.add("maker/tiny-8b", samples.safetensors_files(), tags=["safetensors"], gated="manual", downloads=99)
    with pytest.raises(PermissionDeniedError, match="'maker/tiny-8b' is gated"):
        vendor.resolve("tiny-8b")
    hub.add("other/tiny-8b", samples.safetensors_files(), tags=["safetensors"])
    assert vendor.resolve("tiny-8b")[0].model_id == "hf:other/tiny-8b"
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert vendor.resolve("tiny-8b")[0].model_id == "hf:maker/tiny-8b"


@pytest.mark.parametrize(
    ("pattern", "status"), [("/api/models/bad/tiny-8b", 500), ("/api/models/bad/tiny-8b", 418), ("bad/tiny-8b/*", 503)]
)
def test_a_repository_that_cannot_be_looked_into_is_passed_over(vendor, hub, pattern, status):
    hub.add("bad/tiny-8b", samples.safetensors_files(), tags=["safetensors"], downloads=99)
    hub.add("good/tiny-8b-GGUF", samples.gguf_files(), tags=["gguf"])
    hub.fault(pattern, status=status, times=None)
    assert vendor.resolve("tiny-8b")[0].model_id == "hf:good/tiny-8b-GGUF:Q4_K_M"


def test_of_repositories_none_of_which_can_be_looked_into_the_first_says_why(vendor, hub):
    hub.add("bad/tiny-8b", samples.safetensors_files(), tags=["safetensors"])
    hub.fault("/api/models/bad/tiny-8b", status=503, times=None)
    with pytest.raises(UnavailableError, match="has trouble"):
        vendor.resolve("tiny-8b")


def test_a_repository_with_odd_words_hides_no_other_from_a_search(vendor, hub):
    hub.add("bad/tiny-8b-GGUF", samples.gguf_files(), tags=["gguf", "x" * 2000], downloads=99)
    hub.add("good/tiny-8b-GGUF", samples.gguf_files(), tags=["gguf"])
    assert [hit.name for hit in vendor.search("tiny-8b", 5)] == ["good/tiny-8b-GGUF"]
    assert vendor.resolve("tiny-8b")[0].model_id == "hf:good/tiny-8b-GGUF:Q4_K_M"


def test_nothing_like_it_is_told_so(vendor, hub):
    with pytest.raises(ModelNotFoundError, match=r"no model called 'qwen9:1b'\. Name it as 'org/repo'"):
        vendor.resolve("qwen9:1b")


def test_a_misspelt_word_is_answered_with_the_nearest(vendor, hub):
    hub.add("Qwen/Qwen3-8B-GGUF", samples.gguf_files(), tags=["gguf"])
    with pytest.raises(ModelNotFoundError, match="Did you mean 'Qwen/Qwen3-8B-GGUF'"):
        vendor.resolve("qwen-8b")


def test_a_name_of_another_vendor_is_answered_with_how_to_write_one(vendor):
    with pytest.raises(ModelNotFoundError, match=r"write it as 'hf:org/repo'"):
        vendor.resolve("./a.gguf")
