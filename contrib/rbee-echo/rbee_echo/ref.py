"""Names of echo models, whose parameters make the engine slow or faulty on purpose."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

FAULT_TOKENS = 3
"""After how many tokens an engine fails when the name does not say."""


class EchoRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A parsed name, ``echo[:NAME[?PARAMETER=VALUE&...]]``.

    Attributes:
        name: any word; models of different names are different models.
        delay_ms: milliseconds a step takes; 50 for the name ``slow``, else 0.
        fail: ``load`` to fail while loading, ``step`` to raise in mid-answer, ``die`` to exit there.
        load_s: seconds that loading takes.
        tokens: words that every answer has; with `fail`, the words that still come out.
    """

    name: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}\Z")] = "echo"
    delay_ms: Annotated[float, Meta(ge=0, le=60_000)] | None = None
    fail: Literal["load", "step", "die"] | None = None
    load_s: Annotated[float, Meta(ge=0, le=3_600)] | None = None
    tokens: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None

    @classmethod
    def parse(cls, ref: str) -> Self:
        """The name in parts.

        Raises:
            ValueError: it is not an echo model's name; the message says what is wrong.
        """
        found = re.fullmatch(r"echo(?::(?P<name>[^?]+)(?:\?(?P<query>.*))?)?", ref)
        if found is None:
            raise ValueError("the form is echo[:NAME[?PARAMETER=VALUE&...]]")
        pairs = parse_qsl(found["query"] or "", keep_blank_values=True, strict_parsing=bool(found["query"]))
        if unknown := {key for key, _ in pairs} - {"delay_ms", "fail", "load_s", "tokens"}:
            raise ValueError(f"there is no parameter {min(unknown)!r}")
        if len(pairs) != len(dict(pairs)):
            raise ValueError("a parameter stands there twice")
        values = {"name": found["name"] or "echo", **dict(pairs)}
        try:
            return msgspec.convert(values, cls, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from error

    @property
    def short(self) -> str:
        """What a person types; the canonical name but for the model called echo."""
        return "echo" if self == EchoRef() else self.canonical

    @property
    def canonical(self) -> str:
        """The one spelling of this name: parameters sorted, absent ones left out."""
        values = {key: value for key, value in sorted(msgspec.structs.asdict(self).items()) if key != "name"}
        query = "&".join(f"{key}={_plain(value)}" for key, value in values.items() if value is not None)
        return f"echo:{self.name}" + (f"?{query}" if query else "")

    @property
    def delay_s(self) -> float:
        """Seconds a step takes."""
        default_ms = 50.0 if self.name == "slow" else 0.0
        return (default_ms if self.delay_ms is None else self.delay_ms) / 1000

    @property
    def faulty_after(self) -> int | None:
        """Tokens after which the engine fails in mid-answer, None when it does not."""
        return (self.tokens or FAULT_TOKENS) if self.fail in {"step", "die"} else None


def _plain(value: object) -> str:
    """20.0 and 20 are the same delay and must be the same name."""
    return f"{value:g}" if isinstance(value, float) else str(value)
