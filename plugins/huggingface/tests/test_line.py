"""Questions to the hub: tokens, refusals, limits, and where they go."""

import json
import socket
import subprocess
import sys
import time

import pytest
from rbee.contract.errors import (
    ConfigurationError,
    ModelFileError,
    ModelNotFoundError,
    PermissionDeniedError,
    PluginError,
    UnavailableError,
    UnreachableError,
)
from rbee.testing.cancel import Cancel
from rbee.testing.hub import MEMBER, STRANGER, samples
from rbee_huggingface import line, online


@pytest.fixture
def tiny(hub):
    hub.add("org/tiny-GGUF", samples.gguf_files(), tags=["gguf"])
    return hub


def ask_of(vendor, ref, file=0):
    variant = vendor.resolve(ref)[0]
    return vendor.source(variant, variant.files[file])


def test_a_file_is_asked_for_at_its_commit(vendor, tiny):
    variant = vendor.resolve("org/tiny-GGUF")[0]
    source = vendor.source(variant, variant.files[0])
    assert source.url == f"{tiny.url}/org/tiny-GGUF/resolve/{variant.revision}/tiny-Q4_K_M.gguf"
    assert source.headers == ()
    assert not source.direct


def test_names_of_files_are_escaped(vendor, hub):
    hub.add("org/odd", {"a b/c#d?e%41-Q8_0.gguf": samples.gguf_files()["tiny-Q8_0.gguf"]})
    assert ask_of(vendor, "org/odd").url.endswith("/a%20b/c%23d%3Fe%2541-Q8_0.gguf")


def test_the_token_of_the_environment_is_sent_to_the_hub(vendor, tiny, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", f" {MEMBER}\n")
    assert ask_of(vendor, "org/tiny-GGUF").headers == (("Authorization", f"Bearer {MEMBER}"),)
    assert {seen.token for seen in tiny.ledger.requests()} == {MEMBER}


@pytest.mark.parametrize("variable", ["HF_HOME", "HF_TOKEN_PATH"])
def test_the_token_of_somebody_who_has_logged_in_is_found_where_the_environment_says(
    vendor, tiny, monkeypatch, tmp_path, variable
):
    # The library was imported before and would look elsewhere.
    assert ask_of(vendor, "org/tiny-GGUF").headers == ()
    (tmp_path / "token").write_text(f"{MEMBER}\n")
    monkeypatch.setenv(variable, str(tmp_path if variable == "HF_HOME" else tmp_path / "token"))
    assert ask_of(vendor, "org/tiny-GGUF").headers == (("Authorization", f"Bearer {MEMBER}"),)


def test_no_token_is_sent_where_the_environment_forbids_it(vendor, tiny, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")
    assert ask_of(vendor, "org/tiny-GGUF").headers == ()
    assert {seen.token for seen in tiny.ledger.requests()} == {None}


@pytest.mark.parametrize("text", ["hf_a\r\nX-Evil: 1", "hf_ä", "hf a", "x" * 5000])
def test_what_cannot_be_a_token_is_refused_without_showing_it(vendor, tiny, monkeypatch, text):
    monkeypatch.setenv("HF_TOKEN", text)
    with pytest.raises(ConfigurationError, match="'HF_TOKEN' is no token") as caught:
        vendor.resolve("org/tiny-GGUF")
    assert text not in caught.value.message
    assert not tiny.ledger.requests()


def test_a_wrong_token_is_told_so(vendor, tiny, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_of_nobody")
    with pytest.raises(PermissionDeniedError, match="does not know the token") as caught:
        vendor.resolve("org/tiny-GGUF")
    assert "hf_of_nobody" not in caught.value.message


def test_the_token_never_reaches_another_origin(vendor, hub, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    large = json.dumps({"metadata": {"x": "y" * 11_000_000}, "weight_map": {"a": "model.safetensors"}})
    files = {**samples.safetensors_files(), "model.safetensors.index.json": large}
    hub.add("org/tiny", files, private=True)
    variant = vendor.resolve("org/tiny")[0]
    vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    assert (tmp_path / "model.safetensors").read_bytes() == files["model.safetensors"]
    led_away = hub.ledger.requests(origin="cdn")
    assert {seen.name for seen in led_away} == {"org/tiny/model.safetensors.index.json", "org/tiny/model.safetensors"}
    assert {seen.token for seen in led_away} == {None}
    assert {seen.token for seen in hub.ledger.requests(origin="hub")} == {MEMBER}


def test_a_private_or_unknown_repository_says_what_to_check(vendor, hub, monkeypatch):
    hub.add("org/secret", samples.gguf_files(), private=True)
    for name in ("org/secret", "org/nothing"):
        with pytest.raises(ModelNotFoundError, match=f"'{name}' does not exist on the hub, or is private.*HF_TOKEN"):
            vendor.resolve(name)
    monkeypatch.setenv("HF_TOKEN", STRANGER)
    with pytest.raises(ModelNotFoundError, match="'org/secret' does not exist on the hub, or the token may not see it"):
        vendor.resolve("org/secret")
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert vendor.resolve("org/secret")


@pytest.mark.parametrize("token", [None, STRANGER])
def test_a_gated_repository_says_where_to_accept_its_terms(vendor, hub, monkeypatch, tmp_path, token):
    hub.add("org/gated-GGUF", samples.gguf_files(), gated="manual")
    hub.add("org/gated", samples.safetensors_files(), gated="auto")
    if token is not None:
        monkeypatch.setenv("HF_TOKEN", token)
    words = rf"open {hub.url}/org/gated\S*, accept its terms, then set HF_TOKEN to a token that may read it"
    with pytest.raises(PermissionDeniedError, match=words):
        vendor.resolve("org/gated")
    variant = vendor.resolve("org/gated-GGUF:Q8_0")[0]
    with pytest.raises(PermissionDeniedError, match=words):
        vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    monkeypatch.setenv("HF_TOKEN", MEMBER)
    assert vendor.resolve("org/gated")
    vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    assert (tmp_path / "tiny-Q8_0.gguf").is_file()


def test_a_revision_that_is_not_there_is_named(vendor, tiny):
    with pytest.raises(ModelNotFoundError, match="Revision 'v9' of 'org/tiny-GGUF' is not there"):
        vendor.resolve("org/tiny-GGUF@v9")


@pytest.mark.parametrize(
    ("status", "headers", "kind", "words"),
    [
        (404, {"x-error-code": "EntryNotFound"}, ModelNotFoundError, "File 'tiny-Q4_K_M.gguf' of .* is not there"),
        (404, {"x-error-code": "RevisionNotFound"}, ModelNotFoundError, "no such revision"),
        (404, {"x-error-code": "RepoNotFound"}, ModelNotFoundError, "does not exist on the hub"),
        (401, {}, ModelNotFoundError, "or is private"),
        (403, {"x-error-code": "GatedRepo"}, PermissionDeniedError, "'org/tiny-GGUF' is gated"),
        (403, {}, PermissionDeniedError, "does not give out file 'tiny-Q4_K_M.gguf'"),
        (429, {"retry-after": "7"}, UnavailableError, "try again in 7 s"),
        (429, {"ratelimit": '"api";r=0;t=55'}, UnavailableError, "try again in 55 s"),
        (410, {}, UnreachableError, "HTTP 410"),
        (302, {}, UnreachableError, "HTTP 302"),
    ],
)
def test_refusals_of_files_are_told_as_the_hub_means_them(vendor, tiny, status, headers, kind, words):
    variant = vendor.resolve("org/tiny-GGUF")[0]
    error = vendor.refusal(variant, variant.files[0], status, headers)
    assert type(error) is kind
    with pytest.raises(kind, match=words):
        raise error


@pytest.mark.parametrize(
    ("fault", "words", "wait"),
    [
        ({"status": 429, "retry_after": 12}, "too many requests from here.*try again in 12 s", 12),
        ({"status": 429, "retry_after": "Wed, 25 Nov 2026 07:28:00 GMT"}, "try again in 30 s", 30),
        ({"status": 503}, "has trouble \\(HTTP 503\\)", 30),
        ({"status": 500, "retry_after": 999_999}, "has trouble", 3600),
    ],
)
def test_a_hub_without_time_is_not_asked_twice(vendor, tiny, fault, words, wait):
    tiny.fault("/api/*", times=None, **fault)
    with pytest.raises(UnavailableError, match=words) as caught:
        vendor.resolve("org/tiny-GGUF")
    assert caught.value.retry_after_s == wait
    assert len(tiny.ledger.requests()) == 1


def test_a_hub_that_says_nothing_is_given_up(vendor, tiny, monkeypatch):
    monkeypatch.setattr(line, "STEP_S", 0.2)
    tiny.fault("/api/*", hang=True)
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="does not answer: no answer within"):
        vendor.resolve("org/tiny-GGUF")
    assert time.monotonic() - began < 5


def test_a_hub_that_answers_drop_by_drop_is_given_up(vendor, hub, monkeypatch):
    monkeypatch.setattr(line, "WHOLE_S", 0.2)
    hub.add("org/tiny", samples.safetensors_files())
    hub.fault("org/tiny/config.json", bytes_per_s=400)
    with pytest.raises(UnreachableError, match="takes longer than"):
        vendor.resolve("org/tiny")


def test_a_hub_that_is_not_there_says_what_to_check(vendor, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(UnreachableError, match=rf"127\.0\.0\.1:{port} does not answer.*HF_ENDPOINT.*HF_HUB_OFFLINE=1"):
        vendor.resolve("org/tiny-GGUF")


def test_a_line_that_is_cut_within_an_answer_is_tried_once_more(vendor, hub):
    hub.add("org/tiny", samples.safetensors_files())
    hub.fault("org/tiny/config.json", cut_after=10)
    assert vendor.resolve("org/tiny")
    hub.fault("org/tiny/config.json", cut_after=10, times=2)
    with pytest.raises(UnreachableError, match="does not answer"):
        vendor.resolve("org/tiny")


@pytest.mark.parametrize("text", ["ftp://x", "hub.example", "https://", "https://a b", "http://x:0", "https://x?y"])
def test_an_endpoint_that_is_no_address_is_told_so(vendor, monkeypatch, text):
    monkeypatch.setenv("HF_ENDPOINT", text)
    with pytest.raises(ConfigurationError, match="HF_ENDPOINT is no address"):
        vendor.resolve("org/tiny-GGUF")


def test_a_login_in_the_endpoint_is_refused_and_not_shown(vendor, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://me:secret@hub.example")
    with pytest.raises(ConfigurationError, match="holds a login") as caught:
        vendor.resolve("org/tiny-GGUF")
    assert "secret" not in caught.value.message


def test_another_endpoint_counts_from_the_next_call_on(vendor, tiny, monkeypatch):
    assert ask_of(vendor, "org/tiny-GGUF").url.startswith(tiny.url)
    variant = vendor.resolve("org/tiny-GGUF")[0]
    monkeypatch.setenv("HF_ENDPOINT", "https://mirror.example/hf/")
    assert vendor.source(variant, variant.files[0]).url.startswith("https://mirror.example/hf/org/tiny-GGUF/resolve/")


def test_the_proxy_of_the_environment_is_used(vendor, tiny, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.invalid")
    monkeypatch.setenv("HTTP_PROXY", tiny.url)
    assert vendor.resolve("org/tiny-GGUF")
    assert {seen.headers["host"] for seen in tiny.ledger.requests()} == {"hub.invalid"}


@pytest.mark.parametrize(
    "body",
    [
        b"<html>log in to the network</html>",
        b"[]",
        b'{"id": "org/tiny-GGUF", "gguf": {"x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}}",
        b'{"id": "org/tiny-GGUF"}',
        b'{"id": "../../x", "sha": "' + b"0" * 40 + b'", "siblings": []}',
        b'{"id": "org/tiny-GGUF", "sha": "main", "siblings": []}',
        b'{"id": "org/tiny-GGUF", "sha": "' + b"0" * 40 + b'", "siblings": [{"rfilename": "a.gguf", "size": -1}]}',
        b'{"id": "org/tiny-GGUF", "sha": "' + b"0" * 40 + b'", "siblings": [{"rfilename": "a.gguf", "size": 1e30}]}',
    ],
)
def test_an_answer_that_is_none_of_a_hub_is_refused(vendor, tiny, monkeypatch, body):
    monkeypatch.setattr(online, "read", lambda *_args, **_more: body)
    with pytest.raises(UnreachableError, match=r"cannot be used.*HF_ENDPOINT"):
        vendor.resolve("org/tiny-GGUF")


def test_an_answer_that_is_too_large_is_refused(vendor, tiny, monkeypatch):
    monkeypatch.setattr(online, "LARGEST_LISTING", 100)
    with pytest.raises(UnreachableError, match="larger than"):
        vendor.resolve("org/tiny-GGUF")


def test_odd_checksums_are_left_unknown(vendor, tiny, monkeypatch):
    siblings = [{"rfilename": "a-Q8_0.gguf", "size": 5, "blobId": "x", "lfs": {"sha256": "../x", "size": 7}}]
    body = json.dumps({"id": "org/tiny-GGUF", "sha": "0" * 40, "siblings": siblings}).encode()
    monkeypatch.setattr(online, "read", lambda *_args, **_more: body)
    (file,) = vendor.resolve("org/tiny-GGUF")[0].files
    assert (file.size_bytes, file.sha256, file.git_oid) == (7, None, None)


def test_without_the_library_the_plugin_is_there_and_says_what_to_install(vendor, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    monkeypatch.setitem(sys.modules, "huggingface_hub.errors", None)
    assert vendor.supports("org/tiny-GGUF")
    with pytest.raises(PluginError, match=r"pip install 'huggingface_hub>=1\.0,<3'"):
        vendor.resolve("org/tiny-GGUF")


def test_the_library_is_not_imported_until_it_is_needed():
    code = (
        "import sys, rbee_huggingface.plugin as p; from rbee_huggingface import HuggingFaceVendor as V; "
        "V().supports('org/repo'); sys.exit('huggingface_hub' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_variant_of_another_vendor_is_none_of_this_one(vendor, tiny):
    import msgspec

    variant = msgspec.structs.replace(vendor.resolve("org/tiny-GGUF")[0], model_id="demo:x")
    with pytest.raises(ModelNotFoundError, match="no canonical name"):
        vendor.source(variant, variant.files[0])


def test_a_file_that_is_fetched_is_the_very_one_that_was_resolved(vendor, tiny, tmp_path):
    """The branch moves on in between: the commit does not."""
    variant = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    tiny.add("org/tiny-GGUF", {"tiny-Q8_0.gguf": b"GGUF of tomorrow"})
    vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    assert (tmp_path / "tiny-Q8_0.gguf").stat().st_size == variant.size_bytes


def test_wrong_bytes_are_not_taken_for_the_model(vendor, tiny, tmp_path):
    variant = vendor.resolve("org/tiny-GGUF:Q8_0")[0]
    tiny.fault("org/tiny-GGUF/*.gguf", wrong=True, times=None)
    with pytest.raises(ModelFileError):
        vendor.fetch(variant, tmp_path, lambda _done, _total: None, Cancel())
    assert not (tmp_path / "tiny-Q8_0.gguf").exists()
