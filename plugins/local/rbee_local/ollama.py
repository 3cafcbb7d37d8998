"""Ollama's store: manifests by name, and blobs by checksum."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
from rbee.contract import ModelVariant
from rbee.contract.errors import ModelFileError, ModelNotFoundError

from rbee_local.grammar import NAME, OLLAMA, StoredName, stored_name
from rbee_local.heads import Heads
from rbee_local.places import ollama_stores
from rbee_local.variants import gguf_variant

HOST = "registry.ollama.ai"
OWNER = "library"
MODEL = "application/vnd.ollama.image.model"
ADAPTER = "application/vnd.ollama.image.adapter"
LARGEST_MANIFEST = 1 << 20
MOST_ENTRIES = 5000

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_PART = re.compile(NAME)


class _Layer(msgspec.Struct, frozen=True, rename="camel"):
    media_type: str
    digest: str


class _Manifest(msgspec.Struct, frozen=True):
    layers: tuple[_Layer, ...]


def names() -> Iterator[str]:
    """Canonical names of what lies in the store."""
    count = 0
    for store in ollama_stores():
        root = store / "manifests"
        for folder, inner, files in os.walk(root):
            inner.sort()
            count += len(files) + len(inner)
            if count > MOST_ENTRIES:
                return
            for tag in sorted(files):
                parts = Path(folder).relative_to(root).parts
                if len(parts) == 3 and stored_name(name := f"{OLLAMA}:{_short(parts)}:{tag}"):
                    yield name


def variant_of(name: StoredName, heads: Heads) -> ModelVariant:
    """The model behind a name.

    Raises:
        ModelNotFoundError: it is not in the store.
        ModelFileError: it is there, and no engine could open it.
    """
    host, owner, model = _long(name.repository)
    for store in ollama_stores():
        path = store / "manifests" / host / owner / model / (name.tag or "")
        canonical = f"{OLLAMA}:{_short((host, owner, model))}:{name.tag}"
        try:
            if path.is_file():
                blob = _blob(store, path)
                return gguf_variant(canonical, canonical, (blob,), heads.peek(blob))
        except OSError as error:
            raise ModelFileError(f"'{path}' cannot be read: {error.strerror}; check its permissions") from error
    tags = [one for one in names() if one.rpartition(":")[0] == f"{OLLAMA}:{_short((host, owner, model))}"]
    there = f"There are: {', '.join(tags[:20])}." if tags else f"Fetch it: ollama pull {name.repository}:{name.tag}"
    raise ModelNotFoundError(f"Ollama's store does not hold '{name.repository}:{name.tag}'. {there}")


def _blob(store: Path, manifest: Path) -> Path:
    with manifest.open("rb") as file:
        data = file.read(LARGEST_MANIFEST + 1)
    try:
        layers = msgspec.json.decode(data[:LARGEST_MANIFEST], type=_Manifest).layers
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ModelFileError(f"'{manifest}' is no manifest of Ollama's: {error}; pull the model again") from error
    digests = [layer.digest for layer in layers if layer.media_type == MODEL]
    if len(digests) != 1 or not _DIGEST.fullmatch(digests[0]):
        raise ModelFileError(f"'{manifest}' names no single GGUF file; take another edition of the model")
    if any(layer.media_type == ADAPTER for layer in layers):
        raise ModelFileError(f"'{manifest}' is a model with an adapter, which cannot be used; take one without")
    # Older editions keep the colon in the file's name.
    for name in (digests[0].replace(":", "-"), digests[0]):
        if (store / "blobs" / name).is_file():
            return store / "blobs" / name
    raise ModelFileError(f"'{manifest}' names '{digests[0]}', which is not there; pull the model again")


def _long(repository: str) -> tuple[str, str, str]:
    parts = repository.split("/")
    host, owner, model = [HOST, OWNER][: 3 - len(parts)] + parts
    return host, owner, model


def _short(parts: tuple[str, ...]) -> str:
    host, owner, model = parts
    if host != HOST:
        return f"{host}/{owner}/{model}"
    return model if owner == OWNER else f"{owner}/{model}"
