"""The stand-in for a hub serves, counts, refuses and fails as it is told."""

import hashlib
import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from urllib.parse import urlsplit

import pytest
from rbee.testing.hub import MEMBER, STRANGER, Hub

DATA = bytes(range(256)) * 400


@pytest.fixture
def hub():
    with Hub() as hub:
        hub.add("org/tiny", {"w.gguf": DATA, "config.json": "{}", "deep/a b.txt": "text"})
        yield hub


class Answer:
    def __init__(self, url, method="GET", **headers):
        split = urlsplit(url)
        line = http.client.HTTPConnection(split.netloc, timeout=10)
        try:
            line.request(
                method, f"{split.path}?{split.query}", headers={k.replace("_", "-"): v for k, v in headers.items()}
            )
            response = line.getresponse()
            self.status = response.status
            self.headers = {name.lower(): value for name, value in response.getheaders()}
            try:
                self.body, self.whole = response.read(), True
            except http.client.IncompleteRead as error:
                self.body, self.whole = error.partial, False
        finally:
            line.close()


def get(hub, path, method="GET", **headers):
    """Follows redirects as a careful client does: the token goes to the hub alone."""
    answer = Answer(hub.url + path, method, **headers)
    while answer.status in {302, 307}:
        there = answer.headers["location"]
        if there.startswith("/"):
            there = hub.url + there
        if not there.startswith(hub.url):
            headers.pop("Authorization", None)
        answer = Answer(there, method, **headers)
    return answer


def test_a_large_file_is_redirected_to_another_origin_with_its_checksum(hub):
    answer = Answer(f"{hub.url}/org/tiny/resolve/main/w.gguf", "HEAD")
    assert answer.status == 302
    assert answer.headers["x-repo-commit"] == hub.shelf.get("org/tiny").branches["main"].sha
    assert answer.headers["x-linked-etag"] == f'"{hashlib.sha256(DATA).hexdigest()}"'
    assert answer.headers["x-linked-size"] == str(len(DATA))
    assert answer.headers["location"].startswith(f"{hub.cdn_url}/")
    assert urlsplit(hub.cdn_url).port != urlsplit(hub.url).port
    assert get(hub, "/org/tiny/resolve/main/w.gguf").body == DATA


def test_a_small_file_comes_from_the_hub_itself_with_gits_id(hub):
    answer = get(hub, "/org/tiny/resolve/main/config.json")
    assert answer.body == b"{}"
    assert answer.headers["etag"] == f'"{hashlib.sha1(b"blob 2" + bytes(1) + b"{}").hexdigest()}"'
    assert get(hub, "/org/tiny/resolve/main/deep/a%20b.txt").body == b"text"
    assert not hub.ledger.requests(origin="cdn")


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [("bytes=0-0", 0, 1), ("bytes=100-199", 100, 200), ("bytes=100-", 100, None), ("bytes=-7", len(DATA) - 7, None)],
)
def test_parts_are_served(hub, wanted, start, end):
    answer = get(hub, "/org/tiny/resolve/main/w.gguf", Range=wanted)
    assert (answer.status, answer.body) == (206, DATA[start:end])
    last = (end or len(DATA)) - 1
    assert answer.headers["content-range"] == f"bytes {start}-{last}/{len(DATA)}"


def test_a_part_behind_the_end_is_refused(hub):
    answer = get(hub, "/org/tiny/resolve/main/w.gguf", Range=f"bytes={len(DATA)}-")
    assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{len(DATA)}")


def test_a_part_of_what_has_changed_is_the_whole(hub):
    etag = get(hub, "/org/tiny/resolve/main/w.gguf", "HEAD").headers["etag"]
    for one, status in ((etag, 206), ('"other"', 200)):
        answer = get(hub, "/org/tiny/resolve/main/w.gguf", Range="bytes=5-", If_Range=one)
        assert answer.status == status


def test_a_head_has_no_body_and_counts_no_bytes(hub):
    answer = get(hub, "/org/tiny/resolve/main/w.gguf", "HEAD")
    assert (answer.status, answer.body, answer.headers["content-length"]) == (200, b"", str(len(DATA)))
    assert hub.ledger.sent() == 0


def test_files_on_the_disk_are_served_and_counted(hub, tmp_path):
    (tmp_path / "big.bin").write_bytes(DATA * 10)
    hub.add("org/disk", {"big.bin": tmp_path / "big.bin"})
    assert get(hub, "/org/disk/resolve/main/big.bin").body == DATA * 10
    assert get(hub, "/org/disk/resolve/main/big.bin", Range="bytes=7-11").body == DATA[7:12]
    assert hub.ledger.sent("org/disk/*") == len(DATA) * 10 + 5
    assert hub.ledger.sent("org/tiny/*") == 0


def test_requests_are_seen_with_their_headers(hub):
    get(hub, "/org/tiny/resolve/main/w.gguf", Authorization=f"Bearer {MEMBER}", X_Odd="1")
    first, second = hub.ledger.requests("org/tiny/w.gguf")
    assert (first.origin, first.method, first.token, first.headers["x-odd"]) == ("hub", "GET", MEMBER, "1")
    assert (second.origin, second.token) == ("cdn", None)
    assert second.path.startswith("/blobs/")
    hub.ledger.clear()
    assert hub.ledger.requests() == []


@pytest.mark.parametrize(
    ("path", "token", "status", "code"),
    [
        ("/api/models/org/nothing", None, 401, "RepoNotFound"),
        ("/api/models/org/nothing", STRANGER, 404, "RepoNotFound"),
        ("/api/models/org/secret", None, 401, "RepoNotFound"),
        ("/api/models/org/secret", STRANGER, 404, "RepoNotFound"),
        ("/api/models/org/secret", MEMBER, 200, None),
        ("/api/models/org/gated", None, 200, None),
        ("/org/gated/resolve/main/a.txt", None, 401, "GatedRepo"),
        ("/org/gated/resolve/main/a.txt", STRANGER, 403, "GatedRepo"),
        ("/org/gated/resolve/main/a.txt", MEMBER, 200, None),
        ("/org/tiny/resolve/main/nothing", None, 404, "EntryNotFound"),
        ("/org/tiny/resolve/nothing/w.gguf", None, 404, "RevisionNotFound"),
        ("/api/models/org/tiny/revision/nothing", None, 404, "RevisionNotFound"),
        ("/api/models/org/tiny/tree/main/nothing", None, 404, "EntryNotFound"),
        ("/api/models/org/tiny", "hf_of_nobody", 401, None),
        ("/api/models?sort=nothing", None, 400, None),
        ("/api/else", None, 404, None),
    ],
)
def test_refusals_are_worded_as_a_hub_words_them(hub, path, token, status, code):
    hub.add("org/secret", {"a.txt": "a"}, private=True)
    hub.add("org/gated", {"a.txt": "a"}, gated="manual")
    answer = get(hub, path, **({} if token is None else {"Authorization": f"Bearer {token}"}))
    assert (answer.status, answer.headers.get("x-error-code")) == (status, code)
    assert status == 200 or json.loads(answer.body)["error"]


def test_a_commit_stays_when_its_branch_moves_on(hub):
    first = hub.shelf.get("org/tiny").branches["main"]
    second = hub.add("org/tiny", {"config.json": '{"a": 1}', "w.gguf": None})
    assert get(hub, f"/org/tiny/resolve/{first.sha}/config.json").body == b"{}"
    assert get(hub, "/org/tiny/resolve/main/config.json").body == b'{"a": 1}'
    assert get(hub, f"/org/tiny/resolve/{second.sha}/w.gguf").status == 404
    assert get(hub, f"/org/tiny/resolve/{first.sha}/w.gguf").body == DATA


def test_a_new_branch_begins_empty(hub):
    hub.add("org/tiny", {"x.txt": "x"}, revision="4.0bpw")
    told = json.loads(get(hub, "/api/models/org/tiny/revision/4.0bpw").body)
    assert [sibling["rfilename"] for sibling in told["siblings"]] == ["x.txt"]
    assert {one["name"] for one in json.loads(get(hub, "/api/models/org/tiny/refs").body)["branches"]} == {
        "main",
        "4.0bpw",
    }


def test_a_name_that_moved_leads_to_the_new_one(hub):
    hub.shelf.move("org/tiny", "new/tiny")
    assert json.loads(get(hub, "/api/models/org/tiny").body)["id"] == "new/tiny"
    assert get(hub, "/org/tiny/resolve/main/config.json").body == b"{}"


def test_what_is_told_of_a_repository_stays_until_it_is_told_anew(hub):
    hub.add("org/tiny", {}, downloads=5, tags=["x"])
    hub.add("org/tiny", {"y.txt": "y"})
    assert json.loads(get(hub, "/api/models/org/tiny").body)["downloads"] == 5


def test_a_line_is_cut_as_often_as_wanted(hub):
    hub.fault("org/tiny/*.gguf", cut_after=1000, times=2)
    for whole in (False, False, True):
        answer = get(hub, "/org/tiny/resolve/main/w.gguf")
        assert answer.whole is whole
        assert len(answer.body) == (len(DATA) if whole else 1000)
        assert answer.headers["content-length"] == str(len(DATA))


def test_wrong_bytes_are_as_many_as_the_right_ones(hub):
    hub.fault("org/tiny/w.gguf", wrong=True)
    wrong = get(hub, "/org/tiny/resolve/main/w.gguf").body
    assert len(wrong) == len(DATA)
    assert wrong != DATA
    assert get(hub, "/org/tiny/resolve/main/w.gguf").body == DATA


def test_a_truncated_file_says_it_is_whole(hub):
    hub.fault("org/tiny/w.gguf", truncated_to=100)
    answer = get(hub, "/org/tiny/resolve/main/w.gguf")
    assert (answer.body, answer.whole, answer.headers["content-length"]) == (DATA[:100], True, "100")


def test_a_server_without_parts_begins_anew(hub):
    hub.fault("org/tiny/w.gguf", no_ranges=True)
    answer = get(hub, "/org/tiny/resolve/main/w.gguf", Range="bytes=5-")
    assert (answer.status, answer.body) == (200, DATA)
    assert "accept-ranges" not in answer.headers


def test_a_slow_line_is_slow(hub):
    hub.fault("org/tiny/w.gguf", bytes_per_s=len(DATA) * 4)
    began = time.monotonic()
    assert get(hub, "/org/tiny/resolve/main/w.gguf").body == DATA
    assert 0.15 < time.monotonic() - began < 5


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_a_status_is_answered_instead(hub, status):
    hub.fault("org/tiny/w.gguf", status=status, error_code="Odd", retry_after=7)
    answer = get(hub, "/org/tiny/resolve/main/w.gguf")
    assert (answer.status, answer.headers["x-error-code"], answer.headers["retry-after"]) == (status, "Odd", "7")
    assert get(hub, "/org/tiny/resolve/main/w.gguf").status == 200


def test_a_fault_meets_the_origin_and_the_method_it_is_meant_for(hub):
    hub.fault("org/tiny/w.gguf", status=403, origin="cdn")
    hub.fault("/api/models/*", status=500, methods=("HEAD",))
    assert get(hub, "/api/models/org/tiny").status == 200
    assert get(hub, "/api/models/org/tiny", "HEAD").status == 500
    assert [seen.origin for seen in hub.ledger.requests("org/tiny/w.gguf")] == []
    assert get(hub, "/org/tiny/resolve/main/w.gguf").status == 403
    assert [seen.origin for seen in hub.ledger.requests("org/tiny/w.gguf")] == ["hub", "cdn"]


def test_faults_are_forgotten(hub):
    hub.fault("*", status=500, times=None)
    assert get(hub, "/api/models/org/tiny").status == get(hub, "/api/models").status == 500
    hub.faults.clear()
    assert get(hub, "/api/models/org/tiny").status == 200


def test_a_hub_that_stops_lets_nobody_hang():
    answers = []

    def ask(url):
        try:
            answers.append(Answer(url).status)
        except OSError as error:
            answers.append(error)

    with Hub() as hub:
        hub.add("org/tiny", {"a.txt": "a"})
        hub.fault("*", hang=True)
        asking = threading.Thread(target=ask, args=(f"{hub.url}/api/models/org/tiny",))
        asking.start()
        while not hub.ledger.requests():
            time.sleep(0.005)
    asking.join(5)
    assert isinstance(answers[0], OSError)


def test_several_hubs_know_nothing_of_each_other(hub):
    with Hub() as other:
        other.add("org/other", {"a.txt": "a"})
        assert get(hub, "/api/models/org/other").status == 401
        assert get(other, "/api/models/org/tiny").status == 401


def test_a_path_that_git_would_not_keep_is_refused(hub):
    for path in ("", "/etc/passwd", "a/../b"):
        with pytest.raises(ValueError, match="is no path"):
            hub.add("org/tiny", {path: "x"})


def test_it_runs_by_hand_on_a_folder(tmp_path):
    for name in ("org/tiny", "org/gated"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "a.txt").write_text("by hand")
    command = [sys.executable, "-m", "rbee.testing.hub", str(tmp_path), "--gated", "org/gated"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        url = process.stdout.readline().strip()
        try:
            small = Answer(f"{url}/org/tiny/resolve/main/deep/a.txt")
            assert Answer(url + small.headers["location"]).body == b"by hand"
            assert Answer(f"{url}/org/gated/resolve/main/deep/a.txt").headers["x-error-code"] == "GatedRepo"
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert MEMBER in process.stderr.read()
