"""A filter and a sampling step of ExLlamaV3's own kinds; imported once the library is."""

from __future__ import annotations

from typing import Any

import torch
from exllamav3 import Filter
from exllamav3.generator.sampler import SS_Base
from exllamav3.generator.sampler.custom import SS
from rbee.contract.tokenizer import Constraint


class Allowed(Filter):  # type: ignore[misc]  # the library is not there where types are checked
    """Keeps an answer to its constraint."""

    def __init__(self, tokenizer: Any, constraint: Constraint) -> None:
        super().__init__(tokenizer, trigger_token=None, prefix_str=None, eos_after_completed=False)
        self._constraint = constraint
        self._answer: list[int] = []

    def reset(self) -> None:
        """Called as the job starts."""
        self._answer = []

    def accept_token(self, token: int) -> None:
        """A token was drawn."""
        self._answer.append(token)

    def rollback_tokens(self, num_tokens: int) -> bool:
        """Tokens were taken back; True as that is all there is to do."""
        del self._answer[len(self._answer) - num_tokens :]
        return True

    def get_next_logit_mask(self) -> Any:
        """What may come, as 32-bit words of shape (1, m): the library's layout is the contract's."""
        words = torch.frombuffer(bytearray(self._constraint.mask(self._answer)), dtype=torch.int32)
        return words.view(1, -1)

    def is_completed(self) -> bool:
        """Never: a constraint lets the token come that ends the answer, and nothing after it is asked."""
        return False

    def use_background_worker(self) -> bool:
        """No: constraints are asked in the engine's thread."""
        return False


class AnswerPenalties(SS_Base):  # type: ignore[misc]  # the library is not there where types are checked
    """Presence and frequency penalties over the answer; the library's own count the prompt, too."""

    def __init__(self, presence: float, frequency: float, prompt_length: int) -> None:
        self._presence = presence
        self._frequency = frequency
        self._prompt_length = prompt_length

    def reqs_past_ids(self) -> bool:
        """Yes."""
        return True

    def run(self, state: Any) -> None:
        """Change a copy of the logits: those of the model are wanted for log probabilities."""
        logits = state.in_logits.to(torch.float, copy=True) if state.state == SS.INIT else state.logits
        answer = state.past_ids[0, self._prompt_length :].to(logits.device)
        times = torch.bincount(answer, minlength=state.dim).to(logits.dtype)
        state.logits = logits - (times > 0) * self._presence - times * self._frequency
        state.state = SS.LOGITS
