"""The head of a safetensors file is checked against the file."""

import io

import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import read_safetensors
from unit.contract.formats.building import entry, safetensors, small_safetensors


def read(data, size=None, **options):
    return read_safetensors(io.BytesIO(data), size, **options)


def test_weights_and_their_type_are_told():
    data = small_safetensors()
    head = read(data, len(data))
    assert (head.format, head.needed_bytes, head.data_start) == ("safetensors", len(data), len(data) - 20)
    assert (head.figures.parameters, head.figures.quantization, head.figures.weights_bytes) == (10, "F16", 20)


def test_a_file_cut_anywhere_is_refused_and_in_parts_tells_its_least_length():
    data = small_safetensors()
    start = read(data).data_start
    for cut in range(start):
        with pytest.raises(ModelFileError, match="ends within its head"):
            read(data[:cut])
        assert read(data[:cut], partial=True).needed_bytes == (start if cut >= 8 else None)
    for cut in range(start, len(data)):
        with pytest.raises(ModelFileError, match=f"is truncated: {cut} bytes, needs {len(data)}"):
            read(data[:cut], cut)
    assert read(data[:start], partial=True).needed_bytes == len(data)


def test_bytes_behind_the_last_tensor_are_refused():
    data = small_safetensors() + b"x"
    with pytest.raises(ModelFileError, match=f"has {len(data)} bytes, and its head speaks of {len(data) - 1}"):
        read(data, len(data))


def test_types_of_less_than_a_byte_are_counted_in_bits():
    data = safetensors({"a": entry("F4", (4,), 0, 2), "b": entry("F6_E2M3", (4,), 2, 5)}, bytes(5))
    assert read(data, len(data)).figures.parameters == 8


def test_a_type_that_is_not_known_yet_is_taken_at_its_word():
    data = safetensors({"a": entry("F3_NEW", (4,), 0, 7), "b": entry("BF16", (2,), 7, 11)}, bytes(11))
    told = read(data, len(data)).figures
    assert (told.parameters, told.quantization, told.weights_bytes) == (2, "BF16", 11)


def test_spaces_that_fill_the_head_do_no_harm():
    plain = small_safetensors()
    head = plain[8:-20] + b"   "
    assert read(safetensors({}, bytes(20), head=head)).figures == read(plain).figures


def test_metadata_may_speak_of_anything():
    entries = {"__metadata__": {"dtype": "x", "shape": "y", "data_offsets": "z"}, "a": entry("U8", (1,), 0, 1)}
    data = safetensors(entries, b"\0")
    assert read(data, len(data)).figures.parameters == 1
