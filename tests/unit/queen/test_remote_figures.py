"""Figures from the beginnings of files, over real lines and in real processes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from rbee.catalog import Resolver
from rbee.contract.errors import ModelFileError, ModelNotFoundError, UnreachableError
from rbee.contract.figures import ModelFigures
from rbee.queen.remote_figures import RemoteFigures
from rbee.testing.hub import Hub
from rbee.testing.hub.gguf_sample import gguf_bytes
from unit.queen.remote import RemoteVendor

CONFIG = {
    "model_type": "llama",
    "num_hidden_layers": 5,
    "hidden_size": 256,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 2048,
}


@pytest.fixture
def hub() -> Iterator[Hub]:
    with Hub() as running:
        yield running


@pytest.fixture
def vendor(hub: Hub) -> RemoteVendor:
    return RemoteVendor(hub)


@pytest.fixture
def figures(vendor: RemoteVendor, clock: Any) -> RemoteFigures:
    return RemoteFigures(Resolver([vendor]), clock=clock)


async def test_the_head_of_a_file_is_read_once_and_no_more_than_the_head(hub, vendor, figures) -> None:
    whole = gguf_bytes(layers=3, chat_template="{{ x }}", padding=4 << 20)
    variant = vendor.put("o/m", {"m.gguf": whole}, revision="1")
    found = await figures.of(variant)
    assert (found.layers, found.heads, found.kv_heads, found.embedding_length) == (3, 4, 2, 64)
    assert found.weights_bytes is not None
    assert found.chat_template is None
    sent = hub.ledger.sent("*m.gguf")
    assert sent <= 256 * 1024
    assert await figures.of(variant) == found
    assert hub.ledger.sent("*m.gguf") == sent
    await figures.of(msgspec.structs.replace(variant, revision="2"))
    assert hub.ledger.sent("*m.gguf") > sent


async def test_a_part_of_several_does_not_tell_the_weights_of_all(vendor, figures) -> None:
    files = {f"m-0000{number}-of-00002.gguf": gguf_bytes(split=(number - 1, 2)) for number in (1, 2)}
    found = await figures.of(vendor.put("o/m", files))
    assert (found.layers, found.weights_bytes, found.parameters) == (2, None, None)


async def test_a_folder_tells_by_its_configuration(hub, vendor, figures) -> None:
    files = {"model.safetensors": b"x" * 100_000, "config.json": json.dumps(CONFIG).encode()}
    found = await figures.of(vendor.put("o/m", files, "safetensors"))
    assert found == ModelFigures(
        architecture="llama", layers=5, embedding_length=256, heads=4, kv_heads=2, vocabulary=2048
    )
    assert hub.ledger.sent("*.safetensors") == 0


async def test_what_cannot_be_looked_into_is_unknown(shelf, vendor) -> None:
    figures = RemoteFigures(Resolver([shelf, vendor]))
    assert await figures.of(shelf.put("m", {"a": b"a"})) is None
    assert await figures.of(vendor.put("o/m", {"model.safetensors": b"x"}, "safetensors")) is None


@pytest.mark.parametrize("junk", [b"no model", gguf_bytes()[:40] + b"\xff" * 400])
async def test_junk_is_refused(vendor, figures, junk: bytes) -> None:
    with pytest.raises(ModelFileError):
        await figures.of(vendor.put("o/m", {"m.gguf": junk}))


async def test_a_configuration_that_is_none_is_refused(vendor, figures) -> None:
    files = {"model.safetensors": b"x", "config.json": b"[1, 2"}
    with pytest.raises(ModelFileError, match=r"config\.json"):
        await figures.of(vendor.put("o/m", files, "safetensors"))


async def test_a_source_that_has_gone_is_told_and_asked_again_later(hub, vendor, figures, clock) -> None:
    variant = vendor.put("o/m", {"m.gguf": gguf_bytes()})
    hub.add("o/m", {"m.gguf": None})
    with pytest.raises(ModelNotFoundError):
        await figures.of(variant)
    hub.add("o/m", {"m.gguf": gguf_bytes()})
    with pytest.raises(ModelNotFoundError):
        await figures.of(variant)
    clock.tick(30)
    assert (await figures.of(variant)).layers == 2


async def test_a_vendor_that_fails_to_say_where_is_told(vendor, figures, monkeypatch, caplog) -> None:
    variant = vendor.put("o/m", {"m.gguf": gguf_bytes()})
    monkeypatch.setattr(vendor, "source", lambda variant, file: 1 / 0)
    with pytest.raises(UnreachableError, match="ZeroDivisionError"):
        await figures.of(variant)
    assert "'remote'" in caplog.text


async def test_all_who_want_to_know_at_once_share_one_look(hub, vendor, figures) -> None:
    variant = vendor.put("o/m", {"m.gguf": gguf_bytes(padding=4 << 20)})
    others = [msgspec.structs.replace(variant, figures=ModelFigures(context_length=number)) for number in range(6)]
    assert len({found.layers for found in await asyncio.gather(*map(figures.of, others))}) == 1
    assert hub.ledger.sent("*m.gguf") <= 256 * 1024
