"""What a server says of its models."""

from __future__ import annotations

import pytest
from rbee.builtin.openai_server import Connection, ServedModel
from rbee.builtin.openai_server.asking import served
from rbee.contract.errors import EngineUnavailableError
from unit.builtin.openai_server.upstream import Upstream


def at(upstream, key=None):
    return Connection(name="box", url=upstream.url, key=key)


def test_models_come_with_the_length_of_their_context_wherever_the_server_writes_it():
    cards = [
        {"id": "vllm", "max_model_len": 4096},
        {"id": "llama-server", "meta": {"n_ctx": 2048}},
        {"id": "rbee", "context_length": 1024},
        {"id": "silent", "context_length": None, "meta": None},
        {"id": ""},
        {"name": "no id"},
    ]
    with Upstream(*cards, base="/api/v1") as upstream:
        found = served(at(upstream))
    assert [(one.id, one.context_length) for one in found] == [
        ("vllm", 4096),
        ("llama-server", 2048),
        ("rbee", 1024),
        ("silent", None),
    ]
    assert upstream.seen[0][0] == "/api/v1/models"


def test_the_key_is_sent_and_a_wrong_one_is_told_without_quoting_it():
    with Upstream({"id": "m"}, key="sesame") as upstream:
        assert served(at(upstream, "sesame")) == (ServedModel(id="m"),)
        with pytest.raises(EngineUnavailableError, match=r"refuses its key \(401\).*--key-stdin") as caught:
            served(at(upstream, "wrong-one"))
        with pytest.raises(EngineUnavailableError, match="without a key"):
            served(at(upstream))
    assert "wrong-one" not in caught.value.message


def test_a_redirect_is_not_followed_with_the_key():
    with Upstream({"id": "m"}) as other, Upstream({"id": "m"}) as upstream:
        upstream.redirect = other.url
        with pytest.raises(EngineUnavailableError, match="answers 302"):
            served(at(upstream, "sesame"))
    assert not other.seen


@pytest.mark.parametrize("listing", [b"", b"<html>", b"[]", b'{"data": {}}', b"\xff"])
def test_a_server_of_another_kind_is_told_apart(listing):
    with Upstream() as upstream:
        upstream.listing = listing
        with pytest.raises(EngineUnavailableError, match="base of its API"):
            served(at(upstream))


def test_a_server_that_is_not_there_is_named():
    with Upstream() as upstream:
        pass
    with pytest.raises(EngineUnavailableError, match=r"'box' at http://127.*does not answer.*Is it running"):
        served(at(upstream))


def test_a_certificate_is_checked(certificate, monkeypatch):
    with Upstream({"id": "m"}, certificate=certificate) as upstream:
        with pytest.raises(EngineUnavailableError, match=r"certificate is not trusted.*SSL_CERT_FILE"):
            served(at(upstream))
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert served(at(upstream)) == (ServedModel(id="m"),)
