"""Redirects, proxies and certificates: who is asked, and who sees which header."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path

import pytest
from rbee.contract import FileSource
from rbee.contract.errors import CancelledByCallerError, UnreachableError
from rbee.contract.transfer import Patience
from rbee.contract.transfer.refusals import BrokenError
from rbee.contract.transfer.session import Session
from rbee.testing.cancel import Cancel
from unit.contract.transfer.stand_in import Reply, StandIn, StandInVendor, file_of

SECRET = ("Authorization", "Bearer secret")


@pytest.fixture
def session():
    made = Session(Patience(connect_s=2.0, silence_s=5.0))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """What the machine that runs the tests has is not what they are about."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory) -> Path:
    """A certificate for 127.0.0.1 with its key in one file."""
    folder = tmp_path_factory.mktemp("tls")
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += [
        "-keyout",
        "key",
        "-out",
        "certificate",
        "-subj",
        "/CN=loopback",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a certificate takes openssl: {error}")
    both = folder / "both"
    both.write_bytes((folder / "key").read_bytes() + (folder / "certificate").read_bytes())
    return both


@pytest.fixture
def secure(certificate, content):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with StandIn(context) as running:
        running.files["/model.gguf"] = content
        yield running


@pytest.fixture
def wide(server):
    """The server by an address that leads to this machine and is not one of loopback."""
    return f"http://0.0.0.0:{server.server_address[1]}/model.gguf"


def read_all(answer):
    found = bytearray()
    while block := answer.read(1 << 20):
        found += block
    answer.close()
    return bytes(found)


def to(url, status=302):
    return Reply(status=status, headers={"Location": url})


class TestRedirects:
    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_followed(self, session, server, content, status):
        server.replies.append(to("/model.gguf?signed=1", status))
        answer = session.ask(FileSource(url=f"{server.url}/old"), {"Range": "bytes=0-8"})
        assert answer.status == 206
        assert read_all(answer) == content[:9]
        assert [one.path for one in server.questions] == ["/old", "/model.gguf?signed=1"]

    def test_a_secret_is_not_shown_to_another_origin(self, session, server, other_server, content):
        server.replies.append(to(f"{other_server.url}/model.gguf"))
        answer = session.ask(FileSource(url=f"{server.url}/model.gguf", headers=(SECRET,)), {})
        assert read_all(answer) == content
        assert server.questions[0].headers["authorization"] == "Bearer secret"
        assert "authorization" not in other_server.questions[0].headers

    def test_a_secret_is_shown_again_where_it_belongs(self, session, server, other_server):
        server.replies.append(to(f"{other_server.url}/x"))
        other_server.replies.append(to(f"{server.url}/model.gguf"))
        session.ask(FileSource(url=f"{server.url}/a", headers=(SECRET,)), {}).close()
        assert [one.headers.get("authorization") for one in server.questions] == ["Bearer secret"] * 2

    def test_a_password_in_an_address_is_not_sent(self, session, server):
        session.ask(FileSource(url=server.url.replace("//", "//me:secret@") + "/model.gguf"), {}).close()
        assert "authorization" not in server.questions[0].headers

    def test_five_redirects_are_enough(self, session, server):
        server.always = to("/model.gguf")
        answer = session.ask(FileSource(url=f"{server.url}/model.gguf"), {})
        assert answer.status == 302
        answer.close()
        assert len(server.questions) == 6

    def test_a_redirect_without_a_place_is_an_answer(self, session, server):
        server.replies.append(Reply(status=302))
        answer = session.ask(FileSource(url=f"{server.url}/model.gguf"), {})
        assert answer.status == 302
        answer.close()

    @pytest.mark.parametrize("place", ["file:///etc/passwd", "ftp://127.0.0.1/x", "http://[::1"])
    def test_a_redirect_to_no_server_is_refused(self, session, server, place):
        server.replies.append(to(place))
        with pytest.raises(UnreachableError):
            session.ask(FileSource(url=f"{server.url}/model.gguf"), {})


class TestProxies:
    def test_a_proxy_of_the_environment_is_asked(self, session, server, content, monkeypatch):
        monkeypatch.setenv("http_proxy", server.url.replace("//", "//me:secret@"))
        server.files = {"http://files.example/model.gguf": content}
        answer = session.ask(FileSource(url="http://files.example/model.gguf"), {})
        assert read_all(answer) == content
        assert server.questions[0].headers["host"] == "files.example"
        assert server.questions[0].headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"

    def test_a_proxy_is_not_asked_for_this_machine_nor_for_what_is_direct(self, session, server, wide, monkeypatch):
        monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
        session.ask(FileSource(url=f"{server.url}/model.gguf"), {}).close()
        session.ask(FileSource(url=wide, direct=True), {}).close()
        assert len(server.questions) == 2

    def test_an_exception_of_the_environment_is_kept(self, session, wide, monkeypatch):
        monkeypatch.setenv("http_proxy", "127.0.0.1:1")
        with pytest.raises(BrokenError, match="proxy does not connect"):
            session.ask(FileSource(url=wide), {})
        monkeypatch.setenv("no_proxy", "0.0.0.0")
        session.ask(FileSource(url=wide), {}).close()

    def test_a_proxy_of_another_kind_is_an_error_that_says_so(self, session, monkeypatch):
        monkeypatch.setenv("all_proxy", "socks5://me:secret@127.0.0.1:1")
        with pytest.raises(UnreachableError, match="not one for HTTP") as caught:
            session.ask(FileSource(url="http://files.example/x"), {})
        assert "secret" not in caught.value.message

    @pytest.mark.parametrize(
        "inner", ["127.0.0.1", "localhost", "10.0.0.1", "192.168.1.1", "169.254.169.254", "[::1]", "127.1"]
    )
    def test_a_public_place_may_not_lead_into_a_private_network(
        self, session, server, other_server, monkeypatch, inner
    ):
        monkeypatch.setenv("http_proxy", server.url)
        server.replies.append(to(f"http://{inner}:{other_server.server_address[1]}/model.gguf"))
        with pytest.raises(UnreachableError, match="private network"):
            session.ask(FileSource(url="http://files.example/model.gguf"), {})
        assert not other_server.questions

    def test_a_tunnel_shows_a_proxy_no_secret(self, session, secure, certificate, content, monkeypatch):
        """Not even which path is asked for."""
        heard: list[bytes] = []
        with socket.create_server(("127.0.0.1", 0)) as listening:

            def tunnel() -> None:
                line, _ = listening.accept()
                with line, socket.create_connection(secure.server_address) as there:
                    heard.append(line.recv(4096))
                    line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                    back = threading.Thread(target=pump, args=(there, line))
                    back.start()
                    pump(line, there)
                    back.join()

            thread = threading.Thread(target=tunnel)
            thread.start()
            monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{listening.getsockname()[1]}")
            monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
            # The tunnel ends at a server whose certificate is for 127.0.0.1.
            with pytest.raises(UnreachableError, match="certificate of 'files"):
                session.ask(FileSource(url="https://files.example/model.gguf", headers=(SECRET,)), {})
            session.close()
            thread.join()
        assert heard[0].startswith(b"CONNECT files.example:443 ")
        assert b"secret" not in heard[0]


def pump(here, there):
    with contextlib.suppress(OSError):
        while block := here.recv(65536):
            there.sendall(block)
    with contextlib.suppress(OSError):
        there.shutdown(socket.SHUT_WR)


class TestCertificates:
    def test_certificates_of_the_system_are_believed(self, session, secure, certificate, content, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        answer = session.ask(FileSource(url=f"{secure.url}/model.gguf"), {})
        assert read_all(answer) == content

    def test_others_are_not_and_nobody_tries_again(self, session, secure):
        with pytest.raises(UnreachableError, match=r"certificate of '127\.0\.0\.1' is not one"):
            session.ask(FileSource(url=f"{secure.url}/model.gguf"), {})
        assert not secure.questions

    def test_an_encrypted_place_may_not_lead_to_one_that_is_not(
        self, session, secure, certificate, server, monkeypatch
    ):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        secure.replies.append(to(f"{server.url}/model.gguf"))
        with pytest.raises(UnreachableError, match="not encrypted"):
            session.ask(FileSource(url=f"{secure.url}/model.gguf"), {})
        assert not server.questions

    def test_the_other_way_round_is_fine(self, session, secure, certificate, server, content, monkeypatch):
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        server.replies.append(to(f"{secure.url}/model.gguf"))
        answer = session.ask(FileSource(url=f"{server.url}/model.gguf", headers=(SECRET,)), {})
        assert read_all(answer) == content
        assert "authorization" not in secure.questions[0].headers


@pytest.mark.parametrize("reply", [Reply(hang_after=50_000), Reply(silent=True)])
def test_an_encrypted_line_that_hangs_does_not_hold_up_a_cancel(
    secure, certificate, fetch, content, monkeypatch, reply
):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    secure.replies.append(reply)
    cancel, cancelled_at = Cancel(), []

    def later():
        secure.hanging.wait(10)
        cancelled_at.append(time.monotonic())
        cancel.cancel()

    thread = threading.Thread(target=later)
    thread.start()
    vendor = StandInVendor(secure.url)
    with pytest.raises(CancelledByCallerError):
        fetch(file_of("model.gguf", content), vendor=vendor, cancel=cancel)
    assert time.monotonic() - cancelled_at[0] < 0.2
    thread.join()
    assert fetch(file_of("model.gguf", content), vendor=vendor).verified == {"model.gguf"}


def test_a_line_is_used_again_for_the_next_file(session, server, content):
    server.files["/small"] = b"12345"
    for _ in range(3):
        answer = session.ask(FileSource(url=f"{server.url}/small"), {})
        assert answer.read(5) == b"12345"
        answer.close()
    assert server.lines_taken == 1
