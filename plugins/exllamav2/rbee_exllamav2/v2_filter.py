"""A filter of ExLlamaV2's own kind; imported once the library is."""

from __future__ import annotations

from typing import Any

import torch
from exllamav2.generator.filters import ExLlamaV2Filter
from rbee.contract.token_engine import TokenRequest
from rbee.contract.tokenizer import PackedMask

from rbee_exllamav2.logits import shaped


class Shaper(ExLlamaV2Filter):  # type: ignore[misc]  # the library is untyped
    """Applies a request's biases and penalties, and keeps to its constraint.

    The library has penalties too; they change the logits in place, of which log probabilities are then no longer the
    model's, and count the prompt where rbee's do not.
    """

    def __init__(self, model: Any, tokenizer: Any, request: TokenRequest) -> None:
        super().__init__(model, tokenizer)
        self._request = request
        self._answer: list[int] = []
        self._mask: PackedMask | None = None

    def prepare(self) -> None:
        """Ask the constraint for the next token, unless that is done."""
        if self._mask is None and self._request.constraint is not None:
            self._mask = self._request.constraint.mask(self._answer)

    def begin(self, prefix_str: str) -> None:
        """Nothing is left of another answer: a filter serves one."""

    def feed(self, token: Any) -> None:
        """A token was drawn."""
        self._answer.append(int(token.item()))
        self._mask = None

    def use_background_worker(self) -> bool:
        """No: the constraint is asked before the iteration, in the engine's thread."""
        return False

    def can_mask_logits(self) -> bool:
        """Yes: logits are changed, instead of tokens listed."""
        return True

    def prepare_logit_mask(self) -> bool:
        """Called in place of `next`, before `mask_logits`."""
        self.prepare()
        return True

    def mask_logits(self, logits: Any) -> Any:
        """The logits to draw from, as a new tensor: those of the model are wanted for log probabilities.

        Args:
            logits: a tensor of shape (n,) on the processor.
        """
        request = self._request
        return torch.from_numpy(shaped(logits.numpy(), request.sampling, request.prompt, self._answer, self._mask))
