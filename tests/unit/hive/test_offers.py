"""What another hive says of a model is not believed as it comes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from rbee.catalog.layout import folder_name
from rbee.contract import ModelFile, ModelVariant
from rbee.contract.errors import ModelFileError
from rbee.contract.figures import ModelFigures
from rbee.contract.wire import ModelStanding
from rbee.hive.offers import checked

ID = "hub:m"
SUM = "a" * 64


def file(**more: Any) -> ModelFile:
    return ModelFile(**({"name": "m.gguf", "size_bytes": 3, "sha256": SUM} | more))


def offer(files: tuple[ModelFile, ...] = (file(),), **more: Any) -> ModelStanding:
    told = {"hive_id": "a", "key": folder_name(ID), "state": "available"}
    standing = {key: more.pop(key) for key in ("hive_id", "key") if key in more}
    variant = ModelVariant(**({"model_id": ID, "name": "m", "vendor": "hub", "format": "gguf", "files": files} | more))
    return ModelStanding(variant=variant, **(told | standing))


LIES = {
    "another model": offer(model_id="hub:other"),
    "another model and a path": offer(model_id="hub:other", in_place="/etc/passwd"),
    "a path": offer(in_place="/etc/passwd"),
    "another hive": offer(hive_id="b"),
    "another key": offer(key="k"),
    "no files": offer(()),
    "too many files": offer(tuple(file(name=f"{number}.gguf") for number in range(10_001))),
    "no size": offer((file(size_bytes=None),)),
    "a size below nothing": offer((file(size_bytes=-1),)),
    "a size beyond all disks": offer((file(size_bytes=2**60),)),
    "no checksum": offer((file(sha256=None),)),
    "a checksum that is none": offer((file(sha256="A" * 64),)),
    "an id that is none": offer((file(git_oid="x"),)),
    "a file outside": offer((file(name="../m.gguf"),)),
    "a file elsewhere": offer((file(name="/etc/passwd"),)),
    "a file twice": offer((file(), file())),
    "a name of several lines": offer(name="m\nn"),
    "a long word": offer(format="g" * 5000),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_with_the_name_of_who_told_it(lie: str) -> None:
    with pytest.raises(ModelFileError, match="'hub:m' is not taken from hive 'a'"):
        checked(LIES[lie], "a", ID)


def test_an_honest_offer_is_taken_but_for_what_its_files_tell_themselves() -> None:
    honest = offer((file(), file(name="sub/t.json", sha256=None, git_oid="b" * 40)), figures=ModelFigures(layers=3))
    assert checked(honest, "a", ID) == msgspec.structs.replace(honest.variant, figures=None)
