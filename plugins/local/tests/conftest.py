"""What all tests of this plugin share."""

import json
import os
import struct

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
VARIABLES = ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME", "LMSTUDIO_MODELS", "OLLAMA_MODELS")


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data


@pytest.fixture(autouse=True)
def home(tmp_path_factory, monkeypatch):
    """A home of the test's own: what other programs have on this machine does not count."""
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    return home


@pytest.fixture(scope="session")
def gguf():
    """Writes the bytes of a small GGUF file, by hand."""

    def write(*, context=4096, file_type=7, version=3, keys=None, tensors=1, pooling=None):
        pairs = [
            text("general.architecture") + struct.pack("<I", 8) + text("llama"),
            text("general.file_type") + struct.pack("<II", 4, file_type),
            text("llama.context_length") + struct.pack("<II", 4, context),
            text("tokenizer.ggml.model") + struct.pack("<I", 8) + text("gpt2"),
            text("tokenizer.chat_template") + struct.pack("<I", 8) + text("{{ messages }}"),
        ]
        if pooling is not None:
            pairs.append(text("llama.pooling_type") + struct.pack("<II", 4, pooling))
        listed = [text(f"t{number}") + struct.pack("<IQIQ", 1, 8, 0, 32 * number) for number in range(tensors)]
        count = len(pairs) if keys is None else keys
        head = struct.pack("<4sIQQ", b"GGUF", version, tensors, count) + b"".join(pairs + listed)
        return head + bytes(-len(head) % 32 + 32 * tensors)

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


@pytest.fixture
def cached():
    """Puts files into a hub's cache as its library does: links by name to blobs by checksum."""

    def put(root, repository, files, *, commit=COMMIT, branch="main"):
        place = root / f"models--{repository.replace('/', '--')}"
        snapshot = place / "snapshots" / commit
        for number, (name, content) in enumerate(files.items()):
            blob = place / "blobs" / f"{number + 10:064x}"
            blob.parent.mkdir(parents=True, exist_ok=True)
            blob.write_bytes(content)
            (snapshot / name).parent.mkdir(parents=True, exist_ok=True)
            (snapshot / name).symlink_to(os.path.relpath(blob, (snapshot / name).parent))
        if branch:
            (place / "refs").mkdir(exist_ok=True)
            (place / "refs" / branch).write_text(commit)
        return snapshot

    return put


@pytest.fixture
def pulled():
    """Puts a model into an Ollama store as Ollama does."""

    def put(root, name, tag, content, *, media="model", digest="a" * 64, more=(), host="registry.ollama.ai"):
        manifest = root / "manifests" / host / name / tag
        manifest.parent.mkdir(parents=True, exist_ok=True)
        layers = [
            {"mediaType": f"application/vnd.ollama.image.{media}", "digest": f"sha256:{digest}", "size": len(content)},
            {"mediaType": "application/vnd.ollama.image.template", "digest": f"sha256:{'b' * 64}", "size": 3},
            *more,
        ]
        config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": "sha256:x", "size": 5}
        manifest.write_text(json.dumps({"schemaVersion": 2, "config": config, "layers": layers}))
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        (root / "blobs" / f"sha256-{digest}").write_bytes(content)
        return manifest

    return put
