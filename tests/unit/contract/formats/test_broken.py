"""Broken and hostile files are refused, quickly and with a reason; nothing else comes out of the readers."""

import io
import re
import time
import tracemalloc

import pytest
from rbee.contract.errors import ModelFileError
from rbee.contract.formats import read_gguf, read_safetensors
from unit.contract.formats.broken import GGUF, SAFETENSORS

QUICK_S = 3.0
FEW_BYTES = 200 << 20


def refusal(read, data, size, *, partial=False):
    tracemalloc.start()
    started = time.monotonic()
    try:
        read(io.BytesIO(data), size, name="some.file", partial=partial)
    except ModelFileError as error:
        return error.message
    finally:
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert time.monotonic() - started < QUICK_S
        assert most < FEW_BYTES
    return "ok"


def test_there_is_a_corpus():
    assert len(GGUF) + len(SAFETENSORS) >= 100


@pytest.mark.parametrize("case", GGUF)
def test_a_broken_gguf_file_is_refused(case):
    data, reason = GGUF[case]
    said = refusal(read_gguf, data, len(data))
    assert re.search(reason, said)
    assert "'some.file'" in said
    assert re.search(r"; (fetch it again|take a|update rbee)", said)
    for size in (None, 1 << 62):
        assert refusal(read_gguf, data, size, partial=True)


@pytest.mark.parametrize("case", SAFETENSORS)
def test_a_broken_safetensors_file_is_refused(case):
    data, reason = SAFETENSORS[case]
    said = refusal(read_safetensors, data, len(data))
    assert re.search(reason, said)
    assert said == "ok" or "'some.file'" in said
    for size in (None, 1 << 62):
        assert refusal(read_safetensors, data, size, partial=True)
