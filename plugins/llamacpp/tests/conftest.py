"""What all tests of this plugin share: a real, small model."""

import asyncio
import json
from pathlib import Path

import pytest
from rbee.contract import LoadSpec, ModelVariant
from rbee_llamacpp import LlamaCppEngine

MODEL = Path(__file__).parents[2] / "demo" / "rbee_demo" / "data" / "rbee-tiny-q8_0.gguf"


@pytest.fixture
def model():
    """The GGUF file that lies in the demo vendor's folder of this repository."""
    assert MODEL.is_file(), f"{MODEL} is missing; these tests run a real model and are never skipped"
    return MODEL


@pytest.fixture
def make_spec(model):
    """Makes a load specification of `model`, with two slots and one thread unless told otherwise."""

    def make(**changes):
        variant = ModelVariant(model_id="demo:rbee-tiny:Q8_0", name="demo", vendor="demo", format="gguf")
        facts = {"model_id": variant.model_id, "model_path": str(model), "variant": variant, "slots": 2}
        return LoadSpec(**{**facts, **changes})

    return make


@pytest.fixture
def load_spec(make_spec):
    return make_spec()


@pytest.fixture
def engine():
    engine = LlamaCppEngine()
    yield engine
    engine.stop()


class Asked:
    """One answer, as a client of the worker gets it."""

    def __init__(self):
        self.status, self.headers, self.body = 0, {}, b""

    async def send(self, message):
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message.get("body", b"")

    @property
    def error(self):
        return json.loads(self.body)["error"]

    @property
    def text(self):
        events = [json.loads(line[6:]) for line in self.body.decode().splitlines() if line.startswith("data: {")]
        return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


async def ask_face(face, path, **body):
    asked, parts = Asked(), [{"type": "http.request", "body": json.dumps({"model": "m", **body}).encode()}]

    async def receive():
        if parts:
            return parts.pop()
        await asyncio.Event().wait()
        raise AssertionError

    headers = [(b"content-type", b"application/json"), (b"x-rbee-usage", b"1")]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers, "state": {"request_id": "req-1"}}
    async with asyncio.timeout(60):
        await face.openai(scope, receive, asked.send)
    return asked


@pytest.fixture
def ask():
    """Asks a worker's door as a client does: ``await ask(face, path, **body)``."""
    return ask_face
