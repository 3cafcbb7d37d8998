"""Which of some models a name means, by what the name says and nothing else: no vendor is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rbee.contract.errors import InvalidRequestError
from rbee.contract.model_refs import ModelRef, parse_ref
from rbee.contract.types import ModelVariant

_TOLD = 20


def called(name: str, variants: Sequence[ModelVariant]) -> list[ModelVariant]:
    """Those that a name means: the one of that canonical name, else those of that short name, else less exact ones."""
    exact = [variant for variant in variants if variant.model_id == name]
    return exact or [variant for variant in variants if variant.name == name] or less_exact(name, variants)


def several(name: str, model_ids: Sequence[str], where: str) -> str:
    """What to tell one whose name means more than one model, where one must be meant.

    Args:
        name: as it was asked for.
        model_ids: what it may mean.
        where: they are, for a person.
    """
    more = f" and {len(model_ids) - _TOLD} more" if len(model_ids) > _TOLD else ""
    listed = ", ".join(repr(model_id) for model_id in model_ids[:_TOLD])
    return f"The name {name!r} may mean several models of {where}: {listed}{more}. Name one of them."


def less_exact(name: str, variants: Iterable[ModelVariant]) -> list[ModelVariant]:
    """Those that a less exact name leads to: their repository without a quantisation, for one."""
    try:
        wanted = parse_ref(name)
    except InvalidRequestError:
        return []
    return [variant for variant in variants if leads_to(wanted, variant.model_id)]


def leads_to(wanted: ModelRef, model_id: str) -> bool:
    """Whether all that a name says holds of the model of that canonical name."""
    try:
        there = parse_ref(model_id)
    except InvalidRequestError:
        return False
    return agrees(wanted, there)


def agrees(wanted: ModelRef, there: ModelRef) -> bool:
    """Whether all that a name says holds of a model, each in its parts."""
    if (wanted.kind, wanted.repository, wanted.revision) != (there.kind, there.repository, there.revision):
        return False
    pairs = (
        (wanted.scheme, there.scheme),
        (wanted.file, there.file),
        (wanted.quantization, there.quantization),
        (wanted.tag, there.tag),
        (wanted.sha256, there.sha256),
    )
    return all(given is None or given == found for given, found in pairs)
