"""Files with something changed, as hypothesis strategies."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

NUMBERS = st.sampled_from(
    [
        0,
        1,
        2,
        7,
        8,
        9,
        13,
        31,
        32,
        255,
        256,
        65_535,
        (1 << 31) - 1,
        1 << 31,
        (1 << 32) - 1,
        1 << 50,
        (1 << 63) - 1,
        1 << 63,
        (1 << 64) - 1,
    ]
)
PIECES = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.builds(struct.Struct("<Q").pack, NUMBERS),
    st.builds(lambda number: struct.pack("<I", number & 0xFFFFFFFF), NUMBERS),
    st.sampled_from(
        [b"[" * 500, b'{"a":' * 500, b'"', b",", b":", b"}", b"\\u", b"NaN", b"1e999", b"GGUF", b"\x80\x04", b"PK\3\4"]
    ),
)


@st.composite
def mutated(draw, seed: bytes, region: int):
    """`seed` with one to four changes among its first `region` bytes: overwritten, put in, taken out or cut off."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(0, min(region, len(data)) - 1)))
        what = draw(st.integers(0, 9))
        if what < 6:
            piece = draw(PIECES)
            data[at : at + len(piece)] = piece
        elif what < 8:
            data[at:at] = draw(PIECES)
        elif what == 8:
            del data[at : at + draw(st.integers(1, 16))]
        else:
            del data[at:]
    return bytes(data)
