"""The promises of `rbee.contract.TokenEngine`."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from rbee.contract import (
    Capability,
    Constraint,
    EngineStatus,
    LoadedModel,
    LoadSpec,
    PackedMask,
    Sampling,
    TokenEngine,
    TokenEvent,
    TokenRequest,
)
from rbee.contract.errors import ModelFileError
from rbee.testing.conformance.engine_base import EngineContract
from rbee.testing.conformance.junk import junk_model

MOST_STEPS = 10_000
MOST_BIAS = 100.0
GREEDY = Sampling(temperature=0.0, seed=1)
TEXT = "Once upon a time"
TOLERANCE = 1e-3


class Only(Constraint):
    """Lets one token come, again and again, and notes what it was told."""

    def __init__(self, size: int, token: int) -> None:
        words = bytearray((size + 31) // 32 * 4)
        words[token // 8] |= 1 << token % 8
        self._mask = bytes(words)
        self.told: list[list[int]] = []

    def mask(self, generated: Sequence[int]) -> PackedMask:
        """See `Constraint.mask`."""
        self.told.append(list(generated))
        return self._mask


class TokenEngineContract(EngineContract, kit=True):
    """Subclass it where the engine's library is there, and give the fixtures `engine_class` and `load_spec`."""

    @pytest.fixture
    def engine(self, engine_class: type[TokenEngine]) -> Iterator[TokenEngine]:
        """The engine, made afresh and unloaded at the end."""
        made = engine_class()
        yield made
        made.unload()

    @pytest.fixture
    def model(self, engine: TokenEngine, load_spec: LoadSpec) -> LoadedModel:
        """What `engine` has loaded."""
        return engine.load(load_spec, lambda _stage: None)

    @staticmethod
    def request(
        model: LoadedModel,
        request_id: str,
        *,
        max_tokens: int = 8,
        text: str = TEXT,
        sampling: Sampling = GREEDY,
        constraint: Constraint | None = None,
        top_logprobs: int | None = None,
        ignore_ends: bool = False,
    ) -> TokenRequest:
        """A request to go on with a text."""
        return TokenRequest(
            request_id=request_id,
            prompt=(*model.tokenizer.before, *model.tokenizer.encode(text)),
            max_tokens=max_tokens,
            sampling=sampling,
            constraint=constraint,
            top_logprobs=top_logprobs,
            ignore_ends=ignore_ends,
        )

    @staticmethod
    def drive(engine: TokenEngine, model: LoadedModel, *requests: TokenRequest) -> dict[str, list[TokenEvent]]:
        """Step until every request has ended as the host ends it; all events by request, in order."""
        limits = {one.request_id: one.max_tokens for one in requests}
        ends = {one.request_id: frozenset() if one.ignore_ends else model.tokenizer.ends for one in requests}
        events: dict[str, list[TokenEvent]] = {name: [] for name in limits}
        left = set(limits)
        for _ in range(MOST_STEPS):
            if not left:
                return events
            for event in engine.step():
                name = event.request_id
                assert name in left, f"an event for {name!r}, which is not under way"
                events[name].append(event)
                tokens = [one.token for one in events[name] if one.token is not None]
                over = len(tokens) >= limits[name] or event.token in ends[name]
                if event.finish is not None or over:
                    left.discard(name)
                    if event.finish is None:
                        engine.remove(name)
        raise AssertionError(f"requests {sorted(left)} did not end within {MOST_STEPS} steps")

    def tokens(self, engine: TokenEngine, model: LoadedModel, request: TokenRequest) -> list[int]:
        """The tokens of one answer."""
        engine.add(request)
        events = self.drive(engine, model, request)[request.request_id]
        return [event.token for event in events if event.token is not None]

    def test_the_host_s_capabilities_are_declared(self, engine_class: type[TokenEngine]) -> None:
        """What the host does for every engine is offered by every engine; a model narrows it down."""
        assert {Capability.CHAT, Capability.COMPLETIONS, Capability.TOOLS, Capability.CONTINUATION} <= set(
            engine_class.capabilities
        )

    def test_sampling_names_fields_that_there_are(self, engine_class: type[TokenEngine]) -> None:
        """And greedy answers can be asked of every engine."""
        assert engine_class.sampling <= frozenset(Sampling.__struct_fields__)
        assert "temperature" in engine_class.sampling

    def test_loading_tells_stages_and_returns_the_model(self, engine: TokenEngine, load_spec: LoadSpec) -> None:
        """Stages are words for a person; the context is at most what was asked for."""
        stages: list[str] = []
        model = engine.load(load_spec, stages.append)
        assert stages
        assert all(stages)
        assert model.context_length > 0
        assert load_spec.context_length is None or model.context_length <= load_spec.context_length

    def test_the_tokenizer_gives_a_text_back(self, model: LoadedModel) -> None:
        """Pieces are bytes; together they are the text."""
        tokenizer = model.tokenizer
        for text in (TEXT, "a", "two\nlines", "na\N{LATIN SMALL LETTER I WITH DIAERESIS}ve \N{HONEYBEE}"):
            tokens = tokenizer.encode(text, special=False)
            assert all(0 <= token < tokenizer.size for token in tokens)
            assert b"".join(tokenizer.piece(token) for token in tokens).decode().strip() == text
        assert tokenizer.ends <= tokenizer.control

    def test_a_request_ends_within_its_limit(self, engine: TokenEngine, model: LoadedModel) -> None:
        """Every token is one of the vocabulary, and what is told of the prompt is true."""
        request = self.request(model, "a", max_tokens=8)
        engine.add(request)
        events = self.drive(engine, model, request)["a"]
        tokens = [event.token for event in events if event.token is not None]
        assert 0 < len(tokens) <= 8
        assert all(0 <= token < model.tokenizer.size for token in tokens)
        done = [event.prompt_done for event in events if event.prompt_done is not None]
        assert done == sorted(done)
        assert all(0 <= one <= len(request.prompt) for one in done)
        assert all(0 <= event.cached <= len(request.prompt) for event in events if event.cached is not None)

    def test_greedy_answers_are_the_same_each_time(self, engine: TokenEngine, model: LoadedModel) -> None:
        """Also where a cache holds the prompt the second time."""
        first = self.tokens(engine, model, self.request(model, "a", max_tokens=16))
        assert self.tokens(engine, model, self.request(model, "b", max_tokens=16)) == first

    def test_a_seed_repeats_an_answer(self, engine: TokenEngine, model: LoadedModel) -> None:
        """The same request with the same seed, alone in the engine, gets the same answer."""
        if "seed" not in type(engine).sampling:
            return
        sampling = Sampling(temperature=1.0, seed=7)
        first = self.tokens(engine, model, self.request(model, "a", max_tokens=16, sampling=sampling))
        assert self.tokens(engine, model, self.request(model, "b", max_tokens=16, sampling=sampling)) == first

    def test_all_slots_run_side_by_side(self, engine: TokenEngine, model: LoadedModel, load_spec: LoadSpec) -> None:
        """As many requests as there are slots end each under its own id, with the answer it gets alone."""
        alone = self.tokens(engine, model, self.request(model, "alone"))
        requests = [self.request(model, f"r{number}") for number in range(load_spec.slots)]
        for request in requests:
            engine.add(request)
        for events in self.drive(engine, model, *requests).values():
            assert [event.token for event in events if event.token is not None] == alone

    def test_removed_requests_say_nothing_more(self, engine: TokenEngine, model: LoadedModel) -> None:
        """`remove` drops at once; unknown and repeated ids are ignored and the slot is free again."""
        engine.remove("never-seen")
        engine.add(self.request(model, "a", max_tokens=model.context_length // 2))
        engine.step()
        engine.remove("a")
        engine.remove("a")
        assert not engine.step()
        assert self.tokens(engine, model, self.request(model, "b"))
        engine.remove("b")

    def test_a_step_without_work_returns_nothing(self, engine: TokenEngine, model: LoadedModel) -> None:
        """And does not block."""
        del model
        started = time.monotonic()
        assert not engine.step()
        assert time.monotonic() - started < 1.0

    def test_constraints_are_kept(self, engine: TokenEngine, model: LoadedModel) -> None:
        """Nothing comes that a mask forbids, and each mask is asked for with what was generated before it."""
        if not {Capability.JSON_SCHEMA, Capability.GRAMMAR} & set(type(engine).capabilities):
            return
        token = model.tokenizer.encode("e", special=False)[0]
        only = Only(model.tokenizer.size, token)
        request = self.request(model, "a", max_tokens=4, constraint=only)
        assert self.tokens(engine, model, request) == [token] * 4
        assert only.told[:4] == [[token] * length for length in range(4)]

    def test_an_ignored_end_does_not_end_an_answer(self, engine: TokenEngine, model: LoadedModel) -> None:
        """A request that ignores ends goes on behind them up to its limit; engines are made to draw nothing else."""
        constrained = {Capability.JSON_SCHEMA, Capability.GRAMMAR} & set(type(engine).capabilities)
        if not model.tokenizer.ends or not (constrained or "logit_bias" in type(engine).sampling):
            return
        end = min(model.tokenizer.ends)
        request = self.request(
            model,
            "a",
            max_tokens=4,
            sampling=GREEDY if constrained else msgspec.structs.replace(GREEDY, logit_bias={end: MOST_BIAS}),
            constraint=Only(model.tokenizer.size, end) if constrained else None,
            ignore_ends=True,
        )
        assert self.tokens(engine, model, request) == [end] * 4

    def test_log_probabilities_are_logarithms_of_probabilities(self, engine: TokenEngine, model: LoadedModel) -> None:
        """The greedy token is the likeliest one, and the likeliest come first."""
        if Capability.LOGPROBS not in type(engine).capabilities:
            return
        request = self.request(model, "a", max_tokens=4, top_logprobs=5)
        engine.add(request)
        for event in self.drive(engine, model, request)["a"]:
            if event.token is None:
                continue
            assert event.logprob is not None
            assert event.logprob <= TOLERANCE
            told = [logprob for _, logprob in event.top]
            assert len(told) == 5
            assert told == sorted(told, reverse=True)
            assert sum(math.exp(logprob) for logprob in told) <= 1 + TOLERANCE
            assert event.logprob == pytest.approx(told[0], abs=TOLERANCE)

    def test_status_is_quick_and_in_range(self, engine: TokenEngine, model: LoadedModel, load_spec: LoadSpec) -> None:
        """Slots in all are those asked for, none is busy while nothing is asked."""
        del model
        started = time.monotonic()
        status = engine.status()
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
