from __future__ import annotations

import asyncio
import threading

import msgspec
import pytest
from rbee.contract import TokenRequest
from rbee.contract.errors import (
    CancelledByCallerError,
    ConflictError,
    ContextLengthError,
    ModelFileError,
    QueueFullError,
    UnavailableError,
    WorkerFailedError,
    WorkerNotReadyError,
)
from rbee.worker.tokens.answer import Answers
from rbee.worker.tokens.detokenizer import Detokenizer
from rbee.worker.tokens.lanes import Job
from rbee.worker.tokens.reading import Reading
from rbee.worker.tokens.scheduler import Scheduler
from rbee.worker.tokens.sections import Reasoning
from rbee.worker.tokens.stops import StopFilter


class Desk:
    """A loaded scheduler with a few words for what the tests do."""

    def __init__(self, scheduler, tokenizer):
        self.scheduler = scheduler
        self.tokenizer = tokenizer
        self.jobs = {}

    def ask(self, name, prompt="x", stops=(), group=None, **fields):
        reading = Reading(Detokenizer(self.tokenizer), StopFilter(stops), Reasoning(None), None)
        answers = Answers([reading])
        fields = {"max_tokens": 2000, "prompt": tuple(prompt.encode()), **fields}
        job = Job(TokenRequest(request_id=name, **fields), answers.all[0], ends=self.tokenizer.ends, group=group)
        self.scheduler.submit(job)
        self.jobs[name] = job
        return answers


async def text_of(answers):
    return "".join([piece.content async for piece in answers])


@pytest.fixture
async def desk_of(spec_of):
    made = []

    async def make(engine, slots=1, **options):
        scheduler = Scheduler(engine, spec_of(slots), **options)
        made.append((engine, scheduler))
        await scheduler.start(lambda stage: None)
        return Desk(scheduler, engine.tokenizer)

    yield make
    for engine, scheduler in made:
        engine.gated = False
        engine.allow(100)
        await scheduler.stop()


async def test_the_engine_lives_in_one_thread_from_load_to_unload(engine_of, desk_of):
    engine = engine_of()
    desk = await desk_of(engine)
    assert await text_of(desk.ask("a")) == "one two three"
    await desk.scheduler.stop()
    assert len(engine.threads) == 1
    assert threading.get_ident() not in engine.threads
    assert engine.log[0][0] == "load"
    assert engine.log[-1][0] == "unload"
    assert not [thread for thread in threading.enumerate() if thread.name == "rbee-engine"]


async def test_requests_beyond_the_slots_wait_and_go_first_come_first_served(engine_of, desk_of):
    engine = engine_of()
    desk = await desk_of(engine, slots=2)
    names = [f"r{number}" for number in range(9)]
    texts = await asyncio.gather(*[text_of(desk.ask(name)) for name in names])
    assert texts == ["one two three"] * 9
    assert [name for verb, name in engine.log if verb == "add"] == names
    assert engine.most == 2


async def test_a_full_queue_refuses_and_tells_its_depth(engine_of, desk_of, happened):
    engine = engine_of(gated=True)
    desk = await desk_of(engine, max_waiting=2)
    answers = [desk.ask(name) for name in "abc"]
    with pytest.raises(QueueFullError) as caught:
        desk.ask("d")
    assert caught.value.details == {"queue_depth": 2, "slots": 1}
    await happened(engine.stepped)
    status = desk.scheduler.status()
    assert (status.slots_total, status.slots_busy, status.queue_depth) == (1, 1, 2)
    engine.allow(9)
    assert [await text_of(answer) for answer in answers] == ["one two three"] * 3
    assert desk.scheduler.status().tokens_generated == 9
    assert desk.scheduler.status().slots_busy == 0


async def test_a_cancelled_request_leaves_the_engine_before_its_next_step(engine_of, desk_of, happened):
    engine = engine_of(["w"] * 1000, gated=True)
    desk = await desk_of(engine)
    answer = desk.ask("a")
    engine.allow()
    assert (await anext(answer)).content == "w"
    desk.scheduler.cancel(desk.jobs["a"])
    said = engine.said["a"]
    engine.allow()
    await happened(engine.removed)
    assert ("remove", "a") in engine.log
    assert said <= 2
    assert desk.scheduler.status().slots_busy == 0


async def test_a_cancelled_waiting_request_never_reaches_the_engine(engine_of, desk_of):
    engine = engine_of(gated=True)
    desk = await desk_of(engine)
    first, _, third = [desk.ask(name) for name in "abc"]
    desk.scheduler.cancel(desk.jobs["b"])
    engine.allow(6)
    await asyncio.gather(text_of(first), text_of(third))
    assert [name for verb, name in engine.log if verb == "add"] == ["a", "c"]


async def test_cancelling_what_has_ended_spares_a_later_request_of_the_same_id(engine_of, desk_of):
    desk = await desk_of(engine_of())
    await text_of(desk.ask("a"))
    ended = desk.jobs["a"]
    again = desk.ask("a")
    desk.scheduler.cancel(ended)
    assert await text_of(again) == "one two three"


async def test_an_id_under_way_is_refused(engine_of, desk_of):
    desk = await desk_of(engine_of(gated=True))
    desk.ask("a")
    with pytest.raises(ConflictError):
        desk.ask("a")


async def test_a_request_that_the_engine_refuses_fails_alone(engine_of, desk_of):
    engine = engine_of()
    engine.add_errors = {"long": ContextLengthError("too long"), "odd": KeyError("template")}
    desk = await desk_of(engine, slots=3)
    long, odd, good = desk.ask("a", "long"), desk.ask("b", "odd"), desk.ask("c", "good")
    with pytest.raises(ContextLengthError):
        await text_of(long)
    with pytest.raises(WorkerFailedError):
        await text_of(odd)
    assert await text_of(good) == "one two three"
    assert desk.scheduler.alive()


async def test_an_exception_out_of_a_step_fails_all_and_marks_the_engine_dead(engine_of, desk_of):
    engine = engine_of(gated=True)
    desk = await desk_of(engine)
    answers = [desk.ask("active"), desk.ask("waiting")]
    engine.step_error = RuntimeError("CUDA error: an illegal memory access was encountered")
    engine.allow()
    for answer in answers:
        with pytest.raises(WorkerFailedError):
            await text_of(answer)
    assert not desk.scheduler.alive()
    with pytest.raises(WorkerFailedError):
        desk.ask("later")
    await desk.scheduler.stop()
    assert engine.log[-1][0] == "unload"


async def test_stopping_ends_the_requests_under_way(engine_of, desk_of):
    engine = engine_of(["w"] * 1000, gated=True)
    desk = await desk_of(engine)
    answer = desk.ask("a")
    stopping = asyncio.create_task(desk.scheduler.stop())
    engine.allow(3)
    with pytest.raises(UnavailableError):
        await text_of(answer)
    await stopping
    with pytest.raises(WorkerNotReadyError):
        desk.ask("b")
    assert desk.scheduler.alive()


async def test_an_error_of_loading_reaches_the_caller(engine_of, spec_of):
    engine = engine_of()
    engine.load_error = ModelFileError("truncated")
    scheduler = Scheduler(engine, spec_of())
    with pytest.raises(ModelFileError):
        await scheduler.start(lambda stage: None)
    await scheduler.stop()


@pytest.mark.parametrize("wrong", [None, 4096])
async def test_an_engine_that_loads_something_else_is_told_so_and_keeps_nobody_waiting(engine_of, spec_of, wrong):
    engine = engine_of()
    engine.load = lambda spec, report: wrong
    scheduler = Scheduler(engine, spec_of())
    with pytest.raises(TypeError, match="must return a LoadedModel"):
        await asyncio.wait_for(scheduler.start(lambda stage: None), 5)
    await scheduler.stop()


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration()])
async def test_no_way_to_fail_at_loading_leaves_the_caller_waiting(engine_of, spec_of, error):
    engine = engine_of()
    engine.load_error = error
    scheduler = Scheduler(engine, spec_of())
    with pytest.raises((WorkerFailedError, RuntimeError)):
        await asyncio.wait_for(scheduler.start(lambda stage: None), 5)
    await scheduler.stop()


async def test_a_stop_while_loading_unloads(engine_of, spec_of):
    engine = engine_of()
    engine.load_gate.clear()
    scheduler = Scheduler(engine, spec_of())
    loading = asyncio.create_task(scheduler.start(lambda stage: None))
    await asyncio.sleep(0)  # lets the task begin
    stopping = asyncio.create_task(scheduler.stop())
    await asyncio.sleep(0)
    engine.load_gate.set()
    with pytest.raises(CancelledByCallerError):
        await loading
    await stopping
    assert engine.log[-1][0] == "unload"


async def test_stop_is_harmless_before_start(engine_of, spec_of):
    await Scheduler(engine_of(), spec_of()).stop()


async def test_an_idle_engine_is_not_stepped(engine_of, desk_of):
    engine = engine_of()
    desk = await desk_of(engine)
    await text_of(desk.ask("a"))
    engine.stepped.clear()
    assert not await asyncio.to_thread(engine.stepped.wait, 0.05)


async def test_a_stop_string_frees_the_slot(engine_of, desk_of, happened):
    engine = engine_of(["a", "b", "c", *["w"] * 1000], gated=True)
    desk = await desk_of(engine)
    answer = desk.ask("a", stops=["bc"])
    engine.allow(3)
    assert await text_of(answer) == "a"
    assert answer.tokens == 3
    engine.allow()
    await happened(engine.removed)


async def test_a_slow_reader_gets_what_waited_as_one_piece(engine_of, desk_of):
    engine = engine_of()
    desk = await desk_of(engine)
    slow, other = desk.ask("a"), desk.ask("b")
    await text_of(other)  # the only slot: the first answer is complete by now
    pieces = [piece async for piece in slow]
    assert [(piece.content, piece.finish) for piece in pieces] == [("one two three", "stop")]


async def test_a_token_that_ends_answers_ends_one_and_is_not_shown(engine_of, desk_of, happened):
    engine = engine_of(tokens=[*b"hi", 257, *b"never"])
    desk = await desk_of(engine)
    answer = desk.ask("a")
    assert await text_of(answer) == "hi"
    assert answer.tokens == 3
    await happened(engine.removed)
    assert desk.scheduler.status().slots_busy == 0


async def test_the_limit_of_tokens_is_kept_by_the_host(engine_of, desk_of, happened):
    engine = engine_of(tokens=[*b"abcdef"])
    desk = await desk_of(engine)
    pieces = [piece async for piece in desk.ask("a", max_tokens=3)]
    assert "".join(piece.content for piece in pieces) == "abc"
    assert pieces[-1].finish == "length"
    await happened(engine.removed)


async def test_a_request_for_many_answers_does_not_keep_others_out(engine_of, desk_of, happened):
    engine = engine_of(gated=True)
    desk = await desk_of(engine, slots=2)
    many = [desk.ask(f"many-{number}", group="many") for number in range(4)]
    one = desk.ask("one")
    engine.allow(99)
    await asyncio.gather(*map(text_of, [*many, one]))
    order = [name for verb, name in engine.log if verb == "add"]
    assert order.index("one") < order.index("many-2")


async def test_what_is_computed_and_what_is_cached_is_counted(engine_of, desk_of):
    engine = engine_of()
    told = engine.event
    engine.event = lambda request, at, finish: msgspec.structs.replace(
        told(request, at, finish), cached=2 if at == 0 else None
    )
    desk = await desk_of(engine)
    assert desk.scheduler.status().cached_tokens is None
    await text_of(desk.ask("a", "four"))
    status = desk.scheduler.status()
    assert (status.prompt_tokens, status.cached_tokens, status.tokens_generated) == (4, 2, 3)


async def test_an_engine_that_has_fewer_slots_than_it_was_asked_for_is_given_no_more(engine_of, desk_of):
    engine = engine_of()
    load = engine.load
    engine.load = lambda spec, report: msgspec.structs.replace(load(spec, report), slots=1)
    desk = await desk_of(engine, slots=4)
    assert desk.scheduler.status().slots_total == 1
    await asyncio.gather(*[text_of(desk.ask(f"r{number}")) for number in range(4)])
    assert engine.most == 1


async def test_an_answer_that_cannot_be_read_ends_alone(engine_of, desk_of):
    engine = engine_of(gated=True)
    desk = await desk_of(engine, slots=2)
    bad, good = desk.ask("bad"), desk.ask("good")

    def feed(event, finish):
        raise RecursionError("too deep")

    bad.all[0].feed = feed
    engine.allow(9)
    with pytest.raises(WorkerFailedError, match="could not be read"):
        await text_of(bad)
    assert await text_of(good) == "one two three"
    assert desk.scheduler.alive()
