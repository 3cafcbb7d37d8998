"""The engine's own routes, asked for its figures."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

from rbee.contract import Endpoint, EngineStatus

PATIENCE_S = 0.4
"""For each of two requests, so that `status` stays below its second."""

SLOT_PATIENCE_S = 60.0
"""To write a slot's cache to disk or to read it: gigabytes, and the server first finishes what it computes."""

GENERATED = "llamacpp:tokens_predicted_total"
WAITING = "llamacpp:requests_deferred"

UNREADABLE = (OSError, ValueError, TypeError, http.client.HTTPException)
"""What reading figures may raise; none of it is worth more than "unknown"."""


class Console:
    """Reads slots and counters of one running server.

    Args:
        endpoint: where it listens.
        slots: how many it was started with.
    """

    def __init__(self, endpoint: Endpoint, slots: int) -> None:
        self._netloc = urlsplit(endpoint.url).netloc
        self._headers = dict(endpoint.headers)
        self._slots = slots
        self._generated = 0

    def context_length(self) -> int | None:
        """Tokens a slot as the server settled them; None when it does not tell."""
        try:
            lengths = [slot.get("n_ctx") for slot in self._read_slots()]
        except UNREADABLE:
            return None
        known = [length for length in lengths if isinstance(length, int)]
        return min(known, default=None)

    def status(self) -> EngineStatus:
        """Figures of this moment; only the number of slots when the server does not answer in time."""
        try:
            counters = parse_counters(self._get("/metrics").decode("utf-8", "replace"))
            slots = self._read_slots()
        except UNREADABLE:
            return EngineStatus(slots_total=self._slots)
        busy = [slot for slot in slots if slot.get("is_processing")]
        # The counter grows only when a request ends, so what runs is added.  Counters are read before slots:
        # a request that ends in between is then missed once rather than counted twice.
        running = sum(_decoded(slot) for slot in busy)
        self._generated = max(self._generated, int(counters.get(GENERATED, 0)) + running)
        return EngineStatus(
            slots_total=len(slots),
            slots_busy=len(busy),
            queue_depth=int(counters.get(WAITING, 0)),
            tokens_generated=self._generated,
        )

    def act_on_slot(self, slot: int, action: str, file: str) -> None:
        """Have an idle slot's cache written or read.

        Args:
            slot: its number.
            action: ``save`` or ``restore``.
            file: name in the server's folder.

        Raises:
            OSError, http.client.HTTPException: it was not done.
        """
        body = json.dumps({"filename": file}).encode()
        with closing(http.client.HTTPConnection(self._netloc, timeout=SLOT_PATIENCE_S)) as connection:
            headers = {**self._headers, "Content-Type": "application/json"}
            connection.request("POST", f"/slots/{slot}?action={action}", body, headers)
            response = connection.getresponse()
            answer = response.read()
            if response.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(answer[:200].decode("utf-8", "replace"))

    def _read_slots(self) -> list[dict[str, Any]]:
        slots = json.loads(self._get("/slots"))
        if not isinstance(slots, list):
            raise TypeError("slots are not a list")
        return [slot for slot in slots if isinstance(slot, dict)]

    def _get(self, path: str) -> bytes:
        # A connection each: the server keeps a thread for every open one.
        with closing(http.client.HTTPConnection(self._netloc, timeout=PATIENCE_S)) as connection:
            connection.request("GET", path, headers=self._headers)
            response = connection.getresponse()
            if response.status != http.HTTPStatus.OK:
                raise http.client.HTTPException(f"{path} answered {response.status}")
            return response.read()


def parse_counters(text: str) -> dict[str, float]:
    """Names and values of a Prometheus text without labels; other lines are left out."""
    counters: dict[str, float] = {}
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if not line.startswith("#"):
            try:
                counters[name] = float(value)
            except ValueError:
                continue
    return counters


def _decoded(slot: dict[str, Any]) -> int:
    tokens = slot.get("next_token")
    if not isinstance(tokens, list):
        return 0
    counts = [token.get("n_decoded") for token in tokens if isinstance(token, dict)]
    return sum(count for count in counts if isinstance(count, int))
