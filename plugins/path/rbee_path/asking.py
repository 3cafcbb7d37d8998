"""Small questions to a server: bounded in time and size."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import msgspec
from rbee.contract import EngineStatus

from rbee_path.record import Figures

_LARGEST = 4 * 1024 * 1024
_SAID = 400
PATIENCE_S = 0.4

UNREADABLE = (OSError, ValueError, TypeError, AttributeError, RecursionError, http.client.HTTPException)
"""What an answer that cannot be had or read raises."""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """Where a server listens, and what to send along."""

    url: str
    headers: tuple[tuple[str, str], ...] = ()

    def get(self, path: str, within_s: float = PATIENCE_S) -> bytes:
        """The body of an answer with status 200.

        Raises:
            OSError, HTTPException: it does not answer, or otherwise.
        """
        address = urlsplit(self.url)
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=within_s)) as connection:
            connection.request("GET", path, headers=dict(self.headers))
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(f"{path} answered {response.status}")
            return response.read(_LARGEST)

    def answers(self, path: str, within_s: float = PATIENCE_S) -> bool:
        """Whether it can be asked."""
        try:
            self.get(path, within_s)
        except UNREADABLE:
            return False
        return True

    def complete(self, model: str, within_s: float) -> None:
        """Have it complete one token.

        Raises:
            OSError, HTTPException: it does not; what it says instead stands in the error.
        """
        address, body = urlsplit(self.url), json.dumps({"model": model, "prompt": "a", "max_tokens": 1})
        with closing(http.client.HTTPConnection(address.hostname or "", address.port, timeout=within_s)) as connection:
            headers = {"content-type": "application/json", **dict(self.headers)}
            connection.request("POST", "/v1/completions", body, headers)
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                said = response.read(_SAID).decode("utf-8", "replace")
                raise http.client.HTTPException(f"it answered {response.status}: {' '.join(said.split())}")

    def models(self, path: str) -> list[str]:
        """Names of the models that it lists.

        Raises:
            OSError, HTTPException, ValueError, TypeError, AttributeError, RecursionError: it does not tell.
        """
        told = json.loads(self.get(path, 5.0))
        return [str(one["id"]) for one in told["data"] or ()]


class Figurer:
    """Reads a server's figures.

    Args:
        server: which.
        figures: where they are.
        slots: how many requests it was started for.
    """

    def __init__(self, server: Server, figures: Figures, slots: int) -> None:
        self._server = server
        self._figures = figures
        self._slots = slots
        self._generated = 0

    def status(self) -> EngineStatus:
        """As much as it tells at this moment."""
        figures = self._figures
        try:
            # Counters first: a request that ends in between is then missed once rather than counted twice.
            metrics = parse_metrics(self._server.get(figures.metrics)) if figures.metrics else {}
            slots = self._read_slots()
        except UNREADABLE:
            return EngineStatus(slots_total=self._slots)
        busy = None if slots is None else [one for one in slots if one.get("is_processing")]
        running = metrics.get(figures.running or "")
        return EngineStatus(
            slots_total=self._slots if slots is None else len(slots),
            slots_busy=len(busy) if busy is not None else None if running is None else min(int(running), self._slots),
            queue_depth=_whole(metrics.get(figures.waiting or "")),
            tokens_generated=self._tokens(metrics.get(figures.generated or ""), busy or ()),
        )

    def _tokens(self, counted: float | None, busy: Iterable[Mapping[str, Any]]) -> int | None:
        if counted is None:
            return None
        # Where slots tell what they have made so far, the counter has only what has ended.
        self._generated = max(self._generated, int(counted) + sum(_decoded(one) for one in busy))
        return self._generated

    def _read_slots(self) -> list[dict[str, Any]] | None:
        if self._figures.slots is None:
            return None
        told = json.loads(self._server.get(self._figures.slots))
        if not isinstance(told, list):
            raise TypeError("slots are not a list")
        return [one for one in told if isinstance(one, dict)]


def parse_metrics(text: bytes) -> dict[str, float]:
    """Sums by name of a Prometheus text, whatever the labels."""
    found: dict[str, float] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        if line.startswith("#"):
            continue
        name, _, rest = line.partition("{") if "{" in line else line.partition(" ")
        value = rest.rpartition("}")[2].split() if "}" in rest else rest.split()
        try:
            found[name] = found.get(name, 0.0) + float(value[0])
        except (ValueError, IndexError):
            continue
    return found


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _decoded(slot: Mapping[str, Any]) -> int:
    tokens = slot.get("next_token")
    counts = [one.get("n_decoded") for one in tokens if isinstance(one, dict)] if isinstance(tokens, list) else []
    return sum(count for count in counts if isinstance(count, int))
