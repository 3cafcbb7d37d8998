"""Links between models: nobody writes through one, and none that is left over stands in the way."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from rbee.catalog import ModelCatalog, Resolver
from rbee.catalog.layout import write_record
from rbee.catalog.links import forget_links
from rbee.catalog.provisioner import parts_of
from rbee.catalog.verification import verify
from rbee.contract import ModelFile, ModelVariant
from rbee.contract.errors import ConfigurationError, ModelFileError
from rbee.testing.cancel import Cancel

GOOD = os.urandom(200_000)


def quiet(done: int, total: int | None) -> None:
    """Nobody watches."""


@pytest.fixture
async def catalog(tmp_path: Path, shop) -> AsyncIterator[ModelCatalog]:
    (tmp_path / "models").mkdir()
    made = ModelCatalog(tmp_path / "models", Resolver([shop]))
    await made.open()
    yield made
    await made.close()


@pytest.mark.parametrize("ending", [".part", ".part.json", ".part.json.new", ".PART"])
async def test_a_model_cannot_write_into_another_one_by_a_name(catalog, shop, ending: str) -> None:
    good = await catalog.ensure(shop.put("good", {"good.blob": GOOD}), quiet)
    evil = shop.put("evil", {"x.blob": os.urandom(1000), f"x.blob{ending}": GOOD})
    with pytest.raises(ModelFileError, match="while unfinished"):
        await catalog.ensure(evil, quiet)
    assert Path(good.path).read_bytes() == GOOD


async def test_a_models_record_is_not_written_through_a_link(tmp_path: Path, shop) -> None:
    good = tmp_path / "good"
    good.write_bytes(GOOD)
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / ".rbee.json.new").hardlink_to(good)
    (tmp_path / "m" / ".rbee.json").symlink_to(good)
    write_record(tmp_path / "m", shop.put("m", {"m.blob": b"x"}))
    assert good.read_bytes() == GOOD
    assert (tmp_path / "m" / ".rbee.json").lstat().st_nlink == 1


async def test_links_that_an_earlier_try_has_left_do_not_stand_in_the_way(catalog, shop, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_bytes(GOOD)
    variant = shop.put("m", {"m.blob": GOOD, "deep/n.blob": GOOD[:1000]})
    parts = parts_of(tmp_path / "models", variant.model_id)
    parts.mkdir(parents=True)
    (parts / "m.blob").symlink_to(other)
    (parts / "deep").symlink_to(tmp_path)
    entry = await catalog.ensure(variant, quiet)
    assert Path(entry.path).read_bytes() == GOOD
    assert not Path(entry.path).is_symlink()
    assert not (tmp_path / "n.blob").exists()


def test_only_what_is_the_parts_own_is_left_of_them(tmp_path: Path) -> None:
    parts, other = tmp_path / "parts", tmp_path / "other"
    (parts / "deep").mkdir(parents=True)
    other.write_bytes(GOOD)
    (parts / "own").write_bytes(b"own")
    (parts / "deep" / "own").write_bytes(b"own")
    (parts / "deep" / "hard").hardlink_to(other)
    (parts / "symbolic").symlink_to(other)
    (parts / "folder").symlink_to(tmp_path)
    forget_links(parts)
    assert {str(path.relative_to(parts)) for path in parts.rglob("*")} == {"own", "deep", "deep/own"}
    assert other.read_bytes() == GOOD


def test_a_file_that_cannot_be_read_is_told_with_what_to_do(tmp_path: Path, monkeypatch) -> None:
    def broken(*_arguments: object) -> bool:
        raise OSError(5, "Input/output error")

    file = ModelFile(name="f", size_bytes=1, sha256="0" * 64)
    (tmp_path / "f").write_bytes(b"f")
    monkeypatch.setattr("rbee.catalog.verification.matches", broken)
    variant = ModelVariant(model_id="m", name="m", vendor="v", format="blob", files=(file,))
    with pytest.raises(ConfigurationError, match=r"Input/output error.*Check that disk"):
        verify(tmp_path, file, variant, linked=False, cancel=Cancel())
