"""Conversations that are kept on disk, with a real model and a real server."""

from __future__ import annotations

import json
import os
import stat

import pytest
from rbee.contract import checked_options
from rbee.worker.served import ServedFace
from rbee_llamacpp import LlamaCppEngine
from rbee_llamacpp.chains import BLOCK, chain_of
from rbee_llamacpp.session_files import SessionFiles, shared

CHAT = "/v1/chat/completions"
WORDS = " ".join(f"word{number}" for number in range(220))


def long_talk(about, *more):
    messages = [{"role": "user", "content": f"{about} {WORDS}"}, *more]
    return {"messages": messages, "temperature": 0, "max_tokens": 8, "stream": True}


@pytest.fixture
async def worker(make_spec, tmp_path):
    """A worker of one slot that keeps conversations; each call is another life of it."""
    faces = []

    async def start(megabytes=64, **changes):
        for face in faces:
            await face.stop()
        faces.clear()
        given = checked_options(LlamaCppEngine.name, LlamaCppEngine.options, {"session_cache_mb": megabytes})
        face = ServedFace(
            LlamaCppEngine(), make_spec(options=given, slots=1, keep_in=str(tmp_path / "kept"), **changes), "w", 2**20
        )
        faces.append(face)
        await face.start(lambda stage: None)
        return face

    yield start
    for face in faces:
        await face.stop()


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept" / "sessions"


async def cached(ask, face, body):
    """Tokens of the prompt that were taken from a cache, and the answer's text."""
    said = await ask(face, CHAT, **body)
    assert said.status == 200, said.body
    events = [json.loads(line[6:]) for line in said.body.decode().splitlines() if line.startswith("data: {")]
    (timings,) = [event["timings"] for event in events if "timings" in event]
    return timings["cache_n"], said.text


async def test_a_conversation_that_lost_its_slot_is_brought_back(ask, worker):
    face = await worker()
    fresh, first = await cached(ask, face, long_talk("bees"))
    await cached(ask, face, long_talk("cars"))
    again, second = await cached(ask, face, long_talk("bees"))
    assert fresh < 100 < again
    assert second == first


async def test_it_goes_on_from_where_it_was(ask, worker):
    face = await worker()
    _, said = await cached(ask, face, long_talk("bees"))
    await cached(ask, face, long_talk("cars"))
    more = [{"role": "assistant", "content": said}, {"role": "user", "content": "And then?"}]
    again, _ = await cached(ask, face, long_talk("bees", *more))
    assert again > 100


async def test_the_next_life_of_the_worker_finds_what_was_kept(ask, worker, folder):
    await cached(ask, await worker(), long_talk("bees"))
    face = await worker()
    assert len(list(folder.glob("*.kv"))) == 1
    again, _ = await cached(ask, face, long_talk("bees"))
    assert again > 100


async def test_what_was_computed_otherwise_is_not_used(ask, worker, folder):
    await cached(ask, await worker(), long_talk("bees"))
    face = await worker(context_length=1024)
    assert (await cached(ask, face, long_talk("bees")))[0] < 100
    assert list(folder.glob("*.kv"))


async def test_files_are_for_this_user_alone_and_hold_no_text(ask, worker, folder):
    face = await worker()
    await cached(ask, face, long_talk("bees"))
    await cached(ask, face, long_talk("cars"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    files = [path for path in folder.iterdir() if path.is_file()]
    assert files
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert not [path for path in files if path.suffix == ".json" and b"bees" in path.read_bytes()]


async def test_a_damaged_file_costs_nothing_but_the_time_to_compute(ask, worker, folder):
    face = await worker()
    _, first = await cached(ask, face, long_talk("bees"))
    await cached(ask, face, long_talk("cars"))
    for path in folder.glob("*.kv"):
        path.write_bytes(b"no cache")
    again, second = await cached(ask, face, long_talk("bees"))
    assert (again < 100, second) == (True, first)


async def test_whole_answers_and_several_at_a_time_are_kept_in_step(ask, worker):
    face = await worker()
    body = {**long_talk("bees"), "stream": False}
    assert (await ask(face, CHAT, **body)).status == 200
    several = await ask(face, CHAT, **{**long_talk("cars"), "stream": False, "id_slot": 0})
    assert several.status == 200
    assert (await ask(face, CHAT, **body)).status == 200


def test_the_folder_is_bounded_and_the_ones_used_last_stay(tmp_path):
    files = SessionFiles(tmp_path / "s", 250, "same")
    files.open()
    for number in range(4):
        part = files.part()
        (files.folder / part).write_bytes(b"x" * 100)
        files.keep(part, (f"chain{number}",))
        os.utime(next(iter(files.folder.glob("*.kv"))), (number, number))
    assert len(list(files.folder.glob("*.kv"))) == 2
    assert files.best(("chain3",), 1) is not None
    assert files.best(("chain0",), 1) is None


def test_one_that_goes_on_takes_the_place_of_its_beginning(tmp_path):
    files = SessionFiles(tmp_path / "s", 10_000, "same")
    files.open()
    for chain in (("a",), ("a", "b"), ("c",)):
        part = files.part()
        (files.folder / part).write_bytes(b"x")
        files.keep(part, chain)
    assert len(list(files.folder.glob("*.kv"))) == 2
    found, length = files.best(("a", "b", "z"), 1)
    assert (found.chain, length) == (("a", "b"), 2)


def test_texts_that_begin_alike_have_chains_that_do():
    talk = {"messages": [{"role": "user", "content": "x" * 3 * BLOCK}]}
    more = {"messages": [*talk["messages"], {"role": "user", "content": "y" * BLOCK}]}
    other = {"messages": [{"role": "user", "content": "y" * 3 * BLOCK}]}
    one, longer, another = (chain_of(CHAT, body) for body in (talk, more, other))
    assert shared(one, longer) == len(one) == 3
    assert shared(one, another) == 0
    assert chain_of(CHAT, {"messages": "odd"}) is None
    assert chain_of("/v1/completions", {"prompt": [1, 2]}) is None
