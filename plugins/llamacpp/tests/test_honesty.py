"""Through the worker's own door: what llama.cpp's server would drop, cut short or refuse in words of its own."""

import asyncio
import json
import re
import struct

import pytest
from rbee.contract import Capability, ModelVariant
from rbee.contract.errors import InvalidRequestError
from rbee.worker.served import ServedFace
from rbee_llamacpp import LlamaCppEngine
from rbee_llamacpp.refusals import IGNORED, refusal

CHAT, PLAIN = "/v1/chat/completions", "/v1/completions"
USER = [{"role": "user", "content": "What is Python?"}]
WHOLE = "Python is an interpreted, interactive, object-oriented programming language."


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


async def ask(face, path, **body):
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
async def face(make_spec):
    made = ServedFace(LlamaCppEngine(), make_spec(slots=1, context_length=256), "w", 2**20)
    await made.start(lambda stage: None)
    yield made
    await made.stop()


async def test_a_prompt_over_the_context_is_refused_with_both_figures(face):
    chat = await ask(face, CHAT, messages=[{"role": "user", "content": "word " * 600}], stream=True)
    assert (chat.status, chat.error["code"], chat.error["param"]) == (400, "context_length_exceeded", "messages")
    assert chat.error["details"]["context_length"] == 256
    assert str(chat.error["details"]["prompt_tokens"]) in chat.error["message"]
    plain = await ask(face, PLAIN, prompt="word " * 600)
    assert (plain.status, plain.error["code"], plain.error["param"]) == (400, "context_length_exceeded", "prompt")


async def test_an_answer_that_fills_the_context_ends_for_its_length(face):
    said = await ask(face, PLAIN, prompt="Return the list of", ignore_eos=True)
    found = json.loads(said.body)
    assert found["choices"][0]["finish_reason"] == "length"
    assert found["usage"]["total_tokens"] == 256


@pytest.mark.parametrize("name", sorted(IGNORED))
async def test_what_the_server_would_drop_is_refused_by_name(face, name):
    with pytest.raises(InvalidRequestError) as caught:
        await ask(face, CHAT, messages=USER, **{name: 3})
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("more", "param"),
    [({"n": 2}, "n"), ({"temperature": "hot"}, "temperature"), ({"top_logprobs": 2}, "top_logprobs")],
)
async def test_what_the_server_refuses_names_the_parameter(face, more, param):
    said = await ask(face, CHAT, messages=USER, **more)
    assert (said.status, said.error["type"], said.error["param"]) == (400, "invalid_request_error", param)


async def test_what_it_offers_passes_through(face):
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    said = await ask(face, CHAT, messages=USER, response_format=form, seed=1, max_tokens=40)
    assert isinstance(json.loads(json.loads(said.body)["choices"][0]["message"]["content"])["a"], int)
    said = await ask(face, CHAT, messages=USER, logprobs=True, top_logprobs=2, max_tokens=2)
    assert len(json.loads(said.body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"]) == 2
    said = await ask(face, PLAIN, prompt="a", grammar='root ::= "yes"', max_tokens=8)
    assert json.loads(said.body)["choices"][0]["text"] == "yes"


@pytest.mark.parametrize("at", [12, 31])
async def test_an_answer_that_has_begun_goes_on_where_it_stopped(face, at):
    said = await ask(
        face,
        CHAT,
        messages=[*USER, {"role": "assistant", "content": WHOLE[:at]}],
        continue_final_message=True,
        add_generation_prompt=False,
        temperature=0,
        stream=True,
    )
    assert said.text == WHOLE[at:]


def pooled(model, folder):
    """The model with a word in its file on how the vectors of its tokens become one: their mean."""
    data = model.read_bytes()
    architecture = re.search(rb"general\.architecture\x08\0\0\0(.{8})", data, re.DOTALL)
    length = int.from_bytes(architecture[1], "little")
    name = data[architecture.end() : architecture.end() + length]
    uint32, text = 4, 8

    def entry(key, kind, value):
        return struct.pack("<Q", len(key)) + key + struct.pack("<I", kind) + value

    more = entry(name + b".pooling_type", uint32, struct.pack("<I", 1))
    # What follows must stay aligned to 32 bytes.
    pad = -(len(more) + len(entry(b"pad", text, struct.pack("<Q", 0)))) % 32
    more += entry(b"pad", text, struct.pack("<Q", pad) + b"x" * pad)
    count = struct.unpack_from("<Q", data, 16)[0]
    made = folder / "pooled.gguf"
    made.write_bytes(data[:16] + struct.pack("<Q", count + 2) + more + data[24:])
    return made


async def test_a_model_made_for_embeddings_embeds(make_spec, model, tmp_path):
    made_for = frozenset({Capability.EMBEDDINGS})
    variant = ModelVariant(model_id="v:e", name="e", vendor="v", format="gguf", capabilities=made_for)
    path = str(pooled(model, tmp_path))
    face = ServedFace(LlamaCppEngine(), make_spec(slots=1, variant=variant, model_path=path), "w", 2**20)
    await face.start(lambda stage: None)
    try:
        said = await ask(face, "/v1/embeddings", input=["What is Python?", "Who are you?"])
    finally:
        await face.stop()
    one, two = json.loads(said.body)["data"]
    assert len(one["embedding"]) == len(two["embedding"]) > 10
    assert one["embedding"] != two["embedding"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error": 5}', b'{"error": {"message": "what"}}', b"\xff"])
def test_a_refusal_in_strange_words_is_passed_on(body):
    assert refusal(CHAT, body) is None
