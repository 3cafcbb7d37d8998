"""The promises of `rbee.contract.TokenEngine`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from rbee.contract import EngineStatus, LoadSpec, TokenEngine, TokenEvent, TokenRequest
from rbee.contract.errors import ContextLengthError, ModelFileError
from rbee.testing.conformance.engine_base import EngineContract
from rbee.testing.conformance.junk import junk_model

MOST_STEPS = 10_000
LARGEST_PROBED_CONTEXT = 200_000
"""Tokens; a prompt that overflows a larger context would take longer to make than the test is worth."""


def request(request_id: str, *, max_tokens: int | None = 8, prompt: str = "Once upon a time") -> TokenRequest:
    """A greedy request for a bare completion."""
    return TokenRequest(request_id=request_id, prompt=prompt, max_tokens=max_tokens, temperature=0.0)


def drive(engine: TokenEngine, *pending: str) -> dict[str, list[TokenEvent]]:
    """Step until every pending request has ended; all events by request, in order."""
    events: dict[str, list[TokenEvent]] = {request_id: [] for request_id in pending}
    waiting = set(pending)
    for _ in range(MOST_STEPS):
        if not waiting:
            return events
        for event in engine.step():
            assert event.request_id in waiting, f"an event of {event.request_id!r}, which is not under way"
            events[event.request_id].append(event)
            if event.finish is not None:
                waiting.discard(event.request_id)
    raise AssertionError(f"{sorted(waiting)} did not end within {MOST_STEPS} steps")


class TokenEngineContract(EngineContract, kit=True):
    """Subclass it and give the fixtures `engine_class` (a `TokenEngine`) and `load_spec`."""

    @pytest.fixture
    def engine(self, engine_class: type[TokenEngine]) -> Iterator[TokenEngine]:
        """A fresh engine, unloaded after the test."""
        engine = engine_class()
        yield engine
        engine.unload()

    @pytest.fixture
    def loaded(self, engine: TokenEngine, load_spec: LoadSpec) -> TokenEngine:
        """`engine` with its model loaded."""
        engine.load(load_spec, lambda _stage: None)
        return engine

    def test_a_request_runs_from_its_first_event_to_its_finish(self, loaded: TokenEngine) -> None:
        """`prompt_tokens` stands in the first event only, `finish` in the last only, nothing follows."""
        loaded.add(request("a"))
        events = drive(loaded, "a")["a"]
        assert isinstance(events[0].prompt_tokens, int)
        assert events[0].prompt_tokens > 0
        assert all(event.prompt_tokens is None for event in events[1:])
        assert events[-1].finish in {"stop", "length"}
        assert all("\ufffd" not in event.text for event in events), "text holds whole characters only"
        assert not loaded.step()

    def test_no_more_tokens_come_than_asked_for(self, loaded: TokenEngine) -> None:
        """A request for one token ends after one."""
        loaded.add(request("a", max_tokens=1))
        events = drive(loaded, "a")["a"]
        assert sum(1 for event in events if event.text) <= 1

    def test_greedy_requests_are_repeatable(self, loaded: TokenEngine) -> None:
        """Temperature 0 gives the same text twice, also after another request has used the slot."""
        texts = []
        for name in ("a", "b"):
            loaded.add(request(name))
            texts.append("".join(event.text for event in drive(loaded, name)[name]))
        assert texts[0] == texts[1]

    def test_a_conversation_is_taken_up(self, loaded: TokenEngine) -> None:
        """Messages instead of a prompt."""
        messages = ({"role": "user", "content": "Who are you?"},)
        loaded.add(TokenRequest(request_id="a", messages=messages, max_tokens=4, temperature=0.0))
        assert drive(loaded, "a")["a"][-1].finish in {"stop", "length"}

    def test_all_slots_run_side_by_side(self, loaded: TokenEngine, load_spec: LoadSpec) -> None:
        """As many requests as there are slots end each under its own id."""
        names = [f"r{number}" for number in range(load_spec.slots)]
        for name in names:
            loaded.add(request(name))
        assert all(events for events in drive(loaded, *names).values())

    def test_removed_requests_say_nothing_more(self, loaded: TokenEngine) -> None:
        """`remove` drops at once; unknown and repeated ids are ignored and the slot is free again."""
        loaded.remove("never-seen")
        loaded.add(request("a", max_tokens=None))
        loaded.step()
        loaded.remove("a")
        loaded.remove("a")
        assert not loaded.step()
        loaded.add(request("b"))
        drive(loaded, "b")
        loaded.remove("b")

    def test_a_step_without_work_returns_nothing(self, loaded: TokenEngine) -> None:
        """And does not block."""
        started = time.monotonic()
        assert not loaded.step()
        assert time.monotonic() - started < 1.0

    def test_a_prompt_beyond_the_context_is_refused(self, engine: TokenEngine, load_spec: LoadSpec) -> None:
        """`add` raises and leaves nothing behind."""
        context = engine.load(load_spec, lambda _stage: None)
        if context is None or context > LARGEST_PROBED_CONTEXT:
            return
        prompt = " ".join(str(number) for number in range(context + 1))
        with pytest.raises(ContextLengthError):
            engine.add(request("a", prompt=prompt))
        assert not engine.step()

    def test_status_is_quick_and_in_range(self, loaded: TokenEngine, load_spec: LoadSpec) -> None:
        """Slots in all are those asked for, none is busy while nothing is asked."""
        started = time.monotonic()
        status = loaded.status()
        assert time.monotonic() - started < 1.0
        assert isinstance(status, EngineStatus)
        assert status.slots_total in {None, load_spec.slots}
        assert status.slots_busy in {None, 0}

    def test_unload_is_harmless_before_load_and_when_repeated(self, engine: TokenEngine, load_spec: LoadSpec) -> None:
        """And the engine can be loaded again."""
        engine.unload()
        for _ in range(2):
            engine.load(load_spec, lambda _stage: None)
            engine.unload()
            engine.unload()

    def test_a_file_that_is_no_model_is_refused(self, engine: TokenEngine, load_spec: LoadSpec, tmp_path: Path) -> None:
        """The error names the file or the folder."""
        if load_spec.model_path is None:
            return
        junk = junk_model(Path(load_spec.model_path), tmp_path)
        with pytest.raises(ModelFileError) as caught:
            engine.load(msgspec.structs.replace(load_spec, model_path=str(junk)), lambda _stage: None)
        assert junk.name in caught.value.message
