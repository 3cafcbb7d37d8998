"""The head of a GGUF file tells what the model is."""

import io

import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import read_gguf, read_model
from unit.contract.formats.building import (
    ARRAY,
    DEMO,
    F32,
    LLAMA,
    TEXT,
    U8,
    U16,
    U32,
    U64,
    UNKNOWN_TENSOR,
    gguf,
    pair,
    small_gguf,
    tensor,
)


class Trickle(io.RawIOBase):
    """Gives one byte at a time, as a line may."""

    def __init__(self, data):
        self._data = io.BytesIO(data)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._data.read(1 if size else 0)


def read(data, **options):
    return read_gguf(io.BytesIO(data), None, **options)


def figures(*pairs, **options):
    return read(gguf(pairs, **options)).figures


def test_all_figures_of_a_file_are_told():
    data = small_gguf()
    head = read_gguf(io.BytesIO(data), len(data))
    told = head.figures
    assert (told.architecture, told.quantization, told.context_length, told.layers) == ("llama", "Q4_K_M", 4096, 3)
    assert (told.embedding_length, told.heads, told.kv_heads) == (512, 8, 2)
    assert (told.key_length, told.value_length, told.vocabulary) == (64, 48, 4)
    assert (told.parameters, told.weights_bytes, told.chat_template) == (133, 82, "{{ messages }}")
    assert (head.format, head.needed_bytes, head.split_count, head.split_number) == ("gguf", len(data), None, None)
    assert head.data_start == len(data) - 106


def test_the_model_that_comes_along_is_read_whole():
    head = read_model(DEMO)
    assert head.needed_bytes == DEMO.stat().st_size
    assert head.figures.weights_bytes == head.needed_bytes - head.data_start
    assert (head.figures.parameters, head.figures.quantization, head.figures.vocabulary) == (4459264, "Q8_0", 2048)
    assert "messages" in head.figures.chat_template


def test_a_stream_may_give_a_byte_at_a_time():
    data = small_gguf()
    assert read_gguf(Trickle(data), len(data)) == read(data)


def test_a_file_of_version_two_is_read_likewise():
    assert read(small_gguf(version=2)) == read(small_gguf())


def test_a_file_cut_anywhere_in_its_head_is_refused_and_in_parts_tells_what_is_there():
    data = small_gguf()
    start = read(data).data_start
    end_of_head = max(cut for cut in range(start + 1) if not _whole(data[:cut])) + 1
    for cut in range(end_of_head):
        with pytest.raises(ModelFileError, match="ends within its head"):
            read(data[:cut])
        head = read(data[:cut], partial=True)
        assert head.data_start is None
        assert head.needed_bytes is None
    assert read(data[:end_of_head], partial=True).needed_bytes == len(data)
    assert read(data[: end_of_head - 1], partial=True).figures.vocabulary == 4


def _whole(data):
    try:
        read(data)
    except ModelFileError:
        return False
    return True


def test_a_file_cut_in_its_tensors_says_how_much_is_missing():
    data = small_gguf()
    with pytest.raises(
        ModelFileError, match=rf"'x\.gguf' is truncated: {len(data) - 1} bytes, needs {len(data)}; fetch"
    ):
        read_gguf(io.BytesIO(data), len(data) - 1, name="x.gguf")


def test_a_head_is_read_from_a_stream_without_its_tensors():
    data = small_gguf()
    start = read(data).data_start
    assert read_gguf(io.BytesIO(data[:start]), len(data)) == read(data)


def test_heads_that_differ_from_layer_to_layer_count_by_the_largest():
    told = figures(
        pair("general.architecture", TEXT, "x"),
        pair("x.block_count", U32, 4),
        pair("x.attention.head_count", ARRAY, (U32, [4, 8, 16, 8])),
        pair("x.attention.head_count_kv", ARRAY, (U32, [0, 4, 0, 2])),
    )
    assert (told.heads, told.kv_heads) == (16, 4)
    assert told.layers == 2, "layers without heads for keys and values keep none"


def test_figures_of_another_architecture_are_not_taken():
    told = figures(pair("y.context_length", U32, 7), pair("general.architecture", TEXT, "x"))
    assert told.context_length is None


def test_the_architecture_may_stand_behind_its_figures():
    told = figures(pair("x.context_length", U32, 7), pair("general.architecture", TEXT, "x"))
    assert told.context_length == 7


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (0, "F32"),
        (1, "F16"),
        (7, "Q8_0"),
        (15, "Q4_K_M"),
        (30, "IQ4_XS"),
        (32, "BF16"),
        (38, "MXFP4"),
        (1024 + 15, "Q4_K_M"),
        (33, None),
        (9999, None),
    ],
)
def test_a_file_type_names_the_quantisation(number, name):
    assert figures(pair("general.file_type", U32, number)).quantization == name


@pytest.mark.parametrize(
    ("label", "count"),
    [
        ("0.6B", 600_000_000),
        ("135M", 135_000_000),
        ("30B-A3B", 30_000_000_000),
        ("8x7B", None),
        ("large", None),
        ("9" * 40 + "B", None),
    ],
)
def test_a_label_of_the_size_stands_in_for_a_number_of_weights(label, count):
    assert figures(pair("general.size_label", TEXT, label)).parameters == count


def test_counted_weights_go_before_what_the_file_says():
    told = read(gguf([pair("general.parameter_count", U64, 7)], [tensor(dims=(32, 3))])).figures
    assert told.parameters == 96


def test_of_a_part_the_weights_are_not_taken_for_the_whole():
    pairs = [pair("split.count", U16, 2), pair("split.no", U16, 1)]
    head = read(gguf(pairs, [tensor()]))
    assert (head.split_count, head.split_number, head.figures.parameters) == (2, 1, None)
    assert head.figures.weights_bytes == 18


def test_the_length_of_a_vocabulary_is_told_by_its_number_or_its_words():
    words = pair("tokenizer.ggml.tokens", ARRAY, (TEXT, ["a"] * 9))
    assert figures(words).vocabulary == 9
    told = figures(words, pair("general.architecture", TEXT, "x"), pair("x.vocab_size", U32, 5))
    assert told.vocabulary == 5


def test_a_template_beyond_the_bound_is_passed_over():
    long = pair("tokenizer.chat_template", TEXT, "x" * (256 * 1024 + 1))
    after = pair("general.architecture", TEXT, "x")
    assert (figures(long, after).chat_template, figures(long, after).architecture) == (None, "x")
    assert len(figures(pair("tokenizer.chat_template", TEXT, "x" * 256 * 1024)).chat_template) == 256 * 1024


def test_texts_that_are_no_utf_8_are_unknown():
    told = figures(pair("tokenizer.chat_template", TEXT, b"\xff\xfe"), pair("general.architecture", TEXT, b"\xc3"))
    assert (told.chat_template, told.architecture) == (None, None)


def test_figures_that_make_no_sense_are_unknown():
    told = figures(
        pair("general.architecture", TEXT, "x"),
        pair("x.context_length", U64, 1 << 40),
        pair("x.block_count", TEXT, "many"),
        pair("x.embedding_length", F32, float("nan")),
        pair("x.attention.head_count", U32, 0),
        pair("x.attention.key_length", ARRAY, (U8, [])),
        pair("x.vocab_size", 7, True),
    )
    assert told == type(told)(architecture="x")


def test_a_tensor_of_an_unknown_type_leaves_the_length_unknown():
    head = read(gguf(LLAMA, [tensor("a"), tensor("b", (10,), UNKNOWN_TENSOR, 32)]))
    assert (head.needed_bytes, head.figures.weights_bytes, head.figures.parameters) == (None, None, 42)


def test_a_file_without_tensors_needs_no_more_than_its_head():
    data = gguf(LLAMA)
    head = read_gguf(io.BytesIO(data), len(data))
    assert (head.needed_bytes, head.figures.parameters, head.figures.weights_bytes) == (len(data), None, None)


def test_tensors_begin_at_the_alignment_that_the_file_gives():
    pairs = (pair("general.alignment", U32, 512), pair("general.architecture", TEXT, "x"))
    head = read(gguf(pairs, [tensor("a", (32,), 2, 0), tensor("b", (32,), 2, 512)]))
    assert (head.data_start, head.needed_bytes) == (512, 512 + 512 + 18)


def test_a_vocabulary_of_a_large_model_takes_no_time_to_speak_of():
    words = [f"word{number}" for number in range(300_000)]
    data = gguf([pair("tokenizer.ggml.tokens", ARRAY, (TEXT, words)), *LLAMA[:3]])
    head = read(data)
    assert (head.figures.vocabulary, head.figures.context_length) == (300_000, 4096)


@pytest.mark.parametrize(
    ("number", "pooling"), [(0, None), (1, "mean"), (2, "cls"), (3, "last"), (4, "rank"), (9, None)]
)
def test_models_for_embeddings_say_how_vectors_become_one(number, pooling):
    told = figures(pair("general.architecture", TEXT, "x"), pair("x.pooling_type", U32, number))
    assert told.pooling == pooling
