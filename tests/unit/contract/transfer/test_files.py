"""Files are brought whole, whatever the line does."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time

import pytest
from rbee.contract import ModelFile
from rbee.contract.errors import (
    CancelledByCallerError,
    ConfigurationError,
    InsufficientDiskError,
    ModelFileError,
    ModelNotFoundError,
    PermissionDeniedError,
    RbeeError,
    UnavailableError,
    UnreachableError,
)
from rbee.contract.transfer import FOR_NEIGHBOURS, Patience
from rbee.testing.cancel import Cancel
from unit.contract.transfer.conftest import QUICK
from unit.contract.transfer.stand_in import LONG_AGO, Reply, StandInVendor, file_of, git_oid

NAME = "model.gguf"


def sized(content):
    """A file that nothing proves."""
    return ModelFile(name=NAME, size_bytes=len(content))


def begun(folder, content, file, **note):
    """What a fetch that was cut off has left."""
    (folder / f"{file.name}.part").write_bytes(content)
    promised = {"size_bytes": file.size_bytes, "sha256": file.sha256, "git_oid": file.git_oid} | note
    text = json.dumps({name: value for name, value in promised.items() if value is not None})
    (folder / f"{file.name}.part.json").write_text(text)


def only_the_file(folder, content):
    assert {one.name for one in folder.iterdir()} == {NAME}
    assert (folder / NAME).read_bytes() == content


class TestWholeFiles:
    def test_a_file_is_brought_and_proven(self, server, fetch, folder, content):
        fetched = fetch(file_of(NAME, content))
        only_the_file(folder, content)
        assert fetched.bytes_received == len(content)
        assert fetched.verified == {NAME}
        assert server.questions[0].headers["accept-encoding"] == "identity"
        assert server.ranges() == [None]

    def test_files_in_folders_are_brought_in_order(self, server, fetch, folder, content):
        server.files["/a/b.json"] = b"{}"
        fetched = fetch(file_of("a/b.json", b"{}"), file_of(NAME, content))
        assert (folder / "a" / "b.json").read_bytes() == b"{}"
        assert [one.path for one in server.questions] == ["/a/b.json", "/model.gguf"]
        assert fetched.verified == {"a/b.json", NAME}

    def test_only_the_chosen_files_are_brought(self, fetch, folder, content):
        fetch(file_of("other", b"x"), file_of(NAME, content), files=[file_of(NAME, content)])
        only_the_file(folder, content)

    def test_a_git_id_proves_a_file(self, fetch, folder, content):
        for size in (len(content), None):
            (folder / NAME).unlink(missing_ok=True)
            file = ModelFile(name=NAME, size_bytes=size, git_oid=git_oid(content))
            assert fetch(file).verified == {NAME}
        wrong = ModelFile(name="model.gguf", git_oid="0" * 40)
        (folder / NAME).unlink()
        with pytest.raises(ModelFileError, match="checksum"):
            fetch(wrong)

    @pytest.mark.parametrize("reply", [Reply(framed=False), Reply(chunked=True), Reply()])
    def test_a_file_of_unknown_size_ends_where_the_body_ends(self, server, fetch, folder, content, reply):
        server.replies.append(reply)
        fetched = fetch(ModelFile(name=NAME))
        only_the_file(folder, content)
        assert fetched.verified == frozenset()

    def test_an_empty_file_is_a_file(self, server, fetch, folder):
        server.files["/model.gguf"] = b""
        fetch(file_of(NAME, b""))
        assert (folder / NAME).read_bytes() == b""

    def test_a_finished_file_is_not_fetched_again(self, server, fetch, folder, content):
        (folder / NAME).write_bytes(content)
        assert fetch(sized(content)).verified == frozenset()
        assert fetch(file_of(NAME, content)).verified == {NAME}
        assert not server.questions

    def test_a_finished_file_that_is_another_one_is_fetched(self, server, fetch, folder, content):
        (folder / NAME).write_bytes(content[::-1])
        assert fetch(file_of(NAME, content)).verified == {NAME}
        only_the_file(folder, content)

    def test_progress_counts_all_files_and_what_was_there(self, server, fetch, folder, content):
        server.files["/small"] = b"12345"
        (folder / "small").write_bytes(b"12345")
        begun(folder, content[:1000], file_of(NAME, content))
        server.replies.append(Reply(cut_after=500_000))
        server.replies.append(Reply(ranges=False))
        told = []
        fetch(file_of("small", b"12345"), file_of(NAME, content), progress=lambda *one: told.append(one))
        assert told[0] == (1005, len(content) + 5)
        assert told[-1] == (len(content) + 5, len(content) + 5)
        assert [done for done, _ in told] == sorted(done for done, _ in told)

    def test_progress_of_unknown_sizes_has_no_total_until_it_is_known(self, fetch, content):
        told = []
        fetch(ModelFile(name=NAME), progress=lambda *one: told.append(one))
        assert told[0] == (0, None)
        assert told[-1] == (len(content), len(content))

    @pytest.mark.parametrize(
        "name", ["", ".", "..", "/etc/passwd", "a/../../b", "../b", "a\\b", "a//b", "a/./b", "a\x00b", "a\nb", "a/"]
    )
    def test_a_file_cannot_leave_its_folder(self, server, fetch, folder, name):
        with pytest.raises(ModelFileError, match="refused"):
            fetch(ModelFile(name=name))
        assert not server.questions

    def test_a_link_out_of_the_folder_is_not_followed(self, fetch, folder, tmp_path):
        (folder / "out").symlink_to(tmp_path)
        with pytest.raises(ModelFileError, match="leave its folder"):
            fetch(ModelFile(name="out/model.gguf"))

    def test_a_file_named_as_the_part_of_another_one_is_refused(self, fetch):
        with pytest.raises(ModelFileError, match="unfinished"):
            fetch(ModelFile(name="a"), ModelFile(name="a.part"))
        with pytest.raises(ModelFileError, match="twice"):
            fetch(ModelFile(name="a"), ModelFile(name="a"))

    def test_a_name_is_in_the_way_also_when_its_file_is_there_already(self, server, fetch, folder):
        (folder / "a.part").write_bytes(b"kept")
        with pytest.raises(ModelFileError, match="unfinished"):
            fetch(ModelFile(name="a"), ModelFile(name="a.part"), files=[ModelFile(name="a")])
        assert not server.questions
        assert (folder / "a.part").read_bytes() == b"kept"

    @pytest.mark.parametrize("name", [f"{NAME}.part", f"{NAME}.part.json", f"{NAME}.part.json.new"])
    @pytest.mark.parametrize("kind", ["hard", "symbolic"])
    def test_what_a_link_in_the_folder_leads_to_is_never_written(
        self, server, fetch, folder, tmp_path, content, name, kind
    ):
        other = tmp_path / "other.gguf"
        other.write_bytes(b"another model's" * 10)
        if kind == "hard":
            (folder / name).hardlink_to(other)
        else:
            (folder / name).symlink_to(other)
        server.replies.append(Reply(cut_after=700_000))
        fetch(file_of(NAME, content))
        assert other.read_bytes() == b"another model's" * 10
        assert (folder / NAME).read_bytes() == content
        assert server.ranges() == [None, "bytes=700000-"]

    def test_a_pipe_in_the_folder_is_not_waited_for(self, fetch, folder, content):
        os.mkfifo(folder / f"{NAME}.part")
        os.mkfifo(folder / f"{NAME}.part.json")
        fetch(file_of(NAME, content))
        only_the_file(folder, content)


class TestGoingOn:
    def test_a_cut_line_is_taken_up_again(self, server, fetch, folder, content):
        server.replies += [Reply(cut_after=700_000), Reply(cut_after=700_000)]
        fetched = fetch(file_of(NAME, content))
        only_the_file(folder, content)
        assert server.ranges() == [None, "bytes=700000-", "bytes=1400000-"]
        assert fetched.bytes_received == len(content)
        assert fetched.verified == {NAME}

    def test_a_silent_line_is_taken_up_again(self, server, fetch, folder, content):
        server.replies += [Reply(hang_after=100_000), Reply(silent=True)]
        fetch(file_of(NAME, content), patience=Patience(silence_s=0.2, delays_s=(0.01, 0.01)))
        only_the_file(folder, content)
        assert server.ranges() == [None, "bytes=100000-", "bytes=100000-"]

    def test_a_line_that_is_cut_at_once_is_tried_again(self, server, fetch, folder, content):
        server.replies += [Reply(reset=True), Reply(reset=True), Reply(reset=True)]
        fetch(file_of(NAME, content))
        only_the_file(folder, content)

    @pytest.mark.parametrize("reply", [Reply(chunked=True, cut_after=300_000), Reply(framed=False, cut_after=300_000)])
    def test_a_cut_is_noticed_however_the_body_ends(self, server, fetch, folder, content, reply):
        server.replies.append(reply)
        fetch(sized(content))
        only_the_file(folder, content)
        assert server.ranges() == [None, "bytes=300000-"]

    def test_the_rest_of_a_part_of_an_earlier_call_is_fetched(self, server, fetch, folder, content):
        begun(folder, content[:1_500_000], file_of(NAME, content))
        fetched = fetch(file_of(NAME, content))
        only_the_file(folder, content)
        assert fetched.bytes_received == len(content) - 1_500_000
        assert fetched.verified == {NAME}

    def test_a_part_without_its_note_is_used_when_a_checksum_can_prove_it(self, server, fetch, folder, content):
        (folder / f"{NAME}.part").write_bytes(content[:9])
        fetch(file_of(NAME, content))
        assert server.ranges() == ["bytes=9-"]
        only_the_file(folder, content)

    def test_a_part_without_its_note_is_not_used_else(self, server, fetch, folder, content):
        (folder / f"{NAME}.part").write_bytes(content[:9])
        (folder / f"{NAME}.part.json").write_text('{"size_by')
        fetch(sized(content))
        assert server.ranges() == [None]
        only_the_file(folder, content)

    def test_a_part_of_another_version_of_the_model_is_not_used(self, server, fetch, folder, content):
        begun(folder, b"old" * 100, file_of(NAME, b"old" * 200))
        fetch(file_of(NAME, content))
        assert server.ranges() == [None]
        only_the_file(folder, content)

    def test_without_a_checksum_the_version_must_be_the_same(self, server, fetch, folder, content):
        server.replies.append(Reply(cut_after=300_000))
        fetch(sized(content))
        assert [one.headers.get("if-range") for one in server.questions] == [None, '"one"']
        only_the_file(folder, content)

    def test_a_file_that_has_changed_meanwhile_is_fetched_from_its_beginning(self, server, fetch, folder, content):
        begun(folder, content[::-1][:300_000], sized(content), etag='"older"')
        fetch(sized(content))
        assert server.questions[0].headers["if-range"] == '"older"'
        only_the_file(folder, content)

    def test_a_server_that_ignores_the_version_is_not_believed(self, server, fetch, folder, content):
        begun(folder, content[::-1][:300_000], sized(content), etag='"older"')
        server.etag = '"newer"'
        rest = content[300_000:]
        told = {"Content-Range": f"bytes 300000-{len(content) - 1}/{len(content)}", "ETag": '"newer"'}
        server.replies.append(Reply(status=206, body=rest, headers=told))
        fetch(sized(content))
        assert server.ranges() == ["bytes=300000-", None]
        only_the_file(folder, content)

    def test_a_weak_version_proves_nothing(self, server, fetch, folder, content):
        server.etag = 'W/"one"'
        server.replies.append(Reply(cut_after=300_000))
        fetch(sized(content))
        assert server.ranges() == [None, None]
        only_the_file(folder, content)

    def test_a_part_of_a_weak_version_is_not_used(self, server, fetch, folder, content):
        begun(folder, content[:300_000], sized(content))
        fetch(sized(content))
        assert server.ranges() == [None]
        only_the_file(folder, content)

    def test_a_date_of_change_is_a_version_when_it_is_old(self, server, fetch, folder, content):
        server.etag, server.last_modified = None, LONG_AGO
        server.replies.append(Reply(cut_after=300_000))
        fetch(sized(content))
        assert server.questions[1].headers["if-range"] == LONG_AGO
        only_the_file(folder, content)

    def test_a_server_without_ranges_sends_all_of_it_again(self, server, fetch, folder, content):
        begun(folder, content[:1_500_000], file_of(NAME, content))
        server.always = Reply(ranges=False)
        fetched = fetch(file_of(NAME, content))
        assert fetched.bytes_received == len(content)
        assert fetched.verified == {NAME}
        only_the_file(folder, content)

    def test_a_server_without_ranges_that_always_cuts_is_given_up(self, server, fetch, content):
        server.always = Reply(ranges=False, cut_after=300_000)
        with pytest.raises(UnreachableError, match="cut"):
            fetch(file_of(NAME, content))
        assert len(server.questions) == 1 + len(QUICK.delays_s)

    @pytest.mark.parametrize("told", ["bytes 7-99/100", "bytes", "lines 300000-4/5", "bytes 300000-x/*", None])
    def test_a_rest_from_another_place_is_not_used(self, server, fetch, folder, content, told):
        begun(folder, content[:300_000], file_of(NAME, content))
        server.replies.append(Reply(status=206, body=b"nonsense", headers={"Content-Range": told}))
        fetch(file_of(NAME, content))
        assert server.ranges() == ["bytes=300000-", None]
        only_the_file(folder, content)

    def test_a_whole_part_is_only_proven(self, server, fetch, folder, content):
        begun(folder, content, file_of(NAME, content))
        assert fetch(file_of(NAME, content)).verified == {NAME}
        assert not server.questions
        only_the_file(folder, content)

    def test_a_whole_part_of_unknown_size_is_one_when_the_server_says_so(self, server, fetch, folder, content):
        begun(folder, content, ModelFile(name=NAME), etag='"one"')
        fetch(ModelFile(name=NAME))
        assert server.sent == 0
        only_the_file(folder, content)

    @pytest.mark.parametrize("extra", [1, 5000])
    def test_a_part_that_is_too_long_is_thrown_away(self, server, fetch, folder, content, extra):
        long = content + bytes(extra)
        begun(folder, long, ModelFile(name=NAME), etag='"one"')
        fetch(ModelFile(name=NAME))
        assert server.ranges() == [f"bytes={len(long)}-", None]
        only_the_file(folder, content)
        (folder / NAME).unlink()
        begun(folder, long, file_of(NAME, content))
        fetch(file_of(NAME, content))
        only_the_file(folder, content)

    def test_pieces_that_do_not_fit_are_fetched_once_more_in_one_piece(self, server, fetch, folder, content):
        begun(folder, b"x" + content[1:900_000], file_of(NAME, content))
        fetched = fetch(file_of(NAME, content))
        assert server.ranges() == ["bytes=900000-", None]
        assert fetched.verified == {NAME}
        only_the_file(folder, content)

    def test_a_wrong_file_in_one_piece_is_given_up_at_once(self, server, fetch, folder, content):
        server.files["/model.gguf"] = content[::-1]
        with pytest.raises(ModelFileError, match="checksum"):
            fetch(file_of(NAME, content))
        assert len(server.questions) == 1
        assert not list(folder.iterdir())

    def test_a_wrong_file_in_pieces_is_given_up_after_one_more_try(self, server, fetch, folder, content):
        server.files["/model.gguf"] = content[::-1]
        server.replies += [Reply(cut_after=9), Reply(), Reply(cut_after=9), Reply()]
        with pytest.raises(ModelFileError, match="checksum"):
            fetch(file_of(NAME, content))
        assert server.ranges() == [None, "bytes=9-", None, "bytes=9-"]
        assert not list(folder.iterdir())

    def test_each_try_asks_for_the_address_anew(self, server, fetch, content):
        vendor = StandInVendor(server.url)
        server.replies += [Reply(cut_after=100), Reply(status=503)]
        fetch(file_of(NAME, content), vendor=vendor)
        assert vendor.asked == 3

    def test_a_wrong_source_does_not_cost_what_came_from_a_right_one(
        self, server, other_server, fetch, folder, content
    ):
        begun(folder, content[:1_700_000], file_of(NAME, content))
        other_server.files["/model.gguf"] = content[::-1]
        other_server.replies += [Reply(cut_after=100_000)]
        with pytest.raises(ModelFileError, match="what was there before is kept"):
            fetch(file_of(NAME, content), vendor=StandInVendor(other_server.url), keep_older=True)
        assert other_server.ranges() == ["bytes=1700000-", "bytes=1800000-"]
        assert fetch(file_of(NAME, content)).bytes_received == len(content) - 1_700_000
        only_the_file(folder, content)

    def test_a_source_without_ranges_does_not_cost_what_came_from_another_one(self, server, fetch, folder, content):
        begun(folder, content[:1_700_000], file_of(NAME, content))
        for reply in (Reply(ranges=False), Reply(status=206, body=b"x", headers={"Content-Range": "bytes 0-0/1"})):
            server.replies.append(reply)
            with pytest.raises(UnreachableError, match="what came from elsewhere is kept"):
                fetch(file_of(NAME, content), keep_older=True)
        assert (folder / f"{NAME}.part").read_bytes() == content[:1_700_000]

    def test_what_is_wrong_without_anything_new_is_not_kept(self, server, fetch, folder, content):
        begun(folder, content[::-1], file_of(NAME, content))
        assert fetch(file_of(NAME, content), keep_older=True).bytes_received == len(content)
        only_the_file(folder, content)

    def test_a_source_that_is_wrong_from_the_first_byte_leaves_nothing(self, server, fetch, folder, content):
        server.files["/model.gguf"] = content[::-1]
        with pytest.raises(ModelFileError, match="it was removed"):
            fetch(file_of(NAME, content), keep_older=True)
        assert not list(folder.iterdir())

    def test_a_part_of_a_file_of_unknown_size_is_not_taken_for_all_of_it(self, server, fetch, folder, content):
        told = {"Content-Range": "bytes 0-99/*", "ETag": '"one"'}
        server.replies.append(Reply(status=206, body=content[:100], headers=told))
        fetch(ModelFile(name=NAME))
        assert server.ranges() == [None, "bytes=100-"]
        only_the_file(folder, content)

    def test_a_source_that_gives_the_same_part_for_ever_is_left(self, server, fetch, folder, content):
        told = {"Content-Range": "bytes 0-99/*"}
        server.always = Reply(status=206, body=content[:100], headers=told)
        with pytest.raises(UnreachableError, match="does not say of how much"):
            fetch(ModelFile(name=NAME))
        assert not (folder / NAME).exists()

    def test_bytes_are_in_the_file_as_soon_as_they_come(self, server, fetch, folder, content):
        server.replies.append(Reply(hang_after=12_345))
        cancel = Cancel()
        seen = []

        def look():
            server.hanging.wait(10)
            deadline = time.monotonic() + 5
            while not seen and time.monotonic() < deadline:
                if (folder / f"{NAME}.part").stat().st_size == 12_345:
                    seen.append(True)
            cancel.cancel()

        looking = threading.Thread(target=look)
        looking.start()
        with pytest.raises(CancelledByCallerError):
            fetch(file_of(NAME, content), cancel=cancel)
        looking.join()
        assert seen


class TestPromises:
    @pytest.mark.parametrize("change", [-1, 1])
    def test_a_server_with_a_file_of_another_size_is_refused(self, server, fetch, folder, content, change):
        promised = file_of(NAME, content)
        file = ModelFile(name=NAME, size_bytes=len(content) + change, sha256=promised.sha256)
        with pytest.raises(ModelFileError, match="another file"):
            fetch(file)
        assert not (folder / NAME).exists()

    def test_a_rest_of_a_file_of_another_size_is_refused(self, server, fetch, folder, content):
        file = ModelFile(name=NAME, size_bytes=len(content) + 7, sha256="0" * 64)
        begun(folder, content[:1000], file)
        with pytest.raises(ModelFileError, match="another file"):
            fetch(file)

    @pytest.mark.parametrize("chunked", [True, False])
    def test_never_more_is_written_than_promised(self, server, fetch, folder, content, chunked):
        server.always = Reply(endless=True, framed=False, chunked=chunked)
        with pytest.raises(ModelFileError, match="more than"):
            fetch(sized(content))
        file = file_of(NAME, content)
        assert fetch(file).bytes_received == len(content)
        only_the_file(folder, content)

    def test_a_file_larger_than_any_model_is_refused(self, server, fetch):
        server.replies.append(Reply(body=b"", headers={"Content-Length": str(5 * 1024**4)}))
        with pytest.raises(ModelFileError, match="no model"):
            fetch(ModelFile(name=NAME))

    @pytest.mark.parametrize("headers", [{"Content-Encoding": "gzip"}, {"Content-Encoding": "br, gzip"}])
    def test_a_packed_answer_is_refused(self, server, fetch, folder, content, headers):
        server.replies.append(Reply(headers=headers))
        with pytest.raises(UnreachableError, match="packed"):
            fetch(file_of(NAME, content))

    def test_an_unasked_part_is_refused(self, server, fetch, content):
        server.replies.append(
            Reply(status=206, body=content[5:], headers={"Content-Range": f"bytes 5-{len(content) - 1}/{len(content)}"})
        )
        with pytest.raises(UnreachableError, match="not asked for"):
            fetch(file_of(NAME, content))


class TestRefusals:
    @pytest.mark.parametrize(
        ("status", "error"),
        [
            (401, PermissionDeniedError),
            (403, PermissionDeniedError),
            (404, ModelNotFoundError),
            (410, ModelNotFoundError),
            (400, UnreachableError),
            (451, UnreachableError),
            (304, UnreachableError),
        ],
    )
    def test_a_refusal_is_final_and_the_vendors_to_word(self, server, fetch, content, status, error):
        server.replies.append(Reply(status=status))
        with pytest.raises(error, match=f"HTTP {status}"):
            fetch(file_of(NAME, content))
        assert len(server.questions) == 1

    def test_the_vendor_sees_the_headers_of_a_refusal(self, server, fetch, content):
        class Telling(StandInVendor):
            def refusal(self, variant, file, status, headers):
                return RbeeError(f"{file.name} {status} {headers['x-why']}")

        server.replies.append(Reply(status=403, headers={"X-Why": "gated"}))
        with pytest.raises(RbeeError, match=r"model.gguf 403 gated"):
            fetch(file_of(NAME, content), vendor=Telling(server.url))

    @pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
    def test_a_busy_server_is_asked_again(self, server, fetch, folder, content, status):
        server.replies += [Reply(status=status), Reply(status=status)]
        fetch(file_of(NAME, content))
        only_the_file(folder, content)

    def test_a_server_that_stays_busy_is_left(self, server, fetch, content):
        server.always = Reply(status=503)
        with pytest.raises(UnavailableError, match="HTTP 503"):
            fetch(file_of(NAME, content))
        assert len(server.questions) == 1 + len(QUICK.delays_s)

    def test_a_wait_that_the_server_asks_for_is_kept(self, server, fetch, content):
        server.replies.append(Reply(status=429, headers={"Retry-After": "1"}))
        began = time.monotonic()
        fetch(file_of(NAME, content))
        assert time.monotonic() - began >= 1

    def test_a_wait_that_is_too_long_is_handed_on(self, server, fetch, content):
        server.replies.append(Reply(status=429, headers={"Retry-After": "300"}))
        with pytest.raises(UnavailableError) as caught:
            fetch(file_of(NAME, content))
        assert caught.value.retry_after_s == 300

    def test_tries_are_counted_anew_when_something_has_come(self, server, fetch, folder, content):
        for turn in range(6):
            server.replies += [Reply(cut_after=100_000 + turn), Reply(status=500), Reply(reset=True)]
        fetch(file_of(NAME, content))
        only_the_file(folder, content)

    def test_a_source_that_gives_next_to_nothing_each_time_is_left(self, server, fetch, content):
        server.always = Reply(cut_after=1000)
        with pytest.raises(UnreachableError, match="cut"):
            fetch(file_of(NAME, content))
        assert len(server.questions) == 1 + len(QUICK.delays_s)

    @pytest.mark.parametrize("reply", [Reply(drip_s=0.01), Reply(drip_s=0.01, chunked=True)])
    def test_a_byte_now_and_then_is_no_transfer(self, server, fetch, folder, content, reply):
        patience = Patience(least_bytes_per_s=10_000, pace_s=0.3, delays_s=(0.01,))
        server.always = reply
        with pytest.raises(UnreachableError, match="too little comes"):
            fetch(file_of(NAME, content), patience=patience)
        assert len(server.questions) == 2
        assert (folder / f"{NAME}.part").stat().st_size > 0

    def test_a_slow_line_is_taken_up_again_and_a_quick_one_is_left_alone(self, server, fetch, folder, content):
        patience = Patience(least_bytes_per_s=1_000_000, pace_s=0.2, delays_s=(0.01,))
        server.replies.append(Reply(drip_s=0.01))
        server.always = Reply(bytes_per_s=4_000_000)
        fetch(file_of(NAME, content), patience=patience)
        only_the_file(folder, content)
        assert len(server.questions) == 2

    def test_a_head_that_never_ends_is_no_answer(self, server, fetch, content):
        server.always = Reply(slow_head=True)
        with pytest.raises(UnreachableError, match=r"not answered within 0\.3 seconds"):
            fetch(file_of(NAME, content), patience=Patience(answer_s=0.3, delays_s=(0.01,)))
        assert len(server.questions) == 2

    def test_a_neighbour_gets_two_tries_and_no_long_wait(self, server, fetch, content):
        server.always = Reply(status=503)
        began = time.monotonic()
        with pytest.raises(UnavailableError):
            fetch(file_of(NAME, content), patience=FOR_NEIGHBOURS)
        assert len(server.questions) == 2
        server.always = Reply(status=503, headers={"Retry-After": "6"})
        with pytest.raises(UnavailableError):
            fetch(file_of(NAME, content), patience=FOR_NEIGHBOURS)
        assert time.monotonic() - began < 5

    def test_nobody_at_the_address_is_an_error_that_says_so(self, server, fetch, content):
        with pytest.raises(UnreachableError, match=r"'127.0.0.1': no connection \(Connection refused\)"):
            fetch(file_of(NAME, content), vendor=StandInVendor("http://127.0.0.1:1"))

    def test_a_source_that_is_away_for_a_moment_is_asked_again(self, server, fetch, folder, content):
        class Moody(StandInVendor):
            def source(self, variant, file):
                found = super().source(variant, file)
                if self.asked == 1:
                    raise UnreachableError("the hub is away")
                if self.asked == 2:
                    raise UnavailableError("the hub is busy", retry_after_s=0)
                return found

        fetch(file_of(NAME, content), vendor=Moody(server.url))
        only_the_file(folder, content)

    def test_a_source_that_stays_away_is_told_in_its_own_words(self, server, fetch, content):
        class Gone(StandInVendor):
            def source(self, variant, file):
                raise UnreachableError("the hub is away")

        with pytest.raises(UnreachableError, match="the hub is away"):
            fetch(file_of(NAME, content), vendor=Gone(server.url))

    @pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1", "nonsense", "http://[::1", "http://"])
    def test_an_address_that_is_none_is_an_error(self, fetch, content, url):
        with pytest.raises(UnreachableError, match="https://host/path"):
            fetch(file_of(NAME, content), vendor=StandInVendor(url))


class TestCancelling:
    def cancelled_within(self, fetch, server, content, **options):
        cancel, cancelled_at = Cancel(), []

        def later():
            server.hanging.wait(10)
            time.sleep(0.05)
            cancelled_at.append(time.monotonic())
            cancel.cancel()

        thread = threading.Thread(target=later)
        thread.start()
        with pytest.raises(CancelledByCallerError):
            fetch(file_of(NAME, content), cancel=cancel, **options)
        ended = time.monotonic()
        thread.join()
        return ended - cancelled_at[0]

    @pytest.mark.parametrize(
        "reply",
        [Reply(silent=True), Reply(hang_after=0), Reply(hang_after=50_000), Reply(hang_after=50_000, chunked=True)],
    )
    def test_a_server_that_hangs_does_not_hold_up_a_cancel(self, server, fetch, folder, content, reply):
        server.replies.append(reply)
        assert self.cancelled_within(fetch, server, content) < 0.2
        assert (folder / f"{NAME}.part").stat().st_size == (reply.hang_after or 0)
        fetch(file_of(NAME, content))
        only_the_file(folder, content)

    def test_a_connect_that_hangs_does_not_hold_up_a_cancel(self, server, fetch, content, full_backlog):
        server.hanging.set()
        assert self.cancelled_within(fetch, server, content, vendor=StandInVendor(full_backlog)) < 0.2

    def test_a_source_that_hangs_does_not_hold_up_a_cancel(self, server, fetch, content):
        class Hanging(StandInVendor):
            def source(self, variant, file):
                server.hanging.set()
                server.over.wait(10)
                return super().source(variant, file)

        assert self.cancelled_within(fetch, server, content, vendor=Hanging(server.url)) < 0.2

    def test_a_wait_between_tries_does_not_hold_up_a_cancel(self, server, fetch, content):
        server.always = Reply(status=503, headers={"Retry-After": "50"})
        server.hanging.set()
        assert self.cancelled_within(fetch, server, content) < 0.2

    @pytest.mark.parametrize("reply", [Reply(hang_after=50_000, framed=False), Reply(drip_s=0.01, framed=False)])
    def test_an_end_that_a_cancel_makes_is_not_that_of_the_file(self, server, fetch, folder, reply):
        server.replies.append(reply)
        server.hanging.set() if reply.drip_s else None
        cancel = Cancel()

        def later():
            server.hanging.wait(10)
            server.wait_until_sent(3)
            cancel.cancel()

        thread = threading.Thread(target=later)
        thread.start()
        with pytest.raises(CancelledByCallerError):
            fetch(ModelFile(name=NAME), cancel=cancel)
        thread.join()
        assert not (folder / NAME).exists()

    def test_a_cancelled_fetch_that_has_not_begun_asks_nobody(self, server, fetch, content):
        cancel = Cancel()
        cancel.cancel()
        with pytest.raises(CancelledByCallerError):
            fetch(file_of(NAME, content), cancel=cancel)
        assert not server.questions

    def test_what_has_come_is_kept(self, server, fetch, folder, content):
        cancel = Cancel()
        server.replies.append(Reply(bytes_per_s=4_000_000))
        with pytest.raises(CancelledByCallerError):
            fetch(file_of(NAME, content), cancel=cancel, progress=lambda done, _: done > 100_000 and cancel.cancel())
        there = (folder / f"{NAME}.part").stat().st_size
        assert there > 100_000
        fetched = fetch(file_of(NAME, content))
        assert fetched.bytes_received == len(content) - there
        only_the_file(folder, content)


class TestDisk:
    def test_a_file_that_does_not_fit_is_not_begun(self, server, fetch, folder):
        with pytest.raises(InsufficientDiskError, match="Make room") as caught:
            fetch(ModelFile(name=NAME, size_bytes=1 << 60))
        assert str(folder) in caught.value.message
        assert not server.questions

    def test_the_spare_room_is_left(self, server, fetch, content):
        with pytest.raises(InsufficientDiskError, match="untouched"):
            fetch(file_of(NAME, content), spare_bytes=1 << 60)

    def test_a_file_of_unknown_size_is_measured_against_the_disk_too(self, server, fetch):
        server.replies.append(Reply(body=b"", headers={"Content-Length": str(1024**4)}))
        with pytest.raises(InsufficientDiskError):
            fetch(ModelFile(name=NAME))

    def test_a_full_disk_keeps_what_has_come(self, server, fetch, small_disk, content, folder):
        server.files["/model.gguf"] = content * 6
        server.replies.append(Reply(framed=False))
        free = os.statvfs(small_disk)
        with pytest.raises(InsufficientDiskError, match="disk is full"):
            fetch(ModelFile(name=NAME, sha256=hashlib.sha256(content * 6).hexdigest()), spare_bytes=0)
        there = (small_disk / f"{NAME}.part").stat().st_size
        assert 0.9 * free.f_bavail * free.f_bsize < there < len(content) * 6

    def test_a_folder_that_cannot_be_written_is_named(self, server, fetch, folder, content):
        (folder / "taken").write_bytes(b"")
        server.files["/taken/model.gguf"] = content
        with pytest.raises(ConfigurationError, match="Something else lies where it belongs") as caught:
            fetch(file_of("taken/model.gguf", content))
        assert str(folder) in caught.value.message

    @pytest.mark.parametrize("name", [f"{NAME}.part", f"{NAME}.part.json"])
    def test_a_folder_in_the_place_of_a_part_is_named(self, fetch, folder, content, name):
        (folder / name / "x").mkdir(parents=True)
        with pytest.raises(ConfigurationError, match="Something else lies where it belongs"):
            fetch(file_of(NAME, content))

    def test_a_folder_that_goes_away_is_told_with_what_to_do(self, server, fetch, folder, content):
        def take_away(done, _total):
            if done:
                (folder / f"{NAME}.part").unlink(missing_ok=True)

        server.always = Reply(bytes_per_s=8_000_000)
        with pytest.raises(
            ConfigurationError, match=rf"'{folder}' \(No such file.*see that it is there, and try again"
        ):
            fetch(sized(content), progress=take_away)
