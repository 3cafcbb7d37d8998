from __future__ import annotations

import asyncio

import msgspec
import pytest
from rbee.contract import Capability
from rbee.contract.errors import ContextLengthError
from rbee.contract.wire import InferRequest
from rbee.worker.tokens import TokenFace

CHAT = "/v1/chat/completions"
USER = [{"role": "user", "content": "hi"}]


async def test_a_whole_chat_answer(engine_of, served, client_of):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("POST", CHAT, {"model": "mine", "messages": USER})
    assert said.status == 200
    assert int(said.headers["content-length"]) == len(said.body)
    assert said.json["object"] == "chat.completion"
    assert said.json["model"] == "mine"
    assert said.json["id"].startswith("chatcmpl-")
    choice = said.json["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": "one two three", "refusal": None}
    assert choice["finish_reason"] == "stop"
    assert said.json["usage"] == {"prompt_tokens": 21, "completion_tokens": 3, "total_tokens": 24}


async def test_a_streamed_chat_answer(engine_of, served, client_of):
    body = {"messages": USER, "stream": True, "stream_options": {"include_usage": True}, "max_tokens": 2}
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("POST", f"/openai{CHAT}", body)
    assert said.headers["content-type"].startswith("text/event-stream")
    first, *middle, last, figures = said.events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(event["choices"][0]["delta"]["content"] for event in middle) == "one two"
    assert {event["choices"][0]["finish_reason"] for event in middle} == {None}
    assert last["choices"][0]["finish_reason"] == "length"
    assert figures["choices"] == []
    assert figures["usage"]["completion_tokens"] == 2
    assert {event["model"] for event in said.events} == {"gated:m"}
    assert len({event["id"] for event in said.events}) == 1
    assert [event["usage"] for event in (first, *middle, last)] == [None] * (len(middle) + 2)


async def test_completions_whole_and_streamed(engine_of, served, client_of):
    async with served(engine_of()) as face:
        whole = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x"})
        streamed = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x", "stream": True})
    assert whole.json["object"] == "text_completion"
    assert whole.json["choices"][0]["text"] == "one two three"
    assert "".join(event["choices"][0]["text"] for event in streamed.events) == "one two three"
    assert "usage" not in streamed.events[0]


async def test_a_stop_string_over_token_borders_is_not_shown(engine_of, served, client_of):
    async with served(engine_of(["a", "E", "N", "D", "b"])) as face:
        body = {"messages": USER, "stop": "END", "stream": True}
        said = await client_of(face.openai)("POST", CHAT, body)
    texts = [event["choices"][0]["delta"].get("content", "") for event in said.events]
    assert "".join(texts) == "a"
    assert said.events[-1]["choices"][0]["finish_reason"] == "stop"


async def test_the_models_route_names_the_loaded_model(engine_of, served, client_of):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("GET", "/v1/models")
    assert [(card["id"], card["context_length"]) for card in said.json["data"]] == [("gated:m", 4096)]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/embeddings", 404), ("GET", CHAT, 405), ("POST", "/v1/models", 405), ("GET", "/", 404)],
)
async def test_other_routes_and_methods_are_told_in_openai_words(engine_of, served, client_of, method, path, status):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)(method, path)
    assert said.status == status
    assert set(said.json["error"]) == {"message", "type", "param", "code"}


async def test_an_invalid_request_is_a_400_that_names_the_field(engine_of, served, client_of):
    async with served(engine_of()) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, "temperature": "hot"})
    assert said.status == 400
    assert said.json["error"]["param"] == "temperature"


async def test_a_body_over_the_limit_is_a_413(engine_of, served, client_of):
    async with served(engine_of()) as face:
        told = await client_of(face.openai)("POST", CHAT, {}, [(b"content-length", b"99999999")])
        untold = await client_of(face.openai)("POST", CHAT, b" " * (32 * 1024 * 1024 + 1))
    assert (told.status, untold.status) == (413, 413)


async def test_what_fails_before_the_first_token_fails_as_http_even_when_streamed(engine_of, served, client_of):
    engine = engine_of()
    engine.add_errors = {"hi": ContextLengthError("The prompt is too long.")}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER, "stream": True})
    assert said.status == 400
    assert said.json["error"]["code"] == "context_length_exceeded"


async def test_a_full_queue_is_a_503_with_a_time_to_come_back(engine_of, served, client_of, happened):
    engine = engine_of(gated=True)
    async with served(engine, max_waiting=0) as face:
        first = asyncio.create_task(client_of(face.openai)("POST", CHAT, {"messages": USER}))
        await happened(engine.stepped)
        said = await client_of(face.openai)("POST", CHAT, {"messages": USER})
        engine.allow(3)
        await first
    assert said.status == 503
    assert said.headers["retry-after"]


async def test_before_loading_a_request_is_told_to_come_back(engine_of, spec_of, client_of):
    said = await client_of(TokenFace(engine_of(), spec_of(), max_body=1000).openai)("POST", CHAT, {"messages": USER})
    assert said.status == 503
    assert said.json["error"]["code"] == "worker_not_ready"


async def test_a_death_in_mid_answer_ends_the_stream_with_one_error_event(engine_of, served, client_of):
    engine = engine_of(gated=True)
    async with served(engine) as face:
        client = client_of(face.openai)
        asking = asyncio.create_task(client("POST", CHAT, {"messages": USER, "stream": True}))
        engine.allow()
        await client.wait_for(b'"one"')
        engine.step_error = RuntimeError("lost the device")
        engine.allow()
        await asking
        assert not face.alive()
    assert client.ended
    assert client.events[-1]["error"]["code"] == "worker_failed"
    assert "lost the device" not in client.body.decode()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_away_frees_its_slot(engine_of, served, client_of, happened, stream):
    engine = engine_of(["w"] * 1000, gated=True)
    async with served(engine) as face:
        client = client_of(face.openai)
        asking = asyncio.create_task(client("POST", CHAT, {"messages": USER, "stream": stream}))
        engine.allow()
        await happened(engine.stepped)
        client.gone.set()
        await asking
        engine.allow()
        await happened(engine.removed)
        assert (await face.status()).slots_busy == 0
    assert not client.ended


async def test_a_client_that_reads_slowly_does_not_hold_up_the_engine(engine_of, served, client_of):
    async with served(engine_of(["w"] * 500), slots=2) as face:
        slow = client_of(face.openai)
        slow.may_send.clear()
        asking = asyncio.create_task(slow("POST", CHAT, {"messages": USER, "stream": True}))
        await client_of(face.openai)("POST", CHAT, {"messages": USER})
        slow.may_send.set()
        await asking
    texts = [event["choices"][0]["delta"].get("content", "") for event in slow.events]
    assert "".join(texts) == "w" * 500
    assert len(texts) < 100


async def test_a_server_that_gives_up_on_a_request_cancels_it(engine_of, served, client_of, happened):
    engine = engine_of(["w"] * 1000, gated=True)
    async with served(engine) as face:
        asking = asyncio.create_task(client_of(face.openai)("POST", CHAT, {"messages": USER}))
        await happened(engine.stepped)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        engine.allow()
        await happened(engine.removed)


@pytest.mark.parametrize(
    ("fields", "reason", "text"),
    [
        ({}, "EOS", "one two three"),
        ({"max_tokens": 1}, "MAX_TOKENS", "one"),
        ({"stop": ["w"]}, "STOP_SEQUENCE", "one t"),
    ],
)
async def test_infer_says_why_it_stopped(engine_of, served, fields, reason, text):
    async with served(engine_of()) as face:
        deltas = [delta async for delta in face.infer(InferRequest(prompt="x", **fields), "r1")]
    assert "".join(delta.text for delta in deltas) == text
    assert [delta.stop_reason for delta in deltas if delta.stop_reason] == [reason]
    assert deltas[-1].tokens == len(text.split())


async def test_closing_the_infer_iterator_cancels_in_the_engine(engine_of, served, happened):
    engine = engine_of(["w"] * 1000, gated=True)
    async with served(engine) as face:
        deltas = face.infer(InferRequest(prompt="x"), "r1")
        engine.allow()
        assert (await anext(deltas)).text == "w"
        await deltas.aclose()
        engine.allow()
        await happened(engine.removed)


async def test_two_infer_requests_with_one_id_are_two_requests(engine_of, served):
    engine = engine_of(gated=True)
    async with served(engine, slots=2) as face:
        answers = [face.infer(InferRequest(prompt="x"), "same") for _ in range(2)]
        for deltas in answers:
            engine.allow()
            assert (await anext(deltas)).text
        engine.allow(10)
        for deltas in answers:
            assert [delta async for delta in deltas][-1].stop_reason == "EOS"


def begun(text: str = "one") -> dict:
    return {
        "messages": [*USER, {"role": "assistant", "content": text}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


async def test_an_answer_that_has_begun_is_gone_on_with_by_an_engine_that_can(engine_of, served, client_of):
    engine = engine_of()
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, begun())
    assert said.status == 200
    assert engine.text(engine.requests[0].prompt).endswith("<|im_start|>assistant\none")


async def test_an_engine_that_cannot_go_on_with_an_answer_refuses_and_does_not_begin_anew(engine_of, served, client_of):
    engine = engine_of()
    engine.capabilities = engine.capabilities - {Capability.CONTINUATION}
    async with served(engine) as face:
        said = await client_of(face.openai)("POST", CHAT, begun())
    assert said.status == 400
    assert said.json["error"]["param"] == "continue_final_message"


async def test_usage_is_told_in_a_comment_to_a_gateway_whose_client_does_not_want_it(engine_of, served, client_of):
    asked = [(b"x-rbee-usage", b"1")]
    body = {"messages": USER, "stream": True}
    async with served(engine_of()) as face:
        told = await client_of(face.openai)("POST", CHAT, body, headers=asked)
        shown = await client_of(face.openai)(
            "POST", CHAT, {**body, "stream_options": {"include_usage": True}}, headers=asked
        )
        plain = await client_of(face.openai)("POST", CHAT, body)
    *_, comment, done, _ = told.body.split(b"\n\n")
    assert done == b"data: [DONE]"
    usage = msgspec.json.decode(comment.removeprefix(b": rbee-usage "))
    times = usage.pop("prompt_ms"), usage.pop("decode_ms")
    assert usage == {"prompt_tokens": 21, "completion_tokens": 3, "cached_tokens": None}
    assert all(0 <= milliseconds < 10_000 for milliseconds in times)
    assert b"rbee-usage" not in shown.body
    assert b"rbee-usage" not in plain.body


async def test_the_stop_string_that_ended_an_answer_is_told(engine_of, served, client_of):
    async with served(engine_of(["a", "E", "N", "D", "b"])) as face:
        stopped = await client_of(face.openai)("POST", CHAT, {"messages": USER, "stop": ["X", "END"]})
        ended = await client_of(face.openai)("POST", "/v1/completions", {"prompt": "x", "stream": True})
    assert stopped.json["choices"][0]["stop_reason"] == "END"
    assert stopped.json["choices"][0]["finish_reason"] == "stop"
    assert ended.events[-1]["choices"][0]["stop_reason"] is None
