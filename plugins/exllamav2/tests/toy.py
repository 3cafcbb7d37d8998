"""A language model small enough to know by heart, and the generators of both libraries around it.

The generators stand in for the real ones where there is no CUDA: the same calls, and results with the same keys, as
read from the sources of exllamav2 0.3.2 (`generator/dynamic.py`) and exllamav3 1.6.5 (`generator/generator.py`,
`generator/job.py`).  `test_real_library.py` runs the same requests through the real ones.
"""

from __future__ import annotations

import random
from types import SimpleNamespace

import numpy as np

PAGE = 256
HELD = 7
"""After this token the libraries wait for the rest of a character."""


def toy_logits(last: int, size: int) -> np.ndarray:
    """What follows depends on the last token alone: three times it and one, above all."""
    logits = np.linspace(1.0, 0.0, size, dtype=np.float32)
    logits[(3 * last + 1) % size] = 9.0
    logits[(3 * last + 2) % size] = 8.0
    return logits


def toy_answer(prompt: list[int], count: int, size: int) -> list[int]:
    answer = [prompt[-1]]
    for _ in range(count):
        answer.append((3 * answer[-1] + 1) % size)
    return answer[1:]


class Tensor:
    """As much of a tensor as the adapter touches."""

    def __init__(self, data, dtype=None):
        self.array = np.asarray(data, dtype=dtype)
        self.shape = self.array.shape
        self.device = SimpleNamespace(type="cpu")

    def tolist(self):
        return self.array.tolist()

    def item(self):
        return self.array.item()

    def numpy(self):
        return self.array

    def view(self, *shape):
        return Tensor(self.array.reshape(shape))


class FakeCuda:
    def __init__(self):
        self.devices = 1
        self.capability = (8, 9)
        self.total_memory = 1000
        self.fraction = None
        self.fractions = {}

    def is_available(self):
        return self.devices > 0

    def device_count(self):
        return self.devices

    def get_device_capability(self, _number):
        return self.capability

    def get_device_properties(self, _number):
        return SimpleNamespace(total_memory=self.total_memory)

    def set_per_process_memory_fraction(self, fraction, number):
        self.fraction = (fraction, number)
        self.fractions[number] = fraction

    def empty_cache(self):
        """Nothing is kept."""


class FakeTorch(SimpleNamespace):
    def __init__(self):
        super().__init__(
            cuda=FakeCuda(),
            long=np.int64,
            int32=np.int32,
            float=np.float32,
            tensor=Tensor,
            from_numpy=Tensor,
            frombuffer=lambda data, dtype: Tensor(np.frombuffer(data, dtype=dtype)),
            threads=None,
        )

    def set_num_threads(self, count):
        self.threads = count


class FakeJob:
    """What both libraries' jobs have in common."""

    def __init__(self, input_ids, max_new_tokens, *, seed, stop_conditions, filters, identifier, **more):
        self.prompt = input_ids.tolist()[0]
        self.max_new_tokens = max_new_tokens
        self.rng = random.Random(seed)
        self.stop_tokens = set(stop_conditions)
        self.filters = filters
        self.identifier = identifier
        self.more = more
        self.cached_pages = 0
        self.cached_tokens = 0
        self.position = 0
        self.answer = []
        self.held = []
        self.serial_number = None

    def result(self, stage, **more):
        return {
            "job": self,
            "stage": stage,
            "eos": False,
            "serial": self.serial_number,
            "identifier": self.identifier,
            **more,
        }


class FakeGenerator:
    """Starts jobs, computes four tokens of a prompt at a time, then draws one token an iteration.

    Attributes:
        guesses: of a draft model at a time.
        remembered: tokens of the next prompts that are in the cache already.
    """

    def __init__(self, *, model, tokenizer, cache_tokens, max_batch_size, guesses, early):
        self.model = model
        self.tokenizer = tokenizer
        self.max_batch_size = max_batch_size
        self.cache_tokens = cache_tokens
        self.guesses = guesses
        self.early = early
        self.remembered = 0
        self.failure = None
        self.pending = []
        self.active = []
        self.serial = 0
        self.closed = False

    def enqueue(self, job):
        pages = -(-(len(job.prompt) + job.max_new_tokens) // PAGE)
        assert pages <= self.cache_tokens // PAGE, (
            f"Job requires {pages} pages (only {self.cache_tokens // PAGE} available)"
        )
        job.serial_number = self.serial
        self.serial += 1
        self.pending.append(job)
        return job.serial_number

    def cancel(self, job):
        for jobs in (self.pending, self.active):
            if job in jobs:
                jobs.remove(job)

    def close(self):
        self.closed = True

    def iterate(self):
        results = []
        while self.pending and len(self.active) < self.max_batch_size:
            job = self.pending.pop(0)
            self.active.append(job)
            results.append(job.result("started"))
            if self.remembered:
                job.cached_pages, job.cached_tokens = divmod(self.remembered, PAGE)
                job.position = self.remembered
        for job in list(self.active):
            if self.failure is not None:
                self.active.remove(job)
                results.append(job.result("error", eos=True, error=self.failure))
                continue
            end = len(job.prompt) - 1
            if job.position < end:
                job.position = min(job.position + 4, end)
                results.append(job.result("prefill", curr_progress=job.position, max_progress=end))
            if job.position == end:
                for _ in range(1 + self.guesses):
                    if self._draw(job, results):
                        self.active.remove(job)
                        break
        return results

    def _draw(self, job, results):
        size = self.model.size
        logits = toy_logits((job.answer or job.prompt)[-1], size)
        token, told = self.pick(job, logits)
        job.answer.append(token)
        for one in job.filters:
            self.feed(one, token)
        job.held.append((token, told))
        if token in job.stop_tokens:
            end = {"eos_reason": "stop_token", "eos_triggering_token_id": token, "held": self.told(job)}
            results.append(job.result("streaming", **end, **self.end(job)))
            return True
        if len(job.answer) >= job.max_new_tokens - self.early:
            results.append(
                job.result("streaming", eos_reason="max_new_tokens", **self.end(job), **self.told(job), text="")
            )
            return True
        if token == HELD:
            results.append(job.result("streaming"))
        else:
            results.append(job.result("streaming", text="x", **self.told(job)))
        return False

    def end(self, job):
        return {
            "eos": True,
            "full_completion": "",
            "new_tokens": len(job.answer),
            "prompt_tokens": len(job.prompt),
            "cached_pages": job.cached_pages,
            "cached_tokens": job.cached_pages * PAGE + job.cached_tokens,
        }

    def told(self, job):
        tokens = [token for token, _ in job.held]
        more = self.details(job, [told for _, told in job.held])
        job.held = []
        return {"token_ids": Tensor([tokens]), **more}
