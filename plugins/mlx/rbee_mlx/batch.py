"""The requests under way, in the library's batch generator."""

from __future__ import annotations

from typing import Any

import mlx.core as mx
import msgspec
from mlx_lm.generate import BatchGenerator
from rbee.contract import TokenEvent, TokenRequest

from rbee_mlx.drawing import Tap, likeliest, processors_of, sampler_of
from rbee_mlx.prompt_cache import PromptCache


class _Under(msgspec.Struct):
    """A request under way."""

    request: TokenRequest
    cached: int
    tap: Tap | None
    told: bool = False


class Batch:
    """Continuous batching: requests come and go between any two steps.

    Args:
        model: the library's.
        size: tokens of the vocabulary.
        slots: requests at a time.
        chunk: tokens of prompts computed in a step.
        kept: beginnings of prompts that are there already.
    """

    def __init__(self, model: Any, size: int, slots: int, chunk: int, kept: PromptCache) -> None:
        self._size = size
        self._kept = kept
        # Without types: the library has some, and not for what is called here.
        self._generator: Any = BatchGenerator(
            model, completion_batch_size=slots, prefill_batch_size=min(slots, 8), prefill_step_size=chunk
        )
        self._under: dict[int, _Under] = {}
        self._uids: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._under)

    def add(self, request: TokenRequest) -> None:
        """Take up a request."""
        hit = self._kept.find(request.prompt)
        begun = hit.tokens if hit is not None else 0
        prompt = list(request.prompt)
        processors: list[Any] = list(processors_of(request.sampling, request.constraint, prompt, self._size))
        tap = Tap() if request.top_logprobs is not None else None
        if tap is not None:
            processors.insert(0, tap)
        (uid,) = self._generator.insert(
            [prompt[begun:]],
            max_tokens=[request.max_tokens],
            caches=[hit.layers if hit is not None else None],
            all_tokens=[prompt[:begun]],
            samplers=[sampler_of(request.sampling)],
            logits_processors=[processors],
        )
        self._under[uid] = _Under(request, begun, tap)
        self._uids[request.request_id] = uid

    def step(self) -> list[TokenEvent]:
        """Advance all requests."""
        if not self._under:
            return []
        prompts, answers = self._generator.next()
        events = [self._progress(one.uid, one.progress) for one in prompts if one.uid in self._under]
        for answer in answers:
            under = self._under.get(answer.uid)
            if under is None:
                continue
            events.append(self._drawn(under, answer))
            if answer.finish_reason is not None:
                self._keep(answer.all_tokens, answer.prompt_cache)
                self._forget(under.request.request_id)
        return events

    def remove(self, request_id: str) -> None:
        """Drop a request; what it has computed is kept for others."""
        uid = self._uids.get(request_id)
        if uid is None:
            return
        found = self._generator.remove([uid], return_prompt_caches=True)
        self._forget(request_id)
        if uid in found:
            layers, tokens = found[uid]
            self._keep(tokens, layers)

    def close(self) -> None:
        """Drop everything."""
        self._under.clear()
        self._uids.clear()
        self._generator.close()

    def _progress(self, uid: int, progress: Any) -> TokenEvent:
        under = self._under[uid]
        done = progress[0] if isinstance(progress, tuple) else 0
        first, under.told = not under.told, True
        return TokenEvent(
            request_id=under.request.request_id,
            prompt_done=min(under.cached + done, len(under.request.prompt)),
            cached=under.cached if first else None,
        )

    def _drawn(self, under: _Under, answer: Any) -> TokenEvent:
        request = under.request
        finish = "length" if answer.finish_reason is not None else None
        if request.top_logprobs is None or under.tap is None:
            return TokenEvent(request_id=request.request_id, token=answer.token, finish=finish)
        # Not the library's: those are of the changed logits, and rounded as the model's weights are.
        logprob, top = likeliest(under.tap.take(), answer.token, request.top_logprobs)
        return TokenEvent(request_id=request.request_id, token=answer.token, finish=finish, logprob=logprob, top=top)

    def _keep(self, tokens: Any, layers: Any) -> None:
        if tokens and layers and not any(layer.empty() for layer in layers):
            mx.eval([layer.state for layer in layers])
            self._kept.keep(tokens, layers)

    def _forget(self, request_id: str) -> None:
        self._under.pop(self._uids.pop(request_id))
