"""What the files of a model tell of it."""

from __future__ import annotations

from pathlib import Path

from rbee.catalog.heads import Heads
from rbee.contract import ModelFile, ModelVariant
from rbee.contract.formats import read_model
from rbee.testing.hub.samples import split_gguf_files


async def test_a_model_in_parts_is_counted_once(tmp_path: Path) -> None:
    files = {name: data for name, data in split_gguf_files(count=3).items() if name.endswith(".gguf")}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    variant = ModelVariant(
        model_id="m", name="m", vendor="v", format="gguf", files=tuple(ModelFile(name=name) for name in sorted(files))
    )
    figures = await Heads({}).of(variant, tmp_path)
    whole = read_model(tmp_path / min(files)).figures
    assert figures == whole
    assert 0 < figures.weights_bytes <= sum(len(data) for data in files.values())


async def test_a_format_that_is_not_known_here_tells_what_its_vendor_told(tmp_path: Path) -> None:
    (tmp_path / "m.blob").write_bytes(b"x")
    variant = ModelVariant(model_id="m", name="m", vendor="v", format="blob", files=(ModelFile(name="m.blob"),))
    assert await Heads({}).of(variant, tmp_path) is None
