"""The sample repositories are what they pretend to be."""

import io
import json

import pytest
from rbee.contract.formats import read_folder, read_gguf
from rbee.testing.hub import samples
from rbee.testing.hub.gguf_sample import gguf_bytes


@pytest.mark.parametrize("quantization", ["Q4_K_M", "Q8_0", "F16"])
def test_gguf_files_are_read_as_such(quantization):
    data = gguf_bytes(quantization=quantization, context_length=4096, chat_template=samples.CHAT_TEMPLATE)
    head = read_gguf(io.BytesIO(data), len(data))
    figures = head.figures
    assert (figures.architecture, figures.quantization, figures.context_length) == ("llama", quantization, 4096)
    assert (figures.layers, figures.embedding_length, figures.heads, figures.kv_heads) == (2, 64, 4, 2)
    assert figures.chat_template == samples.CHAT_TEMPLATE
    assert (head.needed_bytes or 0) <= len(data)


def test_parts_of_a_split_model_tell_their_numbers():
    parts = samples.split_gguf_files(count=3, folder="q")
    assert list(parts) == [f"q/tiny-Q4_K_M-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    heads = [read_gguf(io.BytesIO(data), len(data)) for data in parts.values()]
    assert [(head.split_number, head.split_count) for head in heads] == [(0, 3), (1, 3), (2, 3)]
    assert len({bytes(data) for data in parts.values()}) == 3


@pytest.mark.parametrize(
    ("files", "quantization"),
    [
        (samples.safetensors_files(), "F16"),
        (samples.safetensors_files(3), "F16"),
        (samples.mlx_files(4), "4BIT"),
    ],
)
def test_folders_are_read_as_such(tmp_path, files, quantization):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    figures = read_folder(tmp_path).figures
    assert (figures.architecture, figures.context_length, figures.layers) == ("llama", 2048, 2)
    assert figures.quantization == quantization
    assert figures.weights_bytes


@pytest.mark.parametrize("version", [2, 3])
def test_exl_branches_say_what_they_are(version):
    files = samples.exl_files(4.25, version=version)
    told = json.loads(files["config.json"])["quantization_config"]
    assert (told["quant_method"], told["bits"]) == (f"exl{version}", 4.25)
    assert "output.safetensors" in files
    assert "model.safetensors" not in files


def test_the_same_words_give_the_same_bytes():
    assert gguf_bytes(seed=3) == gguf_bytes(seed=3) != gguf_bytes(seed=4)
    assert samples.exl_files(4.0) == samples.exl_files(4.0)
