"""The adapter: what both engines have in common."""

from __future__ import annotations

import importlib
import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import msgspec
from rbee.contract import Availability, Backend, Capability, EngineStatus, LoadSpec, StageReport
from rbee.contract.errors import ContextLengthError, EngineUnavailableError
from rbee.contract.folder_tokenizer import FolderTokenizer
from rbee.contract.token_engine import LoadedModel, TokenEngine, TokenEvent, TokenRequest
from rbee.contract.tokenizer import Tokenizer

from rbee_exllamav2.availability import Library, availability
from rbee_exllamav2.failure import importing, loading, said
from rbee_exllamav2.generation import Generation, Result, parts_of
from rbee_exllamav2.options import OPTIONS, Plan, plan_of
from rbee_exllamav2.preflight import check_device

FINISHES = MappingProxyType({"stop_token": "stop", "max_new_tokens": "length"})
"""Why a library ends a job; the other reasons are of things that are not asked of it."""


class Running(msgspec.Struct):
    """A request under way: what the library made of it, and whether its first token has come."""

    request: TokenRequest
    job: Any
    begun: bool = False


class Counters(msgspec.Struct):
    """Tokens since the load."""

    generated: int = 0
    prompts: int = 0
    cached: int = 0


class ExLlamaEngine(TokenEngine):
    """A library with a generator that takes jobs and is iterated.

    Attributes:
        library: which.
    """

    library: ClassVar[Library]

    backends = frozenset({Backend.CUDA})
    splits = frozenset({Backend.CUDA})
    capabilities = frozenset(
        {
            Capability.CHAT,
            Capability.COMPLETIONS,
            Capability.TOOLS,
            Capability.CONTINUATION,
            Capability.JSON_SCHEMA,
            Capability.GRAMMAR,
            Capability.LOGPROBS,
            Capability.SPECULATIVE,
        }
    )
    # Both come with one plugin, and most people install the library of one.
    optional = True
    options = OPTIONS
    sampling = frozenset(
        {
            "temperature",
            "top_p",
            "top_k",
            "min_p",
            "repetition_penalty",
            "presence_penalty",
            "frequency_penalty",
            "logit_bias",
            "seed",
        }
    )

    def __init__(self) -> None:
        self._generation: Generation | None = None
        self._running: dict[str, Running] = {}
        self._counters = Counters()

    @classmethod
    def availability(cls) -> Availability:
        """Whether the library, PyTorch, a driver and a compiler or compiled kernels are there."""
        return availability(cls.library)

    @abstractmethod
    def _generate(self, plan: Plan, tokenizer: Tokenizer, report: StageReport) -> Generation:
        """Load the model; whatever is raised is translated."""

    def load(self, spec: LoadSpec, report: StageReport) -> LoadedModel:
        """See `TokenEngine.load`."""
        self.unload()
        check_device(spec, self.name)
        reason = self.availability().reason
        if reason is not None:
            raise EngineUnavailableError(f"engine '{self.name}' cannot run here: {reason}")
        plan = plan_of(spec, self.name)
        tokenizer = FolderTokenizer(plan.folder)
        _see_only(plan.gpus)
        report(f"importing {self.library.module}, which takes minutes when it has to compile its kernels")
        with importing(self.name):
            torch = importlib.import_module("torch")
            importlib.import_module(self.library.module)
            usable = torch.cuda.is_available()
        if not usable:
            raise EngineUnavailableError(
                f"engine '{self.name}' cannot run here: PyTorch sees no GPU of the numbers "
                f"{', '.join(map(str, plan.gpus))}; look with nvidia-smi which there are"
            )
        torch.set_num_threads(plan.threads)
        _bound(torch, plan)
        with loading(plan):
            generation = self._generate(plan, tokenizer, report)
        self._generation = generation
        self._counters = Counters()
        return LoadedModel(tokenizer=tokenizer, context_length=generation.context_length, slots=generation.slots)

    def add(self, request: TokenRequest) -> None:
        """See `TokenEngine.add`."""
        generation = self._loaded()
        job = generation.job(request)
        try:
            generation.generator.enqueue(job)
        except AssertionError as error:
            generation.forget(request.request_id)
            raise ContextLengthError(f"The request does not fit the cache: {said(error)}.") from error
        self._running[request.request_id] = Running(request, job)

    def step(self) -> Sequence[TokenEvent]:
        """One iteration of the library's."""
        generation = self._loaded()
        generation.prepare()
        events: list[TokenEvent] = []
        for result in generation.generator.iterate():
            running = self._running.get(result.get("identifier", ""))
            if running is not None:
                events += self._events(generation, running, result)
        return events

    def remove(self, request_id: str) -> None:
        """See `TokenEngine.remove`."""
        running = self._running.pop(request_id, None)
        if running is not None and self._generation is not None:
            self._generation.generator.cancel(running.job)
            self._generation.forget(request_id)

    def unload(self) -> None:
        """See `TokenEngine.unload`."""
        generation, self._generation = self._generation, None
        self._running.clear()
        if generation is not None:
            generation.close()

    def status(self) -> EngineStatus:
        """Slots, and tokens as they passed through here."""
        generation, counters = self._generation, self._counters
        if generation is None:
            return EngineStatus()
        taken = len(self._running)
        return EngineStatus(
            slots_total=generation.slots,
            slots_busy=min(taken, generation.slots),
            queue_depth=max(0, taken - generation.slots),
            tokens_generated=counters.generated,
            prompt_tokens=counters.prompts,
            cached_tokens=counters.cached,
        )

    def _loaded(self) -> Generation:
        if self._generation is None:
            raise EngineUnavailableError(f"engine '{self.name}' has no model loaded; call load first")
        return self._generation

    def _events(self, generation: Generation, running: Running, result: Result) -> Iterator[TokenEvent]:
        request = running.request
        if result.get("stage") == "error":
            # The library ends one job where a kernel has failed; what is left of the others nobody knows.
            raise result["error"]
        if result.get("stage") == "prefill":
            yield TokenEvent(request_id=request.request_id, prompt_done=int(result["curr_progress"]))
        drawn = [one for part in parts_of(result) for one in generation.drawn(part, request)]
        finish = FINISHES.get(result.get("eos_reason", ""), "stop") if result.get("eos") else None
        first = bool(drawn or finish) and not running.begun
        cached = self._begin(generation, running) if first else None
        self._counters.generated += len(drawn)
        for number, one in enumerate(drawn):
            opening = first and number == 0
            yield TokenEvent(
                request_id=request.request_id,
                token=one.token,
                finish=finish if number == len(drawn) - 1 else None,
                logprob=one.logprob,
                top=one.top,
                prompt_done=len(request.prompt) if opening else None,
                cached=cached if opening else None,
            )
        if finish is not None:
            if not drawn:
                yield TokenEvent(request_id=request.request_id, finish=finish, cached=cached)
            self._running.pop(request.request_id, None)
            generation.forget(request.request_id)

    def _begin(self, generation: Generation, running: Running) -> int:
        running.begun = True
        cached = min(generation.cached(running.job), len(running.request.prompt))
        self._counters.prompts += len(running.request.prompt)
        self._counters.cached += cached
        return cached


def _see_only(gpus: tuple[int, ...]) -> None:
    """Numbers are places on the bus, as the driver's own tools have them; CUDA reads this as it starts."""
    os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, gpus))


def _bound(torch: Any, plan: Plan) -> None:
    """Keep PyTorch within the memory that the hive has given of each card."""
    for place, limit in enumerate(plan.limits):
        if limit is not None:
            total = torch.cuda.get_device_properties(place).total_memory
            torch.cuda.set_per_process_memory_fraction(min(1.0, limit / total), place)
