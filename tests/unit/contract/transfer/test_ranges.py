"""A look into remote files."""

from __future__ import annotations

import pytest
from rbee.contract import FileSource
from rbee.contract.errors import (
    CancelledByCallerError,
    InvalidRequestError,
    ModelNotFoundError,
    PermissionDeniedError,
    UnreachableError,
)
from rbee.contract.transfer import Patience, find_size, read_range
from rbee.testing.cancel import Cancel
from unit.contract.transfer.stand_in import Reply

QUICK = Patience(connect_s=2.0, silence_s=5.0, delays_s=(0.01, 0.01))


@pytest.fixture
def source(server):
    return FileSource(url=f"{server.url}/model.gguf?key=secret")


def test_a_range_is_read(server, source, content):
    assert read_range(source, 1000, 5000, Cancel(), patience=QUICK) == content[1000:6000]
    assert read_range(source, 0, 7, Cancel(), patience=QUICK) == content[:7]
    # It counts what it has sent, a moment after that has arrived.
    server.wait_until_sent(5007)
    assert server.sent == 5007


def test_a_range_ends_where_the_file_ends(source, content):
    assert read_range(source, len(content) - 5, 100, Cancel(), patience=QUICK) == content[-5:]
    assert read_range(source, len(content), 100, Cancel(), patience=QUICK) == b""
    assert read_range(source, 5, 0, Cancel(), patience=QUICK) == b""


def test_a_server_without_ranges_is_left_once_there_is_enough(server, source, content):
    server.files["/model.gguf"] = content * 30
    server.always = Reply(ranges=False)
    assert read_range(source, 10, 90, Cancel(), patience=QUICK) == content[10:100]
    with pytest.raises(UnreachableError, match="middle of a file"):
        read_range(source, 40_000_000, 90, Cancel(), patience=QUICK)
    assert server.sent < 20_000_000


def test_a_cut_line_is_asked_again(server, source, content):
    server.replies += [Reply(cut_after=100), Reply(status=503), Reply()]
    assert read_range(source, 50, 5000, Cancel(), patience=QUICK) == content[50:5050]


def test_an_endless_body_is_left(server, source):
    server.always = Reply(endless=True, framed=False, ranges=False)
    assert len(read_range(source, 1_990_000, 100_000, Cancel(), patience=QUICK)) == 100_000


@pytest.mark.parametrize(("start", "length"), [(-1, 5), (0, -1), (0, 16 * 1024 * 1024 + 1)])
def test_a_range_has_bounds(source, start, length):
    with pytest.raises(InvalidRequestError):
        read_range(source, start, length, Cancel(), patience=QUICK)


def test_refusals_name_host_and_path_and_no_secret(server, source):
    server.replies += [Reply(status=404), Reply(status=401), Reply(status=400)]
    for error in (ModelNotFoundError, PermissionDeniedError, UnreachableError):
        with pytest.raises(error, match=r"'127.0.0.1' .*'/model.gguf'") as caught:
            read_range(source, 0, 9, Cancel(), patience=QUICK)
        assert "secret" not in caught.value.message


def test_a_look_at_a_source_that_gives_a_byte_now_and_then_ends(server, source):
    server.always = Reply(drip_s=0.01)
    with pytest.raises(UnreachableError, match="too little comes"):
        read_range(source, 0, 5000, Cancel(), patience=Patience(pace_s=0.2, least_bytes_per_s=10_000, delays_s=()))


def test_a_look_can_be_cancelled(server, source):
    cancel = Cancel()
    cancel.cancel()
    with pytest.raises(CancelledByCallerError):
        read_range(source, 0, 9, cancel, patience=QUICK)


class TestSizes:
    def test_the_size_is_asked_for_without_the_file(self, server, source, content):
        assert find_size(source, Cancel(), patience=QUICK) == len(content)
        assert [one.method for one in server.questions] == ["HEAD"]

    @pytest.mark.parametrize("status", [400, 403, 405, 501])
    def test_a_server_that_does_not_know_such_a_question_is_asked_for_a_byte(self, server, source, content, status):
        server.replies.append(Reply(status=status))
        assert find_size(source, Cancel(), patience=QUICK) == len(content)
        server.wait_until_sent(1)
        assert server.sent == 1

    def test_an_empty_file_has_no_first_byte(self, server, source):
        server.files["/model.gguf"] = b""
        server.replies.append(Reply(status=405))
        assert find_size(source, Cancel(), patience=QUICK) == 0

    def test_a_size_may_be_unknown(self, server, source):
        server.always = Reply(framed=False)
        assert find_size(source, Cancel(), patience=QUICK) is None

    def test_a_file_that_is_not_there_is_not_asked_for_twice(self, server, source):
        server.replies.append(Reply(status=404))
        with pytest.raises(ModelNotFoundError):
            find_size(source, Cancel(), patience=QUICK)
        assert len(server.questions) == 1
