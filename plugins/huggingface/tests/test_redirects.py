"""Answers of the hub that only lead on: how far they are followed, and what is not read of them."""

import contextlib
import threading
import time
from urllib.parse import urlsplit

import pytest
from rbee.contract.errors import UnreachableError
from rbee.testing.hub import MEMBER
from rbee.testing.hub.origins import Origin
from rbee_huggingface import line

BLOCK = bytes(1 << 20)
BLOCKS = 400
ANSWER = b"[]"


class Leader:
    """A hub whose every answer leads on until its path is one of `ends`."""

    def __init__(self):
        self.asked = []
        self.sent = 0
        self.left = threading.Event()
        self.step = {}
        self.slow = False
        self.large = False
        self.packed = False

    def __call__(self, exchange):
        self.asked.append((exchange.path, exchange.named()))
        where = self.step.get(exchange.route)
        if where is None:
            headers = {"Content-Encoding": "gzip"} if self.packed else {}
            exchange.begin(200, headers, len(ANSWER))
            exchange.body(ANSWER)
        elif self.large or self.slow:
            exchange.close_connection = True
            exchange.begin(302, {"Location": where}, BLOCKS * len(BLOCK))
            with contextlib.suppress(OSError):
                self._drivel(exchange)
            self.left.set()
        else:
            exchange.redirect(307, where)

    def _drivel(self, exchange):
        for _ in range(BLOCKS):
            if self.slow:
                exchange.connection.sendall(b"x")
                if exchange.stopping.wait(0.02):
                    return
            else:
                exchange.connection.sendall(BLOCK)
                self.sent += len(BLOCK)


@pytest.fixture
def leader():
    return Leader()


@pytest.fixture
def url(leader, monkeypatch):
    origin = Origin("hub", leader)
    origin.start()
    monkeypatch.setenv("HF_ENDPOINT", origin.url)
    yield origin.url
    origin.stop()


def read(url, params=()):
    return line.read(url, params, repository="org/tiny", what="models", most=1000)


def test_the_body_of_an_answer_that_leads_on_is_not_read_however_long_it_is(url, leader):
    leader.large, leader.step = True, {"/a": "/b"}
    assert read(f"{url}/a") == ANSWER
    assert leader.left.wait(10)
    assert leader.sent < BLOCKS * len(BLOCK) // 4


def test_nor_waited_for_however_slow_it_is(url, leader):
    leader.slow, leader.step = True, {"/a": "/b"}
    began = time.monotonic()
    assert read(f"{url}/a") == ANSWER
    assert time.monotonic() - began < 0.02 * BLOCKS / 2


def test_five_steps_are_gone_and_no_sixth(url, leader):
    leader.step = {f"/{number}": f"{number + 1}?x=%41" for number in range(6)}
    assert read(f"{url}/1", [("q", "a b")]) == ANSWER
    assert [urlsplit(path).query for path, _ in leader.asked] == ["q=a+b", *["x=%41"] * 5]
    leader.asked.clear()
    with pytest.raises(UnreachableError, match="refused models with HTTP 307"):
        read(f"{url}/0")
    assert len(leader.asked) == 6


def test_all_steps_together_have_one_limit_of_time(url, leader, monkeypatch):
    monkeypatch.setattr(line, "WHOLE_S", 0.3)
    answer = Leader.__call__

    def late(self, exchange):
        exchange.stopping.wait(0.2)
        answer(self, exchange)

    monkeypatch.setattr(Leader, "__call__", late)
    leader.step = {f"/{number}": f"/{number + 1}" for number in range(5)}
    with pytest.raises(UnreachableError, match="does not answer"):
        read(f"{url}/0")
    assert len(leader.asked) < 4


def test_the_token_is_for_the_hub_alone_also_where_it_is_led_back(url, leader, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    other = Origin("cdn", leader, called="localhost")
    other.start()
    try:
        leader.step = {"/a": f"{other.url}/b", "/b": f"{url}/c"}
        assert read(f"{url}/a") == ANSWER
    finally:
        other.stop()
    assert ["authorization" in headers for _, headers in leader.asked] == [True, False, True]


@pytest.mark.parametrize("location", ["ftp://x/y", "http://[", "file:///etc/passwd"])
def test_an_answer_that_leads_to_no_address_is_refused(url, leader, location):
    leader.step = {"/a": location}
    with pytest.raises(UnreachableError):
        read(f"{url}/a")
    assert len(leader.asked) == 1


def test_an_answer_that_was_packed_unasked_is_refused(url, leader):
    leader.packed = True
    with pytest.raises(UnreachableError, match="it is packed"):
        read(f"{url}/a")
