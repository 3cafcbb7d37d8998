"""Requests that could be read in two ways, on raw connections: refused and cut off, or read in the one right way."""

from __future__ import annotations

import asyncio
import json
import logging

import pytest
from rbee.http import protocol, strict
from unit.http.conftest import MOST, TOKEN, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

PATHS = {"below ASGI": b"/v1/completions", "by ASGI": b"/v1/jobs"}
CHUNKED = b"Transfer-Encoding: chunked\r\n"
LENGTH = b"Content-Length: 2\r\n"
ENDLESS = 2 * 1024 * 1024
"""More than is read at a time."""
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


REFUSED = {
    "a length and chunks": (b"Content-Length: 5\r\n" + CHUNKED, chunks()),
    "chunks and a length": (CHUNKED + b"Content-Length: 5\r\n", chunks()),
    "a length twice": (LENGTH * 2, b"{}"),
    "two lengths": (LENGTH + b"Content-Length: 3\r\n", b"{}x"),
    "a length with a sign": (b"Content-Length: +2\r\n", b"{}"),
    "a negative length": (b"Content-Length: -2\r\n", b"{}"),
    "a list of lengths": (b"Content-Length: 2, 2\r\n", b"{}"),
    "a length in hexadecimal": (b"Content-Length: 0x2\r\n", b"{}"),
    "two words as a length": (b"Content-Length: 2 2\r\n", b"{}"),
    "an empty length": (b"Content-Length: \r\n", b"{}"),
    "a length over all bounds": (b"Content-Length: 99999999999999999999999\r\n", b"{}"),
    "a folded length": (b"Content-Length:\r\n 2\r\n", b"{}"),
    "a blank before the colon": (b"Content-Length : 2\r\n", b"{}"),
    "a blank before the name": (b" Content-Length: 2\r\n", b"{}"),
    "a blank in the name": (b"Content Length: 2\r\n", b"{}"),
    "an identity before chunks": (b"Transfer-Encoding: identity, chunked\r\n", chunks(b"{}")),
    "compressed chunks": (b"Transfer-Encoding: gzip, chunked\r\n", chunks(b"{}")),
    "chunks that are not the last coding": (b"Transfer-Encoding: chunked, identity\r\n", chunks(b"{}")),
    "chunks twice": (b"Transfer-Encoding: chunked, chunked\r\n", chunks(b"{}")),
    "two codings": (b"Transfer-Encoding: identity\r\n" + CHUNKED, chunks(b"{}")),
    "the same coding twice": (CHUNKED * 2, chunks(b"{}")),
    "a coding that ends like chunks": (b"Transfer-Encoding: xchunked\r\n", chunks(b"{}")),
    "a coding with a parameter": (b"Transfer-Encoding: chunked;q=1\r\n", chunks(b"{}")),
    "a coding in quotes": (b'Transfer-Encoding: "chunked"\r\n', chunks(b"{}")),
    "a coding behind a vertical tab": (b"Transfer-Encoding: \x0bchunked\r\n", chunks(b"{}")),
    "no coding": (b"Transfer-Encoding: identity\r\n", b"{}"),
    "an empty coding": (b"Transfer-Encoding: \r\n", b"{}"),
    "a folded coding": (b"Transfer-Encoding:\r\n chunked\r\n", chunks(b"{}")),
    "a chunk's size that is no number": (CHUNKED, b"g\r\n{}\r\n0\r\n\r\n"),
    "a chunk without a size": (CHUNKED, b"\r\n{}\r\n0\r\n\r\n"),
    "a chunk's size with a sign": (CHUNKED, b"+2\r\n{}\r\n0\r\n\r\n"),
    "a chunk's size with a prefix": (CHUNKED, b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a blank behind a chunk's size": (CHUNKED, b"2 \r\n{}\r\n0\r\n\r\n"),
    "a blank before a chunk's size": (CHUNKED, b" 2\r\n{}\r\n0\r\n\r\n"),
    "a chunk's size over all bounds": (CHUNKED, b"fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is too short": (CHUNKED, b"3\r\n{}\r\n0\r\n\r\n"),
    "a chunk that is too long": (CHUNKED, b"1\r\n{}\r\n0\r\n\r\n"),
    "chunks with bare line feeds": (CHUNKED, b"2\n{}\n0\n\n"),
    "an extension with a bare line feed": (CHUNKED, b"2;a\n{}\r\n0\r\n\r\n"),
    "a length behind chunks": (CHUNKED, b"2\r\n{}\r\n0\r\nContent-Length: 9\r\n\r\n"),
    "a folded header": (b"X-A: b\r\n  c\r\n" + LENGTH, b"{}"),
    "a NUL in a value": (b"X-A: a\0b\r\n", b""),
    "a CR in a value": (b"X-A: a\rb\r\n", b""),
    "a control character in a value": (b"X-A: a\x01b\r\n", b""),
    "a NUL in a name": (b"X\0A: b\r\n", b""),
    "a name of no ASCII": (b"X\xffA: b\r\n", b""),
    "an empty name": (b": b\r\n", b""),
    "no colon": (b"garbage\r\n", b""),
    "a bare line feed": (b"X-A: a\nX-B: b\r\n", b""),
    "a CR twice": (b"X-A: b\r\r\n", b""),
    "two tokens": (b"Authorization: Bearer other\r\n" + LENGTH, b"{}"),
    "a compressed body": (b"Content-Encoding: gzip\r\n" + LENGTH, b"{}"),
    "two codings of the content": (b"Content-Encoding: identity, gzip\r\n" + LENGTH, b"{}"),
    "an expectation nobody knows": (b"Expect: 200-ok\r\n" + LENGTH, b"{}"),
}  # fmt: skip


@pytest.mark.parametrize("way", PATHS)
@pytest.mark.parametrize("case", REFUSED)
async def test_a_doubtful_request_is_refused_and_nothing_behind_it_is_read(site, connect, way: str, case: str) -> None:
    headers, body = REFUSED[case]
    talk = await connect()
    talk.send(request(PATHS[way], headers, body) + HIDDEN)
    answer = await talk.answer()
    assert (answer.status, answer.header("connection")) == (400, "close")
    assert answer.told["error"]["message"]
    assert ("type" in answer.told["error"]) is (way == "below ASGI")
    assert (await talk.rest(), site.asked) == (b"", [])
    after = await connect()
    after.send(request(b"/health", method=b"GET"))
    assert (await after.answer()).told["path"] == "/health"


SERVED = {
    "a length": (LENGTH, b"{}", b"{}"),
    "a length with a blank behind it": (b"Content-Length: 2 \r\n", b"{}", b"{}"),
    "a length with zeros": (b"Content-Length: 002\r\n", b"{}", b"{}"),
    "no body": (b"", b"", b""),
    "chunks": (CHUNKED, chunks(b"{", b"}"), b"{}"),
    "chunks by another name": (b"transfer-ENCODING:\tCHUNKED\r\n", chunks(b"{}"), b"{}"),
    "chunks with extensions": (CHUNKED, b'2;a=b;c="d"\r\n{}\r\n0;x\r\n\r\n', b"{}"),
    "a chunk's size with zeros": (CHUNKED, b"0002\r\n{}\r\n0\r\n\r\n", b"{}"),
    "trailers": (CHUNKED, b"2\r\n{}\r\n0\r\nX-Trailer: v\r\nHost: evil\r\nAuthorization: Bearer x\r\n\r\n", b"{}"),
    "an underscore in a name": (b"Transfer_Encoding: chunked\r\n" + LENGTH, b"{}", b"{}"),
    "a value of no ASCII": (b"X-A: \xff\r\n" + LENGTH, b"{}", b"{}"),
    "a content that is not coded": (b"Content-Encoding: identity\r\n" + LENGTH, b"{}", b"{}"),
    "a body that holds a request": (b"Content-Length: %d\r\n" % len(HIDDEN), HIDDEN, HIDDEN),
}  # fmt: skip


@pytest.mark.parametrize("cut", [False, True], ids=["in one piece", "byte by byte"])
@pytest.mark.parametrize("way", PATHS)
@pytest.mark.parametrize("case", SERVED)
async def test_a_request_of_one_meaning_is_served_and_so_is_the_next(
    site, connect, way: str, case: str, cut: bool
) -> None:
    headers, body, meant = SERVED[case]
    whole = request(PATHS[way], headers, body) + request(b"/next", method=b"GET")
    talk = await connect()
    for piece in [whole] if not cut else [whole[at : at + 1] for at in range(len(whole))]:
        talk.send(piece)
        if cut:
            await asyncio.sleep(0)
    first, second = await talk.answer(), await talk.answer()
    assert (first.status, first.told["path"], first.told["body"]) == (200, PATHS[way].decode(), meant.decode("latin-1"))
    assert first.told["way"] == ("direct" if way == "below ASGI" else "asgi")
    assert "x-trailer" not in first.told["names"]
    assert second.told["path"] == "/next"
    assert second.told["names"] == ["host", "authorization"]
    assert len(site.asked) == 2


TARGETS = {
    "the absolute form": (b"http://localhost/v1/jobs?a=b", 200),
    "the absolute form for another": (b"http://evil.example/v1/jobs", 400),
    "the absolute form with a user": (b"http://user@localhost/v1/jobs", 400),
    "the absolute form without a path": (b"http://localhost", 400),
    "another scheme": (b"ftp://localhost/v1/jobs", 400),
    "a star": (b"*", 400),
    "no slash": (b"v1/jobs", 400),
    "a fragment": (b"/v1/jobs#x", 400),
    "a tab": (b"/v1/jobs\tx", 400),
    "a blank": (b"/v1/jobs x", 400),
    "no ASCII": (b"/v1/jobs\xff", 400),
}  # fmt: skip


@pytest.mark.parametrize("case", TARGETS)
async def test_a_target_is_what_the_host_says_or_refused(connect, case: str) -> None:
    target, status = TARGETS[case]
    talk = await connect()
    talk.send(request(target, method=b"GET"))
    answer = await talk.answer()
    assert answer.status == status
    if status == 200:
        assert answer.told["path"] == "/v1/jobs"
    else:
        assert await talk.rest() == b""


@pytest.mark.parametrize(
    ("first_line", "status"),
    [
        (b"CONNECT localhost:80 HTTP/1.1", 405),
        (b"CONNECT /v1/jobs HTTP/1.1", 405),
        (b"TRACE /v1/jobs HTTP/1.1", 405),
        (b"SOURCE /v1/jobs ICE/1.0", 405),
        (b"FOO /v1/jobs HTTP/1.1", 400),
        (b"post /v1/jobs HTTP/1.1", 400),
        (b"GET /v1/jobs HTTP/2.0", 400),
        (b"GET /v1/jobs HTTP/0.9", 400),
        (b"GET /v1/jobs HTTP/1.2", 400),
        (b"GET /v1/jobs HTTP/11", 400),
        (b"PRI * HTTP/2.0", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    ],
)
async def test_another_protocol_is_refused(site, connect, first_line: bytes, status: int) -> None:
    talk = await connect()
    talk.send(first_line + b"\r\nHost: localhost\r\nAuthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n" + HIDDEN)
    assert (await talk.answer()).status == status
    assert (await talk.rest(), site.asked) == (b"", [])


@pytest.mark.parametrize("way", PATHS)
async def test_http_1_0_is_served_and_closed(site, connect, way: str) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], b"Connection: keep-alive\r\n" + LENGTH, b"{}", version=b"HTTP/1.0") + HIDDEN)
    answer = await talk.answer()
    assert (answer.status, answer.told["body"], answer.header("connection")) == (200, "{}", "close")
    assert (await talk.rest(), len(site.asked)) == (b"", 1)


@pytest.mark.parametrize("way", PATHS)
async def test_http_1_0_has_no_chunks(site, connect, way: str) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], CHUNKED, chunks(b"{}"), version=b"HTTP/1.0"))
    assert (await talk.answer()).status == 400
    assert (await talk.rest(), site.asked) == (b"", [])


@pytest.mark.parametrize("hosts", [b"", b"Host: localhost\r\nHost: evil\r\n"])
@pytest.mark.parametrize("way", PATHS)
async def test_a_request_has_one_host(site, connect, way: str, hosts: bytes) -> None:
    talk = await connect()
    talk.send(b"POST " + PATHS[way] + b" HTTP/1.1\r\n" + hosts + LENGTH + b"\r\n{}" + request(b"/next", method=b"GET"))
    assert (await talk.answer()).status == 400
    assert (await talk.answer()).told["path"] == "/next"


@pytest.mark.parametrize("together", [True, False], ids=["with its body", "before its body"])
@pytest.mark.parametrize(("framing", "body"), [(LENGTH, b"{}"), (CHUNKED, chunks(b"{}"))], ids=["length", "chunks"])
@pytest.mark.parametrize("way", PATHS)
async def test_an_offer_to_change_the_protocol_is_passed_over_and_the_body_is_a_body(
    site, connect, way: str, framing: bytes, body: bytes, together: bool
) -> None:
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"
    talk = await connect()
    talk.send(request(PATHS[way], offer + framing))
    if not together:
        await asyncio.sleep(0.02)  # the head is read alone; nothing tells when
    talk.send(body + HIDDEN)
    answer = await talk.answer()
    assert (answer.status, answer.told["body"], answer.header("connection")) == (200, "{}", "close")
    assert (await talk.rest(), len(site.asked)) == (b"", 1)


async def test_an_offer_without_a_body_is_passed_over_and_the_next_request_served(connect) -> None:
    talk = await connect()
    talk.send(request(b"/health", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", method=b"GET"))
    talk.send(request(b"/next", method=b"GET"))
    assert [(await talk.answer()).told["path"] for _ in range(2)] == ["/health", "/next"]


@pytest.mark.parametrize("way", PATHS)
async def test_a_client_that_waits_for_word_hears_it(connect, way: str) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], b"Expect: 100-continue\r\n" + LENGTH))
    assert (await talk.answer()).status == 100
    talk.send(b"{}" + request(b"/next", method=b"GET"))
    assert [(await talk.answer()).told["body"] for _ in range(2)] == ["{}", ""]


@pytest.mark.parametrize("asked", [b"Content-Length: %d\r\n" % (MOST + 1), b"Content-Length: 2\r\nHost: evil\r\n"])
async def test_a_client_that_is_refused_before_its_body_is_not_taken_by_its_word(site, connect, asked: bytes) -> None:
    talk = await connect()
    talk.send(request(PATHS["below ASGI"], b"Expect: 100-continue\r\n" + asked))
    assert (await talk.answer()).status in {400, 413}
    talk.send(HIDDEN)
    assert (await talk.rest(), site.asked) == (b"", [])


@pytest.mark.parametrize("way", PATHS)
async def test_many_requests_at_once_are_answered_in_order(site, connect, way: str) -> None:
    talk = await connect()
    bodies = [b"%d" % number for number in range(20)]
    talk.send(b"".join(request(PATHS[way], b"Content-Length: %d\r\n" % len(one), one) for one in bodies))
    assert [(await talk.answer()).told["body"] for _ in bodies] == [one.decode() for one in bodies]


async def test_requests_that_wait_behind_one_are_answered_in_order_and_not_without_end(site, connect) -> None:
    talk = await connect()
    count = protocol._MOST_WAITING + 1
    first = request(b"/held", method=b"GET")
    talk.send(first + b"".join(request(b"/%d" % number, method=b"GET") for number in range(count)))
    await asyncio.sleep(0.02)  # all of them are read; nothing tells when
    assert site.asked == []
    site.held.set()
    answers = [await talk.answer() for _ in range(count + 1)]
    assert [answer.told.get("path") for answer in answers[:-1]] == [
        "/held",
        *(f"/{number}" for number in range(count - 1)),
    ]
    assert answers[-1].status == 400
    assert await talk.rest() == b""


@pytest.mark.parametrize("bad", [b"garbage\r\n\r\n", request(b"/v1/jobs", CHUNKED, b"zz\r\n")])
async def test_what_cannot_be_read_does_not_stand_in_for_an_earlier_answer(site, connect, bad: bytes) -> None:
    talk = await connect()
    talk.send(request(b"/held", method=b"GET") + bad)
    await asyncio.sleep(0.02)  # it is read; nothing tells when
    site.held.set()
    assert (await talk.answer()).told["path"] == "/held"
    assert (await talk.answer()).status == 400
    assert (await talk.rest(), len(site.asked)) == (b"", 1)


@pytest.mark.parametrize("way", PATHS)
async def test_what_surrounds_chunks_is_bounded(site, connect, way: str) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], CHUNKED))
    talk.send(b"1;" + b"x" * ENDLESS)
    assert (await talk.answer()).status == 400
    assert (await talk.rest(), site.asked) == (b"", [])


@pytest.mark.parametrize("trailer", [b"X: " + b"a" * ENDLESS, b"X: aaaaaaaaaaaaaa\r\n" * 9000])
@pytest.mark.parametrize("way", PATHS)
async def test_trailers_are_bounded(site, connect, way: str, trailer: bytes) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], CHUNKED, b"0\r\n" + trailer))
    assert (await talk.answer()).status == 400
    assert (await talk.rest(), site.asked) == (b"", [])


async def test_a_body_in_chunks_of_one_byte_is_a_body(connect) -> None:
    talk = await connect()
    talk.send(request(b"/v1/jobs", CHUNKED, chunks(*[b"x"] * 40_000)))
    assert len((await talk.answer()).told["body"]) == 40_000


async def test_a_head_behind_a_large_body_is_measured_alone(connect) -> None:
    talk = await connect()
    body = b"x" * 3 * protocol.HEAD_BYTES
    whole = request(b"/v1/jobs", b"Content-Length: %d\r\n" % len(body), body) + request(b"/next", method=b"GET")
    for piece in (whole[:-80], whole[-80:-40], whole[-40:]):
        talk.send(piece)
        await asyncio.sleep(0.01)  # each piece is read alone; nothing tells when
    assert len((await talk.answer()).told["body"]) == len(body)
    assert (await talk.answer()).told["path"] == "/next"


@pytest.mark.parametrize("framing", [b"Content-Length: 90000000\r\n", CHUNKED], ids=["length", "chunks"])
async def test_a_body_that_is_too_large_is_told_while_it_comes_and_not_read_for_ever(
    site, connect, framing: bytes
) -> None:
    talk = await connect()
    talk.send(request(PATHS["below ASGI"], framing))
    piece = b"x" * 65_536 if framing != CHUNKED else b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    for _ in range(64):
        talk.send(piece)
    answer = await talk.answer()
    assert (answer.status, answer.told["error"]["code"]) == (413, "payload_too_large")
    assert (await talk.rest(), site.asked) == (b"", [])


async def test_a_client_that_sends_nothing_more_after_an_early_answer_is_left(connect, monkeypatch) -> None:
    monkeypatch.setattr(strict, "_DRAINED_S", 0.05)
    talk = await connect()
    talk.send(request(PATHS["below ASGI"], b"Content-Length: %d\r\n" % (MOST + 1), b"{"))
    assert (await talk.answer()).status == 413
    assert await talk.rest() == b""


async def test_a_body_that_was_refused_is_read_to_its_end_and_the_next_request_served(connect) -> None:
    talk = await connect()
    body = b"x" * (MOST + 1)
    talk.send(request(PATHS["below ASGI"], b"Content-Length: %d\r\n" % len(body), body))
    talk.send(request(b"/next", method=b"GET"))
    assert (await talk.answer()).status == 413
    assert (await talk.answer()).told["path"] == "/next"


@pytest.mark.parametrize("given", [b"two words", b"x" * 129, b"\xc3\xa9", b"a;b", b"a%0d%0ab"])
@pytest.mark.parametrize("way", PATHS)
async def test_a_harmful_request_id_comes_back_in_no_answer(connect, way: str, given: bytes) -> None:
    talk = await connect()
    talk.send(request(PATHS[way], b"X-Request-Id: " + given + b"\r\n" + LENGTH, b"{}"))
    told = (await talk.answer()).header("x-request-id")
    assert told is not None
    assert told.startswith("req-")


async def test_a_fault_of_ours_is_told_as_one_and_logged(site, connect, monkeypatch, caplog) -> None:
    def broken(*args: object) -> None:
        raise LookupError("a secret path")

    monkeypatch.setattr(site, "_note", broken)
    talk = await connect()
    with caplog.at_level(logging.ERROR):
        talk.send(request(PATHS["below ASGI"], LENGTH, b"{}"))
        answer = await talk.answer()
    assert (answer.status, answer.told["error"]["code"]) == (500, "internal")
    assert b"secret" not in answer.body
    assert "LookupError" in json.dumps([record.exc_text for record in caplog.records])
