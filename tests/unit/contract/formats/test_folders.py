"""Folders with a configuration and safetensors files."""

import contextlib
import json
import os
import shutil
import tracemalloc

import msgspec
import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.figures import ModelFigures
from rbee.contract.formats import read_folder, weight_files
from unit.contract.formats.building import CONFIG, entry, folder_of, safetensors, small_safetensors


def figures(place, config, **files):
    return read_folder(folder_of(place, config, **files)).figures


def test_figures_come_from_the_configuration_and_the_weights(tmp_path):
    head = read_folder(folder_of(tmp_path, tokenizer_config__json={"chat_template": "{{ x }}"}))
    assert head.figures == ModelFigures(
        architecture="qwen3",
        parameters=10,
        quantization="BF16",
        context_length=2048,
        layers=4,
        embedding_length=256,
        heads=8,
        kv_heads=2,
        key_length=32,
        value_length=32,
        vocabulary=1000,
        weights_bytes=20,
        chat_template="{{ x }}",
    )
    assert (head.format, head.needed_bytes) == ("safetensors", len(small_safetensors()))


def test_of_a_model_that_sees_pictures_the_part_for_text_is_told(tmp_path):
    told = figures(
        tmp_path,
        {
            "model_type": "gemma3",
            "torch_dtype": "float16",
            "text_config": {"model_type": "gemma3_text", "hidden_size": 640, "num_hidden_layers": 7},
        },
    )
    assert (told.architecture, told.embedding_length, told.layers, told.quantization) == ("gemma3", 640, 7, "F16")


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"quantization": {"group_size": 64, "bits": 4}}, "4BIT"),
        ({"quantization_config": {"bits": 8, "quant_method": "gptq"}}, "8BIT"),
        ({"quantization_config": {"load_in_4bit": True}}, "4BIT"),
        ({"quantization_config": {"quant_method": "mxfp4"}}, "MXFP4"),
        ({"quantization_config": {"quant_method": "fp8"}}, "FP8"),
        ({"quantization": {"bits": True}}, "F16"),
        ({"dtype": "float32"}, "F32"),
        ({"torch_dtype": "torch.bfloat16"}, "BF16"),
        ({}, "F16"),
    ],
)
def test_the_quantisation_is_told_by_the_configuration_or_by_the_weights(tmp_path, config, name):
    assert figures(tmp_path, config).quantization == name


def test_packed_weights_are_counted_one_by_one(tmp_path):
    folder = folder_of(tmp_path, {"quantization": {"group_size": 64, "bits": 4}})
    entries = {
        "l.weight": entry("U32", (2, 4), 0, 32),
        "l.scales": entry("F16", (2, 1), 32, 36),
        "l.biases": entry("F16", (2, 1), 36, 40),
        "norm.weight": entry("F16", (4,), 40, 48),
    }
    (folder / "model.safetensors").write_bytes(safetensors(entries, bytes(48)))
    assert read_folder(folder).figures.parameters == 2 * 4 * 8 + 4


def test_layers_without_keys_and_values_do_not_count(tmp_path):
    kinds = ["linear_attention", "full_attention", "mamba", "sliding_attention"]
    assert figures(tmp_path, {"num_hidden_layers": 4, "layer_types": kinds}).layers == 2


def test_numbers_without_an_end_in_a_configuration_do_no_harm(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "config.json").write_text('{"time_step_limit": [0.0, Infinity], "hidden_size": NaN, "vocab_size": 5}')
    told = read_folder(folder).figures
    assert (told.embedding_length, told.vocabulary) == (None, 5)


def test_odd_values_in_a_configuration_are_unknown(tmp_path):
    odd = {key: {"a": []} for key in CONFIG} | {"num_key_value_heads": [1, 4, None], "vocab_size": -1, "head_dim": 1.5}
    told = figures(tmp_path, odd)
    assert told == ModelFigures(kv_heads=4, quantization="F16", parameters=10, weights_bytes=20)


def test_a_template_of_its_own_file_goes_first(tmp_path):
    told = figures(tmp_path, {}, chat_template__jinja="own", tokenizer_config__json={"chat_template": "other"})
    assert told.chat_template == "own"


def test_of_several_templates_the_one_called_default_is_taken(tmp_path):
    several = [{"name": "tool_use", "template": "a"}, {"name": "default", "template": "b"}, 3]
    assert figures(tmp_path, {}, tokenizer_config__json={"chat_template": several}).chat_template == "b"


@pytest.mark.parametrize("template", ["x" * (256 * 1024 + 1), "é" * 200_000, "", 5, None, [], [{"name": "x"}]])
def test_a_template_that_cannot_be_used_is_unknown(tmp_path, template):
    assert figures(tmp_path, {}, tokenizer_config__json={"chat_template": template}).chat_template is None


def test_the_files_of_the_index_are_the_model(tmp_path):
    folder = folder_of(tmp_path)
    shutil.copy(folder / "model.safetensors", folder / "model-1.safetensors")
    shutil.copy(folder / "model.safetensors", folder / "model-2.safetensors")
    names = {"a": "model-2.safetensors", "b": "model-1.safetensors", "c": "model-2.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": names}))
    assert [path.name for path in weight_files(folder)] == ["model-1.safetensors", "model-2.safetensors"]
    head = read_folder(folder)
    assert (head.figures.parameters, head.needed_bytes) == (20, 2 * len(small_safetensors()))


def test_without_an_index_a_second_copy_of_the_weights_does_not_count(tmp_path):
    folder = folder_of(tmp_path)
    shutil.copy(folder / "model.safetensors", folder / "consolidated.safetensors")
    assert [path.name for path in weight_files(folder)] == ["model.safetensors"]


def test_a_missing_file_of_the_index_is_named(tmp_path):
    folder = folder_of(tmp_path, model__safetensors__index__json={"weight_map": {"a": "m-2.safetensors"}})
    with pytest.raises(ModelFileError, match=r"lacks 'm-2\.safetensors' \(1 missing\)"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["../x.safetensors", "/etc/passwd", "a\\b", "..", ""])
def test_an_index_that_names_files_elsewhere_is_refused(tmp_path, name):
    folder = folder_of(tmp_path, model__safetensors__index__json={"weight_map": {"a": name}})
    with pytest.raises(ModelFileError, match="names files outside its folder"):
        read_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors.index.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"\xff",
        b"[" * 200_000,
        b'{"text_config":' * 5000,
        b"9" * 5000,
        b'{"weight_map": 4, "chat_template',
    ],
)
def test_a_broken_json_file_is_refused_by_name(tmp_path, name, content):
    folder = folder_of(tmp_path)
    (folder / name).write_bytes(content)
    with pytest.raises(ModelFileError, match=name):
        read_folder(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "model.safetensors.index.json"])
def test_a_json_file_beyond_all_measure_is_not_read(tmp_path, name):
    folder = folder_of(tmp_path)
    (folder / name).touch()
    os.truncate(folder / name, 1 << 40)
    with pytest.raises(ModelFileError, match=rf"{name}' cannot be used: it is longer than"):
        read_folder(folder)


def test_many_small_entries_take_little_memory(tmp_path):
    folder = folder_of(tmp_path)
    names = [
        ("config.json", b'{"dtype":[' + b"[]," * 400_000 + b"[]]}"),
        ("tokenizer_config.json", b'{"chat_template":[' + b"[]," * 2_000_000 + b"[]]}"),
        ("tokenizer_config.json", b"{" + b",".join(b'"%d":0' % number for number in range(1_100_000)) + b"}"),
        ("model.safetensors.index.json", b'{"x":[' + b"[]," * 2_000_000 + b'NaN],"weight_map":{}}'),
        (
            "model.safetensors.index.json",
            b'{"weight_map":{' + b",".join(b'"%d":""' % n for n in range(1_100_000)) + b"}}",
        ),
    ]
    for name, content in names:
        folder_of(tmp_path, tokenizer_config__json={})
        (folder / name).write_bytes(content)
        tracemalloc.start()
        try:
            with contextlib.suppress(ModelFileError):
                read_folder(folder)
            assert tracemalloc.get_traced_memory()[1] < 80 << 20, name
        finally:
            tracemalloc.stop()


def test_a_folder_without_a_model_says_what_is_looked_for(tmp_path):
    with pytest.raises(ModelFileError, match=r"holds no model: config\.json and \*\.safetensors"):
        read_folder(tmp_path)


def test_the_head_of_a_folder_can_be_passed_on(tmp_path):
    head = read_folder(folder_of(tmp_path, tokenizer_config__json={"chat_template": "é"}))
    assert msgspec.json.decode(msgspec.json.encode(head), type=type(head)) == head


def test_half_of_a_character_in_a_template_is_refused(tmp_path):
    folder = folder_of(tmp_path)
    (folder / "tokenizer_config.json").write_text('{"chat_template": "\\ud800", "x": NaN}')
    with pytest.raises(ModelFileError, match="tokenizer_config"):
        read_folder(folder)


@pytest.mark.parametrize("kind", ["exl2", "exl3"])
@pytest.mark.parametrize(("bits", "name"), [(4.25, "4.25BPW"), (6, "6.0BPW"), (None, None), (True, None), (99, None)])
def test_weights_quantised_to_mixed_bits_are_a_format_of_their_own(tmp_path, kind, bits, name):
    told = {"model_type": "llama", "quantization_config": {"quant_method": kind, "bits": bits, "version": "0.1"}}
    head = read_folder(folder_of(tmp_path, told))
    assert (head.format, head.figures.quantization) == (kind, name)
    assert head.figures.parameters is None  # packed elements are no count of weights
    assert head.figures.weights_bytes == 20


@pytest.mark.parametrize("told", [{"quant_method": "gptq", "bits": 4}, {"quant_method": 2}, "exl2", None])
def test_every_other_folder_is_plain_safetensors(tmp_path, told):
    assert read_folder(folder_of(tmp_path, {"quantization_config": told})).format == "safetensors"
