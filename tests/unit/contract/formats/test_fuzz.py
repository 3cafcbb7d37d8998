"""Whatever is changed in a good file: a head comes out, or a `ModelFileError`, soon and with little memory."""

import io
import json
import time

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import ModelHead, read_folder, read_gguf, read_model, read_safetensors, refuse_pickle
from unit.contract.formats.building import CONFIG, DEMO, folder_of, small_gguf, small_safetensors
from unit.contract.formats.mutations import mutated

QUICK_S = 2.0
LARGEST_ANSWER = 4 << 20
DEMO_HEAD = DEMO.read_bytes()[:66_048]
few = settings(max_examples=120, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True)


def judged(read):
    """What came out is as promised."""
    started = time.monotonic()
    message, head = "", None
    try:
        head = read()
    except ModelFileError as error:
        message = error.message
    assert len(msgspec.json.encode(message)) < 4000
    told = msgspec.json.encode(head)
    assert len(told) < LARGEST_ANSWER
    assert msgspec.json.decode(told, type=ModelHead | None) == head
    assert time.monotonic() - started < QUICK_S


def judged_stream(read, data):
    for size, partial in ((len(data), False), (None, False), (None, True), (1 << 45, True)):
        judged(lambda: read(io.BytesIO(data), size, name="x", partial=partial))  # noqa: B023


@few
@given(mutated(small_gguf(), 700))
def test_a_small_gguf_file_may_be_changed_anywhere(data):
    judged_stream(read_gguf, data)


@settings(few, max_examples=25)
@given(mutated(DEMO_HEAD, 1500))
def test_the_keys_of_the_demo_may_be_changed(data):
    judged_stream(read_gguf, data)


@settings(few, max_examples=25)
@given(mutated(DEMO_HEAD, len(DEMO_HEAD)))
def test_the_demo_may_be_changed_anywhere(data):
    judged_stream(read_gguf, data)


@few
@given(mutated(small_safetensors(), 300))
def test_a_safetensors_file_may_be_changed_anywhere(data):
    judged_stream(read_safetensors, data)


@few
@given(st.binary(max_size=300))
def test_any_bytes_may_come(data):
    judged_stream(read_gguf, data)
    judged_stream(read_gguf, b"GGUF\3\0\0\0\0\0\0\0\0\0\0\0\3\0\0\0\0\0\0\0" + data)
    judged_stream(read_safetensors, data)
    judged_stream(read_safetensors, len(data).to_bytes(8, "little") + data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(sorted(CONFIG)), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


@settings(few, max_examples=40)
@given(st.dictionaries(st.sampled_from([*CONFIG, "text_config", "quantization", "layer_types"]), JSON), JSON)
def test_a_configuration_may_hold_anything(place, config, template):
    folder = folder_of(place / "json", config)
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": template}))
    judged(lambda: read_folder(folder))


@settings(few, max_examples=40)
@given(mutated(json.dumps(CONFIG).encode(), 300))
def test_a_configuration_may_be_damaged(place, data):
    folder = folder_of(place / "bytes")
    (folder / "config.json").write_bytes(data)
    judged(lambda: read_folder(folder))


@settings(few, max_examples=60)
@given(
    mutated(b"PK\3\4" + bytes(60) + b"PK\1\2" + bytes(60) + b"PK\5\6" + bytes(18), 150)
    | mutated(b"\x80\4\x95" + bytes(40) + b".", 40)
)
def test_archives_and_pickles_may_be_damaged(place, data):
    path = place / "m.gguf"
    path.write_bytes(data)
    judged(lambda: refuse_pickle(path))
    judged(lambda: read_model(path))
