"""The promises of `rbee.contract.ServedEngine`."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest

from rbee.contract import Endpoint, EngineStatus, LoadSpec, ServedEngine
from rbee.contract.errors import ModelFileError
from rbee.testing.conformance.engine_base import EngineContract
from rbee.testing.conformance.junk import junk_model

PATIENCE_S = 120.0
FREE_WITHIN_S = 5.0
"""Generous for slow machines; a good engine needs a tenth of a second."""


def open_request(
    endpoint: Endpoint, method: str, path: str, body: dict[str, Any] | None = None, *, with_key: bool = True
) -> http.client.HTTPConnection:
    """Send one request to an engine and return its connection, ready for `getresponse`."""
    connection = http.client.HTTPConnection(urlsplit(endpoint.url).netloc, timeout=PATIENCE_S)
    headers = {"content-type": "application/json", **(dict(endpoint.headers) if with_key else {})}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    return connection


def ask(
    endpoint: Endpoint, method: str, path: str, body: dict[str, Any] | None = None, *, with_key: bool = True
) -> tuple[int, bytes]:
    """Status and whole body of one request to an engine."""
    with closing(open_request(endpoint, method, path, body, with_key=with_key)) as connection:
        response = connection.getresponse()
        return response.status, response.read()


def chat(spec: LoadSpec, **more: Any) -> dict[str, Any]:
    """Body of a chat request to the model of `spec`."""
    return {"model": spec.model_id, "messages": [{"role": "user", "content": "Who are you?"}], **more}


class ServedEngineContract(EngineContract, kit=True):
    """Subclass it and give the fixtures `engine_class` (a `ServedEngine`) and `load_spec`."""

    @pytest.fixture
    def engine(self, engine_class: type[ServedEngine]) -> Iterator[ServedEngine]:
        """A fresh engine, stopped after the test."""
        engine = engine_class()
        yield engine
        engine.stop()

    @pytest.fixture
    def endpoint(self, engine: ServedEngine, load_spec: LoadSpec) -> Endpoint:
        """Where `engine` listens, with its model loaded."""
        return engine.start(load_spec, lambda _stage: None)

    def test_it_answers_a_chat_once_started(self, endpoint: Endpoint, load_spec: LoadSpec) -> None:
        """`start` returns when requests can be answered, on a loopback port of its own."""
        parts = urlsplit(endpoint.url)
        assert parts.scheme == "http"
        assert parts.hostname in {"127.0.0.1", "::1"}
        assert parts.port
        assert not parts.path
        assert ask(endpoint, "GET", "/health")[0] == 200
        status, answer = ask(endpoint, "POST", "/v1/chat/completions", chat(load_spec, max_tokens=8))
        assert status == 200, answer[:500]
        message = json.loads(answer)["choices"][0]["message"]
        assert message["role"] == "assistant"
        assert isinstance(message["content"], str)

    def test_a_key_is_asked_for_where_one_is_set(self, endpoint: Endpoint, load_spec: LoadSpec) -> None:
        """The headers of the endpoint are needed, not decoration."""
        if endpoint.headers:
            body = chat(load_spec, max_tokens=1)
            status, _ = ask(endpoint, "POST", "/v1/chat/completions", body, with_key=False)
            assert status in {401, 403}

    @pytest.mark.usefixtures("endpoint")
    def test_status_is_quick_and_in_range(self, engine: ServedEngine, load_spec: LoadSpec) -> None:
        """Slots in all are those asked for, none is busy while nothing is asked."""
        started = time.monotonic()
        status = engine.status()
        assert time.monotonic() - started < 1.0
        assert isinstance(status, EngineStatus)
        assert status.slots_total in {None, load_spec.slots}
        assert status.slots_busy in {None, 0}
        assert status.queue_depth in {None, 0}

    def test_a_closed_connection_frees_the_slot(
        self, engine: ServedEngine, endpoint: Endpoint, load_spec: LoadSpec
    ) -> None:
        """The host cancels by closing the connection of a streamed answer."""
        body = chat(load_spec, stream=True, max_tokens=100_000, ignore_eos=True)
        with closing(open_request(endpoint, "POST", "/v1/chat/completions", body)) as connection:
            response = connection.getresponse()
            assert response.status == 200
            response.readline()
            response.close()
        deadline = time.monotonic() + FREE_WITHIN_S
        while (busy := engine.status().slots_busy) not in {None, 0}:
            assert time.monotonic() < deadline, f"{busy} slots still busy after the connection was closed"
            time.sleep(0.01)

    def test_stop_is_harmless_before_start_and_when_repeated(
        self, engine_class: type[ServedEngine], load_spec: LoadSpec
    ) -> None:
        """After `stop` nothing listens any more, and the engine can be started again."""
        engine = engine_class()
        engine.stop()
        for _ in range(2):
            endpoint = engine.start(load_spec, lambda _stage: None)
            engine.stop()
            engine.stop()
            with pytest.raises(OSError, match=r".*"):
                ask(endpoint, "GET", "/health")

    def test_a_file_that_is_no_model_is_refused(
        self, engine: ServedEngine, load_spec: LoadSpec, tmp_path: Path
    ) -> None:
        """The error names the file; the engine survives and can be stopped."""
        if load_spec.model_path is None:
            return
        junk = junk_model(Path(load_spec.model_path), tmp_path)
        with pytest.raises(ModelFileError) as caught:
            engine.start(msgspec.structs.replace(load_spec, model_path=str(junk)), lambda _stage: None)
        assert junk.name in caught.value.message
