"""Broken and hostile files by name, made by code: each with what its refusal must say."""

from __future__ import annotations

import pickle
import struct

from unit.contract.formats.building import (
    ARRAY,
    F16_TENSOR,
    F32,
    I32,
    LLAMA,
    Q4_0,
    Q4_K,
    TEXT,
    U8,
    U32,
    U64,
    entry,
    gguf,
    pair,
    safetensors,
    small_gguf,
    small_safetensors,
    tensor,
    text,
)

HUGE = (1 << 64) - 1
ENDS = "ends within its head"


def raw(key, kind, rest=b""):
    return text(key) + struct.pack("<I", kind) + rest


def array(kind, count, rest=b""):
    return raw("k", ARRAY, struct.pack("<IQ", kind, count) + rest)


def alignment(value, kind=U32):
    return gguf([pair("general.alignment", kind, value)], [tensor()], data=bytes(18))


def two(*spans, dims=(32,)):
    return gguf((), [tensor(f"t{number}", dims, Q4_0, offset) for number, offset in enumerate(spans)], data=bytes(4096))


GGUF = {
    "empty": (b"", ENDS),
    "one byte": (b"G", ENDS),
    "magic alone": (b"GGUF", ENDS),
    "half a version": (b"GGUF\3\0", ENDS),
    "no counts": (b"GGUF\3\0\0\0", ENDS),
    "half of the counts": (gguf()[:20], ENDS),
    "wrong magic": (small_gguf(magic=b"GGML"), "letters GGUF"),
    "small letters": (small_gguf(magic=b"gguf"), "letters GGUF"),
    "a page": (b"<!doctype html><html>Not found</html>", "letters GGUF"),
    "a pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "letters GGUF"),
    "zeros": (bytes(1000), "letters GGUF"),
    "big-endian": (struct.pack(">4sIQQ", b"GGUF", 3, 0, 0), "big-endian"),
    "version 0": (small_gguf(version=0), "version 0"),
    "version 1": (small_gguf(version=1), "version 1.*take a newer edition"),
    "version 4": (small_gguf(version=4), "version 4"),
    "version 99": (small_gguf(version=99), "version 99.*update rbee"),
    "huge count of keys": (gguf(keys=HUGE), "claims 18446744073709551615 keys"),
    "negative count of keys": (gguf(keys=1 << 63), "claims 9223372036854775808 keys"),
    "many keys that are not there": (gguf(LLAMA, keys=60_000), ENDS),
    "one key too many": (gguf(LLAMA, keys=len(LLAMA) + 1), ENDS),
    "huge count of tensors": (gguf(count=HUGE), "18446744073709551615 tensors"),
    "many tensors that are not there": (gguf(count=200_000), ENDS),
    "one tensor too many": (gguf((), [tensor()], count=2), ENDS),
    "huge length of a key": (gguf([struct.pack("<Q", HUGE)]), "a key of 18446744073709551615 bytes"),
    "negative length of a key": (gguf([struct.pack("<q", -1)]), "a key of"),
    "a key of a megabyte": (gguf([pair("k" * (1 << 20), U32, 1)]), "a key of 1048576 bytes"),
    "a key that is cut": (gguf([struct.pack("<Q", 50) + b"short"]), ENDS),
    "a key without a value": (gguf([text("k")]), ENDS),
    "a key twice": (gguf([pair("k", U32, 1), pair("k", U32, 2)]), "'k' twice"),
    "an unknown type": (gguf([raw("k", 13, bytes(8))]), "unknown type 13"),
    "a negative type": (gguf([raw("k", HUGE & 0xFFFFFFFF, bytes(8))]), "unknown type 4294967295"),
    "huge length of a text": (gguf([raw("k", TEXT, struct.pack("<Q", HUGE))]), "a text of 18446744073709551615"),
    "a text that is cut": (gguf([raw("k", TEXT, struct.pack("<Q", 1 << 20))]), ENDS),
    "a wanted text that is cut": (gguf([raw("general.architecture", TEXT, struct.pack("<Q", 9) + b"x")]), ENDS),
    "a number that is cut": (gguf([raw("k", U64, b"123")]), ENDS),
    "huge array of numbers": (gguf([array(U64, HUGE)]), "more than 256 MiB"),
    "an array of numbers that is not there": (gguf([array(U8, 1 << 27)]), ENDS),
    "huge array of texts": (gguf([array(TEXT, HUGE)]), "array of 18446744073709551615 texts"),
    "many texts that are not there": (gguf([array(TEXT, 1 << 22)]), ENDS),
    "huge text in an array": (gguf([array(TEXT, 1, struct.pack("<Q", HUGE))]), "a text of 18446744073709551615"),
    "large texts in an array": (gguf([array(TEXT, 9, struct.pack("<Q", 1 << 26))]), ENDS),
    "an array of an unknown type": (gguf([array(77, 1, bytes(8))]), "unknown type 77"),
    "an array of an unknown type and no length": (gguf([array(77, 0)]), "unknown type 77"),
    "an array of arrays": (gguf([array(ARRAY, 1, struct.pack("<IQ", U8, 1) + b"x")]), "array of arrays"),
    "arrays in arrays without end": (gguf([array(ARRAY, 1, struct.pack("<IQ", ARRAY, 1) * 100_000)]), "array of arr"),
    "a thousand models": (gguf([pair(f"a{number}.vocab_size", U32, 1) for number in range(1000)]), "more than one"),
    "keys beyond all measure": (gguf([pair(f"{n:060000}", U32, 1) for n in range(300)]), "keys beyond all measure"),
    "names beyond all measure": (
        gguf((), [tensor(f"{n:060000}", (), F16_TENSOR, n * 32) for n in range(600)]),
        "names beyond all measure",
    ),
    "alignment 0": (alignment(0), "aligns its tensors to 0"),
    "alignment 3": (alignment(3), "aligns its tensors to 3"),
    "negative alignment": (alignment(-32, I32), "aligns its tensors to -32"),
    "huge alignment": (alignment(1 << 31), "no power of two up to"),
    "alignment by words": (alignment("32", TEXT), "aligns its tensors to '32'"),
    "alignment by halves": (alignment(32.5, F32), "aligns its tensors to 32.5"),
    "huge length of a tensor's name": (gguf((), [struct.pack("<Q", HUGE)]), "tensor's name of"),
    "a tensor twice": (two(0, 32).replace(b"t1", b"t0"), "'t0' twice"),
    "nine dimensions": (gguf((), [tensor(dims=(1,) * 9)]), "9 dimensions"),
    "huge count of dimensions": (gguf((), [text("t") + struct.pack("<I", 0xFFFFFFFF)]), "4294967295 dimensions"),
    "gigantic dimension": (gguf((), [tensor(dims=(HUGE,))]), "more weights than any model"),
    "negative dimension": (gguf((), [tensor(dims=(1 << 63,))]), "more weights than any model"),
    "overflowing product": (gguf((), [tensor(dims=(1 << 32, 1 << 32))]), "more weights than any model"),
    "product that overflows to 0": (gguf((), [tensor(dims=(1 << 32, 1 << 32, 0))]), "more weights than any model"),
    "gigantic dimension hidden by 0": (gguf((), [tensor(dims=(0, HUGE))]), "more weights than any model"),
    "many gigantic tensors": (two(*range(0, 3200, 32), dims=(1 << 25, 1 << 25)), "more weights than any model"),
    "rows that do not fill their blocks": (gguf((), [tensor(dims=(33,))]), "rows of 33, no multiple of 32"),
    "one number in blocks of 256": (gguf((), [tensor(dims=(), kind=Q4_K)]), "rows of 1, no multiple of 256"),
    "tensors over each other": (two(0, 0), "over each other at 0"),
    "tensors over each other by a little": (two(0, 32, dims=(64,)), "over each other at 32"),
    "a tensor out of line": (two(1), "at 1, which is out of line"),
    "huge offset": (two(HUGE & ~31), "out of line"),
    "a tensor beyond the end": (two(1 << 40), r"is truncated: \d+ bytes, needs 10995"),
    "a tensor that is cut": (small_gguf()[:-1], "is truncated"),
    "no tensors' bytes at all": (gguf((), [tensor()]), r"is truncated: \d+ bytes, needs"),
    "a list of tensors that is cut": (gguf((), [tensor()[:-4]]), ENDS),
    "a pickle of protocol 4": (pickle.dumps({"w": 1}, protocol=4), "letters GGUF"),
    "a zip": (b"PK\3\4" + bytes(100), "letters GGUF"),
    "a safetensors file": (small_safetensors(), "letters GGUF"),
}
"""GGUF files by what is wrong with them: the bytes, and what the refusal says."""


def one(dtype="U8", shape=(1,), start=0, end=1, data=b"\0"):
    return safetensors({"t": entry(dtype, shape, start, end)}, data)


def head(text, data=b""):
    return safetensors({}, data, head=text.encode() if isinstance(text, str) else text)


SPAN = '"dtype":"U8","shape":[1],"data_offsets":[0,1]'

SAFETENSORS = {
    "empty": (b"", ENDS),
    "half a length": (b"\1\0\0", ENDS),
    "a length alone": (struct.pack("<Q", 50), "no safetensors file"),
    "huge length": (safetensors({}, length=HUGE), "its head would have 18446744073709551615"),
    "negative length": (safetensors({}, length=1 << 63), "no safetensors file"),
    "length beyond the format's": (safetensors({}, length=100_000_001), "no safetensors file"),
    "length beyond the file": (safetensors({}, length=1000), "truncated or no safetensors file"),
    "no head": (safetensors({}, head=b""), "no JSON object"),
    "a list": (head("[]"), "no JSON object"),
    "a byte order mark": (head(b"\xef\xbb\xbf{}"), "no JSON object"),
    "spaces first": (head(" {}"), "no JSON object"),
    "half a head": (head('{"t":'), "is damaged"),
    "no UTF-8": (head(b'{"\xff\xfe":{' + SPAN.encode() + b"}}", b"\0"), "is damaged"),
    "something behind the head": (head("{}{}"), "is damaged"),
    "zeros behind the head": (head(b"{}\0\0\0"), "is damaged"),
    "deep objects": (head('{"a":' * 100_000), "may be spent|damaged"),
    "deep lists": (head('{"a":' + "[" * 5_000_000), "may be spent|damaged"),
    "a deep value": (head('{"t":{"dtype":' + "[" * 2000 + "]" * 2000 + "}}"), "twice|damaged|may be spent"),
    "a name twice": (head(f'{{"t":{{{SPAN}}},"t":{{{SPAN}}}}}', b"\0"), "lists a tensor twice"),
    "offsets twice": (head(f'{{"t":{{{SPAN},"data_offsets":[0,1]}}}}', b"\0"), "lists a tensor twice"),
    "metadata twice": (head(f'{{"__metadata__":{{}},"__metadata__":{{{SPAN}}}}}', b""), r"ok|twice"),
    "offsets in disguise": (head('{"t":{"dtype":"U8","shape":[1],"data\\u005foffsets":[0,1]}}', b"\0"), "twice"),
    "no offsets": (head('{"t":{"dtype":"U8","shape":[1]}}'), "twice"),
    "no type": (head('{"t":{"shape":[1],"data_offsets":[0,1]}}', b"\0"), "is damaged"),
    "a type that is a number": (head('{"t":{"dtype":5,"shape":[1],"data_offsets":[0,1]}}', b"\0"), "is damaged"),
    "an entry that is a number": (head('{"t":5}'), "twice"),
    "NaN in a shape": (head('{"t":{"dtype":"U8","shape":[NaN],"data_offsets":[0,1]}}', b"\0"), "is damaged"),
    "a broken number in a shape": (head('{"t":{"dtype":"U8","shape":[1.5],"data_offsets":[0,1]}}', b"\0"), "damaged"),
    "a number in a shape that is too long": (
        head(f'{{"t":{{"dtype":"U8","shape":[{"9" * 4000}],"data_offsets":[0,1]}}}}', b"\0"),
        "damaged|length",
    ),
    "negative dimension": (one(shape=(-1,)), "a shape that begins with"),
    "gigantic dimension": (one(shape=(1 << 63,)), "a shape that begins with"),
    "overflowing product": (one(shape=(1 << 32, 1 << 32)), "a shape that begins with"),
    "gigantic dimension hidden by 0": (one(shape=(0, 1 << 62), end=0, data=b""), "a shape that begins with"),
    "forty dimensions": (one(shape=(1,) * 40), "where none can lie"),
    "a million dimensions": (
        head('{"t":{"dtype":"U8","shape":[' + "1," * 1_000_000 + '1],"data_offsets":[0,1]}}', b"\0"),
        "too great a length",
    ),
    "three offsets": (head('{"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1,2]}}', b"\0"), "is damaged"),
    "negative offset": (one(start=-1), "where none can lie"),
    "offsets turned round": (one(start=1, end=0), "where none can lie"),
    "huge offsets": (one(start=HUGE - 1, end=HUGE), "where none can lie"),
    "too few bytes for the shape": (one("F32", (4,), 0, 15, bytes(15)), "15 bytes, which its shape does not fill"),
    "too many bytes for the shape": (one("F32", (4,), 0, 17, bytes(17)), "17 bytes, which its shape does not fill"),
    "half a byte": (one("F4", (3,), 0, 1), "1 bytes, which its shape does not fill"),
    "a gap in front": (one(start=1, end=2, data=bytes(2)), "with a gap between them at 0"),
    "a gap": (safetensors({"a": entry("U8", (1,), 0, 1), "b": entry("U8", (1,), 2, 3)}, bytes(3)), "with a gap"),
    "tensors over each other": (
        safetensors({"a": entry("U8", (2,), 0, 2), "b": entry("U8", (2,), 1, 3)}, bytes(3)),
        "over each other at 1",
    ),
    "the same bytes twice": (
        safetensors({"a": entry("U8", (1,), 0, 1), "b": entry("U8", (1,), 0, 1)}, b"\0"),
        "over each other",
    ),
    "cut by a byte": (small_safetensors()[:-1], "is truncated"),
    "a byte too many": (small_safetensors() + b"\0", "its head speaks of"),
    "many small names": (head("{" + ",".join(f'"{number}":0' for number in range(1_100_000)) + "}"), "lists more than"),
    "a GGUF file": (small_gguf(), "no safetensors file"),
    "a pickle of protocol 2": (pickle.dumps({"w": 1}, protocol=2), "no safetensors file|ends within"),
}
"""Safetensors files likewise."""
