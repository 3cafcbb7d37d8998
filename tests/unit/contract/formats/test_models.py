"""Whatever lies at a path is read as what it is."""

import os

import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import read_folder, read_gguf, read_model
from unit.contract.formats.building import (
    LLAMA,
    Q4_0,
    U16,
    folder_of,
    gguf,
    pair,
    small_gguf,
    small_safetensors,
    tensor,
)


def part(number, count):
    pairs = [*(LLAMA if number == 0 else ()), pair("split.count", U16, count), pair("split.no", U16, number)]
    return gguf(pairs, [tensor(f"t{number}", (32, 2), Q4_0, 0)], data=bytes(36))


def parts(folder, numbers, count):
    for place, number in enumerate(numbers, 1):
        (folder / f"big-{place:05d}-of-{count:05d}.gguf").write_bytes(part(number, count))
    return folder / f"big-00001-of-{count:05d}.gguf"


def test_a_gguf_file_is_known_by_its_content(tmp_path):
    (tmp_path / "sha256-0123").write_bytes(small_gguf())
    assert read_model(tmp_path / "sha256-0123").figures.architecture == "llama"


def test_a_single_safetensors_file_tells_its_weights(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(small_safetensors())
    assert read_model(tmp_path / "w.safetensors").figures.parameters == 10


def test_a_folder_is_what_lies_in_it(tmp_path):
    folder = folder_of(tmp_path / "a")
    assert read_model(folder) == read_folder(folder)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "m.gguf").write_bytes(small_gguf())
    (tmp_path / "b" / "mmproj-m.gguf").write_bytes(small_gguf())
    with (tmp_path / "b" / "m.gguf").open("rb") as file:
        assert read_model(tmp_path / "b") == read_gguf(file, None)


def test_the_parts_of_a_split_model_are_added_up(tmp_path):
    head = read_model(parts(tmp_path, [0, 1, 2], 3))
    assert (head.figures.parameters, head.figures.weights_bytes, head.split_count) == (192, 108, 3)
    assert (head.figures.architecture, head.data_start) == ("llama", None)
    assert head.needed_bytes == sum(path.stat().st_size for path in tmp_path.iterdir())
    assert read_model(tmp_path) == head


def test_parts_out_of_their_order_are_refused(tmp_path):
    with pytest.raises(ModelFileError, match=r"00002-of-00003.*calls itself part 3 of 3, and lies here as part 2 of 3"):
        read_model(parts(tmp_path, [0, 2, 1], 3))


def test_a_part_that_lost_its_name_is_refused(tmp_path):
    (tmp_path / "m.gguf").write_bytes(part(0, 2))
    with pytest.raises(ModelFileError, match=r"part 1 of 2, and lies here as part 1 of 1.*names they were published"):
        read_model(tmp_path / "m.gguf")


def test_a_missing_and_a_damaged_part_are_named(tmp_path):
    first = parts(tmp_path, [0, 1], 2)
    (tmp_path / "big-00002-of-00002.gguf").write_bytes(b"GGUF")
    with pytest.raises(ModelFileError, match=r"big-00002-of-00002\.gguf' cannot be used: it ends within its head"):
        read_model(first)
    (tmp_path / "big-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelFileError, match=r"'big-00002-of-00002\.gguf' is missing"):
        read_model(first)


@pytest.mark.parametrize("name", ["a-00004-of-00003.gguf", "a-00000-of-00003.gguf", "a-00001-of-99999.gguf"])
def test_numbers_of_parts_that_make_no_sense_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(small_gguf())
    with pytest.raises(ModelFileError, match="calls itself part"):
        read_model(tmp_path / name)


def test_several_models_in_a_folder_are_named(tmp_path):
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes(small_gguf())
    with pytest.raises(ModelFileError, match=r"2 models: 'a\.gguf', 'b\.gguf'"):
        read_model(tmp_path)


def test_what_cannot_be_looked_at_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    for name in ("gone", "pipe", "a", "x" * 5000, "nul\0", "."):
        with pytest.raises(ModelFileError):
            read_model(tmp_path / name)


def test_a_name_that_is_no_utf_8_can_be_told(tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.gguf")
    path.write_bytes(b"x")
    with pytest.raises(ModelFileError, match=r"\\udcff\.gguf") as caught:
        read_model(path)
    assert caught.value.message.encode()
