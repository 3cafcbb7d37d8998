"""What all tests of this plugin share."""

import struct

import pytest


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


@pytest.fixture
def gguf():
    """Writes the bytes of a small GGUF file, by hand."""

    def write(*, context=4096, file_type=7, version=3, keys=None, tensors=1):
        pairs = [
            text("general.architecture") + struct.pack("<I", 8) + text("llama"),
            text("general.file_type") + struct.pack("<II", 4, file_type),
            text("llama.context_length") + struct.pack("<II", 4, context),
            text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("gpt2"),
        ]
        count = len(pairs) if keys is None else keys
        return struct.pack("<4sIQQ", b"GGUF", version, tensors, count) + b"".join(pairs)

    return write


@pytest.fixture
def hf_folder(tmp_path):
    """A folder as Hugging Face's libraries write it, with one tensor."""
    folder = tmp_path / "hf"
    folder.mkdir()
    head = b'{"w":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}'
    (folder / "config.json").write_text('{"max_position_embeddings": 2048, "architectures": ["X"]}')
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + b"\0\0")
    return folder
