"""The checks of a worker, in the order in which they are asked: those that leave traces come last."""

from rbee.conformance.checks import Check
from rbee.conformance.worker import (
    access,
    cancel,
    chat,
    completions,
    drain,
    embeddings,
    ending,
    identity,
    infer,
    limits,
    logprobs,
    refusals,
    slots,
    stream,
    structured,
    tools,
)

CHECKS: tuple[Check, ...] = (
    *identity.CHECKS,
    *infer.CHECKS,
    *stream.CHECKS,
    *cancel.CHECKS,
    *chat.CHECKS,
    *limits.CHECKS,
    *refusals.CHECKS,
    *completions.CHECKS,
    *logprobs.CHECKS,
    *tools.CHECKS,
    *structured.CHECKS,
    *embeddings.CHECKS,
    *access.CHECKS,
    *slots.CHECKS,
    *drain.CHECKS,
    *ending.CHECKS,
)

__all__ = ["CHECKS"]
